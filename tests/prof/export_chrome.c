/* SPDX-License-Identifier: MIT */
/* export_chrome.c: traces as Trace Event JSON. */
#include "prof/scene.h"

/* Entries with that beginning of a line's rest; each entry is a line. */
static uint32_t count_of(const char *text, const char *what) {
    uint32_t count = 0;
    for (; (text = strstr(text, what)) != NULL; text++)
        count++;
    return count;
}

TEST_CASE(prof_chrome, a_small_scene_to_the_byte) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t begin = scene_event(&scene, ASH_EVENT_BEGIN, "syscall", "number");
    uint32_t end = scene_event(&scene, ASH_EVENT_END, "syscall", "number,result:e");
    uint32_t change = scene_event(&scene, ASH_EVENT_SWITCH, "switch", "from:task,to:task");
    scene_task(&scene, 5, 5, "sh");
    scene.task = 5;
    scene_add(&scene, 0, 1000, begin, 64, 0);
    scene_add(&scene, 0, 1500, end, 64, (uint64_t)-2);
    scene_add(&scene, 0, 2001, change, 5, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    CHECK_STR_EQ(
        sink_text(&sink),
        "{\"displayTimeUnit\":\"ns\",\"traceEvents\":["
        "\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":5,\"tid\":5,\"args\":{\"name\":\"sh\"}},"
        "\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":5,\"tid\":5,\"args\":{\"name\":\"sh "
        "(5)\"}},"
        "\n{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":7,\"tid\":1048578,\"args\":{\"name\":"
        "\"CPUs\"}},"
        "\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":7,\"tid\":1048578,\"args\":{\"name\":"
        "\"CPU 0 runs\"}},"
        "\n{\"name\":\"sh (5)\",\"cat\":\"running\",\"ph\":\"B\",\"ts\":1.000,\"pid\":7,\"tid\":"
        "1048578},"
        "\n{\"name\":\"syscall 64\",\"cat\":\"slice\",\"ph\":\"B\",\"ts\":1.000,\"pid\":5,\"tid\":"
        "5},"
        "\n{\"name\":\"syscall 64\",\"cat\":\"slice\",\"ph\":\"E\",\"ts\":1.500,\"pid\":5,\"tid\":"
        "5},"
        "\n{\"name\":\"syscall 64\",\"cat\":\"details\",\"ph\":\"i\",\"ts\":1.500,\"pid\":5,"
        "\"tid\":5,\"s\":\"t\",\"args\":{\"number\":64,\"result\":\"-2: no such file or "
        "object\"}},"
        "\n{\"name\":\"sh (5)\",\"cat\":\"running\",\"ph\":\"E\",\"ts\":2.001,\"pid\":7,\"tid\":"
        "1048578},"
        "\n{\"name\":\"task 0\",\"cat\":\"running\",\"ph\":\"B\",\"ts\":2.001,\"pid\":7,\"tid\":"
        "1048578},"
        "\n{\"name\":\"task 0\",\"cat\":\"running\",\"ph\":\"E\",\"ts\":2.002,\"pid\":7,\"tid\":"
        "1048578}"
        "\n],\n\"otherData\":{\"text\":{\"machine\":\"a test\"},"
        "\n\"clock_hz\":1000000000,\n\"records\":3,\n\"opened_at_the_first_time\":1,"
        "\n\"closed_without_an_end\":2,\n\"unmatched\":0,\n\"not_described\":0,\n\"late\":0,"
        "\n\"cpus\":[\n{\"cpu\":0,\"emitted\":3,\"exported\":3,\"overwritten\":0,\"dropped\":0}]}}"
        "\n");
}

static uint32_t slice_scene(struct scene *scene, uint32_t *end) {
    scene_init(scene, 1, 64);
    uint32_t begin = scene_event(scene, ASH_EVENT_BEGIN, "work", "");
    *end = scene_event(scene, ASH_EVENT_END, "work", "");
    scene->task = 3;
    return begin;
}

