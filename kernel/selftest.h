/* SPDX-License-Identifier: MIT */
/* selftest.h: runs the test cases that are linked into the kernel. */
#ifndef ASHLAR_SELFTEST_H
#define ASHLAR_SELFTEST_H

/*
 * `words` is what follows "test": suites, suite.case and seed=N, separated by spaces. Prints TAP.
 * 0 when the plan was run to its end, failed cases included (the reader of TAP counts them); 1 with
 * a reason when it could not be run.
 */
int selftest_run(const char *words);

#endif
