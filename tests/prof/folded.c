/* SPDX-License-Identifier: MIT */
/* folded.c: samples put together, and written as folded stacks. */
#include "export_internal.h"
#include "harness/test.h"
#include "prof/sampled.h"
#include "prof/sink.h"

#include <ashlar/prof_aggregate.h>

enum { WORK_BYTES = 1 << 20, LINES_MAX = 512, LINE_BYTES = 256 };

static const char *fold(struct sink *sink, const struct sampled *scene) {
    size_t bytes = ash__prof_folded_work(&scene->view);
    sink_init(sink, WORK_BYTES);
    CHECK_EQ(ash__prof_folded(&scene->view, &sink->sink, test_alloc(bytes, 64), bytes), 0);
    return sink_text(sink);
}

TEST_CASE(prof_folded, lines_are_chains_in_the_order_of_their_names) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct sink sink;
    sampled_begin(scene, 2, 1000, "");
    uint32_t kernel = sampled_image(scene, 0, "kernel/ashlar.elf", 0x10000, 0x20000);
    uint32_t program = sampled_image(scene, 7, "/bin/sort", 0x400000, 0x500000);
    uint64_t call = sampled_function(scene, kernel, 64, "call");
    uint64_t read = sampled_function(scene, kernel, 64, "read");
    uint64_t start = sampled_function(scene, program, 64, "_start");
    uint64_t main = sampled_function(scene, program, 64, "main");
    sampled_task(scene, 7, 7, "sort");
    uint64_t in_call[] = {read + 8, call + 4, main + 12, start + 64};
    uint64_t other_place[] = {read + 12, call + 8, main + 12, start + 64};
    uint64_t in_main[] = {main, start + 64};
    uint64_t unknown[] = {0x410000, 0x30}; /* no function; no image */
    sampled_sample(scene, 1, sampled_stack(scene, 1, 0, 2, in_call, 4), 7, 1, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 2, other_place, 4), 7, 2, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 0, in_main, 2), 7, 5, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 0, unknown, 2), 7, 1, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 1, in_call, 1), 0, 9, ASH_PROF_IDLE);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 1, in_call, 1), 99, 4, 0);
    CHECK_STR_EQ(fold(&sink, scene), "sort;0x30;sort+0x11000 1\n"
                                     "sort;_start;main 5\n"
                                     "sort;_start;main;call_[k];read_[k] 3\n"
                                     "task_99;read_[k] 4\n"
                                     "[idle];read_[k] 9\n");
}

TEST_CASE(prof_folded, tasks_of_a_name_share_a_line_where_their_functions_do) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct sink sink;
    sampled_begin(scene, 1, 1000, "");
    uint64_t f = 0, g = 0;
    for (uint32_t process = 5; process < 8; process++) { /* 6 and 7 run the same program */
        uint32_t image = sampled_image(scene, process, "p", 0x4000, 0x5000);
        f = sampled_function(scene, image, 16, process == 5 ? "a" : "f");
        g = sampled_function(scene, image, 16, process == 5 ? "b" : "g");
        sampled_task(scene, process, process, "p");
    }
    sampled_task(scene, 9, 7, "other");
    uint64_t frames[] = {g, f + 4};
    uint32_t stack = sampled_stack(scene, 0, 0, 0, frames, 2); /* one for all of them */
    for (uint32_t i = 0; i < 2; i++) {
        sampled_sample(scene, 0, stack, 5, 1, 0);
        sampled_sample(scene, 0, stack, 6, 10, 0);
        sampled_sample(scene, 0, stack, 7, 100, 0);
        sampled_sample(scene, 0, stack, 9, 1000, 0);
    }
    CHECK_STR_EQ(fold(&sink, scene), "other;f;g 2000\np;a;b 2\np;f;g 220\n");
}

