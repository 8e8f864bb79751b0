/* SPDX-License-Identifier: MIT */
/* dump_internal.h: what the files of the dump share: dump.c gathers, dump_host.c writes. */
#ifndef KERNEL_DUMP_INTERNAL_H
#define KERNEL_DUMP_INTERNAL_H

#include "dump.h"
#include "trace_text.h"

/* What a dump lists, apart from names. */
struct dump_room {
    struct ash_prof_part parts[DUMP_PARTS_MAX];
    struct ash_prof_task tasks[TRACE_NAMES_MAX + 1];
    struct ash_prof_trace traces[ASH_PORT_CPUS_MAX];
};

/* with_programs: reads their functions from the disk. -ASH_ENOMEM. */
int dump_book_make(struct dump_book *book, struct kernel_memory *memory,
                   bool with_programs) ASH_MUST_CHECK;
void dump_book_free(struct dump_book *book);

/* Lists the parts of dump->what, whose book is made or has no pages. */
void dump_fill(struct dump *dump, struct dump_room *room, const char *reason, bool in_panic);

#endif
