/* SPDX-License-Identifier: MIT */
/* thread.c: threads from creation to what they leave behind; the table of their numbers. */
#include "thread_internal.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

/* Memory */

static void free_thread(struct thread *thread) {
    if (thread->stack != NULL) {
        platform_context_fini(&thread->context);
        platform_stack_unmap(thread->stack);
    }
    if (thread->pages != NULL)
        memory_pages_free(threads.memory, thread->pages, thread->pages_order);
    ash_slab_free(&threads.memory->threads.slabs, thread);
}

static void begin(void *argument) {
    struct thread *self = argument;
    thread_dispatched();
    ash_port_irq_restore(threads.open);
    self->body(self->body_context);
    thread_exit();
}

static int give_stack(struct thread *thread, size_t bytes) {
    if (bytes < THREAD_STACK_MIN_BYTES)
        return -ASH_EINVAL;
    thread->pages_order = memory_order_of(bytes);
    thread->pages = memory_pages_alloc(threads.memory, thread->pages_order);
    if (thread->pages == NULL)
        return -ASH_ENOMEM;
    thread->stack = platform_stack_map(thread->pages, bytes, thread->name);
    if (thread->stack == NULL)
        return -ASH_ENOSPC;
    platform_context_init(&thread->context, thread->stack, bytes, begin, thread);
    return 0;
}

static struct thread *make(const struct thread_options *options, void (*body)(void *context),
                           void *context, int *error) {
    struct thread *thread = ash_slab_alloc(&threads.memory->threads.slabs);
    *error = -ASH_ENOMEM;
    if (thread == NULL)
        return NULL;
    memset(thread, 0, sizeof(*thread));
    snprintf(thread->name, sizeof(thread->name), "%s", options->name);
    thread->id = options->number;
    thread->body = body;
    thread->body_context = context;
    thread->is_waiting = 1;
    thread->is_asleep = true;
    ash_rbtree_node_init(&thread->sleeper);
    ash_list_init(&thread->node);
    ash_list_init(&thread->lender);
    ash_list_init(&thread->lenders);
    *error =
        give_stack(thread, options->stack_bytes == 0 ? THREAD_STACK_BYTES : options->stack_bytes);
    if (*error == 0)
        return thread;
    free_thread(thread);
    return NULL;
}

/* The table */

static int enter_table(struct thread *thread) {
    int error = -ASH_ENOSPC;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    for (uint32_t i = 0; i < THREADS_MAX && error != 0; i++) {
        if (threads.table[i] != NULL)
            continue;
        if (thread->id == 0)
            thread->id = ++threads.last_id;
        threads.table[i] = thread;
        error = 0;
    }
    ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
    return error;
}

uint32_t thread_number_take(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    uint32_t number = ++threads.last_id;
    ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
    return number;
}

static void leave_table(const struct thread *thread) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        if (threads.table[i] == thread)
            threads.table[i] = NULL;
    }
    ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
}

/* One that has ended, as its joiner knows, but not left the table: it will in a moment. */
static bool is_one_ending(void) {
    bool found = false;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    for (uint32_t i = 0; i < THREADS_MAX && !found; i++)
        found = threads.table[i] != NULL && threads.table[i]->has_ended;
    ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
    return found;
}

/* One that has not ended, or NULL: it stays as long as the table's lock is held. */
static struct thread *find(uint32_t id) {
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        struct thread *thread = threads.table[i];
        if (thread != NULL && thread->id == id && !thread->has_ended)
            return thread;
    }
    return NULL;
}

/* Creation */

/* NULL: only asked. */
static int attach_at(uint32_t number, struct thread *thread,
                     const struct ash_sched_attributes *attributes,
                     struct ash_sched_refusal *refusal) {
    struct thread_cpu *cpu = &threads.cpus[number];
    struct ash_sched *sched = &cpu->sched;
    ash_spin_lock(&cpu->lock);
    int error = thread == NULL
                    ? ash_sched_may_attach(sched, attributes, thread_clock(), refusal)
                    : ash_sched_attach(sched, &thread->entity, attributes, thread_clock(), refusal);
    ash_spin_unlock(&cpu->lock);
    return error;
}

