/* SPDX-License-Identifier: MIT */
/* heap_internal.h: what heap.c asks of heap_large.c. */
#ifndef ASHLAR_HEAP_INTERNAL_H
#define ASHLAR_HEAP_INTERNAL_H

#include "slab_internal.h"

/* Of a large block, by its head's entry in the page map. */
static inline size_t ash__heap_block_bytes(uint16_t entry) {
    return ASH_PAGE_SIZE << ash__source_order(entry);
}

/* The first byte of one of the heap's large blocks. */
bool ash__heap_is_large(const struct ash_heap *heap, const void *pointer, uint16_t entry);

/* Takes a large block's mark away, if it still is `entry`: of several at the same time one does. */
bool ash__heap_unmark(struct ash_heap *heap, const void *block, uint16_t entry);

/* Not in a slab of the heap, nor the first byte of one of its large blocks. what: the call. */
void ash__heap_refuse(struct ash_heap *heap, const char *what, const void *pointer, uint16_t entry)
    __attribute__((noreturn, cold));

/* H2 and H3, or NULL. */
const char *ash__heap_check_large(const struct ash_heap *heap);

#endif
