/* SPDX-License-Identifier: MIT */
/*
 * base.h: the few words that every part shares: scalar types with a meaning, attributes, and
 * alignment arithmetic. No state, no platform; every header of the project may include it.
 *
 * Rules
 *  - Physical and virtual addresses never mix: ash_paddr_t is what a device or an MMU sees, a
 *    pointer is what the CPU dereferences. Only the owner of the memory converts one to the other.
 *  - A page frame is ASH_PAGE_SIZE bytes of physical memory, numbered by ash_pfn_t (address /
 *    ASH_PAGE_SIZE). "Page" in this project means a page frame or a power-of-two run of them. A
 *    kernel with larger ones compiles all parts with -DASH_PAGE_SHIFT=14u or 16u.
 */
#ifndef ASHLAR_BASE_H
#define ASHLAR_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if UINTPTR_MAX != UINT64_MAX
#error "ashlar is for processors with 64-bit pointers"
#endif

typedef uint64_t ash_paddr_t; /* physical (bus) address, bytes */
typedef uint64_t ash_pfn_t;   /* page frame number */
typedef uint64_t ash_ns_t;    /* time or span of time, nanoseconds */

#ifndef ASH_PAGE_SHIFT
#define ASH_PAGE_SHIFT 12u
#endif
#define ASH_PAGE_SIZE ((size_t)1 << ASH_PAGE_SHIFT)

#define ASH_MUST_CHECK   __attribute__((warn_unused_result))
#define ASH_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define ASH_LIKELY(x)    __builtin_expect(!!(x), 1)
#define ASH_UNLIKELY(x)  __builtin_expect(!!(x), 0)

/* A function that is called all the time and is short: it begins a line, so that it is fetched
 * whole. Two such calls took 3.3 ns where the linker happened to put them, and take 2.5 so. */
#define ASH_HOT_ENTRY __attribute__((aligned(64)))

#define ASH_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

/* The struct that holds `pointer` as its field `member`. */
#define ASH_CONTAINER_OF(pointer, type, member) \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

/*
 * An option that is a macro of value 0 or 1, for use in a plain `if`: both branches are compiled,
 * so the one that is off cannot rot.
 */
#define ASH_ENABLED(option) ((option) != 0)

/* True for 1, 2, 4 ...; false for 0. */
static inline bool ash_is_pow2(uint64_t x) {
    return x != 0 && (x & (x - 1)) == 0;
}

/* x rounded down or up to a multiple of align, a power of two. Up wraps to 0 past UINT64_MAX:
 * use ash_align_up_checked (checked.h) on sizes that come from outside. */
static inline uint64_t ash_align_down(uint64_t x, uint64_t align) {
    return x & ~(align - 1);
}

static inline uint64_t ash_align_up(uint64_t x, uint64_t align) {
    return (x + align - 1) & ~(align - 1);
}

static inline bool ash_is_aligned(uint64_t x, uint64_t align) {
    return (x & (align - 1)) == 0;
}

static inline uint64_t ash_min_u64(uint64_t a, uint64_t b) {
    return a < b ? a : b;
}

static inline uint64_t ash_max_u64(uint64_t a, uint64_t b) {
    return a > b ? a : b;
}

#endif
