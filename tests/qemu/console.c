/* SPDX-License-Identifier: MIT */
/*
 * Cases that tell, by the reason of a skip, what came over the serial line; tests/boot/console.py
 * names them and knows what it sent.
 */
#include "harness/test.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "platform.h"

static void wait_ms(uint64_t ms) {
    ash_ns_t end_ns = platform_now_ns() + ms * 1000000;
    while (platform_now_ns() < end_ns)
        ash_port_relax();
}

/* The next byte or -ASH_EPIPE, asleep until it comes. */
static int read_waiting(void) {
    int byte;
    ash_irq_t state = ash_port_irq_save();
    while ((byte = platform_console_read()) == -ASH_EAGAIN)
        platform_wait(UINT64_MAX);
    ash_port_irq_restore(state);
    return byte;
}

/* Does not read for a while first: what does not fit the ring must stay where it is. */
TEST_CASE(_console, input_arrives_whole) {
    uint32_t count = 0, hash = 2166136261u; /* FNV-1a */
    wait_ms(30);
    for (int byte; (byte = read_waiting()) >= 0; count++) {
        hash = (hash ^ (uint32_t)byte) * 16777619u;
        if (count % 20000 == 0)
            wait_ms(2);
    }
    CHECK_EQ(platform_console_read(), -ASH_EPIPE);
    test_skip("%u bytes, hash %08x", count, hash);
}

TEST_CASE(_console, terminal_is_told) {
    bool first = platform_console_is_terminal();
    CHECK_EQ(platform_console_is_terminal(), first);
    test_skip("%s, then %d", first ? "terminal" : "no terminal", platform_console_read());
}
