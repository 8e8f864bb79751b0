/* SPDX-License-Identifier: MIT */
/*
 * console.h: where the shell reads its lines and writes its answers: the machine's console, or a
 * script and a buffer in a test. Bytes, no line discipline.
 *
 * Of the machine's any thread may write: who has begun a line ends it before another writes, unless
 * that takes CONSOLE_LINE_NS, or reads, which one thread does, the shell's.
 */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include "wait.h"

#define CONSOLE_LINE_NS UINT64_C(50000000)

struct console {
    void (*write)(void *context, const void *bytes, size_t len);
    /* The next byte, 0..255, waiting for it; -ASH_EPIPE: end of input, for ever. */
    int (*read)(void *context);
    /* The same without waiting: -ASH_EAGAIN when there is none now. */
    int (*poll)(void *context);
    void *context;
    bool is_terminal; /* a person reads along: prompt, echo, editing keys */
};

/* The machine's console, and what is done while it waits for a byte. */
extern struct console kernel_console;
void kernel_console_init(const struct kernel_work *work);

/* Instead of that: input has ended, whatever arrives, and nobody reads along. */
void kernel_console_close_input(void);

/* printf to it: for what is said outside of a shell. Cut, with "...", at 1,023 bytes. */
void kernel_print(const char *format, ...) ASH_PRINTF(1, 2);

#endif
