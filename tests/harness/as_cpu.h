/* SPDX-License-Identifier: MIT */
/*
 * as_cpu.h: one context plays several CPUs in turn, so that what is per CPU meets in an order that
 * a case chooses or a fuzzer finds. No interrupt is to be expected meanwhile.
 */
#ifndef ASHLAR_TEST_AS_CPU_H
#define ASHLAR_TEST_AS_CPU_H

#include "harness/test.h"

#include <ashlar/port.h>

static inline void as_cpu_set(uint32_t cpu) {
#if __STDC_HOSTED__ /* the bare-metal half is freestanding */
    hosted_this_cpu.index = cpu;
#else
    __asm__ volatile("bfi x18, %0, #0, #8" ::"r"((uint64_t)cpu) : "memory");
#endif
}

/* What is called from here on runs on this CPU, 0..ASH_PORT_CPUS_MAX - 1. */
static inline void as_cpu(uint32_t cpu) {
    test_as_cpu(cpu, as_cpu_set);
}

#endif
