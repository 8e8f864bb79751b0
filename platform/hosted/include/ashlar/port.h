/* SPDX-License-Identifier: MIT */
/*
 * port.h of the hosted platform: a Linux process. A CPU is a thread that claimed one of
 * ASH_PORT_CPUS_MAX slots; an interrupt is a signal or a simulated one, masked softly: a depth in
 * thread-local storage, what came meanwhile is replayed on the last unmask. No system call on any
 * of these paths.
 */
#ifndef ASHLAR_PORT_H
#define ASHLAR_PORT_H

#include <ashlar/atomic.h>
#include <ashlar/base.h>
#include <ashlar/event_site.h>

#ifdef __cplusplus
extern "C" {
#endif

/* A program that serves more threads at once compiles the parts with a larger number. */
#ifndef ASH_PORT_CPUS_MAX
#define ASH_PORT_CPUS_MAX 8u
#endif
#define ASH_PORT_CACHE_LINE 64u

typedef uint32_t ash_irq_t;

struct ash_spinlock {
    uint32_t locked;
};

/* This thread's CPU. Threads start on CPU 0 until they claim a slot. */
struct hosted_cpu {
    uint32_t index;
    uint32_t irq_depth;   /* masked while not 0 */
    uint32_t irq_pending; /* a bit a line, set also by other threads; replayed on unmask */
    uint32_t pin_depth;   /* this context stays on this CPU while not 0; HOSTED_PREEMPTS only */
    uint32_t fiber;       /* 1: the CPUs of this machine take turns on one thread */
    uint32_t spins;       /* calls of ash_port_relax */
    uint32_t waits;       /* 1: in platform_wait */
};

/* Initial-exec: one load off %fs, no call to __tls_get_addr, also when linked into a plain ELF. */
extern __thread struct hosted_cpu hosted_this_cpu __attribute__((tls_model("initial-exec")));

/*
 * 1: contexts are switched inside interrupts (platform_after_interrupt), so one may go on as
 * another thread of Linux after any instruction. A compiler does not know of that: it keeps the
 * address of a thread's variable for as long as it likes. So each access is one instruction that
 * goes by %fs; on other processors than x86-64, which have none like it, nobody is switched away.
 *
 * 0: for who never sets that hook. A CPU is one thread then; nothing but a handler ever runs in
 * between, and that returns to where it came from. So a pin has nothing to note: an inlined pair of
 * allocate and free takes 1.5 ns instead of 2.2.
 */
#ifndef HOSTED_PREEMPTS
#define HOSTED_PREEMPTS 1
#endif

#if HOSTED_PREEMPTS && defined(__x86_64__)

#define HOSTED_MAY_SWITCH true

/* From the thread's base, the same for all threads; the linker makes a constant of it. */
static inline uintptr_t hosted_cpu_offset(void) {
    uintptr_t offset;
    __asm__("movq hosted_this_cpu@GOTTPOFF(%%rip), %0" : "=r"(offset));
    return offset;
}

#define HOSTED_CPU_FIELD(field) "r"(hosted_cpu_offset()), "i"(offsetof(struct hosted_cpu, field))
#define HOSTED_CPU_READ(field)                     \
    __extension__({                                \
        uint32_t hosted_value_;                    \
        __asm__ volatile("movl %%fs:%c2(%1), %0"   \
                         : "=r"(hosted_value_)     \
                         : HOSTED_CPU_FIELD(field) \
                         : "memory");              \
        hosted_value_;                             \
    })
#define HOSTED_CPU_WRITE(field, value) \
    __asm__ volatile("movl %2, %%fs:%c1(%0)" ::HOSTED_CPU_FIELD(field), "ri"(value) : "memory")
#define HOSTED_CPU_PENDING() HOSTED_CPU_READ(irq_pending)
#define HOSTED_CPU_INCREMENT(field) \
    __asm__ volatile("incl %%fs:%c1(%0)" ::HOSTED_CPU_FIELD(field) : "memory", "cc")
#define HOSTED_CPU_DECREMENT(field) \
    __asm__ volatile("decl %%fs:%c1(%0)" ::HOSTED_CPU_FIELD(field) : "memory", "cc")

/* For who cannot be switched away: masked or pinned. */
static inline struct hosted_cpu *hosted_here(void) {
    uintptr_t base;
    __asm__ volatile("movq %%fs:0, %0" : "=r"(base)::"memory");
    return (struct hosted_cpu *)(base + hosted_cpu_offset());
}

#else

#define HOSTED_MAY_SWITCH false

/* Contexts that switch of themselves may go on as another thread, too. */
static inline struct hosted_cpu *hosted_here(void) {
#if HOSTED_PREEMPTS && defined(__aarch64__)
    uintptr_t base, offset;
    __asm__ volatile("mrs %0, tpidr_el0" : "=r"(base)::"memory");
    __asm__("adrp %0, :gottprel:hosted_this_cpu\n\t"
            "ldr %0, [%0, #:gottprel_lo12:hosted_this_cpu]"
            : "=r"(offset));
    return (struct hosted_cpu *)(base + offset);
#else
    return &hosted_this_cpu;
#endif
}

#define HOSTED_CPU_READ(field)         (hosted_here()->field)
#define HOSTED_CPU_PENDING()           ash_load_relaxed(&hosted_here()->irq_pending)
#define HOSTED_CPU_WRITE(field, value) ((void)(hosted_here()->field = (value)))
#define HOSTED_CPU_INCREMENT(field)    ((void)hosted_here()->field++)
#define HOSTED_CPU_DECREMENT(field)    ((void)hosted_here()->field--)

#endif

static inline bool hosted_irq_is_pending(void) {
    return HOSTED_CPU_PENDING() != 0;
}

/* Runs the handlers of what came while masked, and asks whether to switch. */
void hosted_irq_replay(void);

/* The thread sanitizer keeps signals back until a call of libc: this makes one now and then. */
void hosted_poll(void);

/* Lets another thread run, or another CPU of a deterministic machine have its turn. */
void hosted_yield(void);

static inline void ash_port_compiler_fence(void) {
    __asm__ volatile("" ::: "memory");
}

static inline void ash_port_pin(uint32_t *cpu) {
    if (HOSTED_MAY_SWITCH)
        HOSTED_CPU_INCREMENT(pin_depth);
    *cpu = HOSTED_CPU_READ(index);
    ash_port_compiler_fence();
}

static inline void ash_port_unpin(void) {
    ash_port_compiler_fence();
    if (HOSTED_MAY_SWITCH)
        HOSTED_CPU_DECREMENT(pin_depth);
#ifdef HOSTED_POLLS
    hosted_poll();
#endif
}

static inline ash_irq_t ash_port_irq_save(void) {
    HOSTED_CPU_INCREMENT(irq_depth);
    ash_irq_t depth = HOSTED_CPU_READ(irq_depth) - 1;
    ash_port_compiler_fence();
    return depth;
}

/* Unmasked by the store, the context may be on another CPU behind it: then what was pending on this
 * one has been handled, for that is how it got away. */
static inline void ash_port_irq_restore(ash_irq_t depth) {
    ash_port_compiler_fence();
    HOSTED_CPU_WRITE(irq_depth, depth);
    ash_port_compiler_fence();
    if (depth == 0 && ASH_UNLIKELY(hosted_irq_is_pending()))
        hosted_irq_replay();
}

/* Who spins for long waits for a CPU that Linux does not run: it yields now and then. */
static inline void ash_port_relax(void) {
    HOSTED_CPU_INCREMENT(spins);
    if (HOSTED_CPU_READ(fiber) != 0 || HOSTED_CPU_READ(spins) % 64 == 0)
        hosted_yield();
#if defined(__x86_64__)
    __asm__ volatile("pause" ::: "memory");
#elif defined(__aarch64__)
    __asm__ volatile("yield" ::: "memory");
#endif
}

/* Linux executes the light side's barrier for it, where it can: see hosted_fence_heavy. */
extern uint32_t hosted_fences_are_asymmetric;
void hosted_fence_heavy(void);

static inline void ash_port_fence_light(void) {
    if (ASH_LIKELY(ash_load_relaxed(&hosted_fences_are_asymmetric) != 0))
        ash_port_compiler_fence();
    else
        ash_fence();
}

static inline void ash_spin_init(struct ash_spinlock *lock) {
    ash_store_relaxed(&lock->locked, 0u);
}

static inline bool ash_spin_trylock(struct ash_spinlock *lock) {
    return ash_exchange(&lock->locked, 1u) == 0;
}

void hosted_spin_contended(struct ash_spinlock *lock);

static inline void ash_spin_lock(struct ash_spinlock *lock) {
    if (ASH_UNLIKELY(!ash_spin_trylock(lock)))
        hosted_spin_contended(lock);
}

static inline void ash_spin_unlock(struct ash_spinlock *lock) {
    ash_store_release(&lock->locked, 0u);
}

/* The fake device is a thread of this process: CPU ordering is enough. */
/* clang-format off */
static inline void ash_port_fence_heavy(void) { hosted_fence_heavy(); }
static inline void ash_port_dma_rmb(void) { ash_fence_acquire(); }
static inline void ash_port_dma_wmb(void) { ash_fence_release(); }
static inline void ash_port_dma_mb(void) { ash_fence(); }
/* clang-format on */

static inline uint64_t ash_port_cycles(void) {
#if defined(__x86_64__)
    return __builtin_ia32_rdtsc();
#elif defined(__aarch64__)
    uint64_t count;
    __asm__ volatile("mrs %0, cntvct_el0" : "=r"(count));
    return count;
#else
    return 0;
#endif
}

#ifdef __cplusplus
}
#endif

#endif
