/* SPDX-License-Identifier: MIT */
/* prof.c: see prof.h. */
#include "prof.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <ashlar/prof_cfi.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "each_cpu.h"
#include "images.h"
#include "mutex.h"
#include "platform/sample.h"
#include "process.h"
#include "prof_unsure.h"
#include "prof_unwind.h"
#include "thread_internal.h"

#define NS_PER_S     UINT64_C(1000000000)
#define USER_TOP     (UINT64_C(1) << 48)
#define WITHOUT_TASK 0u

/* All that the interrupt needs: it comes with its CPU's. */
struct prof_cpu {
    struct ash_prof *profile;
    struct thread *const *running;    /* what runs on the CPU */
    const struct prof_unwind *unwind; /* NULL: the platform has said all */
    bool runs;
    uint64_t clock_begin, clock_end;
    struct ash_prof_profile described; /* what a dump says of it */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

/* All that one run has. */
struct run {
    struct prof_config config;
    struct kernel_memory *memory;
    void *storage; /* of the CPUs' profiles, one behind the other */
    uint32_t storage_order, cpus;
    struct prof_unwind unwind;
    struct prof_cpu cpu[ASH_PORT_CPUS_MAX];
};

static struct {
    struct mutex lock; /* of what follows: who changes it, or reads it over several calls */
    enum prof_state state;
    ash_ns_t begin_ns, end_ns;
    struct run *run; /* the last one; NULL: never */
    uint32_t run_order;
} prof = {.lock = MUTEX_INIT(prof.lock)};

/* The interrupt */

struct user_stack_reader {
    uint64_t root; /* of its translation */
};

static bool read_user(void *context, uint64_t address, uint64_t words[2]) {
    const struct user_stack_reader *reader = context;
    return platform_sample_read_user(reader->root, address, words);
}

/* The program as the interrupt has found it. */
static void take_program(struct prof_cpu *cpu, const struct platform_sample *sample, uint32_t task,
                         const struct process *process, uint32_t flags) {
    struct user_stack_reader reader = {process->space->pages.root};
    const struct ash_prof_registers user = {.pc = sample->pc,
                                            .fp = sample->fp,
                                            .link = sample->link,
                                            .is_link = ASH_PROF_LINK_UNSURE,
                                            .low = sample->sp,
                                            .high = USER_TOP,
                                            .read = read_user,
                                            .context = &reader};
    ash_prof_take(cpu->profile, sample->clock, task, sample->missed + 1, flags | ASH_PROF_USER,
                  NULL, &user);
}

/* The kernel; process: on behalf of it. Its own thread changes the registers that are kept here, on
 * this CPU, so they are whole. */
static void take_kernel(struct prof_cpu *cpu, const struct platform_sample *sample, uint32_t task,
                        const struct process *process, uint32_t flags) {
    struct ash_prof_registers kernel = {.pc = sample->pc,
                                        .fp = sample->fp,
                                        .link = sample->link,
                                        .is_link = sample->is_link_live ? ASH_PROF_LINK_LIVE
                                                                        : ASH_PROF_LINK_RECORD,
                                        .low = sample->stack_low,
                                        .high = sample->stack_high};
    if (cpu->unwind != NULL && !sample->is_link_live)
        prof_unwind_apply(cpu->unwind, sample, &kernel);
    if (ASH_LIKELY(process == NULL || process->space == NULL)) {
        ash_prof_take(cpu->profile, sample->clock, task, sample->missed + 1, flags, &kernel, NULL);
        return;
    }
    struct user_stack_reader reader = {process->space->pages.root};
    const struct ash_prof_registers user = {.pc = process->user.pc,
                                            .fp = process->user.x[29],
                                            .link = process->user.x[30],
                                            .is_link = ASH_PROF_LINK_UNSURE,
                                            .low = process->user.sp,
                                            .high = USER_TOP,
                                            .read = read_user,
                                            .context = &reader};
    ash_prof_take(cpu->profile, sample->clock, task, sample->missed + 1, flags, &kernel, &user);
}

static void on_sample(void *context, const struct platform_sample *sample) {
    struct prof_cpu *cpu = context;
    const struct thread *thread = *cpu->running;
    const struct process *process = thread == NULL ? NULL : thread->process;
    uint32_t task = thread == NULL ? WITHOUT_TASK : thread->id;
    uint32_t flags =
        (sample->is_waiting ? ASH_PROF_IDLE : 0u) | (sample->missed != 0 ? ASH_PROF_LATE : 0u);
    if (sample->is_user && process != NULL && process->space != NULL)
        take_program(cpu, sample, task, process, flags);
    else
        take_kernel(cpu, sample, task, process, flags);
}

/* Stacks differ by the instruction that was interrupted: four words a sample keep most of them. */
static uint32_t words_for(uint32_t samples) {
    enum { MAX = 1 << 19 };
    uint32_t words = ASH_PROF_WORDS_DEFAULT;
    while (words < MAX && words / 4 < samples)
        words *= 2;
    return words;
}

/* Start */

static struct ash_prof_config config_of(const struct run *run, uint32_t cpu) {
    return (struct ash_prof_config){.samples = run->config.samples,
                                    .words = words_for(run->config.samples),
                                    .cpu = (uint8_t)cpu};
}

static int start_cpu(void *context, uint32_t number) {
    struct run *run = context;
    struct prof_cpu *cpu = &run->cpu[number];
    bool by_cycles = run->config.cycles != 0;
    cpu->clock_begin = ash_port_cycles();
    int error = platform_sample_start(by_cycles ? PLATFORM_TRIGGER_CYCLES : PLATFORM_TRIGGER_TIMER,
                                      by_cycles ? run->config.cycles : NS_PER_S / run->config.hz,
                                      on_sample, cpu);
    cpu->runs = error == 0;
    return error;
}

static int stop_cpu(void *context, uint32_t number) {
    struct run *run = context;
    struct prof_cpu *cpu = &run->cpu[number];
    if (cpu->runs) {
        platform_sample_stop();
        cpu->runs = false;
        cpu->clock_end = ash_port_cycles();
    }
    return 0;
}

static int stop_all(struct run *run) {
    return each_cpu(run->cpus, stop_cpu, run);
}

static void free_run(struct run *run, uint32_t run_order) {
    struct kernel_memory *memory = run->memory;
    prof_unwind_close(&run->unwind);
    if (run->storage != NULL)
        memory_pages_free(memory, run->storage, run->storage_order);
    memory_pages_free(memory, run, run_order);
}

static void init_cpus(struct run *run) {
    uint8_t *storage = run->storage;
    for (uint32_t i = 0; i < run->cpus; i++) {
        const struct ash_prof_config config = config_of(run, i);
        run->cpu[i].running = &threads.cpus[i].running;
        run->cpu[i].unwind = run->unwind.count == 0 ? NULL : &run->unwind;
        run->cpu[i].profile = ash_prof_init(storage, &config, ash_port_cycles());
        storage += ash_prof_storage_size(&config);
    }
}

/* NULL: there is no memory. */
static struct run *make_run(struct kernel_memory *memory, const struct prof_config *config,
                            uint32_t *run_order) {
    *run_order = memory_order_of(sizeof(struct run));
    struct run *run = memory_pages_alloc(memory, *run_order);
    if (run == NULL)
        return NULL;
    memset(run, 0, sizeof(*run));
    run->config = *config;
    run->memory = memory;
    run->cpus = each_cpu_count();
    if (run->config.samples == 0)
        run->config.samples = ASH_PROF_SAMPLES_DEFAULT;
    const struct ash_prof_config one = config_of(run, 0);
    run->storage_order = memory_order_of((uint64_t)run->cpus * ash_prof_storage_size(&one));
    run->storage = memory_pages_alloc(memory, run->storage_order);
    if (run->storage != NULL && prof_unwind_open(&run->unwind, memory) == 0) {
        init_cpus(run);
        return run;
    }
    free_run(run, *run_order);
    return NULL;
}

static bool is_good(const struct prof_config *config) {
    if (config->cycles != 0)
        return config->cycles >= PROF_CYCLES_MIN;
    return config->hz >= ASH_PROF_HZ_MIN && config->hz <= ASH_PROF_HZ_MAX;
}

static void stop_surely(struct run *run) {
    int error = stop_all(run);
    ASH_REQUIRE(error == 0, "prof: a CPU cannot be stopped (error %d)", error);
}

static void forget(void) {
    if (prof.run == NULL)
        return;
    free_run(prof.run, prof.run_order);
    images_release();
    prof.run = NULL;
    prof.state = PROF_NEVER;
}

/* The time begins before the first sample can come. */
static int take_over(struct run *run, uint32_t run_order) {
    ash_ns_t begin_ns = platform_now_ns();
    int error = each_cpu(run->cpus, start_cpu, run);
    if (error != 0) {
        stop_surely(run);
        return error;
    }
    forget();
    prof.run = run;
    prof.run_order = run_order;
    prof.begin_ns = begin_ns;
    prof.state = PROF_RUNS;
    return 0;
}

static int start(struct kernel_memory *memory, const struct prof_config *config) {
    uint32_t run_order;
    if (prof.state == PROF_RUNS)
        return -ASH_EBUSY;
    if (!is_good(config))
        return -ASH_EINVAL;
    struct run *run = make_run(memory, config, &run_order);
    if (run == NULL)
        return -ASH_ENOMEM;
    int error = images_keep();
    if (error == 0) {
        error = take_over(run, run_order);
        if (error != 0)
            images_release();
    }
    if (error != 0)
        free_run(run, run_order);
    return error;
}

int prof_start(struct kernel_memory *memory, const struct prof_config *config) {
    prof_lock();
    int error = start(memory, config);
    prof_unlock();
    return error;
}

/* Stop */

static int stop(void) {
    if (prof.state != PROF_RUNS)
        return -ASH_ENOENT;
    int error = stop_all(prof.run);
    if (error != 0)
        return error;
    prof.end_ns = platform_now_ns();
    prof.state = PROF_STOPPED;
    for (uint32_t i = 0; i < prof.run->cpus; i++)
        (void)prof_settle_unsure(prof.run->cpu[i].profile, prof.run->memory);
    return 0;
}

int prof_stop(void) {
    prof_lock();
    int error = stop();
    prof_unlock();
    return error;
}

void prof_free(void) {
    prof_lock();
    if (prof.state == PROF_RUNS)
        stop_surely(prof.run);
    forget();
    prof_unlock();
}

/* Who may */

void prof_lock(void) {
    mutex_lock(&prof.lock);
}

void prof_unlock(void) {
    mutex_unlock(&prof.lock);
}

/* To be looked at */

enum prof_state prof_state(void) {
    return prof.state;
}

const struct prof_config *prof_config(void) {
    return prof.run == NULL ? NULL : &prof.run->config;
}

ash_ns_t prof_duration_ns(void) {
    return (prof.state == PROF_RUNS ? platform_now_ns() : prof.end_ns) - prof.begin_ns;
}

uint32_t prof_count(struct ash_prof_counts *sum) {
    uint32_t cpus = prof.run == NULL ? 0 : prof.run->cpus;
    memset(sum, 0, sizeof(*sum));
    for (uint32_t i = 0; i < cpus; i++) {
        struct ash_prof_counts counts;
        ash_prof_count(prof.run->cpu[i].profile, &counts);
        sum->taken += counts.taken;
        sum->overwritten += counts.overwritten;
        sum->weight += counts.weight;
        sum->leaves += counts.leaves;
        sum->stacks += counts.stacks;
        sum->words_used += counts.words_used;
    }
    return cpus;
}

static struct ash_prof_part part(uint32_t type, uint32_t cpu, const void *bytes, uint32_t count,
                                 uint32_t item_bytes) {
    return (struct ash_prof_part){.type = type,
                                  .which = cpu,
                                  .item_bytes = item_bytes,
                                  .bytes = bytes,
                                  .len = (uint64_t)count * item_bytes};
}

static void describe(const struct run *run, struct prof_cpu *cpu, struct ash_prof_part parts[3]) {
    uint32_t first, count, number = (uint32_t)(cpu - run->cpu);
    uint64_t clock;
    struct ash_prof_counts counts;
    const struct ash_prof_sample *samples = ash_prof_samples(cpu->profile, &first, &count, &clock);
    ash_prof_count(cpu->profile, &counts);
    cpu->described = (struct ash_prof_profile){
        .taken = counts.taken,
        .overwritten = counts.overwritten,
        .weight = counts.weight,
        .leaves = counts.leaves,
        .clock_begin = cpu->clock_begin,
        .clock_last = clock,
        .clock_end = cpu->runs ? ash_port_cycles() : cpu->clock_end,
        .asked_hz = run->config.cycles != 0 ? 0 : run->config.hz,
        .trigger = run->config.cycles != 0 ? ASH_PROF_CYCLES : ASH_PROF_TIMER,
        .first = first,
        .capacity = run->config.samples};
    parts[0] = part(ASH_PROF_SECTION_PROFILE, number, &cpu->described, 1, sizeof(cpu->described));
    parts[1] = part(ASH_PROF_SECTION_SAMPLES, number, samples, count, sizeof(*samples));
    parts[2] = part(ASH_PROF_SECTION_STACKS, number, ash_prof_words(cpu->profile),
                    counts.words_used, sizeof(uint64_t));
}

uint32_t prof_parts(struct ash_prof_part *parts, uint32_t max) {
    uint32_t count = 0;
    if (prof.run == NULL)
        return 0;
    for (uint32_t i = 0; i < prof.run->cpus && count + 3 <= max; i++, count += 3)
        describe(prof.run, &prof.run->cpu[i], parts + count);
    return count;
}

size_t prof_text(char *text, size_t bytes) {
    const struct prof_config *config = prof_config();
    int len = 0;
    if (config == NULL)
        return 0;
    if (config->cycles != 0)
        len = snprintf(text, bytes, "trigger=cycles\nperiod_cycles=%" PRIu64 "\ncycles_are=%s\n",
                       config->cycles, platform_counts_instructions() ? "instructions" : "cycles");
    else
        len = snprintf(text, bytes, "trigger=timer\nasked_hz=%" PRIu32 "\n", config->hz);
    return len < 0 || (size_t)len >= bytes ? 0 : (size_t)len;
}

const char *prof_check(void) {
    const char *broken = NULL;
    for (uint32_t i = 0; prof.run != NULL && i < prof.run->cpus && broken == NULL; i++)
        broken = ash_prof_check(prof.run->cpu[i].profile);
    return broken;
}
