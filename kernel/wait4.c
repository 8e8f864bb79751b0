/* SPDX-License-Identifier: MIT */
/* wait4.c: how a parent learns of its children's ends and stops: wait4 for programs (POSIX.1-2017,
 * waitpid), process_join for the kernel. */
#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "process_internal.h"
#include "process_wait.h"

enum { WAIT_NOHANG = 1, WAIT_UNTRACED = 2, WAIT_CONTINUED = 8 };

#define WAIT_KNOWN (WAIT_NOHANG | WAIT_UNTRACED | WAIT_CONTINUED | 0xe0000000u)

/* What a look at the children found. */
struct news {
    uint32_t id; /* 0: nothing yet */
    int status;
    ash_ns_t runtime_ns;
};

/* Has its count changed since it was looked at? */
struct look {
    const uint32_t *count;
    uint32_t seen;
};

static bool has_changed(void *context) {
    const struct look *look = context;
    return ash_load_acquire(look->count) != look->seen;
}

/* wait4; the table is locked: */

static bool is_meant(const struct process *child, int64_t pid, uint32_t group) {
    if (pid > 0)
        return child->id == pid;
    return pid == -1 || child->group == (pid == 0 ? group : (uint64_t)-pid);
}

/* It has been waited for, and is forgotten. */
static void reap(struct process *zombie, struct news *news) {
    *news = (struct news){.id = zombie->id,
                          .status = zombie->wait_status,
                          .runtime_ns = zombie->runtime_ns + zombie->children_runtime_ns};
    process_leave(zombie);
    process_free(zombie);
}

static void look_at(struct process *child, uint32_t options, struct news *news) {
    if (child->state == PROCESS_ZOMBIE) {
        reap(child, news);
    } else if ((options & WAIT_UNTRACED) != 0 && child->state == PROCESS_STOPPED &&
               !child->is_stop_told) {
        child->is_stop_told = true;
        *news =
            (struct news){.id = child->id, .status = process_status_stopped(child->stop_signal)};
    } else if ((options & WAIT_CONTINUED) != 0 && child->is_continue_untold) {
        child->is_continue_untold = false;
        *news = (struct news){.id = child->id, .status = PROCESS_STATUS_CONTINUED};
    }
}

/* False: there is no such child. */
static bool look_at_children(struct process *self, int64_t pid, uint32_t options,
                             struct news *news) {
    struct ash_list *next;
    bool is_one = false;
    for (struct ash_list *link = self->children.next; link != &self->children; link = next) {
        struct process *child = ASH_LIST_ENTRY(link, struct process, sibling);
        next = link->next;
        if (!is_meant(child, pid, self->group))
            continue;
        is_one = true;
        look_at(child, options, news);
        if (news->id != 0)
            break;
    }
    self->children_runtime_ns += news->runtime_ns;
    return is_one;
}

/* Unlocked again: */

static int wait_for_news(struct process *self, int64_t pid, uint32_t options, struct news *news) {
    struct look look = {.count = &self->changes};
    *news = (struct news){.id = 0};
    for (;;) {
        mutex_lock(&processes.lock);
        bool is_one = look_at_children(self, pid, options, news);
        look.seen = self->changes;
        mutex_unlock(&processes.lock);
        if (!is_one)
            return -ASH_ECHILD;
        if (news->id != 0 || (options & WAIT_NOHANG) != 0)
            return 0;
        int error = process_wait(&self->changed, has_changed, &look, UINT64_MAX);
        if (error != 0)
            return error;
    }
}

/* struct rusage: two times, and fourteen counts of which none is kept. */
static void usage_of(ash_ns_t runtime_ns, uint64_t usage[18]) {
    memset(usage, 0, 18 * sizeof(usage[0]));
    usage[0] = runtime_ns / 1000000000;
    usage[1] = runtime_ns % 1000000000 / 1000;
}

int64_t process_wait4(struct process *self, int64_t pid, uint64_t status_address, uint32_t options,
                      uint64_t usage_address) {
    struct news news;
    uint64_t usage[18];
    if ((options & ~WAIT_KNOWN) != 0)
        return -ASH_EINVAL;
    if (pid == INT32_MIN)
        return -ASH_ESRCH;
    int error = wait_for_news(self, pid, options, &news);
    if (error != 0 || news.id == 0)
        return error;
    if (status_address != 0)
        error = user_write(self->space, status_address, &news.status, sizeof(news.status));
    if (error == 0 && usage_address != 0) {
        usage_of(news.runtime_ns, usage);
        error = user_write(self->space, usage_address, usage, sizeof(usage));
    }
    return error != 0 ? error : (int64_t)news.id;
}

/* join; the table is locked. */
static int look_at_joined(uint32_t id, int *wait_status) {
    struct process *process = process_find(id);
    if (process == NULL || process->parent != NULL || !process->is_joined)
        return -ASH_ECHILD;
    if (process->state != PROCESS_ZOMBIE)
        return -ASH_EAGAIN;
    *wait_status = process->wait_status;
    process_leave(process);
    process_free(process);
    return 0;
}

int process_join(uint32_t id, ash_ns_t deadline_ns, int *wait_status) {
    struct look look = {.count = &processes.ends};
    for (;;) {
        mutex_lock(&processes.lock);
        int error = look_at_joined(id, wait_status);
        look.seen = processes.ends;
        mutex_unlock(&processes.lock);
        if (error != -ASH_EAGAIN)
            return error;
        error = wait_queue_wait(&processes.ended, has_changed, &look, deadline_ns);
        if (error != 0)
            return error;
    }
}
