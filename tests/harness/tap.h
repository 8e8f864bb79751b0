/* SPDX-License-Identifier: MIT */
/*
 * tap.h: runs cases and reports in the Test Anything Protocol, version 13. For the kernel, booted
 * for it or at its shell's `test` command; the same on both platforms.
 */
#ifndef ASHLAR_TAP_H
#define ASHLAR_TAP_H

#include <ashlar/base.h>

struct tap_totals {
    uint32_t passed, failed, skipped;
};

/*
 * `select` is space-separated: "suite", "suite.case", or "" for all. Suites whose name begins with
 * an underscore fail on purpose (they test the harness) and run only when named. print is printf.
 * Prints the plan first; a run that was cut short is therefore seen as failed by any TAP reader.
 */
struct tap_totals tap_run(const char *select, void (*print)(const char *format, ...));

/* One "suite.case" a line. */
void tap_list(void (*print)(const char *format, ...));

#endif
