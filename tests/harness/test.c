/* SPDX-License-Identifier: MIT */
/*
 * test.c: the part of the harness that every runner shares: runs one case, catches its end
 * (returned, failed, panicked, faulted), lends it memory, counts its events.
 */
#include "harness/test.h"

#include <ashlar/event.h>
#include <stdarg.h>
#include <stdio.h>

#include "platform.h"

extern const struct test_case *const __start_ash_tests[], *const __stop_ash_tests[];

/* Weak: an image may have no event at all. */
extern struct ash_event __start_ash_events[] __attribute__((weak));
extern struct ash_event __stop_ash_events[] __attribute__((weak));

enum { EVENTS_MAX = 64 };

static struct {
    struct test_result *result;
    jmp_buf end;   /* of the case that runs */
    jmp_buf panic; /* of the CHECK_PANICS that waits for one */
    bool panic_expected;
    char panic_message[256];
    char *arena;
    size_t arena_bytes, arena_used;
    uint64_t seed;
    bool seed_used;
    uint64_t event_counts[EVENTS_MAX];
} run = {.seed = 1};

size_t test_case_count(void) {
    return (size_t)(__stop_ash_tests - __start_ash_tests);
}

const struct test_case *test_case_at(size_t index) {
    return __start_ash_tests[index];
}

void test_set_arena(void *arena, size_t bytes) {
    run.arena = arena;
    run.arena_bytes = bytes;
}

void test_set_seed(uint64_t seed) {
    run.seed = seed;
}

/* The end of a case */

static void end_case(enum test_verdict verdict, const char *file, int line)
    __attribute__((noreturn));

static void end_case(enum test_verdict verdict, const char *file, int line) {
    struct test_result *result = run.result;
    result->verdict = verdict;
    result->file = file;
    result->line = line;
    size_t len = strlen(result->message);
    if (verdict == TEST_FAILED && run.seed_used)
        snprintf(result->message + len, sizeof(result->message) - len, " [seed %llu]",
                 (unsigned long long)run.seed);
    longjmp(run.end, 1);
}

void test_fail(const char *file, int line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(run.result->message, sizeof(run.result->message), format, args);
    va_end(args);
    end_case(TEST_FAILED, file, line);
}

void test_skip(const char *format, ...) {
    va_list args;
    va_start(args, format);
    vsnprintf(run.result->message, sizeof(run.result->message), format, args);
    va_end(args);
    end_case(TEST_SKIPPED, NULL, 0);
}

static void on_panic(const char *file, uint32_t line, const char *message) {
    if (run.panic_expected) {
        run.panic_expected = false;
        snprintf(run.panic_message, sizeof(run.panic_message), "%s", message);
        longjmp(run.panic, 1);
    }
    test_fail(file, (int)line, "panic: %s", message);
}

void test_run_case(const struct test_case *test, struct test_result *result) {
    *result = (struct test_result){.verdict = TEST_PASSED, .file = test->file, .line = test->line};
    run.result = result;
    run.arena_used = 0;
    run.seed_used = false;
    run.panic_expected = false;
    memset(run.event_counts, 0, sizeof(run.event_counts));
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events; event++)
        event->enabled = 1;
    platform_panic_hook = on_panic;
    if (setjmp(run.end) == 0)
        test->run();
    platform_panic_hook = NULL;
}

/* Checks */

void test_check_eq(const char *file, int line, const char *actual_text, long long actual,
                   const char *expected_text, long long expected) {
    if (actual != expected)
        test_fail(file, line, "%s is %lld (0x%llx), expected %s = %lld (0x%llx)", actual_text,
                  actual, (unsigned long long)actual, expected_text, expected,
                  (unsigned long long)expected);
}

void test_check_str_eq(const char *file, int line, const char *what, const char *actual,
                       const char *expected) {
    if (strcmp(actual, expected) != 0)
        test_fail(file, line, "%s is \"%s\", expected \"%s\"", what, actual, expected);
}

void test_check_mem_eq(const char *file, int line, const char *what, const void *actual,
                       const void *expected, size_t bytes) {
    const uint8_t *a = actual, *e = expected;
    for (size_t i = 0; i < bytes; i++) {
        if (a[i] != e[i])
            test_fail(file, line, "%s differs at byte %zu of %zu: 0x%02x, expected 0x%02x", what, i,
                      bytes, a[i], e[i]);
    }
}

jmp_buf *test_expect_panic(void) {
    run.panic_expected = true;
    run.panic_message[0] = '\0';
    return &run.panic;
}

void test_no_panic(const char *file, int line, const char *statement) {
    run.panic_expected = false;
    test_fail(file, line, "did not panic: %s", statement);
}

void test_check_panic(const char *file, int line, const char *part) {
    if (strstr(run.panic_message, part) == NULL)
        test_fail(file, line, "panicked with \"%s\", expected \"...%s...\"", run.panic_message,
                  part);
}

/* Memory */

void *test_alloc(size_t bytes, size_t align) {
    uintptr_t base = (uintptr_t)run.arena;
    size_t start = (size_t)(ash_align_up(base + run.arena_used, align) - base);
    if (start > run.arena_bytes || bytes > run.arena_bytes - start)
        test_fail(__FILE__, __LINE__, "test_alloc: %zu bytes asked, %zu of %zu left", bytes,
                  run.arena_bytes - run.arena_used, run.arena_bytes);
    run.arena_used = start + bytes;
    return memset(run.arena + start, 0, bytes);
}

/* Events */

void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    (void)a, (void)b;
    size_t index = (size_t)(event - __start_ash_events);
    if (index < EVENTS_MAX)
        __atomic_fetch_add(&run.event_counts[index], 1, __ATOMIC_RELAXED);
}

uint64_t test_event_count(const char *name) {
    uint64_t count = 0;
    size_t index = 0;
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events;
         event++, index++) {
        if (index < EVENTS_MAX && strcmp(event->name, name) == 0)
            count += run.event_counts[index];
    }
    return count;
}

/* Randomness */

uint64_t test_seed(void) {
    run.seed_used = true;
    return run.seed;
}

struct test_random test_random_from(uint64_t seed) {
    /* splitmix64's finaliser, so that neighbouring seeds start far apart; the state is never 0. */
    uint64_t z = seed + UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    z ^= z >> 31;
    return (struct test_random){.state = z == 0 ? 1 : z};
}

uint64_t test_random_u64(struct test_random *random) {
    random->state ^= random->state >> 12;
    random->state ^= random->state << 25;
    random->state ^= random->state >> 27;
    return random->state * UINT64_C(0x2545f4914f6cdd1d);
}

uint64_t test_random_below(struct test_random *random, uint64_t limit) {
    return test_random_u64(random) % limit;
}

bool test_random_chance(struct test_random *random, uint32_t percent) {
    return test_random_below(random, 100) < percent;
}

/* CPUs */

void test_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count > platform_cpu_count())
        test_skip("needs %u CPUs, %u are online", count, platform_cpu_count());
    int error = platform_run_on_cpus(body, context, count);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "platform_run_on_cpus: error %d", error);
}