TEST_CASE(prof_chrome, an_end_without_its_begin_opens_at_the_first_time) {
    struct scene scene;
    struct sink sink;
    uint32_t end, begin = slice_scene(&scene, &end);
    scene_add(&scene, 0, 10, begin, 0, 0);
    scene_add(&scene, 0, 20, end, 0, 0);
    scene_add(&scene, 0, 30, end, 0, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "\"ph\":\"B\",\"ts\":0.010"), 2);
    CHECK_EQ(count_of(text, "\"ph\":\"E\""), 2);
    CHECK(strstr(text, "\"opened_at_the_first_time\":1,") != NULL);
}

TEST_CASE(prof_chrome, a_slice_that_does_not_end_is_closed_at_the_last_time) {
    struct scene scene;
    struct sink sink;
    uint32_t end, begin = slice_scene(&scene, &end);
    scene_add(&scene, 0, 10, begin, 0, 0);
    scene_add(&scene, 0, 20, begin, 0, 0);
    scene_add(&scene, 0, 30, end, 0, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"E\",\"ts\":0.030"), 2);
    CHECK(strstr(sink_text(&sink), "\"closed_without_an_end\":1,") != NULL);
}

TEST_CASE(prof_chrome, a_slice_lasts_a_nanosecond_at_least) {
    struct scene scene;
    struct sink sink;
    uint32_t end, begin = slice_scene(&scene, &end);
    scene_add(&scene, 0, 10, begin, 0, 0);
    scene_add(&scene, 0, 10, end, 0, 0);
    scene_add(&scene, 0, 10, begin, 0, 0);
    scene_add(&scene, 0, 10, end, 0, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"B\",\"ts\":0.010"), 1);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"E\",\"ts\":0.011"), 1);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"B\",\"ts\":0.012"), 1);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"E\",\"ts\":0.013"), 1);
}

TEST_CASE(prof_chrome, requests_counters_and_interrupts_have_their_places) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 2, 64);
    uint32_t submit = scene_event(&scene, ASH_EVENT_ASYNC_BEGIN, "blk", "request:x,bytes");
    uint32_t done = scene_event(&scene, ASH_EVENT_ASYNC_END, "blk", "request:x,error:e");
    uint32_t count = scene_event(&scene, ASH_EVENT_COUNTER, "free", "zone,pages");
    scene.task = 3;
    scene_add(&scene, 0, 10, submit, 0xabc, 4096);
    scene_add(&scene, 0, 15, count, 1, 77);
    scene.depth = 1;
    scene_add(&scene, 1, 20, done, 0xabc, 0);
    scene_add(&scene, 1, 30, done, 0xdef, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "\"ph\":\"b\",\"ts\":0.010,\"pid\":2,\"tid\":1048577,"
                            "\"id\":\"blk 0xabc\",\"args\":{\"request\":\"0xabc\",\"bytes\":4096}"),
             1);
    CHECK_EQ(count_of(text, "\"ph\":\"e\",\"ts\":0.020"), 1);
    CHECK_EQ(count_of(text, "\"name\":\"free 1\",\"cat\":\"counter\",\"ph\":\"C\""), 1);
    CHECK_EQ(count_of(text, "\"cat\":\"unmatched\",\"ph\":\"i\",\"ts\":0.030,\"pid\":2,"
                            "\"tid\":1048581"),
             1);
    CHECK(strstr(text, "\"name\":\"CPU 1 interrupts\"") != NULL);
}

