/* SPDX-License-Identifier: MIT */
/*
 * thread.h: threads of the kernel: each a stack and an entity of lib/sched; one instance of the
 * scheduler a CPU, which the CPU's one-shot timer and each wake-up make decide.
 *
 *     threads_init(&memory, &config)
 *     threads_run(body, context)       CPUs 0..n-1 run threads until body has ended
 *         thread_create(&options, body, context, &id, &refusal)
 *         thread_sleep_until(deadline_ns) ... thread_yield() ... thread_exit()
 *
 * Rules
 *  - A thread may be taken off its CPU after any interrupt, unless it is pinned or has interrupts
 *    masked, and go on on another one that its affinity allows.
 *  - A thread waits by kernel_wait (wait.h), wait_queue.h, mutex.h or thread_sleep_until. Where no
 *    threads run, the first and the last sleep the CPU, and a mutex is nobody's.
 *  - A thread that is asked to stop (thread_stop) sees it by thread_should_stop and returns. Nobody
 *    ends another.
 *  - While threads run, the platform's one-shot timer is the scheduler's, and
 *    platform_run_on_cpus is for threads_alone.
 */
#ifndef KERNEL_THREAD_H
#define KERNEL_THREAD_H

#include <ashlar/sched_smp.h>

#include "memory.h"

enum {
    THREADS_MAX = 112, /* at a time */
    THREAD_NAME_BYTES = 16,
    THREAD_STACK_BYTES = 64 << 10,
    /* An interrupt and its handlers lie on it, too; on hosted a signal frame of all registers. */
    THREAD_STACK_MIN_BYTES = 32 << 10,
    THREAD_PERIOD_MIN_NS = 100000, /* some ten times what a timer's interrupt and a switch take in
                                      emulation */
};

/* How long a thread runs before another has its turn. */
enum threads_preset {
    THREADS_BALANCED,   /* 3 ms; interactive 5, 10, 20, 40 ms */
    THREADS_LATENCY,    /* 1 ms; 1, 2, 4, 8 ms: a wake-up waits less, more switches */
    THREADS_THROUGHPUT, /* 12 ms; 20, 40, 80, 160 ms: fewer switches */
};

struct threads_config {
    enum threads_preset preset;
    uint32_t cpus; /* 0: all that are online */
};

struct thread_options {
    const char *name; /* cut at THREAD_NAME_BYTES - 1 */
    struct ash_sched_attributes attributes;
    size_t stack_bytes; /* whole pages, of at least _MIN_BYTES; 0: THREAD_STACK_BYTES */
    uint32_t number;    /* of thread_number_take; 0: it gets one */
};

enum thread_state { THREAD_RUNNING, THREAD_READY, THREAD_THROTTLED, THREAD_ASLEEP, THREAD_ENDED };

/* A thread as it was at one moment. */
struct thread_info {
    uint32_t id, cpu;
    char name[THREAD_NAME_BYTES];
    enum thread_state state;
    enum ash_sched_class class_;
    uint32_t level; /* interactive */
    struct ash_sched_attributes attributes;
    struct ash_sched_account account;
};

struct threads_cpu_info {
    uint64_t switches;    /* of contexts */
    uint64_t preemptions; /* of these, after an interrupt */
    uint64_t deferrals;   /* an interrupt found the context pinned */
    uint64_t steals;      /* threads taken from other CPUs */
    ash_ns_t idle_ns;
    uint64_t reserved_ppm; /* of real-time threads */
    uint64_t others_ppm;   /* what these leave to the others */
    struct ash_sched_stats sched;
};

struct thread;

/* The machine as a whole */

/*
 * Takes what threads_run needs: schedulers, the first stack, a cache of threads in *memory, which
 * stays there: once for a memory. NULL config: balanced, all CPUs.
 * -ASH_ENOMEM; -ASH_EINVAL: config; -ASH_EBUSY: threads run already.
 */
int threads_init(struct kernel_memory *memory, const struct threads_config *config) ASH_MUST_CHECK;

/*
 * Runs body(context) as a thread called "main", on CPU 0, and whatever it creates; returns when it
 * has ended, others or not, and gives everything back. Called once after threads_init, on CPU 0.
 * Errors of platform_run_on_cpus.
 */
int threads_run(void (*body)(void *context), void *context) ASH_MUST_CHECK;

