/* SPDX-License-Identifier: MIT */
/*
 * scenario.h: one world, many runs: by seeds, by every path of choices up to a depth, by a fuzzer's
 * bytes, with a fault script or with made-up ones. A run that breaks fails the case with what broke
 * and a line that plays it again:
 *
 *     slow_disk: disk.c:88: done == JOBS, at 40200 ns; play it again: "seed:77 device.death@17"
 *
 * The script in that line is the smallest of its kind: no entry can be left out, no count lowered
 * to 1, without the run holding. A determinism check comes for free: the broken run is played
 * twice, and must have the same digest.
 */
#ifndef ASHLAR_SIM_SCENARIO_H
#define ASHLAR_SIM_SCENARIO_H

#include "sim/sim.h"

struct sim_scenario {
    const char *name;
    /* Makes the world anew inside `sim`, plays it, says by SIM_CHECK what must hold. Memory of the
     * harness goes back at the end of the case only: make the world once, outside. */
    void (*play)(struct sim *sim, void *context);
    void *context;
    const struct sim_actor *actors; /* that can fail */
    uint32_t actor_count;
    bool ties_open;
    uint64_t steps_max; /* 0: a million events */
};

/* Runs seed, seed + 1 ... with this fault script (NULL: none). */
void sim_try_seeds(const struct sim_scenario *scenario, const char *script, uint64_t seed,
                   uint32_t runs);

/* All runs whose first `depth` choices differ; their number. Fails the case above runs_max: say
 * less depth. */
uint64_t sim_try_all(const struct sim_scenario *scenario, const char *script, uint32_t depth,
                     uint64_t runs_max);

/* One run from a fuzzer's bytes. */
void sim_try_bytes(const struct sim_scenario *scenario, const char *script, const uint8_t *bytes,
                   size_t len);

/* Runs seed, seed + 1 ..., each with up to `entries` faults at occasions below `occasions`, drawn
 * from the seed. */
void sim_try_faults(const struct sim_scenario *scenario, uint32_t entries, uint32_t occasions,
                    uint64_t seed, uint32_t runs);

/* Plays a line again into *sim; false, with the reason in sim->broken, if it is none. What broke is
 * in sim->broken too: "" if nothing did. */
bool sim_replay(const struct sim_scenario *scenario, const char *line, struct sim *sim);

/* Plays a run that breaks again, twice, with a smaller script if there is one, and says what
 * try_... fails the case with. */
void sim_report(const struct sim_scenario *scenario, struct sim_choices *choices,
                struct sim_script *script, char *text, size_t len);

/* Makes a script that breaks the scenario smaller while it still does; returns the runs it took. */
uint32_t sim_minimise(const struct sim_scenario *scenario, struct sim_choices *choices,
                      struct sim_script *script);

#endif