TEST_CASE(prof_chrome, requests_are_named_by_what_they_ask_for) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t read = scene_event(&scene, ASH_EVENT_ASYNC_BEGIN, "blk.read", "request:x,bytes");
    uint32_t read_end = scene_event(&scene, ASH_EVENT_ASYNC_END, "blk.read", "request:x,error:e");
    uint32_t write = scene_event(&scene, ASH_EVENT_ASYNC_BEGIN, "blk.write", "request:x,bytes");
    uint32_t write_end = scene_event(&scene, ASH_EVENT_ASYNC_END, "blk.write", "request:x,error:e");
    scene_add(&scene, 0, 10, read, 7, 512);
    scene_add(&scene, 0, 20, read_end, 7, 0);
    scene_add(&scene, 0, 30, write, 7, 1024);
    scene_add(&scene, 0, 40, write_end, 7, (uint64_t)-5);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "\"name\":\"read\",\"cat\":\"blk\",\"ph\":\"b\",\"ts\":0.010"), 1);
    CHECK_EQ(count_of(text, "\"name\":\"read\",\"cat\":\"blk\",\"ph\":\"e\",\"ts\":0.020"), 1);
    CHECK_EQ(count_of(text, "\"name\":\"write\",\"cat\":\"blk\",\"ph\":\"b\",\"ts\":0.030"), 1);
    CHECK_EQ(count_of(text, "\"name\":\"write\",\"cat\":\"blk\",\"ph\":\"e\",\"ts\":0.040"), 1);
    CHECK_EQ(count_of(text, "\"id\":\"blk.write 0x7\""), 2);
}

TEST_CASE(prof_chrome, a_counter_is_a_series_of_numbers_of_its_own) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t free = scene_event(&scene, ASH_EVENT_COUNTER, "buddy.free", "buddy:x,pages");
    uint32_t ready = scene_event(&scene, ASH_EVENT_COUNTER, "sched.runnable", "cpu,entities");
    scene_add(&scene, 0, 10, free, 0x4000, 100);
    scene_add(&scene, 0, 20, free, 0x8000, UINT64_MAX);
    scene_add(&scene, 0, 30, ready, 1, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "\"ph\":\"C\""), 3);
    CHECK_EQ(count_of(text, "{\"name\":\"buddy.free 0x4000\",\"cat\":\"counter\",\"ph\":\"C\","
                            "\"ts\":0.010,\"pid\":2,\"tid\":1048577,\"args\":{\"pages\":100}}"),
             1);
    CHECK_EQ(count_of(text, "\"args\":{\"pages\":18446744073709551615}"), 1);
    CHECK_EQ(count_of(text, "\"name\":\"sched.runnable 1\",\"cat\":\"counter\""), 1);
    CHECK_EQ(count_of(text, "\"args\":{\"entities\":0}"), 1);
}

TEST_CASE(prof_chrome, each_begin_of_a_request_has_one_end) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t submit = scene_event(&scene, ASH_EVENT_ASYNC_BEGIN, "blk", "request:x,bytes");
    uint32_t done = scene_event(&scene, ASH_EVENT_ASYNC_END, "blk", "request:x,error:e");
    scene.task = 3;
    scene_add(&scene, 0, 10, submit, 0xabc, 1);
    scene_add(&scene, 0, 20, submit, 0xabc, 2); /* the end between them is lost */
    scene_add(&scene, 0, 30, done, 0xabc, 0);
    scene_add(&scene, 0, 40, submit, 0xdef, 3); /* it is under way */
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "\"ph\":\"b\""), 3);
    CHECK_EQ(count_of(text, "\"ph\":\"e\""), 3);
    CHECK_EQ(count_of(text, "\"ph\":\"e\",\"ts\":0.020"), 1);
    CHECK_EQ(count_of(text, "\"ph\":\"e\",\"ts\":0.030"), 1);
    CHECK_EQ(count_of(text, "\"ph\":\"e\",\"ts\":0.040"), 1);
    CHECK(strstr(text, "\"closed_without_an_end\":2,") != NULL);
}

TEST_CASE(prof_chrome, an_end_is_that_of_the_interrupt_of_its_depth) {
    struct scene scene;
    struct sink sink;
    uint32_t end, begin = slice_scene(&scene, &end);
    scene.depth = 1;
    scene_add(&scene, 0, 10, begin, 0, 0);
    scene.depth = 2;
    scene_add(&scene, 0, 20, begin, 0, 0); /* its end is lost */
    scene.depth = 1;
    scene_add(&scene, 0, 30, end, 0, 0);
    scene_add(&scene, 0, 40, begin, 0, 0);
    scene_add(&scene, 0, 50, end, 0, 0);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"E\",\"ts\":0.03"), 2);
    CHECK_EQ(count_of(sink_text(&sink), "\"ph\":\"E\",\"ts\":0.050"), 1);
    CHECK(strstr(sink_text(&sink), "\"closed_without_an_end\":1,") != NULL);
}

