/* SPDX-License-Identifier: MIT */
/* arithmetic.c: divisions of 128 bits by a call: in place each takes 250 bytes. */
#include "sched_internal.h"

uint64_t ash__sched_div(uint64_t high, uint64_t low, uint64_t divisor) {
    return ash_div_128_by_64(high, low, divisor);
}

uint64_t ash__sched_mul_div(uint64_t a, uint64_t b, uint64_t divisor) {
    return ash_mul_div_u64(a, b, divisor);
}
