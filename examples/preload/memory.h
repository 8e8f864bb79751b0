/* SPDX-License-Identifier: MIT */
/* memory.h: the heap over the arena. All of it inside an operation (slots.h), but for start. */
#ifndef PRELOAD_MEMORY_H
#define PRELOAD_MEMORY_H

#include <ashlar/heap.h>

extern struct ash_heap memory_heap;

/* Set by memory_start: a debug heap wants to know profile_caller in each operation. */
extern bool memory_notes_callers;

/* Once, before all else. False: no memory. */
bool memory_start(void);

/* This slot's objects go where every slot finds them. */
void memory_flush(void);

/* What has not been needed lately goes back to the arena. */
void memory_reap(void);

/* All that can, goes back to Linux; true: something did. */
bool memory_trim(void);

#endif