/* Readers hold a number in a double: what that cannot is text. */
TEST_CASE(prof_chrome, numbers_are_exact) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 1, 64);
    uint32_t seen = scene_event(&scene, ASH_EVENT_INSTANT, "seen", "count,change:d");
    scene_add(&scene, 0, 10, seen, UINT64_C(1) << 53, UINT64_C(0) - (UINT64_C(1) << 53));
    scene_add(&scene, 0, 20, seen, (UINT64_C(1) << 53) + 1, UINT64_C(0) - (UINT64_C(1) << 53) - 1);
    scene_add(&scene, 0, 30, seen, UINT64_MAX, UINT64_C(1) << 63);
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "{\"count\":9007199254740992,\"change\":-9007199254740992}"), 1);
    CHECK_EQ(count_of(text, "{\"count\":\"9007199254740993\",\"change\":\"-9007199254740993\"}"),
             1);
    CHECK_EQ(count_of(text, "{\"count\":\"18446744073709551615\","
                            "\"change\":\"-9223372036854775808\"}"),
             1);
}

TEST_CASE(prof_chrome, what_was_lost_is_said_where_it_was) {
    struct scene scene;
    struct sink sink;
    scene_init(&scene, 2, 64);
    uint32_t id = scene_event(&scene, ASH_EVENT_INSTANT, "tick", "");
    scene.traces[1].mode = ASH_TRACE_STOP;
    for (uint32_t i = 1; i <= 100; i++) {
        scene_add(&scene, 0, i, id, 0, 0);
        scene_add(&scene, 1, i, id, 0, 0);
    }
    CHECK_EQ(scene_export(scene_open(&scene), ASH_PROF_CHROME, &sink, 0), 0);
    const char *text = sink_text(&sink);
    CHECK_EQ(count_of(text, "\"ts\":0.037,\"pid\":2,\"tid\":1048578,\"s\":\"t\",\"args\":"
                            "{\"overwritten\":36}"),
             1);
    CHECK_EQ(count_of(text, "\"ts\":0.064,\"pid\":2,\"tid\":1048580,\"s\":\"t\",\"args\":"
                            "{\"dropped\":36}"),
             1);
    CHECK_EQ(count_of(text, "\"name\":\"tick\""), 128);
    CHECK(strstr(text, "{\"cpu\":1,\"emitted\":100,\"exported\":64,\"overwritten\":0,"
                       "\"dropped\":36}") != NULL);
}

/* Every event of every kind at random; ends may be anywhere. */
static void random_scene(struct scene *scene, struct test_random *random) {
    scene_init(scene, 3, 64);
    for (uint32_t kind = 0; kind < ASH_EVENT_KINDS; kind++)
        (void)scene_event(scene, kind, kind < 3 ? "first" : "second", "x,y:d");
    (void)scene_event(scene, ASH_EVENT_BEGIN, "third", "at:x");
    (void)scene_event(scene, ASH_EVENT_END, "third", "at:x");
    uint64_t clock = 0;
    for (uint64_t n = test_random_below(random, 300); n != 0; n--) {
        clock += test_random_below(random, 3);
        scene->task = (uint32_t)test_random_below(random, 3);
        scene->depth = (uint32_t)test_random_below(random, 2);
        scene_add(scene, (uint32_t)test_random_below(random, 3), clock,
                  1 + (uint32_t)test_random_below(random, 10), test_random_below(random, 3), 1);
    }
}

