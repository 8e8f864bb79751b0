/* SPDX-License-Identifier: MIT */
/*
 * churn.h: what a CPU does to make life hard for a cache that it shares: everything that the
 * interface has, at random, with objects handed from CPU to CPU. The objects are written plainly,
 * so that a hand-over without an order of memory is a race that ThreadSanitizer sees.
 */
#ifndef ASHLAR_TEST_CHURN_H
#define ASHLAR_TEST_CHURN_H

#include "harness/test.h"
#include "slab/fake_pages.h"

enum { CHURN_CPUS = 4, CHURN_RING = 32 };

struct churn {
    struct fake_pages *pages;
    struct ash_slab_cache cache;
    struct ash_slab_cache short_lived[CHURN_CPUS]; /* each CPU makes and unmakes its own */
    uint64_t *ring[CHURN_RING];                    /* given away, to be taken by anybody */
    uint64_t seed;
    uint32_t steps, magazine_objects, flags;
    bool turns; /* gives its turn away between steps: for the deterministic machine */
};

struct churn *churn_new(uint32_t page_count, uint32_t steps, uint32_t magazine_objects,
                        uint32_t flags);
void churn_begin(struct churn *churn); /* makes the cache: once by churn_new, again after finish */
void churn_body(void *churn, uint32_t cpu);

/* What is in the ring goes back; nothing may be left, and the cache goes. */
void churn_finish(struct churn *churn);

#endif
