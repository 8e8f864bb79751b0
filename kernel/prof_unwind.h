/* SPDX-License-Identifier: MIT */
/*
 * prof_unwind.h: the caller of the interrupted function where frame records do not tell it: in
 * prologues, epilogues and functions without a frame, by the call frame information of the code
 * that runs (platform_code_frames, <ashlar/prof_cfi.h>).
 *
 * Rules
 *  - open and close are a thread's, while nothing is sampled by it; apply is any handler's.
 *  - Functions of the process's libraries keep no frame records: whoever is interrupted in one has
 *    as its caller the kernel's function that called the library; those between are left out.
 */
#ifndef KERNEL_PROF_UNWIND_H
#define KERNEL_PROF_UNWIND_H

#include <ashlar/prof_cfi.h>

#include "memory.h"
#include "platform/sample.h"

enum { PROF_UNWIND_CODES_MAX = 16 };

struct prof_unwind_index {
    struct ash_prof_cfi_function *functions; /* NULL: there is none */
    uint32_t order;                          /* of its pages */
};

struct prof_unwind {
    struct kernel_memory *memory;
    uint32_t count;
    struct prof_unwind_code {
        uint64_t start, end;
        struct ash_prof_cfi cfi;
        struct prof_unwind_index index;
    } codes[PROF_UNWIND_CODES_MAX];
};

/* 0, also where the platform has no such information; -ASH_ENOMEM: then *unwind is closed. */
int prof_unwind_open(struct prof_unwind *unwind, struct kernel_memory *memory) ASH_MUST_CHECK;
void prof_unwind_close(struct prof_unwind *unwind);

/* An index for *cfi, so that asking it is O(log functions). -ASH_ENOMEM: it has none. */
int prof_unwind_index_make(struct prof_unwind_index *index, struct ash_prof_cfi *cfi,
                           struct kernel_memory *memory) ASH_MUST_CHECK;
void prof_unwind_index_free(struct prof_unwind_index *index, struct kernel_memory *memory);

/*
 * *kernel is that of the sample, with its stack's limits: it becomes ASH_PROF_LINK_LIVE where the
 * caller is known, else it stays as it is. O(log functions), and one function's program, of each
 * function up to the kernel's.
 */
void prof_unwind_apply(const struct prof_unwind *unwind, const struct platform_sample *sample,
                       struct ash_prof_registers *kernel);

#endif
