/* SPDX-License-Identifier: MIT */
/* commands_perfstat.c: perfstat: what a command or program took, as the CPUs count it. */
#include <ashlar/error.h>
#include <inttypes.h>
#include <string.h>

#include "each_cpu.h"
#include "kernel.h"
#include "numbers.h"
#include "platform/sample.h"
#include "shell.h"
#include "thread.h"

/* What is counted at one moment, of all CPUs. */
struct moment {
    ash_ns_t at_ns;
    uint64_t counters[PLATFORM_COUNTERS];
    int errors[PLATFORM_COUNTERS]; /* why a counter says nothing */
    struct ash_vm_stats memory;
    uint64_t switches;
};

static int read_counters(void *context, uint32_t cpu) {
    struct moment *moment = context;
    (void)cpu;
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        uint64_t value = 0;
        int error = platform_counter_read((enum platform_counter)i, &value);
        moment->counters[i] += value;
        if (error != 0)
            moment->errors[i] = error;
    }
    return 0;
}

static uint64_t count_switches(void) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < threads_cpu_count(); i++) {
        struct threads_cpu_info info;
        threads_cpu_info(i, &info);
        sum += info.switches;
    }
    return sum;
}

/* The counters are read next to what is measured. */
static int begin(struct moment *moment) {
    memset(moment, 0, sizeof(*moment));
    processes_vm_stats(&moment->memory);
    moment->switches = count_switches();
    int error = each_cpu(each_cpu_count(), read_counters, moment);
    moment->at_ns = platform_now_ns();
    return error;
}

static int end(struct moment *moment) {
    memset(moment, 0, sizeof(*moment));
    moment->at_ns = platform_now_ns();
    int error = each_cpu(each_cpu_count(), read_counters, moment);
    moment->switches = count_switches();
    processes_vm_stats(&moment->memory);
    return error;
}

static const char *name_of(uint32_t counter) {
    static const char *const names[PLATFORM_COUNTERS] = {
        [PLATFORM_COUNTER_INSTRUCTIONS] = "instructions",
        [PLATFORM_COUNTER_CYCLES] = "cycles",
        [PLATFORM_COUNTER_CACHE_MISSES] = "cache misses",
        [PLATFORM_COUNTER_TLB_MISSES] = "TLB misses",
        [PLATFORM_COUNTER_BRANCH_MISSES] = "branch misses"};
    return names[counter];
}

static void show(struct shell *shell, const char *name, const struct moment *before,
                 const struct moment *after, int status) {
    char elapsed[DURATION_TEXT_BYTES];
    uint32_t cpus = threads_cpu_count();
    shell_text(shell, "perfstat: ");
    shell_text(shell, name);
    shell_print(shell, ": status %d\n", status);
    for (uint32_t i = 0; i < PLATFORM_COUNTERS; i++) {
        if (before->errors[i] != 0 || after->errors[i] != 0)
            shell_print(shell, "%20s  %s: the CPU does not count them\n", "not available",
                        name_of(i));
        else
            shell_print(shell, "%20" PRIu64 "  %s%s\n", after->counters[i] - before->counters[i],
                        name_of(i), cpus > 1 ? ", of all CPUs" : "");
    }
    shell_print(shell, "%20" PRIu64 "  page faults, %" PRIu64 " pages zeroed, %" PRIu64 " copied\n",
                after->memory.faults - before->memory.faults,
                after->memory.pages_zeroed - before->memory.pages_zeroed,
                after->memory.pages_copied - before->memory.pages_copied);
    shell_print(shell, "%20" PRIu64 "  switches of threads\n", after->switches - before->switches);
    shell_print(shell, "%20s  elapsed\n", duration_text(elapsed, after->at_ns - before->at_ns));
}

SHELL_COMMAND(perfstat, "COMMAND [WORD...]",
              "Runs a command or program, and says what it took.\n"
              "Instructions, cycles and misses are those of all CPUs, where they count them;\n"
              "page faults are the programs'. Its status is the command's.") {
    struct moment before, after;
    if (argc == 1)
        return shell_usage(shell, "perfstat", "say which command");
    if (strcmp(argv[1], "perfstat") == 0) /* each would be a frame of this stack */
        return shell_usage(shell, "perfstat", "it does not measure itself");
    int error = begin(&before);
    if (error != 0)
        return shell_error(shell, "perfstat", NULL, ash_strerror(error));
    const char *name = argv[1];
    int status = shell_run_command(shell, argc - 1, argv + 1);
    error = end(&after);
    if (error != 0)
        return shell_error(shell, "perfstat", NULL, ash_strerror(error));
    show(shell, name, &before, &after, status);
    return status;
}
