/* SPDX-License-Identifier: MIT */
/* threads.c: the machine as a whole: its schedulers, its start, one who is alone, its end. */
#include "thread_internal.h"

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <string.h>

#define MS UINT64_C(1000000)

struct threads threads;

/* Configuration */

/* What real-time threads leave to the others: 5 %. */
enum { RESERVE_MS = 5, RESERVE_EVERY_MS = 100 };

/* Who is runnable for longer without a turn is counted (struct ash_sched_stats). */
enum { STARVING_MS = 10000 };

static const struct preset {
    const char *word;
    uint64_t slice_ns, boost_ns;
    uint64_t allotments_ns[4];
} presets[] = {
    [THREADS_BALANCED] = {"balanced", 3 * MS, 1000 * MS, {5 * MS, 10 * MS, 20 * MS, 40 * MS}},
    [THREADS_LATENCY] = {"latency", 1 * MS, 500 * MS, {1 * MS, 2 * MS, 4 * MS, 8 * MS}},
    [THREADS_THROUGHPUT] = {"throughput",
                            12 * MS,
                            4000 * MS,
                            {20 * MS, 40 * MS, 80 * MS, 160 * MS}},
};

bool threads_preset_of(const char *word, enum threads_preset *preset) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(presets); i++) {
        if (strcmp(word, presets[i].word) == 0) {
            *preset = (enum threads_preset)i;
            return true;
        }
    }
    return false;
}

const char *threads_preset_word(enum threads_preset preset) {
    return presets[preset].word;
}

struct ash_sched_config threads_sched_config(enum threads_preset number, uint32_t cpu) {
    const struct preset *preset = &presets[number];
    return (struct ash_sched_config){
        .entities_max = THREADS_MAX,
        .cpu = cpu,
        .levels = ASH_ARRAY_LEN(preset->allotments_ns),
        .allotments_ns = preset->allotments_ns,
        .slice_ns = preset->slice_ns,
        .boost_ns = preset->boost_ns,
        .starving_ns = STARVING_MS * MS,
        .reserve_runtime_ns = RESERVE_MS * MS,
        .reserve_period_ns = RESERVE_EVERY_MS * MS,
        .period_min_ns = THREAD_PERIOD_MIN_NS,
    };
}

static int make_cpu(uint32_t number) {
    struct thread_cpu *cpu = &threads.cpus[number];
    const struct ash_sched_config config = threads_sched_config(threads.preset, number);
    size_t bytes = ash_sched_storage_size(&config);
    *cpu = (struct thread_cpu){.number = number, .armed_ns = UINT64_MAX};
    ash_spin_init(&cpu->lock);
    ash_list_init(&cpu->dead);
    cpu->storage = memory_pages_alloc(threads.memory, memory_order_of(bytes));
    cpu->storage_order = memory_order_of(bytes);
    if (cpu->storage == NULL)
        return -ASH_ENOMEM;
    threads.scheds.cpu[number] = &cpu->sched;
    threads.scheds.count = number + 1;
    return ash_sched_init(&cpu->sched, &config, cpu->storage, bytes, thread_clock());
}

static void free_cpus(void) {
    for (uint32_t i = 0; i < threads.scheds.count; i++)
        memory_pages_free(threads.memory, threads.cpus[i].storage, threads.cpus[i].storage_order);
}

static int make_cpus(uint32_t count) {
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; i++)
        error = make_cpu(i);
    return error;
}

/* Running */

void threads_leave(void) {
    ash_store_release(&threads.leaving, 1u);
    for (uint32_t i = 0; i < threads.cpu_count; i++) {
        struct thread_cpu *cpu = &threads.cpus[i];
        ash_spin_lock(&cpu->lock); /* or a dispatch that has not seen the first takes the second */
        ash_store_relaxed(&cpu->resched, 1u);
        ash_spin_unlock(&cpu->lock);
        platform_wake(i);
    }
}

/* Alone: the CPUs have left. The job finds the machine as if no threads ran, and may run some of
 * its own: so all that is kept of these is put aside. */
static void do_job(void) {
    struct threads *aside = threads.aside;
    ash_ns_t since_ns = platform_now_ns();
    *aside = threads;
    memset(&threads, 0, sizeof(threads));
    aside->job(aside->job_context);
    threads = *aside;
    threads.job = NULL;
    threads.stood_still_ns += platform_now_ns() - since_ns;
    thread_wake(threads.job_owner);
}

static int run(void) {
    int error;
    do {
        ash_store_release(&threads.leaving, 0u);
        platform_after_interrupt = thread_after_interrupt;
        error = platform_run_on_cpus(thread_idle, NULL, threads.cpu_count);
        platform_after_interrupt = NULL;
        if (error == 0 && threads.job != NULL)
            do_job();
    } while (error == 0 && !threads.main_has_ended);
    return error;
}

/* The cache of threads stays: one that does not run any more may have been in the middle of it. */
static void fini(void) {
    threads.cpu_count = 0;
    thread_free_all();
    free_cpus();
    if (threads.aside != NULL)
        memory_pages_free(threads.memory, threads.aside, threads.aside_order);
}

static int make_aside(void) {
    threads.aside_order = memory_order_of(sizeof(struct threads));
    threads.aside = memory_pages_alloc(threads.memory, threads.aside_order);
    return threads.aside == NULL ? -ASH_ENOMEM : 0;
}

