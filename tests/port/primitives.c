/* SPDX-License-Identifier: MIT */
/*
 * The conformance suite's part for <ashlar/port.h> alone: one CPU, no platform. A new port passes
 * these first (tests/port/check_port.c runs them with nothing but a port header and a C library).
 */
#include <ashlar/port.h>

#include "harness/test.h"

TEST_CASE(port, limits_are_sensible) {
    CHECK(ASH_PORT_CPUS_MAX >= 1);
    CHECK(ash_is_pow2(ASH_PORT_CACHE_LINE));
    CHECK(ASH_PORT_CACHE_LINE >= 16 && ASH_PORT_CACHE_LINE <= 4096);
}

TEST_CASE(port, pin_gives_a_cpu_below_the_limit) {
    uint32_t cpu = UINT32_MAX;
    ash_port_pin(&cpu);
    ash_port_unpin();
    CHECK(cpu < ASH_PORT_CPUS_MAX);
}

TEST_CASE(port, pins_nest_and_agree) {
    uint32_t outer = UINT32_MAX, inner = UINT32_MAX, again = UINT32_MAX;
    ash_port_pin(&outer);
    ash_port_pin(&inner);
    ash_port_unpin();
    ash_port_pin(&again);
    ash_port_unpin();
    ash_port_unpin();
    CHECK_EQ(inner, outer);
    CHECK_EQ(again, outer);
}

TEST_CASE(port, interrupt_masks_nest) {
    ash_irq_t before = ash_port_irq_save();
    ash_irq_t outer = ash_port_irq_save();
    ash_irq_t inner = ash_port_irq_save();
    ash_port_irq_restore(inner);
    ash_irq_t inner_again = ash_port_irq_save();
    ash_port_irq_restore(inner_again);
    ash_port_irq_restore(outer);
    ash_irq_t outer_again = ash_port_irq_save();
    ash_port_irq_restore(outer_again);
    ash_port_irq_restore(before);
    CHECK_EQ(inner_again, inner);
    CHECK_EQ(outer_again, outer);
}

TEST_CASE(port, pin_and_mask_may_overlap_in_any_order) {
    uint32_t cpu, same;
    ash_port_pin(&cpu);
    ash_irq_t state = ash_port_irq_save();
    ash_port_unpin();
    ash_port_pin(&same);
    ash_port_irq_restore(state);
    ash_port_unpin();
    CHECK_EQ(same, cpu);
}

TEST_CASE(port, trylock_fails_while_the_lock_is_held) {
    struct ash_spinlock lock;
    ash_spin_init(&lock);
    CHECK(ash_spin_trylock(&lock));
    CHECK(!ash_spin_trylock(&lock));
    ash_spin_unlock(&lock);
    ash_spin_lock(&lock);
    CHECK(!ash_spin_trylock(&lock));
    ash_spin_unlock(&lock);
    CHECK(ash_spin_trylock(&lock));
    ash_spin_unlock(&lock);
}

TEST_CASE(port, init_frees_a_lock_whatever_was_there) {
    struct ash_spinlock lock;
    memset(&lock, 0xff, sizeof(lock));
    ash_spin_init(&lock);
    CHECK(ash_spin_trylock(&lock));
    ash_spin_unlock(&lock);
}

TEST_CASE(port, exchange_and_compare_exchange_report_the_old_value) {
    uint64_t word = 5, expected = 4;
    CHECK_EQ(ash_exchange(&word, UINT64_C(6)), 5);
    CHECK(!ash_compare_exchange(&word, &expected, UINT64_C(7)));
    CHECK_EQ(expected, 6);
    CHECK(ash_compare_exchange(&word, &expected, UINT64_C(7)));
    CHECK_EQ(ash_load_acquire(&word), 7);
    CHECK_EQ(ash_load_sequential(&word), 7);
    CHECK_EQ(ash_fetch_add(&word, UINT64_C(2)), 7);
    CHECK_EQ(ash_fetch_add_relaxed(&word, UINT64_C(1)), 9);
    CHECK_EQ(ash_load_relaxed(&word), 10);
}

/* Barriers have no visible effect on one CPU but that plain stores stay where they are. */
TEST_CASE(port, barriers_and_relax_keep_memory) {
    uint32_t words[2] = {0, 0};
    words[0] = 1;
    ash_port_dma_wmb();
    words[1] = 2;
    ash_port_dma_mb();
    ash_port_dma_rmb();
    ash_port_relax();
    CHECK_EQ(words[0], 1);
    CHECK_EQ(words[1], 2);
}

/* A port without a counter answers 0 for ever. */
TEST_CASE(port, cycles_never_run_backwards) {
    uint64_t before = ash_port_cycles();
    for (uint32_t i = 0; i < 1000; i++) {
        uint64_t now = ash_port_cycles();
        CHECK(now >= before);
        before = now;
    }
}
