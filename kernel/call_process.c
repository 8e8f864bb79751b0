/* SPDX-License-Identifier: MIT */
/* call_process.c: the calls about processes and their numbers. One user, the superuser. */
#include <ashlar/error.h>
#include <string.h>

#include "calls.h"
#include "process_internal.h"
#include "thread.h"

int64_t call_clone(struct process *process, const uint64_t args[6]) {
    return process_clone(process, args[0], args[1], args[2], args[3], args[4]);
}

int64_t call_execve(struct process *process, const uint64_t args[6]) {
    return process_execve(process, args[0], args[1], args[2]);
}

int64_t call_wait4(struct process *process, const uint64_t args[6]) {
    return process_wait4(process, (int32_t)args[0], args[1], (uint32_t)args[2], args[3]);
}

int64_t call_exit(struct process *process, const uint64_t args[6]) {
    process_end_by(process, process_status_exited((uint32_t)args[0]));
    return 0;
}

int64_t call_getpid(struct process *process, const uint64_t args[6]) {
    (void)args;
    return process->id;
}

int64_t call_getppid(struct process *process, const uint64_t args[6]) {
    (void)args;
    mutex_lock(&processes.lock);
    uint32_t id = process->parent == NULL ? PROCESS_KERNEL : process->parent->id;
    mutex_unlock(&processes.lock);
    return id;
}

/* Groups and sessions */

/* The caller, or the one of this number; NULL: there is none. The table is locked. */
static struct process *one_of(struct process *process, uint64_t id) {
    return (uint32_t)id == 0 ? process : process_find((uint32_t)id);
}

int64_t call_getpgid(struct process *process, const uint64_t args[6]) {
    mutex_lock(&processes.lock);
    const struct process *one = one_of(process, args[0]);
    int64_t group = one == NULL ? -ASH_ESRCH : (int64_t)one->group;
    mutex_unlock(&processes.lock);
    return group;
}

int64_t call_getsid(struct process *process, const uint64_t args[6]) {
    mutex_lock(&processes.lock);
    const struct process *one = one_of(process, args[0]);
    int64_t session = one == NULL ? -ASH_ESRCH : (int64_t)one->session;
    mutex_unlock(&processes.lock);
    return session;
}

/* The table is locked. */
static bool is_group_in(uint32_t group, uint32_t session) {
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        const struct process *process = processes.table[i];
        if (process != NULL && process->group == group && process->session == session)
            return true;
    }
    return false;
}

/* Itself, or a child: into a group of its own, or one of its session. */
static int set_group(struct process *process, uint32_t id, uint32_t group) {
    struct process *one = one_of(process, id);
    if (one == NULL || (one != process && one->parent != process))
        return -ASH_ESRCH;
    if (group == 0)
        group = one->id;
    if (one->session != process->session || one->id == one->session)
        return -ASH_EPERM;
    if (group != one->id && !is_group_in(group, one->session))
        return -ASH_EPERM;
    one->group = group;
    return 0;
}

int64_t call_setpgid(struct process *process, const uint64_t args[6]) {
    if ((int32_t)args[1] < 0)
        return -ASH_EINVAL;
    mutex_lock(&processes.lock);
    int error = set_group(process, (uint32_t)args[0], (uint32_t)args[1]);
    mutex_unlock(&processes.lock);
    return error;
}

int64_t call_setsid(struct process *process, const uint64_t args[6]) {
    (void)args;
    int64_t result = -ASH_EPERM;
    mutex_lock(&processes.lock);
    if (process->group != process->id) {
        process->group = process->session = process->id;
        result = process->id;
    }
    mutex_unlock(&processes.lock);
    return result;
}

/* Turns */

int64_t call_sched_yield(struct process *process, const uint64_t args[6]) {
    (void)process, (void)args;
    thread_yield();
    return 0;
}

enum { PRIORITY_PROCESS, PRIORITY_GROUP, PRIORITY_USER };

static bool has_priority_of(const struct process *process, const struct process *caller,
                            uint64_t which, uint32_t who) {
    if (which == PRIORITY_PROCESS)
        return who == 0 ? process == caller : process->id == who;
    if (which == PRIORITY_GROUP)
        return process->group == (who == 0 ? caller->group : who);
    return who == 0;
}

static void set_nice(struct process *process, int32_t nice) {
    const struct ash_sched_attributes attributes = {.flags = ASH_SCHED_NICE, .nice = nice};
    struct ash_sched_refusal refusal;
    process->nice = nice;
    /* It cannot be refused, as nice is in its range; and one that ends needs it no more. */
    int error = thread_change(process->id, &attributes, &refusal);
    (void)error;
}

int64_t call_setpriority(struct process *process, const uint64_t args[6]) {
    int32_t nice = (int32_t)args[2];
    int64_t result = -ASH_ESRCH;
    if ((uint32_t)args[0] > PRIORITY_USER)
        return -ASH_EINVAL;
    nice = nice < ASH_SCHED_NICE_MIN ? ASH_SCHED_NICE_MIN
                                     : (nice > ASH_SCHED_NICE_MAX ? ASH_SCHED_NICE_MAX : nice);
    mutex_lock(&processes.lock);
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *one = processes.table[i];
        if (one == NULL || !has_priority_of(one, process, (uint32_t)args[0], (uint32_t)args[1]))
            continue;
        set_nice(one, nice);
        result = 0;
    }
    mutex_unlock(&processes.lock);
    return result;
}

/* As the call has it: 20 - nice, the largest. */
int64_t call_getpriority(struct process *process, const uint64_t args[6]) {
    int64_t result = -ASH_ESRCH;
    if ((uint32_t)args[0] > PRIORITY_USER)
        return -ASH_EINVAL;
    mutex_lock(&processes.lock);
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        const struct process *one = processes.table[i];
        if (one != NULL && has_priority_of(one, process, (uint32_t)args[0], (uint32_t)args[1]) &&
            20 - one->nice > result)
            result = 20 - one->nice;
    }
    mutex_unlock(&processes.lock);
    return result;
}

int64_t call_set_tid_address(struct process *process, const uint64_t args[6]) {
    process->clear_child_tid = args[0];
    return process->id;
}

/* Time that was used: all of it counts as the program's. */
int64_t call_getrusage(struct process *process, const uint64_t args[6]) {
    uint64_t usage[18] = {0};
    int32_t who = (int32_t)args[0];
    if (who != 0 && who != -1 && who != 1) /* itself, its children, its thread */
        return -ASH_EINVAL;
    ash_ns_t runtime_ns = who == -1 ? process->children_runtime_ns : thread_runtime_ns();
    usage[0] = runtime_ns / 1000000000;
    usage[1] = runtime_ns % 1000000000 / 1000;
    return user_write(process->space, args[1], usage, sizeof(usage));
}
