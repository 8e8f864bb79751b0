/* SPDX-License-Identifier: MIT */
/* commands_prof.c: profstart, profstop, profreport, prof: where the time goes. */
#include <ashlar/error.h>
#include <ashlar/prof_aggregate.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "numbers.h"
#include "prof.h"
#include "prof_look.h"
#include "prof_regions.h"
#include "shell.h"

enum { TOP_DEFAULT = 10, TOP_MAX = 1000, LABEL_BYTES = 200 };

#define NS_PER_S UINT64_C(1000000000)

#define RUNS_ALREADY "it samples already; profstop ends that"
#define NEVER_RAN    "nothing was sampled; profstart begins"
#define STILL_RUNS   "it samples still; profstop first"

/* profstart, profstop */

static int refuse_rate(struct shell *shell, const char *word) {
    char why[96];
    snprintf(why, sizeof(why), "no such rate: say %u to %u samples a second, without a unit",
             ASH_PROF_HZ_MIN, ASH_PROF_HZ_MAX);
    shell_error(shell, "profstart", word, why);
    return SHELL_STATUS_USAGE;
}

/* 0, or the status to end with. */
static int parse_start(struct shell *shell, int argc, char **argv, struct prof_config *config) {
    uint64_t number;
    *config = (struct prof_config){.hz = ASH_PROF_HZ_DEFAULT};
    for (int i = 1; i < argc; i++) {
        bool is_cycles = strcmp(argv[i], "--cycles") == 0;
        bool is_samples = strcmp(argv[i], "--samples") == 0;
        if ((is_cycles || is_samples) && i + 1 == argc)
            return shell_usage(shell, "profstart", "there is no number behind the option");
        if (is_cycles) {
            if (!number_parse_within(argv[++i], PROF_CYCLES_MIN, UINT32_MAX, &config->cycles)) {
                shell_error(shell, "profstart", argv[i],
                            "a period is 1000 cycles or more, below 2^32");
                return SHELL_STATUS_USAGE;
            }
        } else if (is_samples) {
            if (!number_parse_within(argv[++i], ASH_PROF_SAMPLES_MIN, ASH_PROF_SAMPLES_MAX,
                                     &number)) {
                shell_error(shell, "profstart", argv[i], "keep 16 samples of a CPU or more");
                return SHELL_STATUS_USAGE;
            }
            config->samples = (uint32_t)number;
        } else if (number_parse_within(argv[i], ASH_PROF_HZ_MIN, ASH_PROF_HZ_MAX, &number)) {
            config->hz = (uint32_t)number;
        } else {
            return refuse_rate(shell, argv[i]);
        }
    }
    return 0;
}

static const char *why_not_started(const struct prof_config *config, int error) {
    if (error == -ASH_EBUSY)
        return RUNS_ALREADY;
    if (error == -ASH_ENOMEM)
        return "there is no memory for the samples of all CPUs; --samples N keeps fewer";
    if (error == -ASH_ENOTSUP && config->cycles != 0)
        return "no counter of cycles interrupts on this machine; leave --cycles out";
    return ash_strerror(error);
}

SHELL_COMMAND(profstart, "[HZ] [--cycles N] [--samples N]",
              "Starts to sample what the CPUs do, HZ times a second (1000; 1 to 20000).\n"
              "--cycles: every N cycles instead, which under -icount are instructions.\n"
              "--samples: of each CPU the newest N are kept (10000).\n"
              "profstop ends it, profreport shows where the time went. The profile before\n"
              "is forgotten.") {
    struct prof_config config;
    int status = parse_start(shell, argc, argv, &config);
    if (status != 0)
        return status;
    if (!shell_has_kernel(shell, "profstart"))
        return 1;
    int error = prof_start(&shell->kernel->memory, &config);
    return error == 0 ? 0 : shell_error(shell, "profstart", NULL, why_not_started(&config, error));
}

SHELL_COMMAND(profstop, "", "Ends what profstart began; what was sampled stays.") {
    (void)argv;
    if (argc != 1)
        return shell_usage(shell, "profstop", "takes no words");
    int error = prof_stop();
    if (error == -ASH_ENOENT)
        return shell_error(shell, "profstop", NULL, "it does not sample; profstart begins");
    return error == 0 ? 0 : shell_error(shell, "profstop", NULL, ash_strerror(error));
}

/* profreport */

static const char *percent(char text[16], uint64_t part, uint64_t whole) {
    uint32_t permille = whole == 0 ? 0 : (uint32_t)ash_mul_div_u64(part, 1000, whole);
    snprintf(text, 16, "%" PRIu32 ".%" PRIu32 "%%", permille / 10, permille % 10);
    return text;
}

