/* SPDX-License-Identifier: MIT */
/*
 * process.h: programs that run: each an address space, open files, signals, and one thread of the
 * kernel (thread.h) that runs it and does what it asks for.
 *
 *     processes_init(&config)
 *     process_spawn(&start, &id)       from a file; its parent is the kernel
 *     process_join(id, ..., &status)   waits for its end, and forgets it
 *
 * Rules
 *  - A call of a program runs on the process's own thread, so it may block. It waits interruptibly
 *    (process_wait.h) where the wait may be long.
 *  - A process is ended by itself alone, at the bottom of its loop; who ends another one sends it
 *    SIGKILL. It has given back memory and files before it becomes a zombie.
 *  - Orphans are the kernel's (parent NULL, shown as 1), which reaps them at once.
 *  - Numbers: 1 is the kernel; a process has its thread's. A group is a job of the shell's.
 *
 * Functions here are for any thread that holds none of the locks below, unless they say more. A
 * look at all processes is O(PROCESSES_MAX).
 *
 * Locks, in this order: processes' table (a mutex); an address space's mutex; a process's
 * signal_lock (a spinlock, interrupts masked). Files have their own, never held with these.
 */
#ifndef KERNEL_PROCESS_H
#define KERNEL_PROCESS_H

#include <ashlar/port.h>

#include "address_space.h"
#include "file_system.h"
#include "images.h"
#include "memory.h"
#include "signal.h"
#include "wait_queue.h"

struct file_table;
struct thread;

enum {
    PROCESSES_MAX = 96, /* at a time; zombies, too */
    PROCESS_NAME_BYTES = 16,
    PROCESS_KERNEL = 1, /* the number of what is nobody's child */
};

enum process_state { PROCESS_RUNS, PROCESS_STOPPED, PROCESS_ENDING, PROCESS_ZOMBIE };

struct process {
    uint32_t id, group, session;
    char name[PROCESS_NAME_BYTES];

    /* Its own thread's alone. */
    struct platform_user user; /* what it has in the CPU */
    struct file_table *files;  /* its own, all zeros at first */
    uint64_t clear_child_tid;  /* address that is cleared at its end; 0: none */
    uint32_t file_mode_mask;
    ash_ns_t restart_deadline_ns; /* of an interrupted sleep that goes on */
    bool is_restarted;
    bool has_ended;         /* it leaves its loop */
    int end_status;         /* then: as wait4 has it */
    uint64_t set_child_tid; /* address that gets its number when it begins; 0: none */

    /* Changed by its own thread, under the table's lock where another looks. */
    struct address_space *space;
    struct program_image image; /* of its program; the number is not filled in */
    struct thread *thread;      /* NULL: it is a zombie */
    int32_t nice;

    /* Under signal_lock; see signal.h. */
    struct ash_spinlock signal_lock;
    struct signals signals;
    uint32_t is_interruptible; /* it waits where a signal ends the wait */

    /* Under the table's lock. */
    enum process_state state;
    struct process *parent; /* NULL: the kernel */
    struct ash_list children, sibling;
    int wait_status;              /* of a zombie, as wait4 has it */
    uint32_t stop_signal;         /* by which it was stopped last */
    bool is_stop_told;            /* wait4 has said so */
    bool is_continue_untold;      /* it goes on, and wait4 has not said so */
    bool is_joined;               /* the kernel will ask for its status */
    void (*ended)(void *context); /* then: as struct process_start has it */
    void *ended_context;
    struct process *vfork_parent; /* which waits until this one has its own address space */
    uint32_t is_in_vfork;         /* it waits for such a child */
    ash_ns_t runtime_ns;          /* of a zombie */
    struct ash_vm_usage usage;    /* the same, if it is joined: what it had at its end */
    struct ash_vm_stats stats;
    ash_ns_t children_runtime_ns; /* of children that were waited for */

    /* Its own children have news; and: a vfork is over, a stop is. */
    struct wait_queue changed;
    uint32_t changes; /* counts them */
};

