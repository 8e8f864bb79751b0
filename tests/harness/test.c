/* SPDX-License-Identifier: MIT */
/*
 * test.c: the part of the harness that every runner shares: runs one case, catches its end
 * (returned, failed, panicked, faulted), lends it memory, counts its events.
 */
#include "harness/test.h"

#include "harness/asan.h"
#include "harness/pins.h"

#include <ashlar/port.h>
#include <stdarg.h>
#include <stdio.h>

#include "platform.h"

extern const struct test_case *const __start_ash_tests[], *const __stop_ash_tests[];

/* Weak: an image may have no event at all. */
extern struct ash_event __start_ash_events[] __attribute__((weak));
extern struct ash_event __stop_ash_events[] __attribute__((weak));

enum { EVENTS_MAX = 512 };

/*
 * Where a CPU goes when what it runs ends early: back to the case, or to the body of
 * test_run_on_cpus. Frames nest by `outer` on CPU 0 alone (a body inside a case).
 */
struct frame {
    jmp_buf end;
    struct test_panic *panic; /* the innermost CHECK_PANICS that waits for one */
    struct test_result result;
    struct frame *outer;
    void (*set_cpu)(uint32_t cpu); /* after test_as_cpu: makes it the CPU that it began on */
};

static struct {
    struct frame *frames[ASH_PORT_CPUS_MAX]; /* each touched by its own CPU */
    char *arena;
    size_t arena_bytes, arena_used;
    uint64_t seed;
    bool seed_used;
    struct {
        uint64_t count, a, b;
    } events[EVENTS_MAX];
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
    test_forbid(arena, bytes);
}

void test_set_seed(uint64_t seed) {
    run.seed = seed;
}

/* The end of a case */

static uint32_t this_cpu(void) {
    uint32_t cpu;
    ash_port_pin(&cpu);
    ash_port_unpin();
    return cpu;
}

static void end_frame(enum test_verdict verdict, const char *file, int line)
    __attribute__((noreturn));

/* The message is in the frame's result already. */
static void end_frame(enum test_verdict verdict, const char *file, int line) {
    struct frame *frame = run.frames[this_cpu()];
    frame->result.verdict = verdict;
    frame->result.file = file;
    frame->result.line = line;
    longjmp(frame->end, 1);
}

/* GoogleTest copies messages into XML and the kernel into TAP: neither may hold just any byte. */
static void set_message(struct test_result *result, const char *format, va_list args) {
    vsnprintf(result->message, sizeof(result->message), format, args);
    for (char *at = result->message; *at != '\0'; at++) {
        if (*at != '\n' && (*at < ' ' || *at > '~'))
            *at = '?';
    }
}

void test_fail(const char *file, int line, const char *format, ...) {
    struct test_result *result = &run.frames[this_cpu()]->result;
    va_list args;
    va_start(args, format);
    set_message(result, format, args);
    va_end(args);
    end_frame(TEST_FAILED, file, line);
}

void test_skip(const char *format, ...) {
    struct test_result *result = &run.frames[this_cpu()]->result;
    va_list args;
    va_start(args, format);
    set_message(result, format, args);
    va_end(args);
    end_frame(TEST_SKIPPED, NULL, 0);
}

/* A CPU that runs no part of a case panics as ever. */
static void on_panic(const char *file, uint32_t line, const char *message) {
    struct frame *frame = run.frames[this_cpu()];
    if (frame == NULL)
        return;
    struct test_panic *panic = frame->panic;
    if (panic == NULL)
        test_fail(file, (int)line, "panic: %s", message);
    snprintf(panic->message, sizeof(panic->message), "%s", message);
    frame->panic = panic->outer;
    test_set_pins(panic->pins);
    ash_port_irq_restore((ash_irq_t)panic->irq_state);
    longjmp(panic->jump, 1);
}

static ash_irq_t irq_state_now(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    return state;
}

/* Runs run(context) as far as it goes; the verdict is in frame->result. */
static void run_in_frame(struct frame *frame, void (*body)(void *context), void *context) {
    uint32_t cpu = this_cpu();
    ash_irq_t state = irq_state_now();
    uint32_t pins = test_pins();
    frame->panic = NULL;
    frame->set_cpu = NULL;
    frame->outer = run.frames[cpu];
    run.frames[cpu] = frame;
    if (setjmp(frame->end) == 0) {
        body(context);
        if (irq_state_now() != state)
            test_fail(frame->result.file, frame->result.line,
                      "ended with interrupts masked, or unmasked, that were not so before");
        if (test_pins() != pins)
            test_fail(frame->result.file, frame->result.line, "ended with %u pins, began with %u",
                      test_pins(), pins);
    }
    test_set_pins(pins);
    ash_port_irq_restore(state);
    if (frame->set_cpu != NULL) {
        frame->set_cpu(cpu);
        for (uint32_t other = 1; other < ASH_PORT_CPUS_MAX; other++)
            run.frames[other] = NULL;
    }
    run.frames[cpu] = frame->outer;
}

static void run_case(void *context) {
    const struct test_case *test = context;
    test->run();
}