static int make_cache(struct kernel_memory *memory) {
    if (memory->threads.name != NULL)
        return 0;
    return memory_cache_init(&memory->threads, memory, "thread", sizeof(struct thread));
}

static void run_main(void *context) {
    (void)context;
    threads.main_body(threads.main_context);
}

/* It does not run before the CPUs do. */
static int make_main(void) {
    const struct thread_options options = {
        .name = "main", .attributes.affinity = 1, .stack_bytes = THREAD_MAIN_STACK_BYTES};
    int error = thread_create(&options, run_main, NULL, NULL, NULL);
    threads.main = threads.table[0];
    return error;
}

int threads_init(struct kernel_memory *memory, const struct threads_config *config) {
    static const struct threads_config standard = {.preset = THREADS_BALANCED};
    if (threads.cpu_count != 0)
        return -ASH_EBUSY;
    if (config == NULL)
        config = &standard;
    uint32_t count = config->cpus == 0 ? platform_cpu_count() : config->cpus;
    if (count > platform_cpu_count() || (size_t)config->preset >= ASH_ARRAY_LEN(presets))
        return -ASH_EINVAL;
    memset(&threads, 0, sizeof(threads));
    threads.memory = memory;
    threads.preset = config->preset;
    ash_spin_init(&threads.lock);
    ash_spin_init(&threads.lenders_lock);
    ash_spin_init(&threads.conditionals_lock);
    ash_list_init(&threads.conditionals);
    wait_queue_init(&threads.ended);
    mutex_init(&threads.alone);
    threads.open = ash_port_irq_save();
    ash_port_irq_restore(threads.open);
    int error = make_cache(memory);
    if (error == 0)
        error = make_aside();
    if (error == 0)
        error = make_cpus(count);
    threads.cpu_count = count;
    if (error == 0)
        error = make_main();
    if (error != 0)
        fini();
    return error;
}

int threads_run(void (*body)(void *context), void *context) {
    ASH_REQUIRE(threads.main != NULL, "threads_run: threads_init comes first");
    threads.main_body = body;
    threads.main_context = context;
    int error = run();
    fini();
    return error;
}

void threads_alone(void (*fn)(void *context), void *context) {
    struct thread *self = thread_current();
    if (self == NULL) {
        fn(context);
        return;
    }
    mutex_lock(&threads.alone);
    ash_irq_t state = ash_port_irq_save();
    threads.job_context = context;
    threads.job_owner = self;
    threads.job = fn;
    threads_leave();
    while (threads.job != NULL) {
        thread_prepare_wait(self);
        (void)thread_block(self, UINT64_MAX);
    }
    ash_port_irq_restore(state);
    mutex_unlock(&threads.alone);
}

/* To be looked at */

uint32_t threads_cpu_count(void) {
    return threads.cpu_count;
}

enum threads_preset threads_preset(void) {
    return threads.preset;
}

void threads_cpu_info(uint32_t number, struct threads_cpu_info *info) {
    struct thread_cpu *cpu = &threads.cpus[number];
    ASH_REQUIRE(number < threads.cpu_count, "threads_cpu_info: CPU %u runs no threads", number);
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&cpu->lock);
    *info = (struct threads_cpu_info){.switches = cpu->switches,
                                      .preemptions = ash_load_relaxed(&cpu->preemptions),
                                      .deferrals = ash_load_relaxed(&cpu->deferrals),
                                      .steals = cpu->steals,
                                      .idle_ns = cpu->idle_ns,
                                      .reserved_ppm = cpu->sched.hint_bandwidth_ppm,
                                      .others_ppm = 1000000 * RESERVE_MS / RESERVE_EVERY_MS};
    if (cpu->running == NULL)
        info->idle_ns += platform_now_ns() - cpu->idle_since_ns;
    ash_sched_get_stats(&cpu->sched, &info->sched);
    ash_spin_unlock(&cpu->lock);
    ash_port_irq_restore(state);
}

void threads_observe(uint32_t number, threads_observer *observer, void *context) {
    struct thread_cpu *cpu = &threads.cpus[number];
    ASH_REQUIRE(number < threads.cpu_count, "threads_observe: CPU %u runs no threads", number);
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&cpu->lock);
    cpu->observer = observer;
    cpu->observer_context = context;
    ash_spin_unlock(&cpu->lock);
    ash_port_irq_restore(state);
}

static const char *check_cpu(struct thread_cpu *cpu) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&cpu->lock);
    const char *broken = ash_sched_check(&cpu->sched);
    for (struct ash_rbtree_node *node = ash_rbtree_cached_first(&cpu->sleepers);
         node != NULL && broken == NULL; node = ash_rbtree_next(node)) {
        const struct thread *thread = ASH_RBTREE_ENTRY(node, struct thread, sleeper);
        if (thread->is_waiting == 0)
            broken = "threads: a sleeper is awake";
        else if (ash_sched_owner(&thread->entity) != &cpu->sched)
            broken = "threads: a sleeper is on another CPU's list";
    }
    ash_spin_unlock(&cpu->lock);
    ash_port_irq_restore(state);
    return broken;
}

const char *threads_check(void) {
    const char *broken = NULL;
    for (uint32_t i = 0; i < threads.cpu_count && broken == NULL; i++)
        broken = check_cpu(&threads.cpus[i]);
    return broken;
}
