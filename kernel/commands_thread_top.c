/* SPDX-License-Identifier: MIT */
/* commands_thread_top.c: top: who uses the CPUs, again and again. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "numbers.h"
#include "shell_threads.h"

#define MS       UINT64_C(1000000)
#define NS_PER_S (1000 * MS)

enum { SCREEN_ROWS = 24, CPUS_A_ROW = 4 };

/* What was seen at one time, by number. */
struct sample {
    ash_ns_t at_ns, done_ns; /* the look at all of it began, ended */
    ash_ns_t idle_ns[ASH_PORT_CPUS_MAX];
    uint32_t count;
    struct thread_info threads[THREADS_MAX];
};

struct top {
    struct sample samples[2], *now, *before;
    uint64_t ppm[THREADS_MAX];   /* of a CPU, by the index in now->threads */
    uint32_t order[THREADS_MAX]; /* these indices, the busiest first */
    struct shell *shell;
    bool is_terminal;
    ash_ns_t interval_ns;
    uint64_t frames; /* to be shown; UINT64_MAX: until a key is pressed */
};

/* Looking */

static void look(struct sample *sample) {
    struct threads_cpu_info cpu;
    sample->at_ns = platform_now_ns();
    for (uint32_t i = 0; i < threads_cpu_count(); i++) {
        threads_cpu_info(i, &cpu);
        sample->idle_ns[i] = cpu.idle_ns;
    }
    sample->count = 0;
    for (uint32_t id = 1;
         sample->count < THREADS_MAX && thread_info_from(id, &sample->threads[sample->count]);
         sample->count++)
        id = sample->threads[sample->count].id + 1;
    sample->done_ns = platform_now_ns();
}

/* Both by number: a thread that is not in `before` has begun since. Nobody has used more than from
 * the begin of one look to the end of the next, also where a host stalls in the middle of one. */
static void count_shares(struct top *top) {
    uint64_t elapsed_ns = top->now->done_ns - top->before->at_ns;
    for (uint32_t i = 0, j = 0; i < top->now->count; i++) {
        const struct thread_info *info = &top->now->threads[i];
        uint64_t used_ns = info->account.runtime_ns;
        while (j < top->before->count && top->before->threads[j].id < info->id)
            j++;
        if (j < top->before->count && top->before->threads[j].id == info->id)
            used_ns -= top->before->threads[j].account.runtime_ns;
        top->ppm[i] = ash_mul_div_u64(used_ns, 1000000, ash_max_u64(elapsed_ns, 1));
    }
}

static void sort(struct top *top) {
    for (uint32_t i = 0; i < top->now->count; i++) {
        uint32_t at = i;
        for (; at != 0 && top->ppm[top->order[at - 1]] < top->ppm[i]; at--)
            top->order[at] = top->order[at - 1];
        top->order[at] = i;
    }
}

/* Showing */

static void end_line(const struct top *top) {
    shell_print(top->shell, top->is_terminal ? "\x1b[K\n" : "\n");
}

static void show_head(const struct top *top) {
    uint32_t counts[THREAD_ENDED + 1] = {0};
    char up[DURATION_TEXT_BYTES], over[DURATION_TEXT_BYTES];
    for (uint32_t i = 0; i < top->now->count; i++)
        counts[top->now->threads[i].state]++;
    shell_print(top->shell,
                "top: up %s, over %s; %" PRIu32 " threads: %" PRIu32 " running, %" PRIu32
                " ready, %" PRIu32 " throttled, %" PRIu32 " asleep",
                duration_text(up, top->now->at_ns),
                duration_text(over, top->now->at_ns - top->before->at_ns), top->now->count,
                counts[THREAD_RUNNING], counts[THREAD_READY], counts[THREAD_THROTTLED],
                counts[THREAD_ASLEEP]);
    end_line(top);
}

/* Rows that it took. */
static uint32_t show_cpus(const struct top *top) {
    uint64_t elapsed_ns = ash_max_u64(top->now->at_ns - top->before->at_ns, 1);
    uint32_t count = threads_cpu_count();
    for (uint32_t cpu = 0; cpu < count; cpu++) {
        uint64_t idle_ns = top->now->idle_ns[cpu] - top->before->idle_ns[cpu];
        uint64_t ppm = ash_mul_div_u64(ash_min_u64(idle_ns, elapsed_ns), 1000000, elapsed_ns);
        char percent[SHELL_PERCENT_BYTES];
        shell_print(top->shell, "%sCPU %" PRIu32 " %6s idle", cpu % CPUS_A_ROW == 0 ? "" : "   ",
                    cpu, shell_percent(percent, ppm));
        if (cpu % CPUS_A_ROW == CPUS_A_ROW - 1 || cpu + 1 == count)
            end_line(top);
    }
    return (count + CPUS_A_ROW - 1) / CPUS_A_ROW;
}

