/* SPDX-License-Identifier: MIT */
/*
 * scenario_cases.c: the search itself, on a small world: a bell that a sleeper may miss. The
 * sleeper looks whether there is work, and sleeps; the other side brings work, and rings. The
 * careless sleeper looks before it says that it will sleep.
 */
#include "harness/test.h"
#include "sim/scenario.h"

#include <stdio.h>

enum bell_fault { BELL_LOST, BELL_TWICE, BELL_LATE };

static const char *bell_fault_name(uint32_t fault) {
    static const char *const names[] = {"lost", "twice", "late"};
    return fault < ASH_ARRAY_LEN(names) ? names[fault] : NULL;
}

static const struct sim_actor bell_actors[] = {{"bell", bell_fault_name}};

struct bell {
    struct sim *sim;
    struct sim_event bring, look, sleep, ring, watchdog;
    uint32_t brought, done, to_bring, misses;
    bool careful, asleep, has_watchdog;
};

static void look(void *context);

static void ring(void *context) {
    struct bell *bell = context;
    if (!bell->asleep)
        return;
    bell->asleep = false;
    sim_after(bell->sim, &bell->look, 0);
}

static void bring(void *context) {
    struct bell *bell = context;
    uint64_t value = 0;
    bell->brought++;
    if (--bell->to_bring != 0)
        sim_after(bell->sim, &bell->bring, 0);
    if (!bell->asleep)
        return;
    if (sim_script_tells(bell->sim->script, 0, BELL_LOST, &value)) {
        bell->misses++;
        return;
    }
    bool late = sim_script_tells(bell->sim->script, 0, BELL_LATE, &value);
    sim_after(bell->sim, &bell->ring, late ? value : 0);
    if (sim_script_tells(bell->sim->script, 0, BELL_TWICE, &value))
        sim_after(bell->sim, &bell->ring, 1);
}

static void fall_asleep(void *context) {
    struct bell *bell = context;
    bell->asleep = true;
    if (bell->careful && bell->done != bell->brought)
        ring(bell); /* looks once more */
}

static void look(void *context) {
    struct bell *bell = context;
    bell->done = bell->brought;
    sim_after(bell->sim, &bell->sleep, 0);
}

static void watch(void *context) {
    struct bell *bell = context;
    ring(bell);
    if (bell->to_bring != 0 || bell->done != bell->brought)
        sim_after(bell->sim, &bell->watchdog, 100);
}

static void play_bell(struct sim *sim, void *context) {
    struct bell *bell = context;
    bell->sim = sim;
    bell->brought = bell->done = bell->misses = 0;
    bell->to_bring = 3;
    bell->asleep = false;
    sim_event_init(&bell->bring, "bring", bring, bell);
    sim_event_init(&bell->look, "look", look, bell);
    sim_event_init(&bell->sleep, "sleep", fall_asleep, bell);
    sim_event_init(&bell->ring, "ring", ring, bell);
    sim_event_init(&bell->watchdog, "watchdog", watch, bell);
    sim_at(sim, &bell->look, 0);
    sim_at(sim, &bell->bring, 0);
    if (bell->has_watchdog)
        sim_at(sim, &bell->watchdog, 100);
    while (sim_step(sim)) {}
    SIM_CHECK(sim, bell->done == 3);
}

static struct sim_scenario scenario_of(struct bell *bell) {
    return (struct sim_scenario){.name = "bell",
                                 .play = play_bell,
                                 .context = bell,
                                 .actors = bell_actors,
                                 .actor_count = ASH_ARRAY_LEN(bell_actors),
                                 .ties_open = true,
                                 .steps_max = 1000};
}

TEST_CASE(sim_scenario, careful_sleeper_misses_nothing_in_any_order) {
    struct bell bell = {.careful = true};
    struct sim_scenario scenario = scenario_of(&bell);
    CHECK(sim_try_all(&scenario, NULL, 12, 10000) > 10);
    CHECK(sim_try_all(&scenario, "bell.twice@0x*", 12, 10000) > 10);
    sim_try_seeds(&scenario, "bell.late@1=5", test_seed(), 50);
}

/* The first path that breaks, of all that there are; false if there is none. */
static bool find_broken(const struct sim_scenario *scenario, struct sim_choices *choices) {
    struct sim_script script;
    struct sim sim;
    (void)!sim_script_parse(&script, NULL, 0, NULL, NULL, 0);
    sim_choices_all(choices, 12);
    do {
        sim_init(&sim, choices, &script);
        sim.ties_open = true;
        scenario->play(&sim, scenario->context);
        if (sim.broken[0] != '\0')
            return true;
    } while (sim_choices_advance(choices));
    return false;
}

TEST_CASE(sim_scenario, careless_sleeper_is_found_and_the_line_plays_it_again) {
    struct bell bell = {.careful = false};
    struct sim_scenario scenario = scenario_of(&bell);
    struct sim_choices choices;
    struct sim_script script;
    struct sim sim;
    char text[SIM_CHOICES_TEXT + SIM_SCRIPT_TEXT];
    CHECK(find_broken(&scenario, &choices));
    (void)!sim_script_parse(&script, bell_actors, 1, NULL, NULL, 0);
    sim_report(&scenario, &choices, &script, text, sizeof(text));
    CHECK(strstr(text, "bell: scenario_cases.c:") == text);
    CHECK(strstr(text, "bell->done == 3") != NULL);
    CHECK(strstr(text, "not the same way") == NULL);
    char *line = strstr(text, "path:"), *end = line == NULL ? NULL : strchr(line, '"');
    CHECK(end != NULL);
    *end = '\0';
    CHECK(sim_replay(&scenario, line, &sim));
    CHECK(strstr(sim.broken, "bell->done == 3") != NULL);
    uint64_t digest = sim.digest;
    CHECK(sim_replay(&scenario, line, &sim));
    CHECK_EQ(sim.digest, digest);
    bell.careful = true;
    CHECK(sim_replay(&scenario, line, &sim));
    CHECK_STR_EQ(sim.broken, "");
}

