/* SPDX-License-Identifier: MIT */
/*
 * arena.h: the page frames. One range of addresses is reserved at start, twice the machine's memory
 * and at least 64 GiB; frame n of it lies at base + n pages. Buddies over it are made as they are
 * needed, each as large as all before it, so that a small program pays for the notes of 1 GiB:
 *
 *     base         1 GiB        2            4                         8
 *     |  arena 0   |  arena 1   |  arena 2   |         arena 3         | ...
 *
 * What is freed goes back to Linux later, by the rules of purge.h.
 */
#ifndef PRELOAD_ARENA_H
#define PRELOAD_ARENA_H

#include <ashlar/buddy.h>
#include <ashlar/page_source.h>

#define ARENA_BLOCK_BYTES_MAX (ASH_PAGE_SIZE << ASH_BUDDY_ORDER_MAX)

/* Set once by arena_start. */
extern uintptr_t arena_base;
extern uint64_t arena_bytes;

/* False: not even a small range can be reserved. */
bool arena_start(void);

extern const struct ash_page_source_ops arena_source_ops;

/* True if the last block that the source gave this thread reads as zeros. */
bool arena_last_block_is_zero(void);

/* What purge.c needs. Takes the lowest free block of an order in [from, end), which lies in one
 * arena; puts it back. */
bool arena_take(ash_pfn_t from, ash_pfn_t end, uint32_t order, ash_pfn_t *first);
void arena_put(ash_pfn_t first, uint32_t order);

/* Pages, zero-filled, for the allocator's own notes; NULL: none. Never given back. */
void *arena_map_notes(size_t size_bytes);

/* Memory that is about to be written to as a whole, with the rest of its first and last page: Linux
 * gives it at once, not by a fault a page (from 5.14 on; before, nothing happens). */
void arena_populate(void *base, size_t size_bytes);

#endif
