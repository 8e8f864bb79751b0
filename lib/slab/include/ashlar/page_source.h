/* SPDX-License-Identifier: MIT */
/*
 * page_source.h: where the slab allocator gets its pages and asks whose an address is. The owner of
 * the pages (a kernel's glue over its page allocator, a test) fills in the three operations.
 *
 * Rules
 *  - Called with no lock of the slab allocator held, from any CPU, several at a time: the source
 *    does its own locking. It must not call back into the cache or heap that calls it.
 *  - `find` is the ground on which a free stands: the slab allocator reads no header before the
 *    source has said that the address lies in a block of kind ASH_PAGE_SLAB. So it must answer for
 *    every value of a pointer, without dereferencing it: NULL, a stack, a device, unmapped space.
 *
 * A "page" here is ASH_PAGE_SIZE bytes of memory that the CPU can address; a block is 2^order of
 * them in a row.
 */
#ifndef ASHLAR_PAGE_SOURCE_H
#define ASHLAR_PAGE_SOURCE_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* What a block was allocated for. The source stores it at alloc and returns it by find. */
enum ash_page_kind {
    ASH_PAGE_FOREIGN = 0, /* somebody else's: page tables, a driver's buffers */
    ASH_PAGE_SLAB,        /* a slab: its header lies at the base */
    ASH_PAGE_LARGE,       /* one object of ash_kmalloc that is larger than its classes */
};

struct ash_page_block {
    void *base;
    uint32_t order;
    uint8_t kind; /* enum ash_page_kind */
};

struct ash_page_source_ops {
    /* 2^order pages, aligned to their size, contents indeterminate; NULL: none left, or an order
     * beyond what the source has. order: 0..52, where 52 is 2^64 bytes. */
    void *(*alloc)(void *context, uint32_t order, uint8_t kind);

    /* Takes back what alloc returned, with the same order. */
    void (*free)(void *context, void *base, uint32_t order);

    /* True: the address lies anywhere in an allocated block of this source, which is stored to
     * *block. False: it does not, or the block is free. O(1). */
    bool (*find)(void *context, const void *pointer, struct ash_page_block *block);
};

struct ash_page_source {
    const struct ash_page_source_ops *ops;
    void *context; /* passed through */
};

#ifdef __cplusplus
}
#endif

#endif