/* Where no CPU seems to have room, the first that it may run on says why. */
static uint32_t first_cpu(const struct ash_sched_attributes *attributes) {
    uint32_t number = ash_sched_fit(&threads.scheds, attributes, 0);
    if (number == ASH_SCHED_NO_CPU && attributes->affinity != 0)
        number = (uint32_t)__builtin_ctzll(attributes->affinity);
    return number < threads.cpu_count ? number : 0;
}

/* The number of the CPU that takes it, or an error. */
static int attach(struct thread *thread, const struct ash_sched_attributes *attributes,
                  struct ash_sched_refusal *refusal) {
    int result = -ASH_EBUSY;
    ash_irq_t state = ash_port_irq_save();
    uint32_t number = first_cpu(attributes);
    while ((result == -ASH_EBUSY || result == -ASH_ENOSPC) && number != ASH_SCHED_NO_CPU) {
        int error = attach_at(number, thread, attributes, refusal);
        result = error == 0 ? (int)number : error;
        number = ash_sched_fit(&threads.scheds, attributes, number + 1);
    }
    ash_port_irq_restore(state);
    return result;
}

int threads_admit(const struct ash_sched_attributes *attributes,
                  struct ash_sched_refusal *refusal) {
    return attach(NULL, attributes, refusal);
}

static void detach(struct thread *thread) {
    ash_irq_t state = ash_port_irq_save();
    struct thread_cpu *cpu = thread_lock_cpu(thread);
    int error = ash_sched_detach(&cpu->sched, &thread->entity, thread_clock());
    ASH_REQUIRE(error == 0, "thread_create: %s cannot leave its CPU (error %d)", thread->name,
                error);
    ash_spin_unlock(&cpu->lock);
    ash_port_irq_restore(state);
}

static int enter(struct thread *thread, const struct ash_sched_attributes *attributes,
                 struct ash_sched_refusal *refusal) {
    int error = attach(thread, attributes, refusal);
    if (error < 0)
        return error;
    while ((error = enter_table(thread)) != 0 && is_one_ending()) {
        thread_yield();
        thread_reap();
    }
    if (error != 0)
        detach(thread);
    return error;
}

int thread_create(const struct thread_options *options, void (*body)(void *context), void *context,
                  uint32_t *id, struct ash_sched_refusal *refusal) {
    struct ash_sched_refusal unused;
    int error;
    thread_reap();
    if (refusal == NULL)
        refusal = &unused;
    *refusal = (struct ash_sched_refusal){.reason = ASH_SCHED_OK};
    struct thread *thread = make(options, body, context, &error);
    if (thread == NULL)
        return error;
    error = enter(thread, &options->attributes, refusal);
    if (error != 0) {
        free_thread(thread);
        return error;
    }
    if (id != NULL)
        *id = thread->id;
    ash_irq_t state = ash_port_irq_save();
    thread_wake(thread);
    thread_checkpoint(state);
    return 0;
}

/* The end */

static struct thread_name name_of(const struct thread *thread) {
    struct thread_name name = {.id = thread->id};
    name.process = thread->process == NULL ? 0 : thread->id;
    memcpy(name.name, thread->name, sizeof(name.name));
    return name;
}

static void say_that_it_ended(struct thread *self) {
    ash_spin_lock(&threads.lock);
    self->has_ended = true;
    threads.ended_names[threads.ended_count++ % THREADS_ENDED_MAX] = name_of(self);
    ash_spin_unlock(&threads.lock);
    wait_queue_wake(&threads.ended, WAIT_QUEUE_ALL);
}

void thread_exit(void) {
    struct thread *self = thread_current();
    ASH_REQUIRE(self != NULL, "thread_exit: no thread calls it");
    ASH_REQUIRE(self->mutexes == 0, "thread_exit: %s still owns %u mutexes", self->name,
                self->mutexes);
    (void)ash_port_irq_save();
    say_that_it_ended(self);
    if (self == threads.main) {
        threads.main_has_ended = true;
        threads_leave();
    }
    struct thread_cpu *cpu = thread_this_cpu();
    ash_spin_lock(&cpu->lock);
    int error = ash_sched_detach(&cpu->sched, &self->entity, thread_clock());
    ASH_REQUIRE(error == 0, "thread_exit: %s cannot leave its CPU (error %d)", self->name, error);
    ash_list_push_back(&cpu->dead, &self->node);
    thread_dispatch_exit(cpu);
}

