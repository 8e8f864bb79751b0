/* SPDX-License-Identifier: MIT */
/* The churn on a deterministic machine: each seed is another order of turns, and a seed that breaks
 * breaks again. */
#include "hosted/hosted.h"
#include "slab/churn.h"

enum { SEEDS = 200 };

static void run_by_seed(uint64_t seed, struct churn *churn) {
    struct hosted_config before = *hosted_configuration(), config = before;
    config.deterministic = config.clock_manual = true;
    config.seed = seed;
    CHECK_EQ(hosted_configure(&config), 0);
    churn->seed = seed;
    test_run_on_cpus(churn_body, churn, CHURN_CPUS);
    CHECK_EQ(hosted_configure(&before), 0);
}

TEST_CASE(slab_churn, hundreds_of_orders_of_turns) {
    struct churn *churn = churn_new(12, 250, 2, 0);
    churn->turns = true;
    for (uint64_t seed = 0; seed < SEEDS; seed++) {
        run_by_seed(test_seed() + seed, churn);
        churn_finish(churn);
        churn_begin(churn);
    }
}
