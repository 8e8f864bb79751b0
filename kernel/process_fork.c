/* SPDX-License-Identifier: MIT */
/* process_fork.c: clone, for processes: a copy of the caller, or (vfork) one that has its memory
 * until it runs another program. See process.h. */
#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "file_table.h"
#include "process_internal.h"
#include "prof_regions.h"

/* Linux's flags: include/uapi/linux/sched.h. */
enum {
    CLONE_SIGNAL = 0xff,
    CLONE_VM = 0x100,
    CLONE_VFORK = 0x4000,
    CLONE_SETTLS = 0x80000,
    CLONE_PARENT_SETTID = 0x100000,
    CLONE_CHILD_CLEARTID = 0x200000,
    CLONE_DETACHED = 0x400000, /* means nothing */
    CLONE_CHILD_SETTID = 0x1000000,
    CLONE_KNOWN = CLONE_SIGNAL | CLONE_VM | CLONE_VFORK | CLONE_SETTLS | CLONE_PARENT_SETTID |
                  CLONE_CHILD_CLEARTID | CLONE_DETACHED | CLONE_CHILD_SETTID,
};

static struct process *copy(struct process *parent) {
    struct process *child = process_new();
    if (child == NULL)
        return NULL;
    memcpy(child->name, parent->name, sizeof(child->name));
    /* What is behind the registers is written by whoever signals the parent. */
    memcpy(&child->user, &parent->user, offsetof(struct platform_user, is_wanted));
    child->user.x[0] = 0;
    child->image = parent->image;
    child->group = parent->group;
    child->session = parent->session;
    child->file_mode_mask = parent->file_mode_mask;
    child->nice = parent->nice;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&parent->signal_lock);
    signals_fork(&child->signals, &parent->signals);
    ash_spin_unlock(&parent->signal_lock);
    ash_port_irq_restore(state);
    return child;
}

/* The table is locked. */
static int enter_and_start(struct process *child, struct process *parent) {
    int error = process_enter(child, parent);
    if (error != 0)
        return error;
    images_note(&child->image, child->id);
    error = process_start_thread(child);
    if (error != 0)
        process_leave(child);
    return error;
}

static int start(struct process *child, struct process *parent, bool is_vfork, uint32_t *id) {
    mutex_lock(&processes.lock);
    if (is_vfork) {
        child->vfork_parent = parent;
        ash_store_relaxed(&parent->is_in_vfork, 1u);
    }
    int error = enter_and_start(child, parent);
    *id = child->id; /* it ends before or after, but it is not forgotten without the lock */
    mutex_unlock(&processes.lock);
    return error;
}

/* vfork */

void process_vfork_over(struct process *child) {
    struct process *parent = child->vfork_parent;
    child->vfork_parent = NULL;
    if (parent == NULL)
        return;
    ash_store_release(&parent->is_in_vfork, 0u);
    wait_queue_wake(&parent->changed, WAIT_QUEUE_ALL);
}

/* Or it is to end: then the child goes on alone with the memory. */
static bool is_vfork_over(void *context) {
    struct process *parent = context;
    return ash_load_acquire(&parent->is_in_vfork) == 0 ||
           (ash_load_acquire(&parent->signals.pending) & SIGNAL_BIT(SIGNAL_KILL)) != 0;
}

/* clone */

static void undo(struct process *child, struct process *parent) {
    ash_store_relaxed(&parent->is_in_vfork, 0u);
    file_table_close_all(child->files);
    address_space_put(child->space);
    process_free(child);
}

int64_t process_clone(struct process *parent, uint64_t flags, uint64_t stack, uint64_t parent_tid,
                      uint64_t tls, uint64_t child_tid) {
    bool is_vfork = (flags & CLONE_VFORK) != 0, shares = (flags & CLONE_VM) != 0;
    uint32_t id;
    /* No threads; and what a parent is told of its child by is SIGCHLD, or nothing. */
    if ((flags & ~(uint64_t)CLONE_KNOWN) != 0 || (shares && !is_vfork) ||
        ((flags & CLONE_SIGNAL) != 0 && (flags & CLONE_SIGNAL) != SIGNAL_CHLD))
        return -ASH_EINVAL;
    struct process *child = copy(parent);
    if (child == NULL)
        return -ASH_ENOMEM;
    PROF_REGION("fork: address space") {
        child->space =
            shares ? address_space_get(parent->space) : address_space_fork(parent->space);
    }
    if (child->space == NULL) {
        process_free(child);
        return -ASH_ENOMEM;
    }
    file_table_fork(child->files, parent->files);
    if (stack != 0)
        child->user.sp = stack;
    if ((flags & CLONE_SETTLS) != 0)
        child->user.tls = tls;
    if ((flags & CLONE_CHILD_SETTID) != 0)
        child->set_child_tid = child_tid;
    if ((flags & CLONE_CHILD_CLEARTID) != 0)
        child->clear_child_tid = child_tid;
    int error = start(child, parent, is_vfork, &id);
    if (error != 0) {
        undo(child, parent);
        return error;
    }
    if ((flags & CLONE_PARENT_SETTID) != 0)
        user_write_if(parent->space, parent_tid, &id, sizeof(id));
    if (is_vfork)
        wait_queue_wait_for_ever(&parent->changed, is_vfork_over, parent);
    return id;
}