static void show_counts(struct shell *shell) {
    struct ash_prof_counts counts;
    char duration[DURATION_TEXT_BYTES];
    const struct prof_config *config = prof_config();
    uint32_t cpus = prof_count(&counts);
    shell_print(shell, "status    %s\n", prof_state() == PROF_RUNS ? "running" : "stopped");
    shell_print(shell, "samples   %" PRIu64 " of %" PRIu32 " CPU%s, %" PRIu32 " stacks\n",
                counts.taken, cpus, cpus == 1 ? "" : "s", counts.stacks);
    shell_print(shell, "dropped   %" PRIu64 " (the oldest; profstart --samples keeps more)\n",
                counts.overwritten);
    if (counts.leaves != 0)
        shell_print(shell, "no stack  %" PRIu64 ": the table of stacks was full\n", counts.leaves);
    if (counts.weight != counts.taken)
        shell_print(shell, "late      %" PRIu64 " periods stand in samples that came after them\n",
                    counts.weight - counts.taken);
    shell_print(shell, "duration  %s\n", duration_text(duration, prof_duration_ns()));
    if (config->cycles != 0)
        shell_print(shell, "rate      every %" PRIu64 " %s\n", config->cycles,
                    platform_counts_instructions() ? "instructions" : "cycles");
}

static void show_rate(struct shell *shell, const struct ash_prof_totals *totals) {
    if (totals->trigger == ASH_PROF_TIMER)
        shell_print(shell,
                    "rate      %" PRIu32 " Hz asked, %" PRIu64 ".%" PRIu64 " Hz delivered%s\n",
                    totals->asked_hz, totals->delivered_mhz / 1000,
                    totals->delivered_mhz % 1000 / 100, totals->cpus == 1 ? "" : " on each CPU");
}

static void show_top(struct shell *shell, const struct ash_prof_aggregate *aggregate,
                     const struct ash_prof_top *top, size_t count) {
    char self[16], total[16], label[LABEL_BYTES];
    shell_print(shell, "  SELF   TOTAL  FUNCTION\n");
    for (size_t i = 0; i < count; i++) {
        (void)ash_prof_label_copy(&top[i].label, label, sizeof(label));
        shell_print(shell, "%6s  %6s  ", percent(self, top[i].self, aggregate->weight),
                    percent(total, top[i].total, aggregate->weight));
        shell_text(shell, label);
        shell_write(shell, "\n", 1);
    }
}

static int report_top(struct shell *shell, struct prof_look *look, size_t max) {
    struct ash_prof_totals totals;
    struct ash_prof_aggregate aggregate;
    size_t groups = ash_prof_aggregate_work(&look->view);
    size_t bytes = ash_align_up(groups, 64) + max * sizeof(struct ash_prof_top);
    ash_prof_view_totals(&look->view, &totals);
    show_rate(shell, &totals);
    uint8_t *work = groups == 0 ? NULL : prof_look_work(look, bytes);
    if (groups != 0 && work == NULL)
        return -ASH_ENOMEM;
    int error =
        groups == 0 ? -ASH_ENOENT : ash_prof_aggregate_begin(&aggregate, &look->view, work, groups);
    if (error != 0)
        return error;
    struct ash_prof_top *top = (void *)(work + ash_align_up(groups, 64));
    size_t count = ash_prof_aggregate_top(&aggregate, top, max);
    show_top(shell, &aggregate, top, count);
    return 0;
}

static const char *why_no_report(const struct prof_look *look, int error) {
    if (error == -ASH_ENOENT)
        return "no sample was taken: it ran for less than a period, or not at all";
    if (error == -ASH_ENOMEM)
        return "there is no memory to put the samples together; they stay";
    return look != NULL && look->message[0] != '\0' ? look->message : ash_strerror(error);
}

static int report(struct shell *shell, size_t max) {
    int error;
    if (prof_state() == PROF_NEVER)
        return shell_error(shell, "profreport", NULL, NEVER_RAN);
    show_counts(shell);
    if (prof_state() == PROF_RUNS) {
        shell_print(shell, "functions are shown after profstop\n");
        return 0;
    }
    struct prof_look *look = prof_look_open(&shell->kernel->memory, &error);
    if (look != NULL)
        error = report_top(shell, look, max);
    if (error != 0)
        shell_error(shell, "profreport", NULL, why_no_report(look, error));
    if (look != NULL)
        prof_look_close(look);
    return error != 0;
}

SHELL_COMMAND(profreport, "[N]",
              "Shows the profile: samples, rate, and the N (10) functions with the most time.\n"
              "SELF is in the function itself, TOTAL with what it called. _[k]: the kernel.") {
    uint64_t max = TOP_DEFAULT;
    if (argc > 2)
        return shell_usage(shell, "profreport", "takes one number at most");
    if (argc == 2 && !number_parse_within(argv[1], 1, TOP_MAX, &max)) {
        shell_error(shell, "profreport", argv[1], "say how many functions, 1 to 1000");
        return SHELL_STATUS_USAGE;
    }
    if (!shell_has_kernel(shell, "profreport"))
        return 1;
    prof_lock();
    int status = report(shell, (size_t)max);
    prof_unlock();
    return status;
}