/* A look at owners of mutexes (mutex.c) may still be going on, under some CPU's lock. */
static void wait_for_looks(void) {
    for (uint32_t i = 0; i < threads.cpu_count; i++) {
        ash_irq_t state = ash_port_irq_save();
        ash_spin_lock(&threads.cpus[i].lock);
        ash_spin_unlock(&threads.cpus[i].lock);
        ash_port_irq_restore(state);
    }
}

void thread_reap(void) {
    struct ash_list dead;
    ash_list_init(&dead);
    for (uint32_t i = 0; i < threads.cpu_count; i++) {
        ash_irq_t state = ash_port_irq_save();
        ash_spin_lock(&threads.cpus[i].lock);
        ash_list_splice_back(&dead, &threads.cpus[i].dead);
        ash_spin_unlock(&threads.cpus[i].lock);
        ash_port_irq_restore(state);
    }
    if (ash_list_is_empty(&dead))
        return;
    wait_for_looks();
    for (struct ash_list *node; (node = ash_list_pop_front(&dead)) != NULL;) {
        struct thread *thread = ASH_LIST_ENTRY(node, struct thread, node);
        leave_table(thread);
        free_thread(thread);
    }
}

void thread_free_all(void) {
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        if (threads.table[i] != NULL)
            free_thread(threads.table[i]);
        threads.table[i] = NULL;
    }
}

/* Names */

/* Sorted in: most come in their order. One that is there already has ended since. */
static void add_name(struct thread_name *names, uint32_t max, uint32_t *count,
                     const struct thread_name *name) {
    uint32_t at = *count;
    while (at != 0 && names[at - 1].id > name->id)
        at--;
    if (*count == max || (at != 0 && names[at - 1].id == name->id))
        return;
    memmove(&names[at + 1], &names[at], (*count - at) * sizeof(*names));
    names[at] = *name;
    ++*count;
}

uint32_t thread_names(struct thread_name *names, uint32_t max, bool in_panic) {
    uint32_t count = 0;
    ash_irq_t state = ash_port_irq_save();
    if (!in_panic)
        ash_spin_lock(&threads.lock);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        if (threads.table[i] == NULL || threads.table[i]->has_ended)
            continue;
        const struct thread_name name = name_of(threads.table[i]);
        add_name(names, max, &count, &name);
    }
    uint32_t kept = (uint32_t)ash_min_u64(threads.ended_count, THREADS_ENDED_MAX);
    for (uint32_t i = threads.ended_count - kept; i != threads.ended_count; i++)
        add_name(names, max, &count, &threads.ended_names[i % THREADS_ENDED_MAX]);
    if (!in_panic)
        ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
    return count;
}

void thread_rename(const char *name) {
    struct thread *self = thread_current();
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    snprintf(self->name, sizeof(self->name), "%s", name);
    ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
}

/* What threads do */

uint32_t thread_id(const struct thread *thread) {
    return thread->id;
}

void thread_set_process(struct process *process) {
    thread_current()->process = process;
}

struct process *thread_process(void) {
    const struct thread *self = thread_current();
    return self == NULL ? NULL : self->process;
}

ash_ns_t thread_runtime_ns(void) {
    struct thread *self = thread_current();
    struct ash_sched_account account;
    ash_irq_t state = ash_port_irq_save();
    struct thread_cpu *cpu = thread_lock_cpu(self);
    int error = ash_sched_get_account(&cpu->sched, &self->entity, thread_clock(), &account);
    ASH_REQUIRE(error == 0, "thread_runtime_ns: %s has no account (error %d)", self->name, error);
    ash_spin_unlock(&cpu->lock);
    ash_port_irq_restore(state);
    return account.runtime_ns;
}

void thread_yield(void) {
    struct thread *self = thread_current();
    if (self == NULL)
        return;
    ash_irq_t state = ash_port_irq_save();
    struct thread_cpu *cpu = thread_this_cpu();
    ash_spin_lock(&cpu->lock);
    ash_ns_t now_ns = platform_now_ns();
    if (cpu->turn == self) {
        int error = ash_sched_yield(&cpu->sched, now_ns - threads.stood_still_ns);
        ASH_REQUIRE(error == 0, "thread_yield: %s cannot (error %d)", self->name, error);
    }
    thread_dispatch_locked(cpu, now_ns);
    ash_port_irq_restore(state);
}

