/* SPDX-License-Identifier: MIT */
/*
 * pins.h: how often the CPU is pinned, for who leaves a pinned section by longjmp. Where the
 * platform's own longjmp puts it back, or pins are not counted, there is nothing to do: 0.
 */
#ifndef ASHLAR_TEST_PINS_H
#define ASHLAR_TEST_PINS_H

#include <ashlar/port.h>

static inline uint32_t test_pins(void) {
#ifdef HOSTED_CPU_READ
    return HOSTED_CPU_READ(pin_depth);
#elif defined(PORT_COUNTS_PINS)
    return (uint32_t)port_pin_depth();
#else
    return 0;
#endif
}

static inline void test_set_pins(uint32_t pins) {
#ifdef HOSTED_CPU_READ
    HOSTED_CPU_WRITE(pin_depth, pins);
#else
    (void)pins;
#endif
}

#endif