TEST_CASE(prof_folded, names_cannot_break_a_line) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct sink sink;
    sampled_begin(scene, 1, 1000, "");
    uint32_t image = sampled_image(scene, 0, "k", 0x1000, 0x2000);
    uint64_t at = sampled_function(scene, image, 16, "a;b c\n\xff\xc3\xa4");
    sampled_task(scene, 1, 0, "x y");
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 1, &at, 1), 1, 1, 0);
    CHECK_STR_EQ(fold(&sink, scene), "x_y;a:b_c_\xef\xbf\xbd\xc3\xa4_[k] 1\n");
}

TEST_CASE(prof_folded, an_unsure_frame_is_left_out_and_a_damaged_stack_is_told) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct ash_prof_aggregate aggregate;
    struct sink sink;
    sampled_begin(scene, 1, 1000, "");
    uint32_t image = sampled_image(scene, 5, "p", 0x1000, 0x2000);
    uint64_t f = sampled_function(scene, image, 16, "f");
    uint64_t g = sampled_function(scene, image, 16, "g");
    sampled_task(scene, 5, 5, "p");
    uint64_t frames[] = {f, g + 4, g + 8};
    sampled_sample(scene, 0, sampled_stack(scene, 0, ASH_PROF_UNSURE, 0, frames, 3), 5, 3, 0);
    sampled_sample(scene, 0, SAMPLED_WORDS + 5, 5, 2, 0);
    sampled_sample(scene, 0, 0, 5, 0, 0); /* no weight */
    CHECK_STR_EQ(fold(&sink, scene), "p;[damaged] 2\np;g;f 3\n");
    size_t bytes = ash_prof_aggregate_work(&scene->view);
    CHECK_EQ(ash_prof_aggregate_begin(&aggregate, &scene->view, test_alloc(bytes, 8), bytes), 0);
    CHECK_EQ(aggregate.damaged, 1);
    CHECK_EQ(aggregate.unsure, 1);
    CHECK_EQ(aggregate.weight, 5);
}

TEST_CASE(prof_aggregate, nothing_and_too_little_memory_are_refused) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct ash_prof_aggregate aggregate;
    uint64_t frame = 1, *work = test_alloc(64, 8);
    sampled_begin(scene, 1, 1000, "");
    CHECK_EQ(ash_prof_aggregate_work(&scene->view), 0);
    CHECK_EQ(ash_prof_aggregate_begin(&aggregate, &scene->view, work, 64), -ASH_ENOENT);
    CHECK_EQ(ash__prof_folded_work(&scene->view), 0);
    CHECK_EQ(ash__prof_flame_work(&scene->view), 0);
    CHECK_EQ(ash__prof_pprof_work(&scene->view), 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 0, &frame, 1), 1, 0, 0);
    size_t bytes = ash_prof_aggregate_work(&scene->view);
    CHECK_EQ(ash_prof_aggregate_begin(&aggregate, &scene->view, work, bytes - 1), -ASH_EINVAL);
    CHECK_EQ(ash_prof_aggregate_begin(&aggregate, &scene->view, work, bytes), -ASH_ENOENT);
    scene->samples[0][0].weight = 1;
    CHECK_EQ(ash_prof_aggregate_begin(&aggregate, &scene->view, work, bytes), 0);
}

TEST_CASE(prof_aggregate, top_functions_have_own_and_total_weight) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct ash_prof_aggregate aggregate;
    struct ash_prof_top top[3];
    char text[16];
    sampled_begin(scene, 1, 1000, "");
    uint32_t image = sampled_image(scene, 0, "k", 0x1000, 0x2000);
    uint64_t f = sampled_function(scene, image, 16, "f");
    uint64_t g = sampled_function(scene, image, 16, "g");
    uint64_t h = sampled_function(scene, image, 16, "h");
    uint64_t twice[] = {f, g + 4, f + 4}, once[] = {g}, third[] = {h, f + 4};
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 3, twice, 3), 1, 4, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 1, once, 1), 2, 5, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 2, third, 2), 2, 1, 0);
    sampled_sample(scene, 0, sampled_stack(scene, 0, 0, 1, once, 1), 0, 7, ASH_PROF_IDLE);
    size_t bytes = ash_prof_aggregate_work(&scene->view);
    CHECK_EQ(ash_prof_aggregate_begin(&aggregate, &scene->view, test_alloc(bytes, 8), bytes), 0);
    CHECK_EQ(aggregate.idle, 7);
    CHECK_EQ(ash_prof_aggregate_top(&aggregate, top, 3), 3);
    static const struct {
        const char *name;
        uint64_t self, total;
    } expected[] = {{"[idle]", 7, 7}, {"g_[k]", 5, 9}, {"f_[k]", 4, 5}};
    for (size_t i = 0; i < 3; i++) {
        (void)ash_prof_label_copy(&top[i].label, text, sizeof(text));
        CHECK_STR_EQ(text, expected[i].name);
        CHECK_EQ(top[i].self, expected[i].self);
        CHECK_EQ(top[i].total, expected[i].total);
    }
}

