/* SPDX-License-Identifier: MIT */
/*
 * prof_unsure.h: whether the second frame of a program's stack, its link register, is a caller:
 * asked of the call frame information in the program's file, once sampling has stopped.
 */
#ifndef KERNEL_PROF_UNSURE_H
#define KERNEL_PROF_UNSURE_H

#include <ashlar/prof.h>

#include "memory.h"

/*
 * Stacks whose second frame is one are no longer ASH_PROF_UNSURE; the others are left as they are:
 * who reads them passes over the frame. Reads files; without memory for that, or without the file's
 * word, it is none. Each stack of each task is asked about once: how many that were. (Without
 * memory to note them, more than once.)
 */
uint32_t prof_settle_unsure(struct ash_prof *prof, struct kernel_memory *memory);

#endif
