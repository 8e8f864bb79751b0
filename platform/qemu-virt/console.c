/* SPDX-License-Identifier: MIT */
/*
 * console.c: the console of platform.h over the UART. A serial line has no end of file and does not
 * say whether a person is at its other end; whoever feeds it (tools/qemu-run) says both in-band:
 *
 *   0x10 0x04   end of input       0x10 't'   a terminal is attached, sent first
 *   0x10 0x10   the byte 0x10      0x10 0x00  nothing
 *   0x10 and anything else: both bytes, as they came
 *
 * A byte that comes before uart_init may be lost, should somebody have left the FIFO on: turning it
 * off empties it. So the feeder begins with 0x10 0x00, and a first byte 0x00, the rest of that, is
 * nothing too.
 */
#include <ashlar/error.h>

#include "platform.h"
#include "timer.h"
#include "uart.h"

enum { ESCAPE = 0x10, NOTHING = 0x00, NONE = -1, TERMINAL_WAIT_MS = 250, PIECE_BYTES = 64 };

static struct {
    bool is_begun;   /* a byte has come */
    bool is_escaped; /* the last byte was ESCAPE */
    bool is_ended;
    bool is_terminal;
    bool is_decided; /* the first byte has come, or did not in time: is_terminal stays as it is */
    int held;        /* decoded already, to be read next; NONE */
} console = {.held = NONE};

/* Interrupts are masked for no longer than a piece takes. */
void platform_console_write(const void *bytes, size_t len) {
    const char *next = bytes;
    while (len != 0) {
        size_t piece = len < PIECE_BYTES ? len : PIECE_BYTES;
        uart_write(next, piece);
        next += piece;
        len -= piece;
    }
}

/* The next byte of input, NONE, or -ASH_EPIPE. */
static int decode(void) {
    for (int byte; !console.is_ended && (byte = uart_read()) >= 0;) {
        bool is_first = !console.is_begun;
        console.is_begun = true;
        if (!console.is_escaped) {
            console.is_escaped = byte == ESCAPE;
            if (console.is_escaped || (is_first && byte == NOTHING))
                continue;
            return byte;
        }
        console.is_escaped = false;
        if (byte == NOTHING)
            continue;
        if (byte == ESCAPE)
            return ESCAPE;
        if (byte == 't') {
            console.is_terminal = true;
            continue;
        }
        if (byte != 0x04) {
            console.held = byte;
            return ESCAPE;
        }
        console.is_ended = true;
    }
    return console.is_ended ? -ASH_EPIPE : NONE;
}

int platform_console_read(void) {
    int byte = console.held;
    console.held = NONE;
    if (byte == NONE)
        byte = decode();
    return byte == NONE ? -ASH_EAGAIN : byte;
}

/* The word of the other end may be under way still: gives it a moment, once. */
bool platform_console_is_terminal(void) {
    ash_ns_t deadline_ns = platform_now_ns() + TERMINAL_WAIT_MS * UINT64_C(1000000);
    while (!console.is_decided) {
        int byte = console.held == NONE ? decode() : NONE;
        if (byte >= 0)
            console.held = byte;
        console.is_decided = console.is_terminal || console.is_ended || console.held != NONE ||
                             platform_now_ns() >= deadline_ns;
    }
    return console.is_terminal;
}
