/* SPDX-License-Identifier: MIT */
/*
 * atomic.h: ordered loads and stores by name, over the compiler's builtins. Any integer or pointer
 * of machine size. A port includes it from its <ashlar/port.h>, or supplies the same names itself
 * (a model checker, a compiler without the builtins); libraries get it only through the port.
 *
 * A store_release is seen by a load_acquire of the same object together with all that was written
 * before it. C11 5.1.2.4.
 */
#ifndef ASHLAR_ATOMIC_H
#define ASHLAR_ATOMIC_H

#include <stdint.h>

/* The thread sanitizer sees no assembly. */
#if defined(__SANITIZE_THREAD__)
#define ASH_ATOMIC_THREADS_WATCHED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define ASH_ATOMIC_THREADS_WATCHED 1
#endif
#endif

#define ash_load_relaxed(p) __atomic_load_n((p), __ATOMIC_RELAXED)
#define ash_load_acquire(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
/* An acquiring load that stays behind every ash_fetch_add, ash_exchange and ash_compare_exchange
 * before it, which an acquiring one need not (Arm's LDAPR). */
#define ash_load_sequential(p)      __atomic_load_n((p), __ATOMIC_SEQ_CST)
#define ash_store_relaxed(p, value) __atomic_store_n((p), (value), __ATOMIC_RELAXED)
#define ash_store_release(p, value) __atomic_store_n((p), (value), __ATOMIC_RELEASE)
#define ash_fetch_add(p, value)     __atomic_fetch_add((p), (value), __ATOMIC_ACQ_REL)
/* For what orders nothing: a count of those who refer to something, going up. */
#define ash_fetch_add_relaxed(p, value) __atomic_fetch_add((p), (value), __ATOMIC_RELAXED)
#define ash_exchange(p, value)          __atomic_exchange_n((p), (value), __ATOMIC_ACQ_REL)
/* *expected is updated on failure; strong. */
#define ash_compare_exchange(p, expected, value) \
    __atomic_compare_exchange_n((p), (expected), (value), 0, __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)
/* Orders every earlier load and store before every later one, store before load included. */
#define ash_fence() __atomic_thread_fence(__ATOMIC_SEQ_CST)
/* Orders earlier loads before what comes later, and what came earlier before later stores. */
#define ash_fence_acquire() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define ash_fence_release() __atomic_thread_fence(__ATOMIC_RELEASE)

/*
 * Relaxed ones of a machine word, where each instruction counts: gcc gives an atomic access of
 * aarch64 no offset, so that two instructions become of one.
 */
#ifdef ASH_ATOMIC_THREADS_WATCHED
#define ash_load_word(p)         ash_load_relaxed(p)
#define ash_store_word(p, value) ash_store_relaxed(p, value)
#else
#define ash_load_word(p)         (*(const volatile __typeof__(*(p)) *)(p))
#define ash_store_word(p, value) ((void)(*(volatile __typeof__(*(p)) *)(p) = (value)))
#endif

/* Orders earlier stores before later ones. */
#if defined(__aarch64__)
#define ash_fence_stores() __asm__ volatile("dmb ishst" ::: "memory")
#else
#define ash_fence_stores() ash_fence_release()
#endif

/*
 * Adds to a uint64_t that this CPU alone writes, its interrupts included, and others read at any
 * time: no interrupt comes between load and store. Returns what was there; orders nothing, but the
 * compiler keeps what comes before it and after it apart.
 */
static inline uint64_t ash_fetch_add_local(uint64_t *p, uint64_t value) {
#if defined(__x86_64__) && !defined(ASH_ATOMIC_THREADS_WATCHED)
    __asm__ volatile("xaddq %0, %1" : "+r"(value), "+m"(*p) : : "memory", "cc");
    return value;
#else
    uint64_t before = ash_fetch_add_relaxed(p, value);
    __asm__ volatile("" ::: "memory");
    return before;
#endif
}

/*
 * Adds 1 to a uint64_t that this CPU alone writes, and others read at any time. A relaxed store of
 * a relaxed load's value says the same, and is not made one instruction by compilers of today.
 */
#if defined(__x86_64__)
#define ash_count_relaxed(p) __asm__ volatile("incq %0" : "+m"(*(p)) : : "cc")
#else
#define ash_count_relaxed(p) ash_store_relaxed((p), *(p) + 1) /* its own: read plainly */
#endif

#endif
