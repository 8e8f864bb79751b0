/* SPDX-License-Identifier: MIT */
/*
 * thread_internal.h: what the files of the threads share.
 *
 *     threads.c          the machine: start, end, alone, check
 *     thread.c           create, exit, what is left behind, the table of numbers
 *     thread_dispatch.c  one CPU: decide, switch, timer, interrupts, idle
 *     thread_wake.c      waiting and waking; placement, stealing
 *     wait.c             kernel_wait     wait_queue.c     mutex.c
 *
 * Locks, taken in this order, all with interrupts masked
 *  - threads.conditionals_lock: who waits in kernel_wait
 *  - a wait queue's (a mutex has one)
 *  - threads.lock: the table
 *  - threads.lenders_lock: who waits for a mutex whose owner sleeps
 *  - a CPU's, the lower number's first: its scheduler, `running`, sleepers, dead. It is held across
 *    a switch of contexts, and released by the one that was switched to: so nobody takes a thread
 *    away, or frees it, before its registers are saved.
 */
#ifndef KERNEL_THREAD_INTERNAL_H
#define KERNEL_THREAD_INTERNAL_H

#include <ashlar/atomic.h>
#include <ashlar/list.h>
#include <ashlar/port.h>
#include <ashlar/rbtree.h>

#include "mutex.h"
#include "thread.h"
#include "wait.h"

struct thread {
    struct ash_sched_entity entity; /* first: what decide says is the thread */
    struct platform_context context;
    uint32_t id;
    uint32_t is_waiting; /* its context cannot go on: written 1 by itself, 0 by who wakes it */
    uint32_t should_stop;
    bool is_asleep;        /* so is its entity: under the CPU's lock */
    uint32_t is_stoppable; /* it sleeps for time alone */
    bool has_ended;        /* under the table's lock */
    char name[THREAD_NAME_BYTES];
    struct ash_rbtree_node sleeper; /* of its CPU's, by wake_at_ns */
    ash_ns_t wake_at_ns;
    bool is_late;            /* that time has come, and ended its wait */
    struct ash_list node;    /* of the wait queue that it is on, or of the dead */
    struct mutex *waits_for; /* it lends its turns to the owner */
    struct ash_list lenders; /* threads that will, once this one is awake */
    uint32_t has_lenders;    /* maybe */
    struct ash_list lender;  /* of one of these */
    bool is_next;            /* of a mutex's waiters: under its lock */
    uint32_t mutexes;        /* that it owns; constant while it waits */
    void (*body)(void *context);
    void *body_context;
    struct process *process; /* that it runs, or NULL */
    void *stack, *pages;
    uint32_t pages_order;
};

struct thread_cpu {
    struct ash_spinlock lock;
    uint32_t resched; /* decide again; set by anybody */
    uint32_t number;
    struct thread *running; /* whose context runs; NULL: the CPU's own, which idles */
    struct thread *turn;    /* whose turn it is, which may be lent */
    struct platform_context own;
    struct ash_sched sched;
    threads_observer *observer; /* NULL: nobody */
    void *observer_context;
    void *storage; /* of sched */
    uint32_t storage_order;
    struct ash_rbtree_cached sleepers;
    struct ash_list dead;
    ash_ns_t armed_ns;   /* when the timer comes */
    ash_ns_t retry_ns;   /* of an interrupt that finds a pin */
    ash_ns_t offered_ns; /* when an idle CPU was last told that something waits here */
    ash_ns_t idle_since_ns, idle_ns;
    uint64_t switches, steals;
    uint64_t preemptions, deferrals; /* written without the lock, by this CPU */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

struct threads {
    struct thread_cpu cpus[ASH_PORT_CPUS_MAX];
    struct ash_sched_cpus scheds;
    uint32_t cpu_count;      /* 0: no threads run */
    uint32_t leaving;        /* the CPUs go back to their own contexts, and out of run_on_cpus */
    uint64_t idle;           /* bit i: CPU i has nothing to do */
    ash_ns_t stood_still_ns; /* the scheduler's clock, while one was alone */
    ash_irq_t open;          /* the state of a CPU with interrupts unmasked */
    enum threads_preset preset;
    struct kernel_memory *memory;

