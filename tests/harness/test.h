/* SPDX-License-Identifier: MIT */
/*
 * test.h: one C test body, any runner. A case is a plain function in the linker section
 * `ash_tests`; GoogleTest runs it on the host, the kernel runs it bare-metal and prints TAP.
 *
 *     TEST_CASE(list, pop_of_empty_is_null) {
 *         struct ash_list head;
 *         ash_list_init(&head);
 *         CHECK(ash_list_pop_front(&head) == NULL);
 *     }
 *
 * Rules
 *  - The name is a sentence fragment; one behaviour each. No sleeping, no wall clock, no files.
 *  - A CHECK that does not hold ends the case (longjmp to the runner), from any depth of call. In a
 *    body of test_run_on_cpus it ends that body, and the case once all bodies have returned: so a
 *    body that waits for another must be able to see that it is gone.
 *  - A case leaves interrupts as it found them, or fails.
 *  - Memory comes from test_alloc and goes back when the case ends, however it ends.
 *  - Everything random comes from test_seed(); a failure prints it, and ASHLAR_SEED=n (host) or the
 *    argument seed=n (kernel) plays it again.
 */
#ifndef ASHLAR_TEST_H
#define ASHLAR_TEST_H

#include "harness/test_case.h"

#include <ashlar/base.h>
#include <setjmp.h>
#include <string.h>

#define TEST_CASE(suite_name, case_name)                                                \
    static void test_##suite_name##_##case_name(void);                                  \
    static const struct test_case case_##suite_name##_##case_name = {                   \
        #suite_name, #case_name, __FILE__, __LINE__, test_##suite_name##_##case_name};  \
    static const struct test_case *const entry_##suite_name##_##case_name               \
        __attribute__((section("ash_tests"), used)) = &case_##suite_name##_##case_name; \
    static void test_##suite_name##_##case_name(void)

/* Ends the case as failed. */
void test_fail(const char *file, int line, const char *format, ...) __attribute__((noreturn))
ASH_PRINTF(3, 4);

/* Ends the case as skipped, with the reason; for what this machine cannot do. */
void test_skip(const char *format, ...) __attribute__((noreturn)) ASH_PRINTF(1, 2);

#define CHECK(condition)                                                    \
    do {                                                                    \
        if (!(condition))                                                   \
            test_fail(__FILE__, __LINE__, "does not hold: %s", #condition); \
    } while (0)

/* Integers of any type up to 64 bits, compared as signed 64-bit values. */
#define CHECK_EQ(actual, expected)                                             \
    test_check_eq(__FILE__, __LINE__, #actual, (long long)(actual), #expected, \
                  (long long)(expected))
void test_check_eq(const char *file, int line, const char *actual_text, long long actual,
                   const char *expected_text, long long expected);

#define CHECK_STR_EQ(actual, expected) \
    test_check_str_eq(__FILE__, __LINE__, #actual, (actual), (expected))
void test_check_str_eq(const char *file, int line, const char *what, const char *actual,
                       const char *expected);

/* `bytes` bytes at both pointers are the same; says at which offset they first differ. */
#define CHECK_MEM_EQ(actual, expected, bytes) \
    test_check_mem_eq(__FILE__, __LINE__, #actual, (actual), (expected), (bytes))
void test_check_mem_eq(const char *file, int line, const char *what, const void *actual,
                       const void *expected, size_t bytes);

/*
 * The statement must end in ash_panic with a message that contains `part`. The object that it was
 * working on is left as it was at that moment (its lock taken, perhaps): use it no more. Interrupts
 * are masked as they were before. They nest; the statement must not jump out of it (return, break).
 */
#define CHECK_PANICS(statement, part)                               \
    do {                                                            \
        struct test_panic test_panic_;                              \
        if (setjmp(*test_expect_panic(&test_panic_)) == 0) {        \
            statement;                                              \
            test_no_panic(__FILE__, __LINE__, #statement);          \
        }                                                           \
        test_check_panic(__FILE__, __LINE__, &test_panic_, (part)); \
    } while (0)
struct test_panic {
    jmp_buf jump;
    struct test_panic *outer;
    uint64_t irq_state; /* an ash_irq_t, which this header does not know */
    uint32_t pins;
    char message[512];
};
jmp_buf *test_expect_panic(struct test_panic *panic);
void test_no_panic(const char *file, int line, const char *statement) __attribute__((noreturn));
void test_check_panic(const char *file, int line, const struct test_panic *panic, const char *part);

/* Zeroed memory until the end of the case; align is a power of two. Fails the case when there is
 * none left: the runners of both worlds give 32 MiB. */
void *test_alloc(size_t bytes, size_t align);

/* Events: counted while a case runs, by descriptor name; all are enabled. */
uint64_t test_event_count(const char *name);

/* The same count, and the arguments of the last one; a and b may be NULL. */
uint64_t test_event_last(const char *name, uint64_t *a, uint64_t *b);

/* A seed for this case, and a generator (xorshift64*, Vigna 2016) made from it. */
uint64_t test_seed(void);
struct test_random {
    uint64_t state;
};
struct test_random test_random_from(uint64_t seed);
uint64_t test_random_u64(struct test_random *random);
uint64_t test_random_below(struct test_random *random, uint64_t limit); /* 0..limit-1; limit > 0 */
bool test_random_chance(struct test_random *random, uint32_t percent);

/* body(context, cpu) on `count` CPUs at once; skips the case where there are fewer. */
void test_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count);

/*
 * The case goes on as another CPU (harness/as_cpu.h gives `set`, which tells the port): several
 * CPUs' worth of calls in an order that the case chooses. On CPU 0, outside of test_run_on_cpus;
 * the end of the case makes it CPU 0 again.
 */
void test_as_cpu(uint32_t cpu, void (*set)(uint32_t cpu));

#endif
