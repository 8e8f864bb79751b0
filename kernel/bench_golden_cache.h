/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_cache.h: a cache of <ashlar/cache.h> over a device that keeps what it is given until
 * it is told to end it, and moves no byte. What the library's calls cost is so counted to the
 * instruction: all that runs until they return, the device's dozen for each I/O included.
 */
#ifndef KERNEL_BENCH_GOLDEN_CACHE_H
#define KERNEL_BENCH_GOLDEN_CACHE_H

#include "memory.h"

enum { GOLDEN_CACHE_BATCH = 32 };

struct golden_cache;

/* NULL: no memory. shared: as if several CPUs used it. ahead: it reads ahead. */
struct golden_cache *golden_cache_new(struct kernel_memory *memory, const char *policy, bool shared,
                                      bool ahead);
void golden_cache_free(struct golden_cache *cache); /* NULL is ignored */

/* What each returns contains `overhead` once. */
typedef uint32_t golden_cache_fn(struct golden_cache *cache, uint32_t overhead);

/* get and put of a block that was asked for before, but is not the last one that was. */
golden_cache_fn golden_cache_hit;
/* peek and peek_valid of such a block. */
golden_cache_fn golden_cache_peek;
/* get of a block that is not there, so that a clean one is evicted; complete of its read; put. */
golden_cache_fn golden_cache_miss;
/* The same for GOLDEN_CACHE_BATCH blocks side by side, all asked for before one pump. */
golden_cache_fn golden_cache_miss_batch;
/* The next GOLDEN_CACHE_BATCH blocks of a file, one after another: get, complete, put. */
golden_cache_fn golden_cache_sequential;
/* get to write and put_dirty, of a clean block that is there. */
golden_cache_fn golden_cache_write;
/* A flush of GOLDEN_CACHE_BATCH dirty blocks, its I/Os completed: side by side, or none next to
 * another. */
golden_cache_fn golden_cache_flush;
golden_cache_fn golden_cache_flush_scattered;

#endif
