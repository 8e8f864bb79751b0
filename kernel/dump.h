/* SPDX-License-Identifier: MIT */
/*
 * dump.h: the trace and the profile as a container (<ashlar/prof_file.h>): with the events, the
 * threads and processes, and the functions of the kernel and of the programs.
 *
 *     struct dump dump;
 *     dump_begin(&dump, memory, DUMP_TRACE)     the trace is paused
 *     dump_write(&dump, write, context)         dump_bytes(&dump) in all
 *     dump_end(&dump)                           it goes on
 *
 * Rules
 *  - A thread's, but for dump_panic. One at a time: another thread's begins when this has ended.
 *  - What is written lies in memory as it is: only names are gathered.
 */
#ifndef KERNEL_DUMP_H
#define KERNEL_DUMP_H

#include <ashlar/prof_file.h>

#include "memory.h"
#include "shell.h"

enum dump_what { DUMP_TRACE = 1, DUMP_PROFILE = 2 }; /* or both */

enum { DUMP_PARTS_MAX = 512, DUMP_TEXT_BYTES = 2048 };

/* Names and places; private. */
struct dump_book {
    void *pages; /* NULL: it is only measured */
    uint32_t order;
    struct kernel_memory *memory;
    char *strings;
    struct ash_prof_event *events;
    struct ash_prof_image *images;
    struct ash_prof_symbol *symbols;
    uint32_t string_bytes, event_count, image_count, symbol_count; /* used */
    uint32_t string_room, event_room, image_room, symbol_room;
    uint32_t group_ends[ASH_PROF_FILE_SYMBOLS_MAX]; /* of an image's symbols: where they end */
    uint32_t group_count;
};

struct dump {
    struct dump_book book;
    struct ash_prof_part *parts; /* these three: in room of dump.c's */
    struct ash_prof_task *tasks;
    struct ash_prof_file_header clocks;
    struct ash_prof_trace *traces;
    uint32_t part_count;
    uint32_t what;
    char text[DUMP_TEXT_BYTES];
};

/* -ASH_ENOMEM. */
int dump_begin(struct dump *dump, struct kernel_memory *memory, uint32_t what) ASH_MUST_CHECK;
uint64_t dump_bytes(const struct dump *dump);
int dump_write(const struct dump *dump, int (*write)(void *context, const void *bytes, size_t len),
               void *context) ASH_MUST_CHECK;
void dump_end(struct dump *dump);

/* To a file on the host; where nobody serves files, on the console (base64 between two lines, which
 * ash-trace finds in a log). Says what was written, or what went wrong; a command's status. */
int dump_to_host(struct shell *shell, const char *command, const char *path, uint32_t what);

/* Gathers what a dump in a panic cannot: once. Without the memory for it such a dump has no names
 * of functions. From now on a panic while the trace runs leaves `ashlar-panic.ash`. */
void dump_prepare(struct kernel_memory *memory);

#endif
