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
 * Adds 1 to a uint64_t that this CPU alone writes, and others read at any time. A relaxed store of
 * a relaxed load's value says the same, and is not made one instruction by compilers of today.
 */
#if defined(__x86_64__)
#define ash_count_relaxed(p) __asm__ volatile("incq %0" : "+m"(*(p)) : : "cc")
#else
#define ash_count_relaxed(p) ash_store_relaxed((p), *(p) + 1) /* its own: read plainly */
#endif

#endif
