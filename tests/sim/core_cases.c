/* SPDX-License-Identifier: MIT */
/* core_cases.c: choices, scripts, and virtual time. */
#include "harness/test.h"
#include "sim/sim.h"

#include <ashlar/error.h>

/* Choices */

static void check_same_run(struct sim_choices *choices, const char *text) {
    char printed[SIM_CHOICES_TEXT];
    const char *end;
    uint64_t first[20];
    sim_choices_print(choices, printed, sizeof(printed));
    CHECK_STR_EQ(printed, text);
    sim_choices_begin(choices);
    for (uint64_t i = 0; i < 20; i++)
        first[i] = sim_choose(choices, 1 + i * i);
    struct sim_choices again;
    CHECK(sim_choices_parse(&again, printed, &end));
    CHECK_EQ(*end, '\0');
    for (uint64_t i = 0; i < 20; i++)
        CHECK_EQ(sim_choose(&again, 1 + i * i), first[i]);
}

TEST_CASE(sim_choices, each_kind_is_played_again_from_its_text) {
    struct sim_choices choices;
    static const uint8_t bytes[] = {0, 255, 18, 1};
    sim_choices_seed(&choices, UINT64_MAX);
    check_same_run(&choices, "seed:18446744073709551615");
    sim_choices_bytes(&choices, bytes, sizeof(bytes));
    check_same_run(&choices, "bytes:00ff1201");
    sim_choices_bytes(&choices, NULL, 0);
    check_same_run(&choices, "bytes:");
    sim_choices_all(&choices, 3);
    for (uint32_t i = 0; i < 7; i++) {
        sim_choices_begin(&choices);
        (void)(sim_choose(&choices, 2) + sim_choose(&choices, 3) + sim_choose(&choices, 4));
        CHECK(sim_choices_advance(&choices));
    }
    choices.depth = 0;
    sim_choices_begin(&choices);
    char printed[SIM_CHOICES_TEXT];
    sim_choices_print(&choices, printed, sizeof(printed));
    CHECK_STR_EQ(printed, "path:0.1.3");
}

TEST_CASE(sim_choices, text_that_is_no_source_is_refused) {
    static const char *const wrong[] = {"",
                                        "seed:",
                                        "seed:x",
                                        "seed:1x",
                                        "bytes:0",
                                        "bytes:0g",
                                        "path:1.",
                                        "path:.1",
                                        "path:1..2",
                                        "path:-1",
                                        "seeds:1",
                                        "77",
                                        "seed:18446744073709551616",
                                        "path:4294967296"};
    struct sim_choices choices;
    const char *end;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        if (sim_choices_parse(&choices, wrong[i], &end))
            test_fail(__FILE__, __LINE__, "taken: \"%s\"", wrong[i]);
    }
    CHECK(sim_choices_parse(&choices, "path:2.0.1 device.death@1", &end));
    CHECK_STR_EQ(end, " device.death@1");
    CHECK_EQ(sim_choose(&choices, 3), 2);
    CHECK_EQ(sim_choose(&choices, 3), 0);
    CHECK_EQ(sim_choose(&choices, 3), 1);
    CHECK_EQ(sim_choose(&choices, 3), 0);
}

/* A tree whose shape depends on the choices: every leaf once. */
TEST_CASE(sim_choices, every_path_is_gone_exactly_once) {
    struct sim_choices choices;
    bool seen[3][4] = {{false}};
    uint32_t runs = 0;
    sim_choices_all(&choices, 10);
    do {
        sim_choices_begin(&choices);
        uint64_t first = sim_choose(&choices, 3);
        uint64_t second = sim_choose(&choices, first + 1); /* of the first branch: no choice */
        uint64_t third = first == 2 && second == 1 ? sim_choose(&choices, 2) : 0;
        uint64_t leaf = second + (third << 1);
        CHECK(!seen[first][leaf]);
        seen[first][leaf] = true;
        runs++;
        CHECK(!sim_choices_diverged(&choices));
    } while (sim_choices_advance(&choices));
    CHECK_EQ(runs, 1 + 2 + 4);
}