/*
 * From a thread: all CPUs leave their threads where they are, fn(context) runs on CPU 0 with the
 * machine to itself, as before threads_run; then they go on. The scheduler's clock stands still
 * meanwhile; deadlines of waits do not. Where no threads run, just a call.
 */
void threads_alone(void (*fn)(void *context), void *context);

/* CPUs that run threads; 0: none do. */
uint32_t threads_cpu_count(void);
void threads_cpu_info(uint32_t cpu, struct threads_cpu_info *info);
enum threads_preset threads_preset(void);

/* "balanced", "latency", "throughput"; false: another word. */
bool threads_preset_of(const char *word, enum threads_preset *preset);
const char *threads_preset_word(enum threads_preset preset);

/* How a CPU's scheduler is configured: what a simulation of it takes. */
struct ash_sched_config threads_sched_config(enum threads_preset preset, uint32_t cpu);

/* Called after each decision of a CPU's scheduler, masked and under its lock: it calls nothing of
 * threads. run: what was decided. */
typedef void threads_observer(void *context, struct ash_sched *sched,
                              const struct ash_sched_entity *run);

/* One at a time; NULL: nobody any more, from the return on. */
void threads_observe(uint32_t cpu, threads_observer *observer, void *context);

/* The first broken invariant of a scheduler or of what is kept of threads, or NULL. */
const char *threads_check(void);

/* Threads */

/*
 * The first CPU that takes the attributes (real-time: first fit) has it; it is runnable at once.
 * *id, if not NULL, its number, never used again.
 *   -ASH_ENOMEM  stack or notes      -ASH_ENOSPC  THREADS_MAX, or the platform's stacks
 *   -ASH_EINVAL  a stack below THREAD_STACK_MIN_BYTES; or, as -ASH_ERANGE and -ASH_EBUSY, the
 *                attributes: *refusal (or NULL) says why
 */
int thread_create(const struct thread_options *options, void (*body)(void *context), void *context,
                  uint32_t *id, struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/* A number that no thread has had or gets but by thread_options. */
uint32_t thread_number_take(void);

/* The CPU that thread_create would give such a thread now, or its error; nothing is taken. */
int threads_admit(const struct ash_sched_attributes *attributes,
                  struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/* The caller; NULL where no threads run. */
struct thread *thread_current(void);
uint32_t thread_id(const struct thread *thread);

/* What the calling thread runs: NULL at first, and where no threads run. */
struct process;
void thread_set_process(struct process *process);
struct process *thread_process(void);

/* As a return from its body. Holds no mutex. */
void thread_exit(void) __attribute__((noreturn));

/* CPU time that the caller, a thread, has used. */
ash_ns_t thread_runtime_ns(void);

/* Lets others go first; of a real-time thread: its job is done. */
void thread_yield(void);

/* False: it was asked to stop before the time (absolute) came, or now. */
bool thread_sleep_until(ash_ns_t deadline_ns);

/* Asks it to end, and ends its thread_sleep_until. -ASH_ENOENT: there is no such thread. */
int thread_stop(uint32_t id) ASH_MUST_CHECK;
bool thread_should_stop(void);

/* Waits for its end: 0, also if it has ended before; -ASH_ETIMEDOUT. */
int thread_join(uint32_t id, ash_ns_t deadline_ns) ASH_MUST_CHECK;

/* Other attributes, as ash_sched_change. -ASH_ENOENT: there is no such thread. */
int thread_change(uint32_t id, const struct ash_sched_attributes *attributes,
                  struct ash_sched_refusal *refusal) ASH_MUST_CHECK;

/* The thread with the least number from `id` on, charged up to now; false: there is none. */
bool thread_info_from(uint32_t id, struct thread_info *info);

/* Who a number was: threads that are there, and the last THREADS_ENDED_MAX that have ended. */
enum { THREADS_ENDED_MAX = 128 };
struct thread_name {
    uint32_t id;
    uint32_t process; /* that it runs: the same number, or 0 */
    char name[THREAD_NAME_BYTES];
};

/* Up to `max`, in the order of their numbers; how many. in_panic: the locks are nobody's any
 * more. */
uint32_t thread_names(struct thread_name *names, uint32_t max, bool in_panic);

/* The calling thread's from now on; cut. */
void thread_rename(const char *name);

/* Gives back what ended threads leave behind. thread_create does it, too. */
void thread_reap(void);

#endif