static bool never(void *context) {
    (void)context;
    return false;
}

bool thread_should_stop(void) {
    const struct thread *self = thread_current();
    return self != NULL && ash_load_relaxed(&self->should_stop) != 0;
}

bool thread_sleep_until(ash_ns_t deadline_ns) {
    struct thread *self = thread_current();
    if (self == NULL)
        return kernel_wait(never, NULL, deadline_ns) != 0;
    ash_irq_t state = ash_port_irq_save();
    ash_store_relaxed(&self->is_stoppable, 1u);
    thread_prepare_wait(self);
    if (ash_load_relaxed(&self->should_stop) != 0)
        thread_cancel_wait(self);
    bool was_woken = thread_block(self, deadline_ns);
    ash_store_relaxed(&self->is_stoppable, 0u);
    ash_port_irq_restore(state);
    return !was_woken;
}

/* By their numbers */

int thread_stop(uint32_t id) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    struct thread *thread = find(id);
    if (thread != NULL) {
        ash_store_relaxed(&thread->should_stop, 1u);
        ash_fence();
        if (ash_load_relaxed(&thread->is_stoppable) != 0)
            thread_wake(thread);
    }
    ash_spin_unlock(&threads.lock);
    thread_checkpoint(state);
    return thread == NULL ? -ASH_ENOENT : 0;
}

static bool has_ended(void *context) {
    const uint32_t *id = context;
    ash_spin_lock(&threads.lock);
    bool ended = find(*id) == NULL;
    ash_spin_unlock(&threads.lock);
    return ended;
}

int thread_join(uint32_t id, ash_ns_t deadline_ns) {
    return wait_queue_wait(&threads.ended, has_ended, &id, deadline_ns);
}

int thread_change(uint32_t id, const struct ash_sched_attributes *attributes,
                  struct ash_sched_refusal *refusal) {
    int error = -ASH_ENOENT;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    struct thread *thread = find(id);
    if (thread != NULL) {
        struct thread_cpu *cpu = thread_lock_cpu(thread);
        error = ash_sched_change(&cpu->sched, &thread->entity, attributes, thread_clock(), refusal);
        ash_store_release(&cpu->resched, 1u);
        ash_spin_unlock(&cpu->lock);
        platform_wake(cpu->number);
    }
    ash_spin_unlock(&threads.lock);
    thread_checkpoint(state);
    return error;
}

static enum thread_state state_of(const struct thread_cpu *cpu, const struct thread *thread) {
    if (cpu->running == thread)
        return THREAD_RUNNING;
    if (thread->is_asleep || thread->is_waiting != 0)
        return THREAD_ASLEEP;
    return thread->entity.state == ASH_SCHED_THROTTLED ? THREAD_THROTTLED : THREAD_READY;
}

static void describe(struct thread *thread, struct thread_info *info) {
    struct thread_cpu *cpu = thread_lock_cpu(thread);
    *info = (struct thread_info){.id = thread->id,
                                 .cpu = cpu->number,
                                 .state = state_of(cpu, thread),
                                 .class_ = thread->entity.class_,
                                 .attributes = thread->entity.attributes};
    memcpy(info->name, thread->name, sizeof(info->name));
    if (info->class_ == ASH_SCHED_INTERACTIVE)
        info->level = ash_sched_level(&thread->entity);
    int error = ash_sched_get_account(&cpu->sched, &thread->entity, thread_clock(), &info->account);
    ASH_REQUIRE(error == 0, "thread_info: %s has no account (error %d)", thread->name, error);
    ash_spin_unlock(&cpu->lock);
}

bool thread_info_from(uint32_t id, struct thread_info *info) {
    struct thread *least = NULL;
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&threads.lock);
    for (uint32_t i = 0; i < THREADS_MAX; i++) {
        struct thread *thread = threads.table[i];
        if (thread != NULL && !thread->has_ended && thread->id >= id &&
            (least == NULL || thread->id < least->id))
            least = thread;
    }
    if (least != NULL)
        describe(least, info);
    ash_spin_unlock(&threads.lock);
    ash_port_irq_restore(state);
    return least != NULL;
}