TEST_CASE(prof_aggregate, totals_say_which_rate_was_delivered) {
    struct sampled *scene = test_alloc(sizeof(*scene), 64);
    struct ash_prof_totals totals;
    sampled_begin(scene, 2, 2000, "period_cycles=5000\ncycles_are=instructions\n");
    scene->profiles[0].taken = 1990;
    scene->profiles[1].taken = 2000;
    ash_prof_view_totals(&scene->view, &totals);
    CHECK_EQ(totals.cpus, 2);
    CHECK_EQ(totals.delivered_mhz, 1995000);
    CHECK_EQ(totals.duration_ns, 1000000000);
    CHECK_EQ(totals.period, 500000);
    scene->profiles[0].trigger = ASH_PROF_CYCLES;
    ash_prof_view_totals(&scene->view, &totals);
    CHECK_EQ(totals.period, 5000);
    CHECK_EQ(totals.unit, ASH_PROF_UNIT_INSTRUCTIONS);
}

/* The model: a line a sample, looked for among all before it. */

struct line {
    char text[LINE_BYTES];
    uint64_t weight;
};

static void line_add(struct line *lines, size_t *count, const char *text, uint64_t weight) {
    for (size_t i = 0; i < *count; i++) {
        if (strcmp(lines[i].text, text) == 0) {
            lines[i].weight += weight;
            return;
        }
    }
    CHECK(*count < LINES_MAX);
    memcpy(lines[*count].text, text, strlen(text) + 1);
    lines[(*count)++].weight = weight;
}

struct world {
    struct sampled *scene;
    uint64_t kernel[8], program[2][8];
    struct line *lines;
    size_t line_count;
    uint64_t weight;
};

static const char *const names[] = {"alpha", "alp", "beta", "beta2", "c", "d<&>", "e", "z"};
static const char *const tasks[] = {"shell", "sort", "sort", "wc"}; /* processes 0, 1, 1, 2 */

static void world_begin(struct world *world) {
    world->scene = test_alloc(sizeof(*world->scene), 64);
    world->lines = test_alloc(LINES_MAX * sizeof(*world->lines), 8);
    sampled_begin(world->scene, 3, 1000, "");
    for (uint32_t process = 0; process < 3; process++) {
        uint32_t image = sampled_image(world->scene, process, "x", process == 0 ? 0x9000 : 0x4000,
                                       process == 0 ? 0xa000 : 0x5000);
        for (uint32_t i = 0; i < 8; i++) { /* both programs have code at the same addresses */
            uint64_t at =
                sampled_function(world->scene, image, 32, names[process == 2 ? 7 - i : i]);
            *(process == 0 ? &world->kernel[i] : &world->program[process - 1][i]) = at;
        }
    }
    for (uint32_t i = 0; i < 4; i++)
        sampled_task(world->scene, 10 + i, i == 0 ? 0 : (i + 1) / 2, tasks[i]);
}

static void append(char *text, const char *more, const char *tail) {
    size_t len = strlen(text);
    memcpy(text + len, more, strlen(more) + 1);
    memcpy(text + len + strlen(more), tail, strlen(tail) + 1);
}

