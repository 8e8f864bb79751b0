/* SPDX-License-Identifier: MIT */
/* flame.c: the flame graph's boxes, as text. Their places are looked at by tests/trace/flame.py. */
#include "export_internal.h"
#include "harness/test.h"
#include "prof/sampled.h"
#include "prof/sink.h"

enum { OUT_BYTES = 1 << 19 };

static const char *draw(struct sink *sink, const struct sampled *scene) {
    size_t bytes = ash__prof_flame_work(&scene->view);
    sink_init(sink, OUT_BYTES);
    CHECK_EQ(ash__prof_flame(&scene->view, &sink->sink, test_alloc(bytes, 64), bytes), 0);
    return sink_text(sink);
}

static bool has(const char *text, const char *part) {
    return strstr(text, part) != NULL;
}

TEST_CASE(prof_flame, a_box_has_its_share_and_its_figures) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct sink sink;
    sampled_begin(scene, 1, 1000, "machine=a <b> & \"c\"\nworkload=w\n");
    uint32_t image = sampled_image(scene, 0, "k", 0x1000, 0x2000);
    uint64_t f = sampled_function(scene, image, 16, "f<&>\"\xff\n");
    uint64_t g = sampled_function(scene, image, 16, "g");
    uint64_t chain[] = {g, f + 4};
    sampled_task(scene, 1, 0, "t");
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 2, chain, 2), 1, 3, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 2, chain, 2), 1, 1, ASH_PROF_IDLE);
    const char *svg = draw(&sink, scene);
    CHECK(has(svg, "a &lt;b&gt; &amp; &quot;c&quot;: w</text>"));
    CHECK(has(svg, "x=\"0.000000%\" y=\"57\" width=\"100.000000%\" height=\"18\">"
                   "<title>all\n4.000 ms, 100.00 %, 4 samples</title>"));
    CHECK(has(svg, "x=\"0.000000%\" y=\"38\" width=\"75.000000%\" height=\"18\">"
                   "<title>t\n3.000 ms, 75.00 %, 3 samples</title>"));
    CHECK(has(svg, "<title>f&lt;&amp;&gt;&quot;\xef\xbf\xbd _[k]\n3.000 ms"));
    CHECK(has(svg, "x=\"75.000000%\" y=\"0\" width=\"25.000000%\" height=\"18\">"
                   "<title>g_[k]\n1.000 ms, 25.00 %, 1 sample</title>"));
    CHECK(has(svg, "asked for 1000 Hz, delivered 2.000 Hz</text>"));
    /* the sample of weight 3 stands for two that were missed */
    CHECK(has(svg, ">2 missed, 0 overwritten, 0 damaged, 0 without callers, 0 unsure of one<"));
}

TEST_CASE(prof_flame, narrow_siblings_are_one_box_with_nothing_above) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct sink sink;
    sampled_begin(scene, 1, 1000, "");
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t chain[] = {0x77, 0x100 + i};
        sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 0, chain, 2), 1, 1, 0);
    }
    uint64_t wide = 0x900;
    uint32_t stack = sampled_stack(scene, 0, 0, 0, &wide, 1);
    for (uint32_t i = 0; i < 4; i++)
        sampled_sample(scene, 0, stack, 1, 60000, 0);
    const char *svg = draw(&sink, scene);
    CHECK(has(svg, "<title>[5 narrow ones]\n5.000 ms, 0.00 %, 5 samples</title>"));
    CHECK(!has(svg, "0x77"));
    CHECK(has(svg, "<title>0x900\n"));
}

TEST_CASE(prof_flame, says_instructions_where_these_are_counted) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct sink sink;
    uint64_t frame = 1;
    sampled_begin(scene, 1, 1000, "period_cycles=100000\ncycles_are=instructions\n");
    scene->profiles[0].trigger = ASH_PROF_CYCLES;
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 0, &frame, 1), 1, 2, 0);
    const char *svg = draw(&sink, scene);
    CHECK(has(svg, "one every 100000 instructions: delivered "));
    CHECK(has(svg, "<title>all\n200000 instructions, 100.00 %, 2 samples</title>"));
}