TEST_CASE(sim_choices, depth_bounds_what_is_varied) {
    struct sim_choices choices;
    uint32_t runs = 0;
    sim_choices_all(&choices, 3);
    do {
        sim_choices_begin(&choices);
        for (uint32_t i = 0; i < 50; i++)
            CHECK(sim_choose(&choices, 2) == 0 || i < 3);
        CHECK_EQ(choices.taken, 50);
    } while (runs++, sim_choices_advance(&choices));
    CHECK_EQ(runs, 8);
}

TEST_CASE(sim_choices, path_that_meets_other_alternatives_is_found) {
    struct sim_choices choices;
    sim_choices_all(&choices, 5);
    (void)sim_choose(&choices, 2);
    (void)sim_choose(&choices, 3);
    CHECK(sim_choices_advance(&choices));
    sim_choices_begin(&choices);
    (void)sim_choose(&choices, 2);
    CHECK(!sim_choices_diverged(&choices));
    (void)sim_choose(&choices, 4);
    CHECK(sim_choices_diverged(&choices));
}

TEST_CASE(sim_choices, bytes_that_have_run_out_choose_the_first) {
    struct sim_choices choices;
    static const uint8_t bytes[] = {7, 1, 2};
    sim_choices_bytes(&choices, bytes, sizeof(bytes));
    CHECK_EQ(sim_choose(&choices, 1), 0); /* no choice: takes no byte */
    CHECK_EQ(sim_choose(&choices, 5), 2);
    CHECK_EQ(sim_choose(&choices, 1000), 0x0102 % 1000);
    CHECK_EQ(sim_choose(&choices, UINT64_MAX), 0);
}

/* Scripts */

static const char *disk_fault(uint32_t fault) {
    static const char *const names[] = {"death", "interrupt_lost", "status_error"};
    return fault < ASH_ARRAY_LEN(names) ? names[fault] : NULL;
}

static const char *alloc_fault(uint32_t fault) {
    return fault == 0 ? "fail" : NULL;
}

static const struct sim_actor actors[] = {{"device", disk_fault}, {"alloc", alloc_fault}};

static int parse(struct sim_script *script, const char *text, char *message) {
    return sim_script_parse(script, actors, ASH_ARRAY_LEN(actors), text, message, 200);
}

TEST_CASE(sim_script, text_is_read_and_written_back) {
    struct sim_script script;
    char message[200], text[SIM_SCRIPT_TEXT];
    CHECK_EQ(parse(&script,
                   "  device.death@17, device.interrupt_lost@3x*\nalloc.fail@5x4=0x1F"
                   " device.status_error@0=18446744073709551615 ",
                   message),
             -ASH_EINVAL); /* capital letters are no hexadecimal digits here */
    CHECK_EQ(parse(&script,
                   "  device.death@17, device.interrupt_lost@3x*\nalloc.fail@5x4=0x1f"
                   " device.status_error@0=18446744073709551615 ",
                   message),
             0);
    CHECK_EQ(script.count, 4);
    sim_script_print(&script, text, sizeof(text));
    CHECK_STR_EQ(text, "device.death@17 device.interrupt_lost@3x* alloc.fail@5x4=31 "
                       "device.status_error@0=18446744073709551615");
    CHECK_EQ(parse(&script, NULL, message), 0);
    CHECK_EQ(parse(&script, " ,\n", message), 0);
    CHECK_EQ(script.count, 0);
}

