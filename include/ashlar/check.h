/* SPDX-License-Identifier: MIT */
/*
 * check.h: three grades of check, one way to die.
 *
 *   ASH_REQUIRE(cond, format, ...)  the caller broke the contract (a double free, a foreign
 *                                   pointer). O(1). On unless ASH_CHECKS is 0.
 *   ASH_ASSERT(cond)                the part's own invariant does not hold: a bug in it, or memory
 *                                   overwritten. On where ASH_CHECKS is 2 (debug builds).
 *   ash_PART_check(object)          a full audit, a function of each part: returns the first broken
 *                                   invariant by its number in that part's DESIGN.md, or NULL.
 *
 * All end in ash_panic, which whoever links the part supplies: a platform, a test runner, a kernel.
 *
 * Rules
 *  - The message says what happened and to what, with values: "slab: free of 0x40: not an object
 *    of cache task". It is formatted only once the check has failed.
 *  - Nothing that can happen in a correct program (no memory, a lying device) ends here.
 */
#ifndef ASHLAR_CHECK_H
#define ASHLAR_CHECK_H

#include <ashlar/base.h>

/* 0: none, 1: ASH_REQUIRE, 2: ASH_REQUIRE and ASH_ASSERT. */
#ifndef ASH_CHECKS
#define ASH_CHECKS 1
#endif

#ifdef __cplusplus
extern "C" {
#endif

/*
 * Does not return. `format` and what follows are printf's, integers, strings and pointers only.
 * Context: any, interrupts masked and locks held included; it must not need them.
 */
void ash_panic(const char *file, uint32_t line, const char *format, ...)
    __attribute__((noreturn, cold)) ASH_PRINTF(3, 4);

#ifdef __cplusplus
}
#endif

#define ASH_REQUIRE(cond, ...)                                     \
    do {                                                           \
        if (ASH_ENABLED(ASH_CHECKS >= 1) && ASH_UNLIKELY(!(cond))) \
            ash_panic(__FILE__, __LINE__, __VA_ARGS__);            \
    } while (0)

#define ASH_ASSERT(cond)                                                         \
    do {                                                                         \
        if (ASH_ENABLED(ASH_CHECKS >= 2) && ASH_UNLIKELY(!(cond)))               \
            ash_panic(__FILE__, __LINE__, "invariant does not hold: %s", #cond); \
    } while (0)

#endif
