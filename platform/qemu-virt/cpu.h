/* SPDX-License-Identifier: MIT */
/*
 * cpu.h: the per-CPU block behind TPIDR_EL1 and the CPU's stacks. Also read by assembly, which
 * knows the offsets below.
 *
 *   stacks of one CPU, upwards:  guard | exception stack | guard | stack
 *
 * The guards are never mapped. Code runs on the stack, interrupt handlers on top of what they
 * interrupt; the exception stack takes only the report of an overflow of the other.
 */
#ifndef QEMU_VIRT_CPU_H
#define QEMU_VIRT_CPU_H

#define CPU_INDEX               0
#define CPU_EXCEPTION_STACK_TOP 8
#define CPU_STACK_TOP           16

#define CPU_GUARD_BYTES           4096
#define CPU_EXCEPTION_STACK_BYTES 8192
#define CPU_STACK_BYTES           131072

/* Both stacks of a CPU, each above its guard. */
#define CPU_STACKS_BYTES (2 * CPU_GUARD_BYTES + CPU_EXCEPTION_STACK_BYTES + CPU_STACK_BYTES)

#ifndef __ASSEMBLER__

#include <ashlar/base.h>
#include <ashlar/port.h>

struct interrupted;

/* What the handlers that run have interrupted; 0: none runs. */
enum cpu_interrupts {
    CPU_INTERRUPTS_NOTHING,
    CPU_INTERRUPTS_KERNEL,
    CPU_INTERRUPTS_USER,
    CPU_INTERRUPTS_WAIT,
};

struct cpu {
    uint32_t index;
    uint32_t midr;
    uint64_t exception_stack_top;
    uint64_t stack_top;
    uint64_t mpidr;        /* affinity fields only */
    uint64_t gic_frame;    /* GICv3: this CPU's redistributor */
    uint32_t in_interrupt; /* not 0 inside a handler: no longjmp out of it */
    uint32_t is_online;    /* store-released by the CPU itself */
    uint32_t is_stopped;   /* the same, for good */
    uint32_t call_state;   /* of platform_interrupt_cpu: smp.c */
    void (*call_handler)(void *context);
    void *call_context;
    const struct interrupted *interrupted; /* by the handlers that run; NULL: a wait */
    const uint64_t *dispatch_record;       /* the frame record of who called them */
    ash_ns_t timer_deadline_ns;            /* of platform_timer_arm; UINT64_MAX: none */
    void (*timer_handler)(void *context);
    void *timer_context;
    uint64_t ttbr0;      /* the translation of programs that it has; 0: none */
    uint32_t job_wanted; /* number of the job to run; store-released by the giver */
    uint32_t job_done;   /* number of the last job run; store-released by the CPU */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

_Static_assert(offsetof(struct cpu, index) == CPU_INDEX, "start.S");
_Static_assert(offsetof(struct cpu, exception_stack_top) == CPU_EXCEPTION_STACK_TOP, "vectors.S");
_Static_assert(offsetof(struct cpu, stack_top) == CPU_STACK_TOP, "start.S");

struct cpu_stacks {
    char exception_guard[CPU_GUARD_BYTES];
    char exception_stack[CPU_EXCEPTION_STACK_BYTES];
    char guard[CPU_GUARD_BYTES];
    char stack[CPU_STACK_BYTES];
};

_Static_assert(sizeof(struct cpu_stacks) == CPU_STACKS_BYTES, "start.S");

extern struct cpu cpus[ASH_PORT_CPUS_MAX];
extern struct cpu_stacks cpu_stacks[ASH_PORT_CPUS_MAX];

/* For who is pinned or has masked interrupts: of anybody else it may be another CPU's by now. */
static inline struct cpu *cpu_this(void) {
    struct cpu *cpu;
    __asm__ volatile("mrs %0, tpidr_el1" : "=r"(cpu));
    return cpu;
}

/* Fills in the block of CPU `index`; its stacks are the index-th. */
void cpu_init(uint32_t index, uint64_t mpidr);

#endif
#endif