static const struct {
    const char *text, *part;
} wrong[] = {
    {"death@1", "write actor.fault@occasion, like device.death@0"},
    {"disk.death@1", "nobody here is called \"disk\""},
    {"device.deth@17", "device has no fault \"deth\"; the nearest is \"death\""},
    {"device.interrupt@1", "the nearest is \"interrupt_lost\""},
    {"device.death", "when? write \"@\""},
    {"device.death@", "after \"@\" is no number up to 4294967295"},
    {"device.death@-1", "after \"@\""},
    {"device.death@4294967296", "after \"@\""},
    {"device.death@1x", "after \"x\" is neither * nor a number"},
    {"device.death@1x0", "after \"x\""},
    {"device.death@1y", "\"y\" is left over"},
    {"device.death@1=", "after \"=\" is no number"},
    {"device.death@1=0x", "after \"=\""},
    {"device.death@1=18446744073709551616", "after \"=\""},
    {"alloc.fail@1 device.death@1=2=3", "entry 2, \"device.death@1=2=3\""},
    {"device.death_of_a_name_that_nobody_would_ever_want_to_write_down_again@1", "longer than 63"},
};

TEST_CASE(sim_script, entry_that_makes_no_sense_is_told_with_what_it_should_be) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        struct sim_script script;
        char message[200] = "";
        CHECK_EQ(parse(&script, wrong[i].text, message), -ASH_EINVAL);
        if (strstr(message, wrong[i].part) == NULL)
            test_fail(__FILE__, __LINE__, "\"%s\": %s", wrong[i].text, message);
        CHECK_EQ(script.count, 0);
    }
    struct sim_script script;
    char message[200];
    CHECK_EQ(sim_script_parse(&script, NULL, 0, "device.death@1", message, sizeof(message)),
             -ASH_EINVAL);
    CHECK(strstr(message, "nobody here can fail") != NULL);
    char many[SIM_SCRIPT_TEXT] = "";
    for (uint32_t i = 0; i <= SIM_SCRIPT_ENTRIES_MAX; i++)
        strcat(many, "alloc.fail@1 ");
    CHECK_EQ(parse(&script, many, message), -ASH_EINVAL);
    CHECK(strstr(message, "more than 32 entries") != NULL);
}

TEST_CASE(sim_script, occasions_are_counted_for_each_fault_of_each_actor) {
    struct sim_script script;
    char message[200];
    uint64_t value = 0;
    CHECK_EQ(parse(&script, "device.interrupt_lost@1x2=9 alloc.fail@3x*", message), 0);
    for (uint32_t round = 0; round < 2; round++) {
        sim_script_begin(&script);
        for (uint32_t i = 0; i < 10; i++) {
            CHECK_EQ(sim_script_tells(&script, 0, 1, &value), i == 1 || i == 2);
            CHECK_EQ(sim_script_tells(&script, 1, 0, &value), i >= 3);
            CHECK(!sim_script_tells(&script, 0, 0, &value));
        }
    }
    CHECK_EQ(value, 0);
    sim_script_begin(&script);
    CHECK(!sim_script_tells(&script, 0, 1, &value) && sim_script_tells(&script, 0, 1, &value));
    CHECK_EQ(value, 9);
}

/* Events */

enum { ACTORS = 4 };

struct world {
    struct sim sim;
    struct sim_choices choices;
    struct sim_script script;
    struct sim_event events[ACTORS];
    char order[64];
};

static struct world *world;

static void happen(void *context) {
    char letter[] = {*(const char *)context, '\0'};
    strcat(world->order, letter);
}

static struct world *new_world(bool ties_open) {
    static const char *const names[ACTORS] = {"a", "b", "c", "d"};
    world = test_alloc(sizeof(*world), 8);
    sim_choices_all(&world->choices, ties_open ? 20 : 0);
    (void)!sim_script_parse(&world->script, NULL, 0, NULL, NULL, 0);
    sim_init(&world->sim, &world->choices, &world->script);
    world->sim.ties_open = ties_open;
    for (uint32_t i = 0; i < ACTORS; i++)
        sim_event_init(&world->events[i], names[i], happen, (void *)(uintptr_t)names[i]);
    return world;
}

static void run(struct world *w) {
    while (sim_step(&w->sim)) {}
}

