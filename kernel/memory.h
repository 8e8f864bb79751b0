/* SPDX-License-Identifier: MIT */
/*
 * memory.h: the machine's memory: every page frame in one buddy, the kernel's heap over it.
 *
 * The buddy's notes and the heap's page map are carved out of the largest range; what is left is
 * handed out. The page map covers all addresses from the first range to the end of the last one, at
 * two bytes a page, holes too: so a bank that lies far from the others is left out where it holds
 * less than its hole would cost (0.5 MiB a GiB).
 */
#ifndef KERNEL_MEMORY_H
#define KERNEL_MEMORY_H

#include <ashlar/bits.h>
#include <ashlar/buddy.h>
#include <ashlar/heap.h>

#include "allocator.h"
#include "platform.h"

enum {
    MEMORY_RANGES_MAX = 32,
    /* Below this the kernel does not start: heap, disk queue, file window and shell want it. */
    MEMORY_MIN_BYTES = 768 << 10,
};

/* How the CPU sees the frames: platform_pointer and platform_address, or a test's. */
struct memory_view {
    void *(*pointer)(ash_paddr_t address);
    ash_paddr_t (*address)(const void *pointer);
};

/* A slab cache of one kind of object of the kernel's. */
struct memory_cache {
    struct ash_slab_cache slabs;
    struct allocator allocator; /* gives objects, for sizes up to theirs */
    const char *name;
    size_t size_bytes;
    struct memory_cache *next;
};

/*
 * Low memory. The buddy tells once when fewer than low_pages are free, and again after more than
 * high_pages were. That is from within some allocation, perhaps one that a slab cache makes, which
 * must not be called again then: so it is only noted, and memory_relieve, called where no cache is
 * at work, takes back what the caches do not need.
 */
struct memory_low {
    uint64_t low_pages, high_pages; /* the watermarks */
    uint32_t is_noted;
    uint64_t calls, pages; /* of the buddy; that went back */
};

/* What the kernel's slab caches check; begins as all zeroes: the plain profile. */
struct memory_profile {
    uint32_t flags; /* 0, ASH_SLAB_HARDENED or ASH_SLAB_DEBUG */
    uint64_t seed;  /* hardened: of the order of objects */
};

struct kernel_memory {
    struct ash_buddy buddy;
    struct ash_page_source source;
    struct ash_heap heap;
    char heap_storage[ASH_HEAP_STORAGE_SIX] __attribute__((aligned(ASH_PORT_CACHE_LINE)));
    struct allocator allocator;  /* the heap as an interface */
    struct memory_cache *caches; /* of the kernel's objects */
    struct memory_cache threads; /* one of them, threads_init's */
    struct memory_low low;
    /* Gives back pages that are only kept in case somebody wants them again; how many. Called with
     * any mutex held: it waits for none. NULL: nobody keeps any. */
    uint32_t (*trim)(void);
    struct memory_view view;
    struct memory_profile profile;
    struct platform_range ranges[MEMORY_RANGES_MAX]; /* those that are used */
    uint32_t range_count;
    uint64_t total_bytes;   /* of these ranges */
    uint64_t storage_bytes; /* of these, the notes and the map */
};

/*
 * ranges: page-aligned, sorted, not overlapping, at most MEMORY_RANGES_MAX. *memory must stay where
 * it is. profile: NULL is plain. -ASH_ENOMEM: less than MEMORY_MIN_BYTES would be left;
 * -ASH_EINVAL: bad ranges.
 */
int memory_init(struct kernel_memory *memory, const struct platform_range *ranges, uint32_t count,
                const struct memory_view *view,
                const struct memory_profile *profile) ASH_MUST_CHECK;

/* "plain", "hardened" or "debug" to the flags of a profile; false: another word. */
bool memory_profile_flags(const char *word, uint32_t *flags);
const char *memory_profile_word(uint32_t flags);

/* Of debug caches: the kernel's functions that asked, without the allocators' own. */
extern const struct ash_slab_trace memory_trace;

/* 2^order pages, or NULL: also the caches, and who keeps pages, have no more to give back. */
void *memory_pages_alloc(struct kernel_memory *memory, uint32_t order) ASH_MUST_CHECK;
void memory_pages_free(struct kernel_memory *memory, void *pages, uint32_t order);

/* The order whose blocks hold so many bytes. */
static inline uint32_t memory_order_of(uint64_t bytes) {
    return ash_log2_ceil((bytes + ASH_PAGE_SIZE - 1) >> ASH_PAGE_SHIFT);
}

/* The address at which a device sees [pointer, pointer + len); UINT64_MAX if it is not one piece of
 * one of the ranges. */
ash_paddr_t memory_dma_address(const struct kernel_memory *memory, const void *pointer, size_t len);

/*
 * Makes a cache of the kernel's own objects, which `slab` shows and `check` audits from then on,
 * for ever. Aligned to 16 bytes, or to ASH_PORT_CACHE_LINE where the size is a multiple of that.
 * *cache and *name stay where they are. -ASH_EINVAL: a bad size.
 */
int memory_cache_init(struct memory_cache *cache, struct kernel_memory *memory, const char *name,
                      size_t size_bytes) ASH_MUST_CHECK;

/* Every slab cache of the kernel, those of the heap first, from 0 on; NULL beyond the last. */
struct ash_slab_cache *memory_slab_cache(struct kernel_memory *memory, uint32_t index);

/* Low memory, if it has been noted: takes back what the caches do not need. By whoever comes first,
 * in no allocation. */
void memory_relieve(struct kernel_memory *memory);

/*
 * For a CPU that has had nothing to do for a while: its magazines go to where all CPUs find them,
 * and what nobody has needed since the last time goes back to the page frames.
 */
void memory_idle(struct kernel_memory *memory);

/* The first broken invariant of the heap or a cache, or NULL; memory_check: or of the buddy. */
const char *memory_caches_check(struct kernel_memory *memory);
const char *memory_check(struct kernel_memory *memory);

#endif