struct processes_config {
    struct kernel_memory *memory;
    struct file_system *files; /* NULL: there are none to start */
    uint64_t seed;             /* of random addresses and AT_RANDOM; 0: fixed addresses */
    /* A line for the console: what crashed. */
    void (*report)(void *context, const char *text);
    void *context;
};

/* Once for a memory, before threads run or on one. -ASH_ENOMEM; -ASH_EINVAL. */
int processes_init(const struct processes_config *config) ASH_MUST_CHECK;
/* When there is no process. Gives everything back. */
void processes_fini(void);
/* Can programs run on this machine? */
bool processes_can_run(void);

struct process_start {
    const char *path;
    const char *const *arguments; /* NULL after the last */
    const char *const *environment;
    const struct file_table *files; /* its open files, if it starts; NULL: none */
    uint32_t group;                 /* 0: its own */
    const char *reason;             /* of -ASH_ENOEXEC: what the file is, a phrase */
    /* Called by its thread when there is but its status; short. NULL: nobody asks. */
    void (*ended)(void *context);
    void *context;
};

/*
 * A process that runs the program, to be joined. -ASH_ENOENT and others of the file system;
 * -ASH_EACCES: no regular file; -ASH_ENOEXEC; -ASH_E2BIG; -ASH_ENOMEM; -ASH_EAGAIN: PROCESSES_MAX;
 * -ASH_ENOTSUP: programs do not run on this machine.
 */
int process_spawn(struct process_start *start, uint32_t *id) ASH_MUST_CHECK;

/* Until the spawned process has ended: *wait_status as wait4 has it. From a thread of the kernel;
 * once. -ASH_ECHILD; -ASH_ETIMEDOUT. */
int process_join(uint32_t id, ash_ns_t deadline_ns, int *wait_status) ASH_MUST_CHECK;

/*
 * Sends a signal; info NULL: from the kernel. pid > 0: to that process; 0: to the group `group`;
 * -1: to all; < -1: to the group -pid. signal 0: to nobody, it is only looked for. -ASH_ESRCH;
 * -ASH_EINVAL: no such signal; -ASH_EPERM: the kernel.
 */
int process_kill(int64_t pid, uint32_t group, uint32_t signal,
                 const struct signal_info *info) ASH_MUST_CHECK;

/* To one that cannot go away meanwhile: the caller itself, or the table is locked. */
void process_signal(struct process *process, uint32_t signal, const struct signal_info *info);

/* A signal waits to be delivered to it: what it does is to be given up soon. */
static inline bool process_is_interrupted(const struct process *process) {
    return signals_wait_is_over(&process->signals);
}

/* One that it ends by: what it does is not to be done to its end. The process's own thread's. */
static inline bool process_is_to_end(const struct process *self) {
    return signals_end_it(&self->signals);
}

/* A process as it was at one moment. */
struct process_info {
    uint32_t id, parent, group;
    char name[PROCESS_NAME_BYTES];
    enum process_state state;
    int32_t nice;
    ash_ns_t runtime_ns;
    uint64_t region_bytes;
    struct ash_vm_usage usage;
    struct ash_vm_stats stats;
};

/* The one with the least number from `id` on; false: there is none. */
bool process_info_from(uint32_t id, struct process_info *info);

/* A region of its memory as it was at one moment. */
struct process_region {
    uint64_t start, end;
    uint32_t rights, flags; /* as struct region has them */
    char name[32];          /* of the file that it maps; "" */
    uint64_t offset;        /* in it */
    uint64_t resident_bytes;
    uint64_t shared_bytes; /* of these, what somebody else refers to, too */
    uint64_t huge_bytes;   /* of these, in blocks */
};

/* The first one that ends behind the address; false: there is none, or no such process. O(its
 * pages). */
bool process_region_from(uint32_t id, uint64_t address, struct process_region *region);

/* Of all processes that there are and were. */
void processes_vm_stats(struct ash_vm_stats *sum);
/* How many there are, zombies too. */
uint32_t process_count(void);

/* The first broken rule, or NULL. Where no fork or exec is on its way, and memory is found for it,
 * with a full recount of all references to frames. The programs wait meanwhile. */
const char *processes_check(void);

#endif
