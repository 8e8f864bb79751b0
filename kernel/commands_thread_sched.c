/* SPDX-License-Identifier: MIT */
/* commands_thread_sched.c: sched: the schedulers of the CPUs, and what they have promised. */
#include <inttypes.h>
#include <string.h>

#include "numbers.h"
#include "shell_threads.h"

static void print_classes(struct shell *shell) {
    uint32_t counts[ASH_SCHED_NOTHING] = {0}, count = 0;
    struct thread_info info;
    for (uint32_t id = 1; thread_info_from(id, &info); id = info.id + 1) {
        counts[info.class_]++;
        count++;
    }
    shell_print(shell, "preset     %s\n", threads_preset_word(threads_preset()));
    shell_print(shell,
                "threads    %" PRIu32 ": %" PRIu32 " real-time, %" PRIu32 " fair, %" PRIu32
                " interactive, %" PRIu32 " idle\n",
                count, counts[ASH_SCHED_REALTIME], counts[ASH_SCHED_FAIR],
                counts[ASH_SCHED_INTERACTIVE], counts[ASH_SCHED_IDLE]);
}

static void print_cpu(struct shell *shell, uint32_t cpu) {
    struct threads_cpu_info info;
    char reserved[SHELL_PERCENT_BYTES], left[SHELL_PERCENT_BYTES], idle[DURATION_TEXT_BYTES];
    threads_cpu_info(cpu, &info);
    uint64_t taken = ash_min_u64(info.reserved_ppm + info.others_ppm, 1000000);
    shell_print(shell,
                "%3" PRIu32 " %8s %6s %9" PRIu64 " %9" PRIu64 " %6" PRIu64 " %6s %6" PRIu64
                " %9" PRIu64 "\n",
                cpu, shell_percent(reserved, info.reserved_ppm),
                shell_percent(left, 1000000 - taken), info.switches, info.preemptions, info.steals,
                duration_text(idle, info.idle_ns), info.sched.misses, info.sched.throttles);
}

static uint64_t count_starving(void) {
    struct threads_cpu_info info;
    uint64_t count = 0;
    for (uint32_t cpu = 0; cpu < threads_cpu_count(); cpu++) {
        threads_cpu_info(cpu, &info);
        count += info.sched.starvings;
    }
    return count;
}

static int show(struct shell *shell) {
    struct threads_cpu_info info;
    char others[SHELL_PERCENT_BYTES];
    threads_cpu_info(0, &info);
    print_classes(shell);
    shell_print(shell, "others     have %s of each CPU, whatever is reserved\n",
                shell_percent(others, info.others_ppm));
    shell_print(shell, "starved    %" PRIu64 " times one was ready for ten seconds in vain\n",
                count_starving());
    shell_print(shell, "\n%3s %8s %6s %9s %9s %6s %6s %6s %9s\n", "CPU", "RESERVED", "LEFT",
                "SWITCHES", "PREEMPTED", "STOLEN", "IDLE", "MISSES", "THROTTLED");
    for (uint32_t cpu = 0; cpu < threads_cpu_count(); cpu++)
        print_cpu(shell, cpu);
    return 0;
}

/* admit */

static int answer(struct shell *shell, const struct ash_sched_attributes *attributes) {
    struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
    struct threads_cpu_info info;
    char percent[SHELL_PERCENT_BYTES];
    int cpu = threads_admit(attributes, &refusal);
    if (cpu < 0)
        return shell_thread_refused(shell, "sched", "admit", cpu, &refusal);
    threads_cpu_info((uint32_t)cpu, &info);
    uint64_t ppm = ash_mul_div_u64(1000000, attributes->runtime_ns, attributes->period_ns);
    shell_print(shell, "accepted, on CPU %d, of which %s would be reserved then\n", cpu,
                shell_percent(percent, ash_min_u64(info.reserved_ppm + ppm, 1000000)));
    return 0;
}

static int admit(struct shell *shell, int argc, char **argv) {
    struct ash_sched_attributes attributes = {.flags = 0};
    struct shell_times times = {.count = 0};
    for (int i = 0; i < argc; i++) {
        if (!shell_take_time(shell, "sched", argv[i], &times))
            return SHELL_STATUS_USAGE;
    }
    int status = shell_reserve(shell, "sched", &times, &attributes);
    return status == 0 ? answer(shell, &attributes) : status;
}

SHELL_COMMAND(sched, "[admit Q T [D] | demo [SECONDS] | presets]",
              "Shows the schedulers: their classes, what is reserved, what they have done.\n"
              "RESERVED: of the CPU, for real-time threads. LEFT: what more could be.\n"
              "PREEMPTED: switches that an interrupt made. STOLEN: threads taken from others.\n"
              "MISSES, THROTTLED: of all threads, also of those that have ended.\n"
              "admit: would Q of each T, within D, be reserved now, where, and if not, why.\n"
              "demo: two hogs, and a real-time thread that wants more than it reserved, beside\n"
              "one that keeps to it and never misses; 10 seconds or so many, to be watched.\n"
              "presets: what each boot argument sched= costs and brings, on a simulated clock.") {
    if (!shell_has_threads(shell, "sched"))
        return 1;
    if (argc == 1)
        return show(shell);
    if (strcmp(argv[1], "admit") == 0)
        return admit(shell, argc - 2, argv + 2);
    if (strcmp(argv[1], "demo") == 0)
        return shell_sched_demo(shell, argc - 1, argv + 1);
    if (argc == 2 && strcmp(argv[1], "presets") == 0)
        return shell_sched_presets(shell);
    return shell_usage(shell, "sched",
                       "there are admit, demo, presets, and without a word what is");
}
