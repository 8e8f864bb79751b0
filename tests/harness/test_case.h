/* SPDX-License-Identifier: MIT */
/*
 * test_case.h: what a runner knows of a case. Plain C and C++: GoogleTest's runner includes it.
 *
 * A runner lists the cases, runs one at a time by test_run_case, and reports. It fails if it finds
 * another number of cases than the generated list says (a linker that drops a section would else
 * give "0 tests, all passed").
 */
#ifndef ASHLAR_TEST_CASE_H
#define ASHLAR_TEST_CASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

struct test_case {
    const char *suite;
    const char *name;
    const char *file;
    int line;
    void (*run)(void);
};

enum test_verdict { TEST_PASSED, TEST_FAILED, TEST_SKIPPED };

struct test_result {
    enum test_verdict verdict;
    const char *file; /* where it failed */
    int line;
    char message[480]; /* why it failed or was skipped, the seed included; "" when passed */
};

/* All cases linked in, in link order. */
size_t test_case_count(void);
const struct test_case *test_case_at(size_t index);

/* Memory for test_alloc; without it the cases that ask for some fail. Give it once, at start. */
void test_set_arena(void *arena, size_t bytes);
void test_set_seed(uint64_t seed);

/* Runs one case to its end: returned, CHECK failed, panicked, or faulted where the platform turns
 * a CPU fault into platform_panic_hook. */
void test_run_case(const struct test_case *test, struct test_result *result);

/* What test_event_count counts. An image with its own ash_event_emit calls this from it. */
struct ash_event;
void test_event_sink(const struct ash_event *event, uint64_t a, uint64_t b);

#ifdef __cplusplus
}
#endif

#endif
