/* SPDX-License-Identifier: MIT */
/* prof_look.h: the profile as its readers see it (<ashlar/prof_view.h>): dumped into memory. */
#ifndef KERNEL_PROF_LOOK_H
#define KERNEL_PROF_LOOK_H

#include <ashlar/prof_export.h>
#include <ashlar/prof_view.h>

#include "dump.h"

enum { PROF_LOOK_MESSAGE_BYTES = 128 };

struct prof_look {
    struct kernel_memory *memory;
    struct dump dump;
    uint8_t *bytes; /* the file */
    uint64_t len;
    uint32_t order;
    void *work; /* that somebody asked for; NULL: nobody has */
    uint32_t work_order;
    char message[PROF_LOOK_MESSAGE_BYTES]; /* of what the view refused */
    struct ash_prof_view view;
};

/* NULL, *error: -ASH_ENOMEM; -ASH_ENOENT: there is no profile. */
struct prof_look *prof_look_open(struct kernel_memory *memory, int *error);
void prof_look_close(struct prof_look *look);

/* Memory until prof_look_close, the last one asked for alone. NULL: there is none. */
void *prof_look_work(struct prof_look *look, size_t bytes);

/* The view in a format, as a file of the host. -ASH_ENOMEM; errors of the export, and of
 * platform_host_open and _write. */
int prof_look_export(struct prof_look *look, enum ash_prof_format format,
                     const char *path) ASH_MUST_CHECK;

#endif
