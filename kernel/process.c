/* SPDX-License-Identifier: MIT */
/* process.c: the table of processes, their numbers and groups; signals that are sent. See
 * process.h. */
#include "process.h"

#include <ashlar/atomic.h>
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <string.h>

#include "file_pages.h"
#include "file_table.h"
#include "process_internal.h"
#include "thread_internal.h"
#include "user_frames.h"

struct processes processes;

/* The machine's */

int processes_init(const struct processes_config *config) {
    int error = user_frames_init(config->memory);
    if (error != 0)
        return error;
    memset(&processes, 0, sizeof(processes));
    processes.config = *config;
    processes.seed = config->seed;
    processes.random = config->seed + platform_now_ns();
    mutex_init(&processes.lock);
    wait_queue_init(&processes.ended);
    file_pages_init(config->memory, config->files);
    images_init(config->memory, config->files);
    error = address_spaces_init(config->memory);
    if (error != 0)
        user_frames_fini();
    processes.has_begun = error == 0;
    return error;
}

void processes_fini(void) {
    ASH_REQUIRE(processes.count == 0, "processes_fini: there are %u processes", processes.count);
    processes.has_begun = false;
    images_fini();
    address_spaces_fini();
    file_pages_fini();
    user_frames_fini();
}

bool processes_can_run(void) {
    return processes.has_begun && platform_has_user();
}

uint64_t processes_next_seed(void) {
    if (processes.seed == 0)
        return 0;
    processes.seed += UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / phi */
    return processes.seed == 0 ? 1 : processes.seed;
}

uint64_t processes_random(void) { /* splitmix64: Steele, Lea, Flood, OOPSLA 2014 */
    uint64_t z = ash_fetch_add(&processes.random, UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* One */

struct process *process_new(void) {
    struct ash_heap *heap = &processes.config.memory->heap;
    struct process *process = ash_kzalloc(heap, sizeof(*process));
    struct file_table *files = ash_kzalloc(heap, sizeof(*files));
    if (process == NULL || files == NULL) {
        ash_kfree(heap, files);
        ash_kfree(heap, process);
        return NULL;
    }
    process->files = files;
    ash_spin_init(&process->signal_lock);
    ash_list_init(&process->children);
    ash_list_init(&process->sibling);
    wait_queue_init(&process->changed);
    signals_init(&process->signals);
    return process;
}

void process_free(struct process *process) {
    struct ash_heap *heap = &processes.config.memory->heap;
    ash_kfree(heap, process->files);
    ash_kfree(heap, process);
}

/* The table */

struct process *process_find(uint32_t id) {
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        if (processes.table[i] != NULL && processes.table[i]->id == id)
            return processes.table[i];
    }
    return NULL;
}

int process_enter(struct process *process, struct process *parent) {
    uint32_t at = 0;
    while (at < PROCESSES_MAX && processes.table[at] != NULL)
        at++;
    if (at == PROCESSES_MAX)
        return -ASH_EAGAIN;
    process->id = thread_number_take();
    process->parent = parent;
    process->state = PROCESS_RUNS;
    processes.table[at] = process;
    processes.count++;
    if (parent != NULL)
        ash_list_push_back(&parent->children, &process->sibling);
    return 0;
}

void process_leave(struct process *process) {
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        if (processes.table[i] == process)
            processes.table[i] = NULL;
    }
    processes.count--;
    ash_list_remove(&process->sibling);
}

int process_start_thread(struct process *process) {
    struct thread_options options = {.name = process->name, .number = process->id};
    if (process->nice != 0)
        options.attributes =
            (struct ash_sched_attributes){.flags = ASH_SCHED_NICE, .nice = process->nice};
    int error = thread_create(&options, process_body, process, NULL, NULL);
    return error == -ASH_ENOSPC || error == -ASH_EBUSY ? -ASH_EAGAIN : error;
}

uint32_t process_count(void) {
    mutex_lock(&processes.lock);
    uint32_t count = processes.count;
    mutex_unlock(&processes.lock);
    return count;
}

/* News */

struct signal_action process_action(struct process *process, uint32_t signal) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&process->signal_lock);
    struct signal_action action = process->signals.actions[signal - 1];
    ash_spin_unlock(&process->signal_lock);
    ash_port_irq_restore(state);
    return action;
}

void process_tell(struct process *parent) {
    uint32_t *count = parent == NULL ? &processes.ends : &parent->changes;
    ash_store_release(count, *count + 1);
    wait_queue_wake(parent == NULL ? &processes.ended : &parent->changed, WAIT_QUEUE_ALL);
}