TEST_CASE(sim_scenario, watchdog_makes_up_for_every_made_up_fault) {
    struct bell bell = {.careful = true, .has_watchdog = true};
    struct sim_scenario scenario = scenario_of(&bell);
    sim_try_faults(&scenario, 6, 4, test_seed(), 300);
}

TEST_CASE(sim_scenario, script_is_made_smaller_until_every_entry_counts) {
    struct bell bell = {.careful = true};
    struct sim_scenario scenario = scenario_of(&bell);
    uint32_t broken = 0;
    for (uint32_t seed = 0; seed < 40; seed++) {
        char line[SIM_CHOICES_TEXT + SIM_SCRIPT_TEXT], text[SIM_SCRIPT_TEXT], message[200];
        struct sim_choices choices;
        struct sim_script script;
        struct sim sim;
        snprintf(line, sizeof(line),
                 "seed:%u bell.twice@0x* bell.late@0 bell.lost@7 bell.lost@0x* bell.late@1=3",
                 seed);
        CHECK(sim_replay(&scenario, line, &sim));
        if (sim.broken[0] == '\0')
            continue;
        broken++;
        sim_choices_seed(&choices, seed);
        CHECK_EQ(
            sim_script_parse(&script, bell_actors, 1, strchr(line, ' '), message, sizeof(message)),
            0);
        CHECK(sim_minimise(&scenario, &choices, &script) < 40);
        sim_script_print(&script, text, sizeof(text));
        CHECK_EQ(script.count, 1);
        CHECK(strncmp(text, "bell.lost@0", strlen("bell.lost@0")) == 0);
        snprintf(line, sizeof(line), "seed:%u %s", seed, text);
        CHECK(sim_replay(&scenario, line, &sim));
        CHECK(sim.broken[0] != '\0');
    }
    CHECK(broken != 0 && broken != 40);
}

/* Late alone makes it good; lost with it, or nothing at all, does not. */
static void play_knot(struct sim *sim, void *context) {
    uint64_t value;
    (void)context;
    bool lost = sim_script_tells(sim->script, 0, BELL_LOST, &value);
    bool late = sim_script_tells(sim->script, 0, BELL_LATE, &value);
    SIM_CHECK(sim, late && !lost);
}

TEST_CASE(sim_scenario, entry_that_counted_is_dropped_when_it_no_longer_does) {
    struct sim_scenario scenario = {
        .name = "knot", .play = play_knot, .actors = bell_actors, .actor_count = 1};
    struct sim_choices choices;
    struct sim_script script;
    char message[200];
    sim_choices_seed(&choices, 1);
    CHECK_EQ(sim_script_parse(&script, bell_actors, 1, "bell.lost@0 bell.late@0", message,
                              sizeof(message)),
             0);
    (void)sim_minimise(&scenario, &choices, &script);
    CHECK_EQ(script.count, 0);
}

static uint32_t plays;

static void play_by_chance_of_its_own(struct sim *sim, void *context) {
    (void)context;
    SIM_CHECK(sim, sim_choose(sim->choices, 2 + plays++ % 2) == 7);
}

TEST_CASE(sim_scenario, run_that_depends_on_something_else_is_told) {
    struct sim_scenario scenario = {.name = "moody", .play = play_by_chance_of_its_own};
    struct sim sim;
    plays = 0;
    struct sim_choices choices;
    struct sim_script script;
    (void)!sim_script_parse(&script, NULL, 0, NULL, NULL, 0);
    sim_choices_all(&choices, 4);
    sim_init(&sim, &choices, &script);
    play_by_chance_of_its_own(&sim, NULL);
    sim_init(&sim, &choices, &script);
    play_by_chance_of_its_own(&sim, NULL);
    CHECK(sim_choices_diverged(&choices));
    CHECK(!sim_replay(&scenario, "sead:3", &sim));
    CHECK(strstr(sim.broken, "neither with seed:") != NULL);
    CHECK(!sim_replay(&scenario, "seed:3 bell.lost@1", &sim));
    CHECK(strstr(sim.broken, "nobody here can fail") != NULL);
}

TEST_CASE(sim_scenario, fuzzers_bytes_are_a_run_too) {
    struct bell bell = {.careful = true};
    struct sim_scenario scenario = scenario_of(&bell);
    struct test_random random = test_random_from(test_seed());
    for (uint32_t i = 0; i < 200; i++) {
        uint8_t bytes[16];
        for (uint32_t j = 0; j < sizeof(bytes); j++)
            bytes[j] = (uint8_t)test_random_u64(&random);
        sim_try_bytes(&scenario, NULL, bytes, test_random_below(&random, sizeof(bytes) + 1));
    }
}
