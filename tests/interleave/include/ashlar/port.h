/* SPDX-License-Identifier: MIT */
/*
 * port.h of a machine that exists to be explored (explore.h): contexts take turns on one thread,
 * and every primitive below, every named load and store too, is a place where the turn may change.
 * Memory is sequentially consistent here: it shows wrong orders of steps, not missing barriers.
 */
#ifndef ASHLAR_PORT_H
#define ASHLAR_PORT_H

#include <ashlar/base.h>
#include <ashlar/event.h>

#define ASH_PORT_CPUS_MAX   3u
#define ASH_PORT_CACHE_LINE 64u

typedef uint32_t ash_irq_t;

struct ash_spinlock {
    uint32_t holder; /* context + 1; 0: free */
};

void interleave_point(void);
uint32_t interleave_pin(void);
void interleave_unpin(void);
uint32_t interleave_irq_save(void);
void interleave_irq_restore(uint32_t depth);
void interleave_lock(uint32_t *holder);
bool interleave_trylock(uint32_t *holder);
void interleave_unlock(uint32_t *holder);
void interleave_relax(void);

/* In the place of <ashlar/atomic.h>. */
#define INTERLEAVED(operation) \
    __extension__({            \
        interleave_point();    \
        operation;             \
    })
#define ash_load_relaxed(p)         INTERLEAVED(__atomic_load_n((p), __ATOMIC_SEQ_CST))
#define ash_load_acquire(p)         ash_load_relaxed(p)
#define ash_load_sequential(p)      ash_load_relaxed(p)
#define ash_store_relaxed(p, value) INTERLEAVED(__atomic_store_n((p), (value), __ATOMIC_SEQ_CST))
#define ash_store_release(p, value) ash_store_relaxed(p, value)
#define ash_count_relaxed(p)        ash_store_relaxed((p), ash_load_relaxed(p) + 1)
#define ash_fetch_add(p, value)     INTERLEAVED(__atomic_fetch_add((p), (value), __ATOMIC_SEQ_CST))
#define ash_exchange(p, value)      INTERLEAVED(__atomic_exchange_n((p), (value), __ATOMIC_SEQ_CST))
#define ash_compare_exchange(p, expected, value)                                           \
    INTERLEAVED(__atomic_compare_exchange_n((p), (expected), (value), 0, __ATOMIC_SEQ_CST, \
                                            __ATOMIC_SEQ_CST))
#define ash_fence()         interleave_point()
#define ash_fence_acquire() interleave_point()
#define ash_fence_release() interleave_point()

#define ash_fence_stores()       interleave_point()
#define ash_load_word(p)         ash_load_relaxed(p)
#define ash_store_word(p, value) ash_store_relaxed(p, value)

#define ash_fetch_add_relaxed(p, value) ash_fetch_add(p, value)
#define ash_fetch_add_local(p, value)   ash_fetch_add(p, value)

static inline void ash_port_compiler_fence(void) {
    __asm__ volatile("" ::: "memory");
}

static inline void ash_port_fence_light(void) {
    interleave_point();
}

static inline void ash_port_fence_heavy(void) {
    interleave_point();
}

static inline void ash_port_dma_rmb(void) {
    interleave_point();
}

static inline void ash_port_dma_wmb(void) {
    interleave_point();
}

static inline void ash_port_dma_mb(void) {
    interleave_point();
}

static inline void ash_port_pin(uint32_t *cpu) {
    *cpu = interleave_pin();
}

static inline void ash_port_unpin(void) {
    interleave_unpin();
}

static inline ash_irq_t ash_port_irq_save(void) {
    return interleave_irq_save();
}

static inline void ash_port_irq_restore(ash_irq_t depth) {
    interleave_irq_restore(depth);
}

static inline void ash_port_relax(void) {
    interleave_relax();
}

static inline void ash_spin_init(struct ash_spinlock *lock) {
    lock->holder = 0;
}

static inline void ash_spin_lock(struct ash_spinlock *lock) {
    interleave_lock(&lock->holder);
}

static inline bool ash_spin_trylock(struct ash_spinlock *lock) {
    return interleave_trylock(&lock->holder);
}

static inline void ash_spin_unlock(struct ash_spinlock *lock) {
    interleave_unlock(&lock->holder);
}

static inline uint64_t ash_port_cycles(void) {
    return 0;
}

static inline void ash_port_event(struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}

#endif
