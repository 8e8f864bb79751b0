/* SPDX-License-Identifier: MIT */
/* The conformance suite's part about platform_after_interrupt, and contexts that it switches. */
#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"
#include "port/migrate.h"

static void require_switches(void) {
    if (!migrate_may())
        test_skip("no context is switched away in an interrupt of this machine");
}

static ash_irq_t irq_state_now(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_port_irq_restore(state);
    return state;
}

/* The hook by itself: what it saw, of one CPU */

static struct {
    uint32_t handled, calls, inside, nested, unmasked, early, refused;
    uint32_t to_raise; /* interrupts that the hook raises yet */
    ash_irq_t masked;
} seen;

static void handle(void *context) {
    (void)context;
    seen.masked = irq_state_now();
    seen.handled++;
    seen.nested += seen.inside;
}

static void note(bool may_switch) {
    seen.nested += seen.inside++;
    seen.unmasked += irq_state_now() != seen.masked;
    seen.early += seen.handled <= seen.calls;
    seen.calls++;
    seen.refused += !may_switch;
    if (seen.to_raise != 0) {
        seen.to_raise--;
        (void)!platform_interrupt_self(handle, NULL);
    }
    seen.inside--;
}

/* An interrupt that is unmasked may still take a few instructions to arrive. */
static bool arrive(uint32_t calls) {
    for (uint32_t i = 0; i < 100000 && ash_load_relaxed(&seen.calls) < calls; i++)
        ash_port_relax();
    return ash_load_relaxed(&seen.calls) == calls;
}

static void begin(uint32_t to_raise) {
    memset(&seen, 0, sizeof(seen));
    seen.to_raise = to_raise;
    platform_after_interrupt = note;
}

static void end(void) {
    platform_after_interrupt = NULL;
}

TEST_CASE(preempt, asks_once_after_the_handler_and_masked) {
    begin(0);
    int error = platform_interrupt_self(handle, NULL);
    bool asked = arrive(1);
    end();
    CHECK_EQ(error, 0);
    CHECK(asked);
    CHECK_EQ(seen.handled, 1);
    CHECK_EQ(seen.early, 0);
    CHECK_EQ(seen.unmasked, 0);
    CHECK(seen.masked != irq_state_now());
}

TEST_CASE(preempt, asks_when_the_mask_is_restored) {
    begin(0);
    ash_irq_t outer = ash_port_irq_save(), inner = ash_port_irq_save();
    int error = platform_interrupt_self(handle, NULL);
    ash_port_irq_restore(inner);
    uint32_t masked_calls = seen.calls;
    ash_port_irq_restore(outer);
    bool asked = arrive(1);
    end();
    CHECK_EQ(error, 0);
    CHECK_EQ(masked_calls, 0);
    CHECK(asked);
}

/* What comes while it is asked is handled behind it, and asked for again. */
TEST_CASE(preempt, is_not_asked_inside_itself) {
    begin(5);
    int error = platform_interrupt_self(handle, NULL);
    bool asked = arrive(6);
    end();
    CHECK_EQ(error, 0);
    CHECK(asked);
    CHECK_EQ(seen.handled, 6);
    CHECK_EQ(seen.early, 0);
    CHECK_EQ(seen.nested, 0);
}

TEST_CASE(preempt, is_not_asked_by_a_wait) {
    begin(0);
    ash_irq_t state = ash_port_irq_save();
    int error = platform_interrupt_self(handle, NULL);
    for (uint32_t i = 0; i < 1000 && seen.handled == 0; i++)
        platform_wait(platform_now_ns() + 1000000);
    ash_port_irq_restore(state);
    for (uint32_t i = 0; i < 1000; i++)
        ash_port_relax();
    end();
    CHECK_EQ(error, 0);
    CHECK_EQ(seen.handled, 1);
    CHECK_EQ(seen.calls, 0);
}

TEST_CASE(preempt, pinned_context_may_not_be_switched_away) {
    uint32_t cpu;
    require_switches();
    begin(0);
    ash_port_pin(&cpu);
    ash_port_pin(&cpu);
    ash_port_unpin();
    int error = platform_interrupt_self(handle, NULL);
    bool asked = arrive(1);
    ash_port_unpin();
    uint32_t refused = seen.refused;
    error |= platform_interrupt_self(handle, NULL);
    asked &= arrive(2);
    end();
    CHECK_EQ(error, 0);
    CHECK(asked);
    CHECK_EQ(refused, 1);
    CHECK_EQ(seen.refused, 1);
}

