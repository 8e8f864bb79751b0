/* SPDX-License-Identifier: MIT */
/* Cases of the summary: what requests took, by what they asked for; what values counters had. */
#include "prof/scene.h"

static void check_says(const char *text, const char *expected) {
    if (strstr(text, expected) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" is not in: %s", expected, text);
}

static const char *summary_of(struct scene *scene, struct sink *sink) {
    CHECK_EQ(scene_export(scene_open(scene), ASH_PROF_SUMMARY, sink, 0), 0);
    return sink_text(sink);
}

TEST_CASE(prof_summary, requests_are_told_apart_by_what_they_ask_for) {
    static const char *const names[] = {"blk.read", "blk.write", "blk.flush", "blk.other"};
    struct scene scene;
    struct sink sink;
    uint32_t begin[4], end[4];
    scene_init(&scene, 1, 64);
    for (uint32_t i = 0; i < 4; i++) {
        begin[i] = scene_event(&scene, ASH_EVENT_ASYNC_BEGIN, names[i], "request:x,bytes");
        end[i] = scene_event(&scene, ASH_EVENT_ASYNC_END, names[i], "request:x,error:e");
    }
    scene_add(&scene, 0, 1000, begin[0], 1, 512);
    scene_add(&scene, 0, 1100, begin[0], 2, 512);
    scene_add(&scene, 0, 3000, end[0], 1, 0);
    scene_add(&scene, 0, 5100, end[0], 2, 0);
    scene_add(&scene, 0, 6000, begin[1], 3, 512);
    scene_add(&scene, 0, 6007, end[1], 3, 0);
    scene_add(&scene, 0, 7000, begin[1], 4, 512); /* its end is lost, */
    scene_add(&scene, 0, 8000, end[2], 4, 0);     /* and this one's begin */
    scene_add(&scene, 0, 9000, begin[3], 1, 3);
    scene_add(&scene, 0, 9500, end[3], 1, 0);
    const char *text = summary_of(&scene, &sink);
    check_says(text, "Block I/O: reads, from submission to completion: 2\n"
                     "  least    2.000 us, mean    3.000 us, most    4.000 us\n");
    check_says(text, "Block I/O: writes, from submission to completion: 1; not over at its end: 1\n"
                     "  least        7 ns, mean        7 ns, most        7 ns\n");
    check_says(text, "Block I/O: flushes, from submission to completion: 0; not counted, as one "
                     "end is not in the trace: 1\n");
    check_says(text, "Block I/O: other requests, from submission to completion: 1\n");
}

TEST_CASE(prof_summary, system_calls_are_listed_by_name_the_dearest_first) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t read = scene_event(&scene, ASH_EVENT_BEGIN, "syscall.read", "first:x,second:x");
    uint32_t read_end = scene_event(&scene, ASH_EVENT_END, "syscall.read", "result:d");
    uint32_t wait = scene_event(&scene, ASH_EVENT_BEGIN, "syscall.wait4", "first:x,second:x");
    uint32_t wait_end = scene_event(&scene, ASH_EVENT_END, "syscall.wait4", "result:d");
    scene.task = 3;
    scene_add(&scene, 0, 1000, read, 0, 0);
    scene_add(&scene, 0, 1500, read_end, 512, 0);
    scene_add(&scene, 0, 2000, read, 0, 0);
    scene_add(&scene, 0, 3500, read_end, 0, 0);
    scene_add(&scene, 0, 4000, wait, 0, 0); /* its end is lost; so is the next one's begin */
    scene_add(&scene, 0, 4100, read_end, 0, 0);
    scene.task = 4;
    scene_add(&scene, 0, 4500, wait, 0, 0);
    scene_add(&scene, 0, 9500, wait_end, 0, 0);
    check_says(summary_of(&scene, &sink),
               "System calls, with what they waited for\n"
               "       count        total         mean         most  name\n"
               "           1     5.000 us     5.000 us     5.000 us  syscall.wait4\n"
               "           2     2.000 us     1.000 us     1.500 us  syscall.read\n"
               "  left out: 1 of which one end is lost, 1 not over\n");
}

TEST_CASE(prof_summary, a_counter_has_a_least_a_mean_over_time_and_a_most) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t free = scene_event(&scene, ASH_EVENT_COUNTER, "buddy.free", "buddy:x,pages");
    uint32_t mark = scene_event(&scene, ASH_EVENT_INSTANT, "mark", "number");
    scene_add(&scene, 0, 500, mark, 1, 0);
    scene_add(&scene, 0, 1000, free, 0x4000, 100); /* for 1000 ns */
    scene_add(&scene, 0, 2000, free, 0x4000, 400); /* for 500 ns */
    scene_add(&scene, 0, 2500, free, 0x4000, 10);  /* for 1500 ns, to the trace's end */
    scene_add(&scene, 0, 2500, free, 0x8000, 7);
    scene_add(&scene, 0, 4000, mark, 2, 0);
    const char *text = summary_of(&scene, &sink);
    check_says(text, "Counters, their mean over time\n"
                     "          least           mean           most           last\n"
                     "             10        105.000            400             10  "
                     "buddy.free 0x4000, pages\n"
                     "              7          7.000              7              7  "
                     "buddy.free 0x8000, pages\n");
}

TEST_CASE(prof_summary, counters_go_to_both_ends_of_their_range) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t plain = scene_event(&scene, ASH_EVENT_COUNTER, "plain", "which,value");
    uint32_t with_sign = scene_event(&scene, ASH_EVENT_COUNTER, "signed", "which,value:d");
    scene_add(&scene, 0, 1, plain, 0, UINT64_MAX);
    scene_add(&scene, 0, 1, with_sign, 0, (uint64_t)INT64_MIN);
    scene_add(&scene, 0, 3, with_sign, 0, 1);
    scene_add(&scene, 0, 3, with_sign, 1, (uint64_t)-2);
    scene_add(&scene, 0, 4, with_sign, 1, (uint64_t)-1);
    scene_add(&scene, 0, 5, with_sign, 0, INT64_MAX);
    scene_add(&scene, 0, UINT64_C(1) << 40, plain, 0, UINT64_MAX);
    const char *text = summary_of(&scene, &sink);
    check_says(text, " 18446744073709551615 18446744073709551615.000 18446744073709551615 "
                     "18446744073709551615  plain 0, value\n");
    check_says(text, "\n -9223372036854775808 9223372036804444158.999 9223372036854775807 ");
    check_says(text,
               "             -2         -1.000             -1             -1  signed 1, value");
}

TEST_CASE(prof_summary, counters_beyond_the_table_are_counted) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 128);
    uint32_t free = scene_event(&scene, ASH_EVENT_COUNTER, "buddy.free", "buddy:x,pages");
    for (uint64_t i = 0; i < 70; i++)
        scene_add(&scene, 0, 10 + i, free, i, i);
    check_says(summary_of(&scene, &sink), "  left out: 6 records of other counters\n");
}