void process_tell_of(struct process *child, int32_t code, int32_t status) {
    struct process *parent = child->parent;
    const struct signal_info info = {.code = code, .sender = child->id, .status = status};
    if (parent != NULL) {
        bool is_end = code <= SIGNAL_CODE_CLD_DUMPED;
        if (is_end || (process_action(parent, SIGNAL_CHLD).flags & SIGNAL_NOCLDSTOP) == 0)
            process_signal(parent, SIGNAL_CHLD, &info);
    }
    process_tell(parent);
}

/* Signals */

static bool post(struct process *process, uint32_t signal, const struct signal_info *info) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&process->signal_lock);
    bool counts = signals_post(&process->signals, signal, info);
    ash_spin_unlock(&process->signal_lock);
    ash_port_irq_restore(state);
    return counts;
}

/* Wherever it is: in its program, on this or another CPU, or in a wait. */
static void make_it_look(struct process *process) {
    struct thread *thread = process->thread;
    ash_fence(); /* between "a signal is pending" and the look at where it is */
    ash_store_relaxed(&process->user.is_wanted, 1u);
    ash_fence();
    wait_queue_wake(&process->changed, WAIT_QUEUE_ALL);
    if (thread == NULL || thread == thread_current())
        return;
    ash_irq_t state = ash_port_irq_save();
    if (ash_load_relaxed(&process->is_interruptible) != 0)
        thread_wake(thread);
    thread_nudge(thread);
    thread_checkpoint(state);
}

/* It goes on, if it was stopped: then true. */
static bool go_on(struct process *process, bool is_told) {
    if (process->state != PROCESS_STOPPED)
        return false;
    ash_store_release(&process->state, PROCESS_RUNS);
    process->is_continue_untold = is_told;
    if (is_told)
        process_tell_of(process, SIGNAL_CODE_CLD_CONTINUED, SIGNAL_CONT);
    return true;
}

void process_signal(struct process *process, uint32_t signal, const struct signal_info *info) {
    if (process->state == PROCESS_ENDING || process->state == PROCESS_ZOMBIE)
        return;
    bool counts = post(process, signal, info);
    bool goes_on =
        (signal == SIGNAL_CONT || signal == SIGNAL_KILL) && go_on(process, signal == SIGNAL_CONT);
    if (counts || goes_on) /* SIGCONT may be ignored, and ends a stop all the same */
        make_it_look(process);
}

static bool is_meant(const struct process *process, int64_t pid, uint32_t group) {
    if (pid > 0)
        return process->id == pid;
    if (pid == -1)
        return process != thread_process();
    return process->group == (pid == 0 ? group : (uint64_t)-pid);
}

int process_kill(int64_t pid, uint32_t group, uint32_t signal, const struct signal_info *info) {
    static const struct signal_info of_the_kernel = {.code = SIGNAL_CODE_KERNEL};
    int result = pid == PROCESS_KERNEL ? -ASH_EPERM : -ASH_ESRCH;
    if (signal > SIGNALS)
        return -ASH_EINVAL;
    mutex_lock(&processes.lock);
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *process = processes.table[i];
        if (process == NULL || !is_meant(process, pid, group))
            continue;
        result = 0;
        if (signal != 0)
            process_signal(process, signal, info == NULL ? &of_the_kernel : info);
    }
    mutex_unlock(&processes.lock);
    return result;
}

void process_end_by(struct process *self, int status) {
    if (self->has_ended)
        return;
    self->has_ended = true;
    self->end_status = status;
}

/* Looking */

static struct process *least_from(uint32_t id) {
    struct process *least = NULL;
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *process = processes.table[i];
        if (process != NULL && process->id >= id && (least == NULL || process->id < least->id))
            least = process;
    }
    return least;
}

static void describe(const struct process *process, struct process_info *info) {
    *info = (struct process_info){
        .id = process->id,
        .parent = process->parent == NULL ? PROCESS_KERNEL : process->parent->id,
        .group = process->group,
        .state = process->state,
        .nice = process->nice,
        .runtime_ns = process->runtime_ns,
        .usage = process->usage,
        .stats = process->stats,
    };
    memcpy(info->name, process->name, sizeof(info->name));
    if (process->space == NULL)
        return;
    mutex_lock(&process->space->mutex);
    info->region_bytes = process->space->regions.bytes;
    ash_vm_get_usage(&process->space->pages, &info->usage);
    info->stats = process->space->pages.stats;
    mutex_unlock(&process->space->mutex);
}

bool process_info_from(uint32_t id, struct process_info *info) {
    if (!processes.has_begun)
        return false;
    mutex_lock(&processes.lock);
    const struct process *process = least_from(id);
    if (process != NULL)
        describe(process, info);
    mutex_unlock(&processes.lock);
    return process != NULL;
}