void test_run_case(const struct test_case *test, struct test_result *result) {
    struct frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.result =
        (struct test_result){.verdict = TEST_PASSED, .file = test->file, .line = test->line};
    test_forbid(run.arena, run.arena_used);
    run.arena_used = 0;
    run.seed_used = false;
    memset(run.events, 0, sizeof(run.events));
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events; event++)
        ash_store_relaxed(&event->enabled, 1);
    platform_panic_hook = on_panic;
    run_in_frame(&frame, run_case, (void *)(uintptr_t)test);
    platform_panic_hook = NULL;
    *result = frame.result;
    size_t len = strlen(result->message);
    if (result->verdict == TEST_FAILED && run.seed_used)
        snprintf(result->message + len, sizeof(result->message) - len, " [seed %llu]",
                 (unsigned long long)run.seed);
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

jmp_buf *test_expect_panic(struct test_panic *panic) {
    struct frame *frame = run.frames[this_cpu()];
    panic->message[0] = '\0';
    panic->irq_state = irq_state_now();
    panic->pins = test_pins();
    panic->outer = frame->panic;
    frame->panic = panic;
    return &panic->jump;
}

void test_no_panic(const char *file, int line, const char *statement) {
    test_fail(file, line, "did not panic: %s", statement);
}

void test_check_panic(const char *file, int line, const struct test_panic *panic,
                      const char *part) {
    if (strstr(panic->message, part) == NULL)
        test_fail(file, line, "panicked with \"%s\", expected \"...%s...\"", panic->message, part);
}

/* Memory */

void *test_alloc(size_t bytes, size_t align) {
    uintptr_t base = (uintptr_t)run.arena;
    size_t start = (size_t)(ash_align_up(base + run.arena_used, align) - base);
    if (start > run.arena_bytes || bytes > run.arena_bytes - start)
        test_fail(__FILE__, __LINE__, "test_alloc: %zu bytes asked, %zu of %zu left", bytes,
                  run.arena_bytes - run.arena_used, run.arena_bytes);
    run.arena_used = start + bytes;
    test_permit(run.arena + start, bytes);
    return memset(run.arena + start, 0, bytes);
}

/* Events */

void test_event_sink(const struct ash_event *event, uint64_t a, uint64_t b) {
    size_t index = (size_t)(event - __start_ash_events);
    if (index >= EVENTS_MAX)
        return;
    __atomic_fetch_add(&run.events[index].count, 1, __ATOMIC_RELAXED);
    ash_store_relaxed(&run.events[index].a, a);
    ash_store_relaxed(&run.events[index].b, b);
}

/* The kernel's own sink takes this one's place, and calls test_event_sink while cases run. */
__attribute__((weak)) void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    test_event_sink(event, a, b);
}

uint64_t test_event_count(const char *name) {
    return test_event_last(name, NULL, NULL);
}

uint64_t test_event_last(const char *name, uint64_t *a, uint64_t *b) {
    uint64_t count = 0;
    size_t index = 0;
    if (!ASH_ENABLED(ASH_EVENTS))
        test_skip("this build has no events");
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events;
         event++, index++) {
        if (index >= EVENTS_MAX)
            test_fail(__FILE__, __LINE__, "more than %d events are linked in", EVENTS_MAX);
        if (strcmp(event->name, name) != 0)
            continue;
        count += ash_load_relaxed(&run.events[index].count);
        if (a != NULL)
            *a = ash_load_relaxed(&run.events[index].a);
        if (b != NULL)
            *b = ash_load_relaxed(&run.events[index].b);
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

void test_as_cpu(uint32_t cpu, void (*set)(uint32_t cpu)) {
    struct frame *frame = run.frames[this_cpu()];
    frame->set_cpu = set;
    run.frames[cpu] = frame;
    set(cpu);
}

/* A body on one CPU; the first that ends early gives the case its verdict. */
struct bodies {
    void (*body)(void *context, uint32_t cpu);
    void *context;
    struct test_result first;
    uint32_t first_cpu;
    uint32_t ended_early;
};

struct body {
    struct bodies *bodies;
    uint32_t cpu;
};

static void run_body(void *context) {
    struct body *body = context;
    body->bodies->body(body->bodies->context, body->cpu);
}

static void run_body_in_frame(void *context, uint32_t cpu) {
    struct body body = {context, cpu};
    struct frame frame;
    memset(&frame, 0, sizeof(frame));
    frame.result.file = __FILE__;
    run_in_frame(&frame, run_body, &body);
    if (frame.result.verdict != TEST_PASSED && ash_exchange(&body.bodies->ended_early, 1u) == 0) {
        body.bodies->first = frame.result;
        body.bodies->first_cpu = cpu;
    }
}

void test_run_on_cpus(void (*body)(void *context, uint32_t cpu), void *context, uint32_t count) {
    if (count > platform_cpu_count())
        test_skip("needs %u CPUs, %u are online", count, platform_cpu_count());
    struct bodies bodies = {.body = body, .context = context};
    int error = platform_run_on_cpus(run_body_in_frame, &bodies, count);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "platform_run_on_cpus: error %d", error);
    const struct test_result *first = &bodies.first;
    if (first->verdict == TEST_SKIPPED)
        test_skip("%s", first->message);
    if (first->verdict == TEST_FAILED)
        test_fail(first->file, first->line, "on CPU %u: %.400s", bodies.first_cpu, first->message);
}