/* frames[0] is outermost; a return address may be the first byte behind its function. */
static void world_sample(struct world *world, struct test_random *random) {
    uint64_t frames[8];
    uint32_t task = (uint32_t)test_random_below(random, 4),
             cpu = (uint32_t)test_random_below(random, 3);
    uint32_t user = task == 0 ? 0 : (uint32_t)test_random_below(random, 4);
    uint32_t kernel = (uint32_t)test_random_below(random, 4) + (user == 0), count = user + kernel;
    bool is_idle = test_random_chance(random, 10);
    char text[LINE_BYTES] = "";
    append(text, is_idle ? "[idle]" : tasks[task], "");
    for (uint32_t i = 0; i < count; i++) {
        uint32_t which = (uint32_t)test_random_below(random, 3), at = count - 1 - i;
        bool is_kernel = i >= user, is_first = at == 0 || i + 1 == user;
        const uint64_t *from = is_kernel ? world->kernel : world->program[(task + 1) / 2 - 1];
        frames[at] = from[which] + (is_first ? 4 * test_random_below(random, 8)
                                             : 4 + 4 * test_random_below(random, 8));
        append(text, ";", names[task == 3 && !is_kernel ? 7 - which : which]);
        append(text, "", is_kernel ? "_[k]" : "");
    }
    uint16_t weight = (uint16_t)(1 + test_random_below(random, 3));
    line_add(world->lines, &world->line_count, text, weight);
    world->weight += weight;
    sampled_sample(world->scene, cpu, sampled_stack(world->scene, cpu, 0, kernel, frames, count),
                   10 + task, weight, is_idle ? ASH_PROF_IDLE : 0);
}

static void check_lines(const struct world *world, const char *text) {
    size_t count = 0;
    for (; *text != 0; count++) {
        const char *space = strchr(text, ' '), *end = strchr(text, '\n');
        CHECK(space != NULL && end != NULL && space < end);
        uint64_t weight = 0;
        for (const char *digit = space + 1; digit < end; digit++)
            weight = 10 * weight + (uint64_t)(*digit - '0');
        size_t i = 0, len = (size_t)(space - text);
        while (i < world->line_count && (strlen(world->lines[i].text) != len ||
                                         memcmp(world->lines[i].text, text, len) != 0))
            i++;
        CHECK(i < world->line_count);
        CHECK_EQ(weight, world->lines[i].weight);
        text = end + 1;
    }
    CHECK_EQ(count, world->line_count); /* each once */
}

/* Of "class=... root", the figures' last number: samples. The first is that of all. */
static void check_roots(const struct world *world, const char *svg) {
    uint64_t sum = 0, boxes = 0;
    for (const char *at = svg; (at = strstr(at, "<svg class=\"frame root")) != NULL; at++) {
        const char *end = strstr(at, " sample"), *digit = end;
        uint64_t weight = 0, unit = 1;
        for (; digit[-1] >= '0' && digit[-1] <= '9'; digit--, unit *= 10)
            weight += unit * (uint64_t)(digit[-1] - '0');
        if (boxes++ == 0)
            CHECK_EQ(weight, world->weight);
        else
            sum += weight;
    }
    CHECK_EQ(sum, world->weight);
}

TEST_CASE(prof_folded, agrees_with_a_naive_sum_over_samples) {
    struct world world = {0};
    struct test_random random = test_random_from(test_seed());
    struct sink folded, flame;
    world_begin(&world);
    uint64_t samples = 1 + test_random_below(&random, 400);
    for (uint64_t i = 0; i < samples; i++)
        world_sample(&world, &random);
    check_lines(&world, fold(&folded, world.scene));
    sink_init(&flame, WORK_BYTES);
    size_t bytes = ash__prof_flame_work(&world.scene->view);
    CHECK_EQ(ash__prof_flame(&world.scene->view, &flame.sink, test_alloc(bytes, 64), bytes), 0);
    check_roots(&world, sink_text(&flame));
}
