/* SPDX-License-Identifier: MIT */
/*
 * port.h of the smallest port: one CPU, no interrupts, no events. Start here, see docs/PORTING.md.
 */
#ifndef ASHLAR_PORT_H
#define ASHLAR_PORT_H

#include <ashlar/atomic.h>
#include <ashlar/base.h>
#include <ashlar/event.h>

#define ASH_PORT_CPUS_MAX   1u
#define ASH_PORT_CACHE_LINE 64u

typedef uintptr_t ash_irq_t;
struct ash_spinlock {
    uint32_t locked;
};

/* clang-format off */
static inline void ash_port_pin(uint32_t *cpu) { *cpu = 0; }
static inline void ash_port_unpin(void) {}
static inline ash_irq_t ash_port_irq_save(void) { return 0; }
static inline void ash_port_irq_restore(ash_irq_t state) { (void)state; }
static inline void ash_spin_init(struct ash_spinlock *lock) { lock->locked = 0; }
static inline void ash_spin_lock(struct ash_spinlock *lock) { lock->locked = 1; }
static inline bool ash_spin_trylock(struct ash_spinlock *l) { return !l->locked && ++l->locked; }
static inline void ash_spin_unlock(struct ash_spinlock *lock) { lock->locked = 0; }
static inline void ash_port_fence_light(void) {} static inline void ash_port_fence_heavy(void) {}
static inline void ash_port_relax(void) {}
static inline void ash_port_dma_rmb(void) { ash_fence(); }
static inline void ash_port_dma_wmb(void) { ash_fence(); }
static inline void ash_port_dma_mb(void) { ash_fence(); }
static inline uint64_t ash_port_cycles(void) { return 0; }
static inline void ash_port_event(struct ash_event *e, uint64_t a, uint64_t b)
{ (void)e, (void)a, (void)b; }
/* clang-format on */

#endif
