/* SPDX-License-Identifier: MIT */
/* process_exit.c: the end of a process, and what becomes of its children. See process.h. */
#include <ashlar/error.h>

#include "calls.h"
#include "file_table.h"
#include "process_internal.h"
#include "thread.h"

/* Nobody will ask for its status. The table is locked. */
static bool is_nobodys(const struct process *process) {
    if (process->parent == NULL)
        return !process->is_joined;
    const struct signal_action action = process_action(process->parent, SIGNAL_CHLD);
    return action.handler == SIGNAL_IGNORE || (action.flags & SIGNAL_NOCLDWAIT) != 0;
}

/* The table is locked. Nobody would wake a stopped one (POSIX.1-2017, XSH, _Exit(): orphaned
 * groups). */
static void orphan(struct process *child) {
    static const struct signal_info info = {.code = SIGNAL_CODE_KERNEL};
    ash_list_remove(&child->sibling);
    child->parent = NULL;
    child->vfork_parent = NULL;
    if (child->state == PROCESS_ZOMBIE) {
        process_leave(child);
        process_free(child);
    } else if (child->state == PROCESS_STOPPED) {
        process_signal(child, SIGNAL_HUP, &info);
        process_signal(child, SIGNAL_CONT, &info);
    }
}

static void orphan_children(struct process *self) {
    while (!ash_list_is_empty(&self->children))
        orphan(ASH_LIST_ENTRY(self->children.next, struct process, sibling));
}

/* Futex and address, for who waits there: a parent by vfork at most, as there are no threads. */
static void clear_tid(struct process *self) {
    const uint32_t zero = 0;
    if (self->clear_child_tid != 0)
        user_write_if(self->space, self->clear_child_tid, &zero, sizeof(zero));
}

/* The table is locked. What it had is given back, and there is but its status. */
static void become_zombie(struct process *self) {
    bool was_killed = (self->end_status & 0x7f) != 0;
    self->state = PROCESS_ZOMBIE;
    self->wait_status = self->end_status;
    self->thread = NULL;
    thread_set_process(NULL);
    if (was_killed)
        process_tell_of(self, SIGNAL_CODE_CLD_KILLED, self->end_status & 0x7f);
    else
        process_tell_of(self, SIGNAL_CODE_CLD_EXITED, self->end_status >> 8 & 0xff);
    if (self->ended != NULL)
        self->ended(self->ended_context);
    if (is_nobodys(self)) {
        process_leave(self);
        process_free(self);
    }
}

/* For who joins it. */
static void keep_account(struct process *self, struct address_space *space) {
    if (!self->is_joined)
        return;
    mutex_lock(&space->mutex);
    ash_vm_get_usage(&space->pages, &self->usage);
    self->stats = space->pages.stats;
    mutex_unlock(&space->mutex);
}

void process_exit_now(struct process *self) {
    mutex_lock(&processes.lock);
    self->state = PROCESS_ENDING;
    mutex_unlock(&processes.lock);
    file_table_close_all(self->files);
    clear_tid(self);
    mutex_lock(&processes.lock);
    struct address_space *space = self->space;
    self->space = NULL;
    mutex_unlock(&processes.lock);
    keep_account(self, space);
    address_space_put(space);
    self->runtime_ns = thread_runtime_ns();
    mutex_lock(&processes.lock);
    orphan_children(self);
    process_vfork_over(self);
    become_zombie(self);
    mutex_unlock(&processes.lock);
}
