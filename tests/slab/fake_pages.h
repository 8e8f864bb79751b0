/* SPDX-License-Identifier: MIT */
/*
 * fake_pages.h: a page source for the slab's tests, over the harness's memory. It knows every
 * block, fails when told to, fills new blocks with a pattern, and panics at a free that is not
 * exact.
 */
#ifndef ASHLAR_TEST_FAKE_PAGES_H
#define ASHLAR_TEST_FAKE_PAGES_H

#include <ashlar/heap.h>

struct fake_frame {
    uint32_t first; /* of its block */
    uint8_t order;
    bool used;
};

struct fake_pages {
    struct ash_page_source source;
    struct ash_spinlock lock;
    char *base;
    uint32_t pages;
    struct fake_frame *frames;
    uint32_t used;             /* pages in blocks */
    uint64_t calls;            /* of alloc */
    uint64_t refused;          /* of these, the ones that found nothing */
    uint64_t fail_at;          /* the alloc call, counted from 1, that finds nothing; 0: none */
    uint64_t fail_count;       /* how many from that one on */
    uint32_t offset_bytes;     /* added to what alloc returns: a source that breaks its contract */
    void (*meanwhile)(void *); /* what another CPU does while alloc works, once; or NULL */
    void *meanwhile_context;
    struct ash_spinlock *watched; /* must be free whenever an operation is called, or NULL */
    bool watched_was_held;
};

/* `pages` pages, from the harness's memory; aligned so that every block is aligned to its size. */
struct fake_pages *fake_pages_new(uint32_t pages);

/* Allocates a block for the test itself. */
void *fake_pages_alloc(struct fake_pages *pages, uint32_t order);

#endif