    struct ash_spinlock lock; /* of the table */
    struct thread *table[THREADS_MAX];
    uint32_t last_id;
    struct thread_name ended_names[THREADS_ENDED_MAX]; /* a ring */
    uint32_t ended_count;
    struct thread *main;
    void (*main_body)(void *context);
    void *main_context;
    bool main_has_ended; /* its memory may be another's by then */
    struct wait_queue ended;

    struct ash_spinlock lenders_lock;

    struct ash_spinlock conditionals_lock;
    struct ash_list conditionals;
    uint32_t conditionals_count; /* read without the lock */

    struct mutex alone; /* who may set the job of threads_alone */
    void (*job)(void *context);
    void *job_context;
    struct thread *job_owner;
    struct threads *aside; /* room for all of this while one is alone */
    uint32_t aside_order;
};

extern struct threads threads;

enum { THREAD_MAIN_STACK_BYTES = 128 << 10 };

/* threads.c: every CPU leaves its threads where they are, and goes back to its own context.
 * Masked. */
void threads_leave(void);

/* thread.c: all of them, when none runs any more. */
void thread_free_all(void);

/* thread_dispatch.c */

/* The calling CPU; masked, or it may be another one by now. */
struct thread_cpu *thread_this_cpu(void);

/* Of the schedulers. */
uint64_t thread_clock(void);

/* Runs what is to run on this CPU; returns when the caller is. Masked. */
void thread_dispatch(void);

/* The same with this CPU's lock held, since before now_ns was read: released when it returns. */
void thread_dispatch_locked(struct thread_cpu *cpu, ash_ns_t now_ns);

/* The caller never runs again, and the CPU's lock is held. */
void thread_dispatch_exit(struct thread_cpu *cpu) __attribute__((noreturn));

/* What a new context begins with: releases the lock of the CPU that switched to it. */
void thread_dispatched(void);

/* Restores `state`, and before that dispatches if it is due and interrupts were not masked. */
void thread_checkpoint(ash_irq_t state);

/* The loop of a CPU that has begun; returns when all leave. */
void thread_idle(void *context, uint32_t cpu);

/* platform_after_interrupt. */
void thread_after_interrupt(bool may_switch);

/* thread_wake.c */

/* The caller is going to block: call it before anybody can know. */
void thread_prepare_wait(struct thread *self);

/* It does not, after all. Masked. */
void thread_cancel_wait(struct thread *self);

/* Sleeps until thread_wake, which may have come since thread_prepare_wait; or the time has come:
 * false. Masked; for its lock's sake no other is held. */
bool thread_block(struct thread *self, ash_ns_t deadline_ns);

/* It can go on, if it could not; and so can its lenders. Any context. It does not end before the
 * call has begun; what it does afterwards is its own. */
void thread_wake(struct thread *thread);

/* Where it runs on another CPU, that CPU has an interrupt. It does not end meanwhile. Masked. */
void thread_nudge(const struct thread *thread);

/* Sleepers of this CPU whose time has come. Masked. */
void thread_wake_sleepers(struct thread_cpu *cpu);

/* Takes something that waits on another CPU to this one, which has nothing. Masked. */
bool thread_steal(struct thread_cpu *cpu);

/* Tells an idle CPU that something waits here. This CPU's lock is held. */
void thread_offer(struct thread_cpu *cpu, ash_ns_t now_ns);

/* The CPU that the thread, which has not ended, is attached to, locked. Masked. */
struct thread_cpu *thread_lock_cpu(const struct thread *thread);

/* mutex.c */

/* Who runs when it is the thread's turn: itself, or who owns what it waits for. Its CPU's lock is
 * held. */
struct thread *thread_proxy(struct thread *thread);

/* wait.c */

/* Looks at the conditions of kernel_wait. Masked, after an interrupt. */
void thread_look_at_conditions(void);

#endif
