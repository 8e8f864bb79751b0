/* SPDX-License-Identifier: MIT */
/*
 * port.h of qemu-virt: aarch64 bare metal at EL1, up to 8 CPUs. TPIDR_EL1 points to this CPU's
 * struct port_cpu; an interrupt is masked by DAIF.I; locks are LDAXR/STLXR (the compiler's
 * builtins, built without outlined atomics).
 */
#ifndef ASHLAR_PORT_H
#define ASHLAR_PORT_H

#include <ashlar/atomic.h>
#include <ashlar/base.h>
#include <ashlar/event.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_PORT_CPUS_MAX   8u
#define ASH_PORT_CACHE_LINE 64u

typedef uint64_t ash_irq_t; /* DAIF as it was */

struct ash_spinlock {
    uint32_t locked;
};

/* The head of the platform's per-CPU block; setjmp.S knows the offset of pin_depth. */
struct port_cpu {
    uint32_t index;
    uint32_t pin_depth; /* this context stays on this CPU while not 0 */
};

/* Volatile: read again after every point at which the context may have moved. */
static inline struct port_cpu *port_this_cpu(void) {
    struct port_cpu *cpu;
    __asm__ volatile("mrs %0, tpidr_el1" : "=r"(cpu));
    return cpu;
}

static inline void ash_port_compiler_fence(void) {
    __asm__ volatile("" ::: "memory");
}

/* An interrupt between the load and the store of the depth leaves it as it found it. */
static inline void ash_port_pin(uint32_t *cpu) {
    struct port_cpu *this_cpu = port_this_cpu();
    this_cpu->pin_depth++;
    ash_port_compiler_fence();
    *cpu = this_cpu->index;
}

static inline void ash_port_unpin(void) {
    ash_port_compiler_fence();
    port_this_cpu()->pin_depth--;
}

static inline ash_irq_t ash_port_irq_save(void) {
    ash_irq_t daif;
    __asm__ volatile("mrs %0, daif\n\tmsr daifset, #2" : "=r"(daif)::"memory");
    return daif;
}

static inline void ash_port_irq_restore(ash_irq_t daif) {
    __asm__ volatile("msr daif, %0" ::"r"(daif) : "memory");
}

static inline void ash_port_relax(void) {
    __asm__ volatile("yield" ::: "memory");
}

/* No instruction makes another CPU execute a barrier: both sides pay for a full one. */
static inline void ash_port_fence_light(void) {
    ash_fence();
}

static inline void ash_port_fence_heavy(void) {
    ash_fence();
}

static inline void ash_spin_init(struct ash_spinlock *lock) {
    ash_store_relaxed(&lock->locked, 0u);
}

static inline bool ash_spin_trylock(struct ash_spinlock *lock) {
    return ash_exchange(&lock->locked, 1u) == 0;
}

/* Waits on a plain load, so that the waiters leave the line to the holder. */
static inline void ash_spin_lock(struct ash_spinlock *lock) {
    while (ASH_UNLIKELY(!ash_spin_trylock(lock))) {
        while (ash_load_relaxed(&lock->locked) != 0)
            ash_port_relax();
    }
}

static inline void ash_spin_unlock(struct ash_spinlock *lock) {
    ash_store_release(&lock->locked, 0u);
}

/* A device is in the outer shareable domain. Arm ARM B2.3.8. */
static inline void ash_port_dma_rmb(void) {
    __asm__ volatile("dmb oshld" ::: "memory");
}

static inline void ash_port_dma_wmb(void) {
    __asm__ volatile("dmb oshst" ::: "memory");
}

static inline void ash_port_dma_mb(void) {
    __asm__ volatile("dmb osh" ::: "memory");
}

/* Ticks of the virtual counter (CNTFRQ_EL0 a second); not kept from being read early. */
static inline uint64_t ash_port_cycles(void) {
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
}

static inline void ash_port_event(struct ash_event *event, uint64_t a, uint64_t b) {
    if (ASH_UNLIKELY(ash_load_relaxed(&event->enabled)))
        ash_event_emit(event, a, b);
}

#ifdef __cplusplus
}
#endif

#endif