TEST_CASE(sim_events, happen_by_time_and_then_in_the_order_of_scheduling) {
    struct world *w = new_world(false);
    sim_at(&w->sim, &w->events[0], 30);
    sim_at(&w->sim, &w->events[1], 10);
    sim_at(&w->sim, &w->events[2], 30);
    sim_after(&w->sim, &w->events[3], 10);
    CHECK(sim_step(&w->sim));
    CHECK_EQ(w->sim.now_ns, 10);
    run(w);
    CHECK_STR_EQ(w->order, "bdac");
    CHECK_EQ(w->sim.now_ns, 30);
    CHECK_EQ(w->sim.steps, 4);
    CHECK(!sim_step(&w->sim));
}

TEST_CASE(sim_events, are_moved_and_cancelled) {
    struct world *w = new_world(false);
    for (uint32_t i = 0; i < ACTORS; i++)
        sim_at(&w->sim, &w->events[i], 100 + i);
    sim_at(&w->sim, &w->events[0], 200); /* later */
    sim_by(&w->sim, &w->events[1], 300); /* stays */
    sim_by(&w->sim, &w->events[2], 50);  /* earlier */
    sim_cancel(&w->sim, &w->events[3]);
    sim_cancel(&w->sim, &w->events[3]);
    CHECK(!sim_is_scheduled(&w->events[3]));
    run(w);
    CHECK_STR_EQ(w->order, "cba");
    sim_at(&w->sim, &w->events[3], 5); /* the past is now */
    sim_after(&w->sim, &w->events[0], UINT64_MAX);
    CHECK(sim_step(&w->sim));
    CHECK_EQ(w->sim.now_ns, 200);
    run(w);
    CHECK_STR_EQ(w->order, "cbada");
    CHECK_EQ(w->sim.now_ns, UINT64_MAX);
}

static void again(void *context) {
    struct world *w = context;
    sim_after(&w->sim, &w->events[0], 7);
}

TEST_CASE(sim_events, run_that_never_ends_is_broken) {
    struct world *w = new_world(false);
    w->sim.steps_max = 1000;
    sim_event_init(&w->events[0], "again", again, w);
    sim_at(&w->sim, &w->events[0], 7);
    run(w);
    CHECK_EQ(w->sim.now_ns, 7000);
    CHECK(strstr(w->sim.broken, "no end after 1000 events, the next: again") != NULL);
}

/* Three at the same time, one later: 3! orders. */
TEST_CASE(sim_events, open_ties_come_in_every_order) {
    struct world *w = new_world(true);
    uint32_t runs = 0;
    bool seen[256] = {false};
    do {
        sim_init(&w->sim, &w->choices, &w->script);
        w->sim.ties_open = true;
        w->order[0] = '\0';
        for (uint32_t i = 0; i < 3; i++)
            sim_at(&w->sim, &w->events[i], 10);
        sim_at(&w->sim, &w->events[3], 11);
        run(w);
        CHECK_EQ(w->order[3], 'd');
        uint32_t code = (uint32_t)(w->order[0] - 'a') * 16 + (uint32_t)(w->order[1] - 'a');
        CHECK(!seen[code]);
        seen[code] = true;
        runs++;
    } while (sim_choices_advance(&w->choices));
    CHECK_EQ(runs, 6);
}

/* The value itself: the same in both worlds, with any compiler. */
TEST_CASE(sim_events, digest_tells_runs_apart_and_is_the_same_everywhere) {
    struct world *w = new_world(false);
    sim_at(&w->sim, &w->events[0], 5);
    run(w);
    uint64_t once = w->sim.digest;
    CHECK_EQ((once >> 32), UINT64_C(0x2d3fbb55));
    sim_note(&w->sim, "x", 1, 2);
    CHECK(w->sim.digest != once);
    w = new_world(false);
    sim_at(&w->sim, &w->events[0], 6);
    run(w);
    CHECK(w->sim.digest != once);
}
