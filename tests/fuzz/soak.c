/* SPDX-License-Identifier: MIT */
/* soak.c: the slab's body for long: ASHLAR_SOAK million steps (a tenth of one, if it is not set),
 * an audit of everything every hundred or so. */
#include <stdlib.h>

#include "choices.h"

TEST_CASE(slab_fuzz, soak) {
    const char *millions = getenv("ASHLAR_SOAK");
    uint64_t steps = millions == NULL ? 100000 : strtoull(millions, NULL, 0) * 1000000;
    struct choices choices = choices_of_seed(test_seed() + 1000, (uint32_t)steps);
    fuzz_slab(&choices);
}
