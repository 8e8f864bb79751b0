/* SPDX-License-Identifier: MIT */
/* commands_thread_sched.c: sched: the schedulers of the CPUs, and what they have promised. */
#include <inttypes.h>

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

static int show(struct shell *shell) {
    struct threads_cpu_info info;
    char others[SHELL_PERCENT_BYTES];
    threads_cpu_info(0, &info);
    print_classes(shell);
    shell_print(shell, "others     have %s of each CPU, whatever is reserved\n",
                shell_percent(others, info.others_ppm));
    shell_print(shell, "\n%3s %8s %6s %9s %9s %6s %6s %6s %9s\n", "CPU", "RESERVED", "LEFT",
                "SWITCHES", "PREEMPTED", "STOLEN", "IDLE", "MISSES", "THROTTLED");
    for (uint32_t cpu = 0; cpu < threads_cpu_count(); cpu++)
        print_cpu(shell, cpu);
    return 0;
}

SHELL_COMMAND(sched, "",
              "Shows the schedulers: their classes, what is reserved, what they have done.\n"
              "RESERVED: of the CPU, for real-time threads. LEFT: what more could be.\n"
              "PREEMPTED: switches that an interrupt made. STOLEN: threads taken from others.\n"
              "MISSES, THROTTLED: of all threads, also of those that have ended.") {
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    return shell_has_threads(shell, "sched") ? show(shell) : 1;
}
