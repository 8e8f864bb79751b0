/* SPDX-License-Identifier: MIT */
/*
 * terminal.h: the machine's console as programs have it: lines that can be corrected while they are
 * typed, keys that send signals, or bytes as they come (POSIX.1-2017, 11).
 *
 *     console ── terminal_serve, the shell's thread ──> line ──> input ── read() ──> programs
 *
 * Rules
 *  - The console is the shell's. While it waits for programs it serves the terminal. What nobody
 *    asks for of a script, which is no terminal, is left to the shell: as lines of a script that
 *    programs read.
 *  - Programs write through to the console.
 */
#ifndef KERNEL_TERMINAL_H
#define KERNEL_TERMINAL_H

#include "console.h"
#include "open_file.h"
#include "wait_queue.h"

enum {
    TERMINAL_INPUT_BYTES = 4096,
    TERMINAL_LINE_BYTES = 1024, /* more is not taken; the bell rings */
};

/* Linux's struct termios as ioctl has it, and what of it is followed. */
enum {
    TERMINAL_CONTROLS = 19,
    TERMINAL_ICRNL = 0400, /* input: CR is NL */
    TERMINAL_ISIG = 01,    /* local: keys send signals */
    TERMINAL_ICANON = 02,  /* lines */
    TERMINAL_ECHO = 010,
    TERMINAL_INTERRUPT = 0, /* controls: numbers of keys */
    TERMINAL_QUIT = 1,
    TERMINAL_ERASE = 2,
    TERMINAL_KILL = 3,
    TERMINAL_EOF = 4,
};

struct terminal_modes {
    uint32_t input, output, control, local;
    uint8_t line;
    uint8_t keys[TERMINAL_CONTROLS];
};

_Static_assert(sizeof(struct terminal_modes) == 36, "Linux's struct termios");

/* Requests of ioctl that a terminal knows; the argument is of the type behind. */
enum {
    TERMINAL_GET_MODES = 0x5401, /* struct terminal_modes */
    TERMINAL_SET_MODES = 0x5402, /* the same: now, ... */
    TERMINAL_SET_MODES_DRAIN = 0x5403,
    TERMINAL_SET_MODES_FLUSH = 0x5404, /* ... and what was typed is forgotten */
    TERMINAL_GET_SIZE = 0x5413,        /* uint16_t[4]: rows, columns, 0, 0 */
    TERMINAL_GET_COUNT = 0x541b,       /* int32_t: bytes that can be read */
};

struct terminal {
    struct console *console;
    struct mutex mutex; /* of all below */
    struct wait_queue readers;
    struct terminal_modes modes;
    uint32_t wanted;      /* reads that wait: also read without the mutex */
    uint32_t first, used; /* input; used: also read without the mutex */
    bool is_over;         /* there will be nothing more */
    uint32_t line_len;
    uint8_t line[TERMINAL_LINE_BYTES];
    uint16_t input[TERMINAL_INPUT_BYTES]; /* a byte, or that a read ends here */
};

/* In lines, with echo and keys that send signals. *console outlives it. */
void terminal_init(struct terminal *terminal, struct console *console);

/* An open file, for reading and writing. -ASH_ENOMEM. */
int terminal_open(struct terminal *terminal, uint32_t flags, const struct allocator *allocator,
                  struct open_file **file) ASH_MUST_CHECK;

/* What terminal_serve asks and tells. */
struct terminal_job {
    bool (*is_done)(void *context); /* as a condition of kernel_wait; when it has become true
                                       outside of an interrupt: kernel_wait_look */
    void (*on_key)(void *context, uint32_t key); /* TERMINAL_INTERRUPT, TERMINAL_QUIT */
    void *context;
};

/* By the console's thread: until the job is done. */
void terminal_serve(struct terminal *terminal, const struct terminal_job *job);

#endif