/* Two contexts that a timer switches, wherever they are */

enum { STACK_BYTES = 64 << 10, SWITCHES = 2000, PERIOD_NS = 20000 };

static struct {
    struct platform_context contexts[2];
    uint32_t current, switches;
    uint64_t rounds[2], wrong[2];
    ash_irq_t open;
} pair;

static void ring(void *context) {
    (void)context;
    if (ash_load_relaxed(&pair.switches) < SWITCHES)
        (void)!platform_timer_arm(platform_now_ns() + PERIOD_NS, ring, NULL);
}

static void switch_to_the_other(bool may_switch) {
    if (!may_switch || pair.switches >= SWITCHES)
        return;
    uint32_t from = pair.current;
    pair.current = 1 - from;
    ash_store_relaxed(&pair.switches, pair.switches + 1);
    platform_context_switch(&pair.contexts[from], &pair.contexts[1 - from]);
}

/* More values than there are registers, each a function of the others. */
static uint64_t compute(uint64_t seed) {
    uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13;
    uint64_t g = seed * 17, h = seed * 19, i = seed * 23, j = seed * 29, k = seed * 31;
    for (uint32_t turn = 0; turn < 100; turn++) {
        a += b ^ turn, b += c, c += d, d += e, e += f, f += g;
        g += h, h += i, i += j, j += k, k += a;
    }
    return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h ^ i ^ j ^ k;
}

static void compute_until_all_is_switched(uint32_t index) {
    uint64_t expected = compute(test_seed() + index);
    while (ash_load_relaxed(&pair.switches) < SWITCHES) {
        for (uint32_t i = 0; i < 10; i++)
            pair.wrong[index] += compute(test_seed() + index) != expected;
        pair.rounds[index]++;
        (void)platform_now_ns(); /* where a sanitizer lets interrupts in */
    }
}

/* A manual clock moves for who waits alone, and nobody does here. */
static void require_time_that_moves(void) {
    ash_ns_t begin_ns = platform_now_ns();
    for (uint32_t i = 0; i < 10000 && platform_now_ns() == begin_ns; i++)
        ash_port_relax();
    if (platform_now_ns() == begin_ns)
        test_skip("time does not move while a CPU computes");
}

static void be_the_other(void *argument) {
    (void)argument;
    ash_port_irq_restore(pair.open);
    for (;;)
        compute_until_all_is_switched(1);
}

TEST_CASE(preempt, contexts_keep_everything_wherever_they_are_switched) {
    require_switches();
    require_time_that_moves();
    memset(&pair, 0, sizeof(pair));
    pair.open = irq_state_now();
    platform_context_init(&pair.contexts[1], test_alloc(STACK_BYTES, 16), STACK_BYTES, be_the_other,
                          NULL);
    platform_after_interrupt = switch_to_the_other;
    ring(NULL);
    compute_until_all_is_switched(0);
    /* The other one sits in the hook, and is never switched to again. */
    platform_after_interrupt = NULL;
    platform_timer_disarm();
    platform_context_fini(&pair.contexts[1]);
    CHECK_EQ(pair.switches, SWITCHES);
    CHECK_EQ(pair.wrong[0], 0);
    CHECK_EQ(pair.wrong[1], 0);
    CHECK(pair.rounds[0] != 0 && pair.rounds[1] != 0);
}

/* Contexts that go from CPU to CPU while they pin and mask */

static void check(const struct migrate_result *result, uint32_t cpus) {
    CHECK_EQ(result->error, 0);
    CHECK_EQ(result->left, 0);
    CHECK_EQ(result->lost, 0);
    CHECK_EQ(result->misplaced, 0);
    CHECK_EQ(result->masks_left, 0);
    CHECK_EQ(result->pins_left, 0);
    CHECK(cpus == 1 || result->migrations != 0);
}

TEST_CASE(preempt, contexts_that_migrate_keep_pins_and_masks) {
    require_switches();
    uint32_t cpus = platform_cpu_count() < 4 ? platform_cpu_count() : 4;
    struct migrate_result result = migrate_run(cpus, NULL);
    check(&result, cpus);
}

TEST_CASE(preempt, contexts_that_share_one_cpu_keep_pins_and_masks) {
    require_switches();
    struct migrate_result result = migrate_run(1, NULL);
    check(&result, 1);
}