static void show_thread(const struct top *top, uint32_t index) {
    const struct thread_info *info = &top->now->threads[index];
    char class_[SHELL_CLASS_BYTES], percent[SHELL_PERCENT_BYTES], time[DURATION_TEXT_BYTES];
    shell_print(top->shell, "%3" PRIu32 " %3" PRIu32 " %-9s %-16s %6s %6s %s", info->id, info->cpu,
                shell_thread_state(info->state), shell_thread_class(class_, info),
                shell_percent(percent, top->ppm[index]),
                duration_text(time, info->account.runtime_ns), info->name);
    end_line(top);
}

/* As many as fit; of more, the busiest. */
static void show_threads(const struct top *top, uint32_t rows) {
    uint32_t count = top->now->count;
    uint32_t shown = !top->is_terminal || count <= rows ? count : rows - 1;
    shell_print(top->shell, "%3s %3s %-9s %-16s %6s %6s %s", "ID", "CPU", "STATE", "CLASS", "%CPU",
                "TIME", "NAME");
    end_line(top);
    for (uint32_t i = 0; i < shown; i++)
        show_thread(top, top->order[i]);
    if (shown < count) {
        shell_print(top->shell, "... and %" PRIu32 " more", count - shown);
        end_line(top);
    }
}

static void show(struct top *top) {
    count_shares(top);
    sort(top);
    if (top->is_terminal)
        shell_print(top->shell, "\x1b[H");
    show_head(top);
    uint32_t used = show_cpus(top) + 3; /* the two heads; where the prompt will be */
    show_threads(top, used + 2 < SCREEN_ROWS ? SCREEN_ROWS - used : 2);
    if (top->is_terminal)
        shell_print(top->shell, "\x1b[J");
}

/* A terminal shows what was since the start at once, a script what is. */
static void run(struct top *top) {
    ash_ns_t next_ns = platform_now_ns() + top->interval_ns;
    if (top->is_terminal)
        shell_print(top->shell, "\x1b[2J");
    for (uint64_t frame = 0; frame < top->frames; frame++) {
        if (frame != 0 || !top->is_terminal) {
            if (!shell_watch_until(top->shell, next_ns))
                return;
            next_ns += top->interval_ns;
        }
        look(top->now);
        show(top);
        struct sample *last = top->now;
        top->now = top->before;
        top->before = last;
    }
}

/* Words */

/* "2", "0.5", "500ms". */
static bool parse_interval(const char *word, ash_ns_t *interval_ns) {
    char seconds[32];
    snprintf(seconds, sizeof(seconds), "%ss", word);
    return (duration_parse(word, interval_ns) || duration_parse(seconds, interval_ns)) &&
           *interval_ns >= 10 * MS && *interval_ns <= 3600 * NS_PER_S;
}

static int start(struct shell *shell, ash_ns_t interval_ns, uint64_t frames) {
    struct kernel_memory *memory = &shell->kernel->memory;
    uint32_t order = memory_order_of(sizeof(struct top));
    struct top *top = memory_pages_alloc(memory, order);
    if (top == NULL)
        return shell_error(shell, "top", NULL, "there is no memory for what it compares");
    memset(top, 0, sizeof(*top));
    top->now = &top->samples[0];
    top->before = &top->samples[1];
    top->shell = shell;
    top->is_terminal = shell->console->is_terminal;
    top->interval_ns = interval_ns;
    top->frames = frames;
    if (!top->is_terminal)
        look(top->before);
    run(top);
    memory_pages_free(memory, top, order);
    return 0;
}

SHELL_COMMAND(top, "[-n TIMES] [SECONDS]",
              "Shows who uses the CPUs, again each second or so many; q or Ctrl-C ends it.\n"
              "-n: so many times, without a terminal once. %CPU: of one CPU, since the last\n"
              "time; at first, on a terminal, since the start. SECONDS may be 0.5 or 200ms.") {
    uint64_t frames = shell->console->is_terminal ? UINT64_MAX : 1;
    ash_ns_t interval_ns = NS_PER_S;
    int at = 1;
    if (argc > 1 && strcmp(argv[1], "-n") == 0) {
        if (argc == 2 || !number_parse_within(argv[2], 1, UINT32_MAX, &frames))
            return shell_usage(shell, "top", "-n takes a number of times");
        at = 3;
    }
    if (argc - at > 1)
        return shell_usage(shell, "top", "takes one interval at most");
    if (at < argc && !parse_interval(argv[at], &interval_ns))
        return shell_usage(shell, "top", "the interval is from 10ms to an hour, in seconds");
    if (!shell_has_kernel(shell, "top") || !shell_has_threads(shell, "top"))
        return 1;
    return start(shell, interval_ns, frames);
}
