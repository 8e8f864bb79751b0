/* SPDX-License-Identifier: MIT */
/* Cases of what <ashlar/bits.h> does on a processor that it does not know: no builtins. */
#include "harness/test.h"

#undef __x86_64__
#undef __aarch64__
#include <ashlar/bits.h>

TEST_CASE(bits, counts_without_builtins_find_every_bit) {
    CHECK_EQ(ash_ctz64(0), 64);
    CHECK_EQ(ash_clz64(0), 64);
    for (uint32_t bit = 0; bit < 64; bit++) {
        uint64_t power = UINT64_C(1) << bit;
        CHECK_EQ(ash_ctz64(power), bit);
        CHECK_EQ(ash_ctz64(UINT64_MAX << bit), bit);
        CHECK_EQ(ash_clz64(power), 63 - bit);
        CHECK_EQ(ash_clz64(power | (power - 1)), 63 - bit);
    }
}