/* Reads a number of an entry, "key":N. */
static uint64_t number_of(const char *line, const char *key) {
    const char *at = strstr(line, key);
    uint64_t value = 0;
    CHECK(at != NULL);
    for (at += strlen(key); *at == '.' || (*at >= '0' && *at <= '9'); at++)
        value = *at == '.' ? value : value * 10 + (uint64_t)(*at - '0');
    return value;
}

struct replay {
    struct {
        uint64_t tid;
        const char *open[400]; /* names of the slices */
        uint32_t depth;
        uint64_t opened;
    } tracks[16];
    uint32_t track_count;
    uint64_t time, counted;
};

static bool is_category(const char *line, const char *category) {
    const char *at = strstr(line, "\"cat\":\"");
    return at != NULL && strncmp(at + 7, category, strlen(category)) == 0;
}

static void replay_line(struct replay *replay, const char *line) {
    char phase = strstr(line, "\"ph\":\"")[6];
    if (phase == 'M')
        return;
    uint64_t time = number_of(line, "\"ts\":"), tid = number_of(line, "\"tid\":");
    uint32_t i = 0;
    CHECK(time >= replay->time);
    replay->time = time;
    replay->counted += phase != 'i' || is_category(line, "instant") || is_category(line, "unm");
    if (phase != 'B' && phase != 'E')
        return;
    while (i < replay->track_count && replay->tracks[i].tid != tid)
        i++;
    CHECK(i < ASH_ARRAY_LEN(replay->tracks));
    if (i == replay->track_count) {
        replay->track_count++;
        replay->tracks[i].tid = tid;
    }
    if (phase == 'B') {
        replay->tracks[i].open[replay->tracks[i].depth++] = line;
        replay->tracks[i].opened = time;
        return;
    }
    CHECK(replay->tracks[i].depth != 0 && time > replay->tracks[i].opened);
    const char *begin = replay->tracks[i].open[--replay->tracks[i].depth];
    size_t len = (size_t)(strstr(line, "\",\"cat\"") - line);
    CHECK_MEM_EQ(begin, line, len);
    CHECK_EQ(begin[len], '"');
}

TEST_CASE(prof_chrome, random_scenes_balance_and_lose_nothing) {
    struct test_random random = test_random_from(test_seed());
    struct scene scene;
    struct sink sink;
    struct replay *replay = test_alloc(sizeof(*replay), 8);
    for (uint32_t round = 0; round < 12; round++) {
        random_scene(&scene, &random);
        const struct ash_prof_view *view = scene_open(&scene);
        CHECK_EQ(scene_export(view, ASH_PROF_CHROME, &sink, 0), 0);
        const char *text = sink_text(&sink);
        memset(replay, 0, sizeof(*replay));
        uint64_t exported = 0;
        for (const char *line = text; (line = strstr(line, "\n{\"name\"")) != NULL; line++)
            replay_line(replay, line + 1);
        for (uint32_t i = 0; i < replay->track_count; i++)
            CHECK_EQ(replay->tracks[i].depth, 0);
        for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
            struct ash_prof_loss loss;
            ash_prof_view_loss(view, cpu, &loss);
            exported += loss.exported;
        }
        CHECK_EQ(number_of(text, "\"records\":"), exported);
        CHECK_EQ(replay->counted - number_of(text, "\"opened_at_the_first_time\":") -
                     number_of(text, "\"closed_without_an_end\":"),
                 exported);
    }
}

TEST_CASE(prof_chrome, an_error_of_the_sink_is_returned_from_any_call) {
    struct scene scene;
    struct sink sink;
    struct test_random random = test_random_from(test_seed());
    do
        random_scene(&scene, &random);
    while (scene.traces[0].emitted < 32);
    const struct ash_prof_view *view = scene_open(&scene);
    CHECK_EQ(scene_export(view, ASH_PROF_CHROME, &sink, 0), 0);
    for (uint32_t calls = sink.calls, n = 1; n <= calls; n++) {
        CHECK_EQ(scene_export(view, ASH_PROF_CHROME, &sink, n), -ASH_ENOSPC);
        CHECK_EQ(sink.calls_after, 0);
    }
}