/* prof */

static const char *why_no_file(int error) {
    if (error == -ASH_ENOTSUP)
        return "this machine reaches no files of the host (semihosting is off)";
    if (error == -ASH_EIO)
        return "the host cannot make or write this file; the profile stays";
    if (error == -ASH_ENOSPC)
        return "the host has no space left for it; the profile stays";
    return why_no_report(NULL, error);
}

static int export_profile(struct shell *shell, enum ash_prof_format format, const char *path) {
    int error;
    struct prof_look *look = prof_look_open(&shell->kernel->memory, &error);
    if (look == NULL)
        return error;
    error = prof_look_export(look, format, path);
    prof_look_close(look);
    return error;
}

static int write_file(struct shell *shell, const char *what, const char *path) {
    int error;
    if (prof_state() == PROF_NEVER)
        return shell_error(shell, "prof", NULL, NEVER_RAN);
    if (prof_state() == PROF_RUNS)
        return shell_error(shell, "prof", NULL, STILL_RUNS);
    if (strcmp(what, "dump") == 0)
        return dump_to_host(shell, "prof", path, DUMP_PROFILE);
    error =
        export_profile(shell, strcmp(what, "flame") == 0 ? ASH_PROF_FLAME : ASH_PROF_FOLDED, path);
    if (error != 0)
        return shell_error(shell, "prof", path, why_no_file(error));
    shell_text(shell, path);
    shell_print(shell, ": written on the host\n");
    return 0;
}

/* prof regions */

static uint64_t ns_of(uint64_t ticks) {
    return ash_mul_div_u64(ticks, NS_PER_S, platform_clock_hz());
}

static void show_region(struct shell *shell, const struct prof_region *region) {
    const struct ash_profile_times *times = &region->times;
    shell_print(shell, "%10" PRIu64 " %13" PRIu64 " %11" PRIu64 " %11" PRIu64 " %11" PRIu64 "  ",
                times->count, ns_of(times->ticks), ns_of(times->ticks) / times->count,
                ns_of(times->min_ticks), ns_of(times->max_ticks));
    shell_text(shell, region->name);
    shell_write(shell, "\n", 1);
}

static int show_regions(struct shell *shell) {
    struct prof_region region;
    uint32_t entered = 0, number = 0;
    shell_print(shell, "unit: ns, by a clock of %" PRIu64 " Hz%s\n", platform_clock_hz(),
                platform_counts_instructions() ? "; under -icount shift=0, instructions" : "");
    shell_print(shell, "%10s %13s %11s %11s %11s  %s\n", "ENTERED", "TOTAL", "MEAN", "MIN", "MAX",
                "REGION");
    for (; prof_region_read(number, &region); number++) {
        if (region.times.count == 0)
            continue;
        entered++;
        show_region(shell, &region);
    }
    shell_print(shell, "%" PRIu32 " of %" PRIu32 " regions entered; the kernel's are %s\n", entered,
                number, ash_load_relaxed(&prof_regions_are_on) ? "on" : "off: prof regions on");
    return 0;
}

static int regions(struct shell *shell, int argc, char **argv) {
    const char *what = argc == 3 ? argv[2] : "";
    bool is_on = strcmp(what, "on") == 0;
    if (argc == 2)
        return show_regions(shell);
    if (is_on || strcmp(what, "off") == 0)
        ash_store_relaxed(&prof_regions_are_on, is_on);
    else if (strcmp(what, "reset") == 0)
        prof_regions_reset();
    else
        return shell_usage(shell, "prof", "regions takes on, off, reset, or nothing");
    return 0;
}

SHELL_COMMAND(prof, "flame|folded|dump FILE | regions [on|off|reset]",
              "Writes the profile to a file of the host, or shows measured regions.\n"
              "flame: an SVG to be looked at in a browser. folded: a line a stack, for flame\n"
              "graph tools. dump: all of it, for ash-trace.\n"
              "regions: how often each ASH_PROFILE(name) { ... } was entered, and its times.\n"
              "on, off: those of the kernel itself are measured, or not (at first). reset:\n"
              "all are as if they had never been entered.") {
    if (argc >= 2 && strcmp(argv[1], "regions") == 0)
        return regions(shell, argc, argv);
    if (argc != 3 || (strcmp(argv[1], "flame") != 0 && strcmp(argv[1], "folded") != 0 &&
                      strcmp(argv[1], "dump") != 0))
        return shell_usage(shell, "prof", "say flame, folded or dump, and a file; or regions");
    if (!shell_has_kernel(shell, "prof"))
        return 1;
    prof_lock();
    int status = write_file(shell, argv[1], argv[2]);
    prof_unlock();
    return status;
}
