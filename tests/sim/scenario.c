/* SPDX-License-Identifier: MIT */
/* scenario.c: runs of one scenario, and the smallest line that breaks it. */
#include "sim/scenario.h"

#include "harness/test.h"

#include <stdio.h>

static void play(const struct sim_scenario *scenario, struct sim_choices *choices,
                 struct sim_script *script, struct sim *sim) {
    sim_init(sim, choices, script);
    sim->ties_open = scenario->ties_open;
    if (scenario->steps_max != 0)
        sim->steps_max = scenario->steps_max;
    scenario->play(sim, scenario->context);
    if (sim_choices_diverged(choices))
        sim_broke(sim, __FILE__, __LINE__, "the same path met other alternatives");
}

static bool breaks(const struct sim_scenario *scenario, struct sim_choices *choices,
                   struct sim_script *script) {
    struct sim sim;
    play(scenario, choices, script, &sim);
    return sim.broken[0] != '\0';
}

static void drop(struct sim_script *script, uint32_t index) {
    script->count--;
    for (uint32_t i = index; i < script->count; i++)
        script->entries[i] = script->entries[i + 1];
}

uint32_t sim_minimise(const struct sim_scenario *scenario, struct sim_choices *choices,
                      struct sim_script *script) {
    uint32_t runs = 0;
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (uint32_t i = 0; i < script->count; i++) {
            struct sim_script less = *script, once = *script;
            drop(&less, i);
            once.entries[i].count = 1;
            bool shrinks = script->entries[i].count != 1;
            if (runs++, breaks(scenario, choices, &less)) {
                *script = less;
                smaller = true;
                i--;
            } else if (shrinks && (runs++, breaks(scenario, choices, &once))) {
                *script = once;
                smaller = true;
            }
        }
    }
    return runs;
}

void sim_report(const struct sim_scenario *scenario, struct sim_choices *choices,
                struct sim_script *script, char *text, size_t len) {
    char choices_text[SIM_CHOICES_TEXT], script_text[SIM_SCRIPT_TEXT];
    struct sim first, again;
    play(scenario, choices, script, &first);
    play(scenario, choices, script, &again);
    const char *note = again.digest == first.digest ? "" : " (not the same way each time!)";
    sim_minimise(scenario, choices, script);
    play(scenario, choices, script, &again);
    sim_choices_print(choices, choices_text, sizeof(choices_text));
    sim_script_print(script, script_text, sizeof(script_text));
    snprintf(text, len, "%s: %s%s; play it again: \"%s%s%s\"", scenario->name, again.broken, note,
             choices_text, script_text[0] == '\0' ? "" : " ", script_text);
}

static void read_script(const struct sim_scenario *scenario, const char *text,
                        struct sim_script *script) {
    char message[200];
    if (sim_script_parse(script, scenario->actors, scenario->actor_count, text, message,
                         sizeof(message)) != 0)
        test_fail(__FILE__, __LINE__, "%s", message);
}

static void try_one(const struct sim_scenario *scenario, struct sim_choices *choices,
                    struct sim_script *script) {
    struct sim sim;
    play(scenario, choices, script, &sim);
    if (sim.broken[0] == '\0')
        return;
    char text[SIM_CHOICES_TEXT + SIM_SCRIPT_TEXT];
    sim_report(scenario, choices, script, text, sizeof(text));
    test_fail(__FILE__, __LINE__, "%s", text);
}

void sim_try_seeds(const struct sim_scenario *scenario, const char *script_text, uint64_t seed,
                   uint32_t runs) {
    struct sim_choices choices;
    struct sim_script script;
    read_script(scenario, script_text, &script);
    for (uint32_t i = 0; i < runs; i++) {
        sim_choices_seed(&choices, seed + i);
        try_one(scenario, &choices, &script);
    }
}

uint64_t sim_try_all(const struct sim_scenario *scenario, const char *script_text, uint32_t depth,
                     uint64_t runs_max) {
    struct sim_choices choices;
    struct sim_script script;
    uint64_t runs = 0;
    read_script(scenario, script_text, &script);
    sim_choices_all(&choices, depth);
    do {
        if (runs++ == runs_max)
            test_fail(__FILE__, __LINE__, "%s: more than %llu runs of depth %u", scenario->name,
                      (unsigned long long)runs_max, depth);
        try_one(scenario, &choices, &script);
    } while (sim_choices_advance(&choices));
    return runs;
}

void sim_try_bytes(const struct sim_scenario *scenario, const char *script_text,
                   const uint8_t *bytes, size_t len) {
    struct sim_choices choices;
    struct sim_script script;
    read_script(scenario, script_text, &script);
    sim_choices_bytes(&choices, bytes, len);
    try_one(scenario, &choices, &script);
}

static uint32_t fault_count(const struct sim_actor *actor) {
    uint32_t count = 0;
    while (actor->fault_name(count) != NULL)
        count++;
    return count;
}

static void make_up(struct sim_script *script, struct test_random *random, uint32_t entries,
                    uint32_t occasions) {
    script->count = 1 + (uint32_t)test_random_below(random, entries);
    for (uint32_t i = 0; i < script->count; i++) {
        uint32_t actor = (uint32_t)test_random_below(random, script->actor_count);
        uint32_t fault = (uint32_t)test_random_below(random, fault_count(&script->actors[actor]));
        script->entries[i] = (struct sim_script_entry){
            .actor = actor,
            .fault = fault,
            .first = (uint32_t)test_random_below(random, occasions),
            .count =
                test_random_chance(random, 70) ? 1 : 1 + (uint32_t)test_random_below(random, 5),
            .value = test_random_chance(random, 60) ? 0 : test_random_below(random, 300)};
    }
}

void sim_try_faults(const struct sim_scenario *scenario, uint32_t entries, uint32_t occasions,
                    uint64_t seed, uint32_t runs) {
    struct sim_choices choices;
    struct sim_script script;
    read_script(scenario, NULL, &script);
    entries = (uint32_t)ash_min_u64(entries, SIM_SCRIPT_ENTRIES_MAX);
    for (uint32_t i = 0; i < runs; i++) {
        struct test_random random = test_random_from(seed + i);
        make_up(&script, &random, entries, occasions);
        sim_choices_seed(&choices, seed + i);
        try_one(scenario, &choices, &script);
    }
}

bool sim_replay(const struct sim_scenario *scenario, const char *line, struct sim *sim) {
    static struct sim_choices choices; /* that *sim points to afterwards */
    static struct sim_script script;
    sim_choices_seed(&choices, 0);
    (void)!sim_script_parse(&script, NULL, 0, NULL, NULL, 0);
    sim_init(sim, &choices, &script);
    if (!sim_choices_parse(&choices, line, &line)) {
        snprintf(sim->broken, sizeof(sim->broken),
                 "the line begins neither with seed:, nor bytes:, nor path:, or goes on wrongly "
                 "at \"%s\"",
                 line);
        return false;
    }
    if (sim_script_parse(&script, scenario->actors, scenario->actor_count, line, sim->broken,
                         sizeof(sim->broken)) != 0)
        return false;
    play(scenario, &choices, &script, sim);
    return true;
}
