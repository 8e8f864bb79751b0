/* SPDX-License-Identifier: MIT */
/*
 * process_internal.h: what the files of the processes share.
 *
 *     process.c        the table; numbers, groups; sending signals
 *     process_loop.c   a process's thread: run, calls, faults, delivery of signals, stop
 *     process_report.c what is said of a program that is ended
 *     process_fork.c   clone                  process_exec.c   execve and spawn
 *     process_exit.c   the end                wait4.c          how a parent learns of it
 */
#ifndef KERNEL_PROCESS_INTERNAL_H
#define KERNEL_PROCESS_INTERNAL_H

#include "process.h"
#include "signal_frame.h"

struct processes {
    struct processes_config config;
    bool has_begun;
    struct mutex lock; /* of the table, and of what process.h says */
    struct process *table[PROCESSES_MAX];
    uint32_t count;
    uint64_t seed; /* of the next address space; 0: fixed addresses */
    uint64_t random;
    struct wait_queue ended; /* one of the kernel's children has */
    uint32_t ends;           /* counts them */
};

extern struct processes processes;

/* Status words of wait4. */
static inline int process_status_exited(uint32_t code) {
    return (int)((code & 0xff) << 8);
}
static inline int process_status_killed(uint32_t signal) {
    return (int)signal;
}
static inline int process_status_stopped(uint32_t signal) {
    return (int)(signal << 8 | 0x7f);
}
#define PROCESS_STATUS_CONTINUED 0xffff

/* process.c */

/* Memory for one, not in the table: no address space, nothing open. NULL: no memory. */
struct process *process_new(void);
void process_free(struct process *process);

/*
 * In the table from then on, with a number, as a child of `parent` (NULL: the kernel). -ASH_EAGAIN:
 * it is full. With its thread made; else process_leave takes it back. The table is locked.
 */
int process_enter(struct process *process, struct process *parent) ASH_MUST_CHECK;
void process_leave(struct process *process);
int process_start_thread(struct process *process) ASH_MUST_CHECK;

/* NULL: there is none. The table is locked. */
struct process *process_find(uint32_t id);

/* A parent's (NULL: the kernel's) children have news. The table is locked. */
void process_tell(struct process *parent);
/* And SIGCHLD to it. */
void process_tell_of(struct process *child, int32_t code, int32_t status);

/* What it does by this signal now. */
struct signal_action process_action(struct process *process, uint32_t signal);

/* Sets what the caller will end by; the first one counts. */
void process_end_by(struct process *self, int status);

/* Of the next address space; 0: fixed addresses. The table is locked, or its owner runs alone. */
uint64_t processes_next_seed(void);
/* 64 bits for AT_RANDOM and getrandom. Any thread, no lock. */
uint64_t processes_random(void);

/* process_loop.c: the body of its thread. */
void process_body(void *context);

/* process_report.c: one line about what ends the program, where it is, and what called that: names
 * of its functions, as far as its file has them. By its own thread, which may wait for the disk. */
void process_report(struct process *self, const char *format, ...) ASH_PRINTF(2, 3);

/* process_fork.c */
/* clone(2), with Linux's flags, for what makes a process: the child's number, or an error. */
int64_t process_clone(struct process *parent, uint64_t flags, uint64_t stack, uint64_t parent_tid,
                      uint64_t tls, uint64_t child_tid);
/* The parent of a vfork goes on. The table is locked. */
void process_vfork_over(struct process *child);

/* process_exec.c: path, and arrays of pointers to strings, in the program's memory. 0: it is
 * another program now. */
int process_execve(struct process *self, uint64_t path, uint64_t arguments, uint64_t environment);

/* process_exit.c: nothing of *self is touched afterwards. */
void process_exit_now(struct process *self);

/* wait4.c: wait4(2): a child's number, 0, or an error. Waits interruptibly. */
int64_t process_wait4(struct process *self, int64_t pid, uint64_t status_address, uint32_t options,
                      uint64_t usage_address);

#endif
