/* SPDX-License-Identifier: MIT */
/* commands_blk_bench.c: `blk bench`: its words, and what it came to as a table. */
#include "blk_bench.h"
#include "kernel.h"
#include "numbers.h"
#include "shell_disks.h"
#include "thread.h"

#include <ashlar/bits.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

#define NS_PER_S UINT64_C(1000000000)

enum { SECONDS_MAX = 3600, CURVE_NS = 500000000, ALL_DEPTHS = 0, NO_DISK = DISKS_MAX };

struct words {
    struct blk_bench_options bench; /* depth: ALL_DEPTHS for the curve */
    uint64_t disk, seconds;
    bool force, result_only, is_random, compares;
    bool has_policy;
    enum ash_virtio_blk_policy policy;
    uint32_t amount;
};

/* Words */

static bool take_number(const char *word, uint64_t min, uint64_t max, uint32_t *number) {
    uint64_t value;
    if (!number_parse_within(word, min, max, &value))
        return false;
    *number = (uint32_t)value;
    return true;
}

/* Options with a value: NULL, or why not. */
static const char *take_value(struct words *words, const char *option, const char *value) {
    struct blk_bench_options *bench = &words->bench;
    if (strcmp(option, "--disk") == 0)
        return number_parse_within(value, 0, DISKS_MAX - 1, &words->disk)
                   ? NULL
                   : "--disk takes the number of a disk, such as 1; `blk` lists them";
    if (strcmp(option, "--depth") == 0)
        return take_number(value, 1, UINT32_MAX, &bench->depth)
                   ? NULL
                   : "--depth takes a number of requests, such as 32";
    if (strcmp(option, "--size") == 0)
        return take_number(value, 1, UINT32_MAX, &bench->size_bytes)
                   ? NULL
                   : "--size takes a number of bytes, such as 512, 4K or 1M";
    if (strcmp(option, "--queues") == 0)
        return take_number(value, 1, UINT32_MAX, &bench->queues)
                   ? NULL
                   : "--queues takes a number, such as 4; `blk` shows how many there are";
    if (strcmp(option, "--segments") == 0)
        return take_number(value, 1, UINT32_MAX, &bench->segments)
                   ? NULL
                   : "--segments takes a number, such as 16";
    if (strcmp(option, "--count") == 0)
        return number_parse_within(value, 1, UINT64_MAX, &bench->count)
                   ? NULL
                   : "--count takes a number of requests, such as 10000";
    if (strcmp(option, "--seconds") == 0)
        return number_parse_within(value, 1, SECONDS_MAX, &words->seconds)
                   ? NULL
                   : "--seconds takes a number from 1 to 3600";
    words->has_policy = true;
    return shell_disk_policy(value, &words->policy, &words->amount)
               ? NULL
               : "--policy takes poll, interrupt, delayed, delayed:N, hybrid or hybrid:N";
}

static bool take_flag(struct words *words, const char *option) {
    struct {
        const char *name;
        bool *flag;
    } flags[] = {
        {"--write", &words->bench.is_write}, {"--seq", &words->bench.is_sequential},
        {"--rand", &words->is_random},       {"--copy", &words->compares},
        {"--force", &words->force},          {"--result", &words->result_only},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(flags); i++) {
        if (strcmp(option, flags[i].name) != 0)
            continue;
        *flags[i].flag = true;
        return true;
    }
    return false;
}

static bool has_value(const char *option) {
    static const char *const names[] = {"--disk",     "--depth", "--queues",  "--size",
                                        "--segments", "--count", "--seconds", "--policy"};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        if (strcmp(option, names[i]) == 0)
            return true;
    }
    return false;
}

/* NULL, or why the words make no sense. */
static const char *parse(struct words *words, int argc, char **argv) {
    const char *why = NULL;
    for (int at = 0; at < argc && why == NULL; at++) {
        if (take_flag(words, argv[at]))
            continue;
        if (!has_value(argv[at]))
            return argv[at][0] == '-' ? "unknown option of bench"
                                      : "bench takes options only, such as --depth 32";
        why = take_value(words, argv[at], at + 1 < argc ? argv[at + 1] : "");
        at++;
    }
    if (why == NULL && words->bench.is_sequential && words->is_random)
        why = "--seq and --rand do not go together";
    if (why == NULL && words->compares && words->result_only)
        why = "--copy and --result do not go together";
    if (why == NULL && words->bench.count != 0 && words->seconds != 0)
        why = "--count and --seconds do not go together";
    return why;
}

/* Tables */

/* value / unit with so many decimals, right-aligned. */
static const char *decimal(char text[32], uint64_t value, uint64_t unit, uint32_t decimals,
                           int width) {
    uint64_t scale = decimals == 3 ? 1000 : decimals == 1 ? 10 : 1;
    uint64_t scaled = unit == 0 ? 0 : ash_mul_div_u64(value, scale, unit);
    char number[32];
    if (decimals == 0)
        snprintf(number, sizeof(number), "%" PRIu64, scaled);
    else
        snprintf(number, sizeof(number), "%" PRIu64 ".%0*" PRIu64, scaled / scale, (int)decimals,
                 scaled % scale);
    snprintf(text, 32, "%*s", width, number);
    return text;
}

static uint64_t rate_of(const struct blk_bench_result *result) {
    return result->elapsed_ns == 0
               ? 0
               : ash_mul_div_u64(result->requests, NS_PER_S, result->elapsed_ns);
}

/* Of one CPU alone. */
static bool counts(const struct blk_bench_options *bench) {
    return platform_counts_instructions() && bench->queues == 1;
}

static void print_head(struct shell *shell, const struct words *words, const struct disk *disk) {
    const struct blk_bench_options *bench = &words->bench;
    char policy[24];
    shell_print(shell, "disk %" PRIu32 ": %ss of %" PRIu32 " bytes, %s", disk->number,
                bench->is_write ? "write" : "read", bench->size_bytes,
                bench->is_sequential ? "sequential" : "random");
    if (bench->segments != 1)
        shell_print(shell, ", in %" PRIu32 " pieces", bench->segments);
    if (bench->queues != 1)
        shell_print(shell, ", %" PRIu32 " queues", bench->queues);
    shell_print(shell, "; policy %s\n",
                shell_disk_policy_text(disk->policy, disk->policy_amount, policy));
    if (platform_counts_instructions())
        shell_print(shell, "instructions are counted here: the clock tells no real time\n");
    shell_print(shell, "%5s %9s %9s %8s %8s %8s %8s %8s%s\n", "depth", "MB/s", "IOPS", "p50 us",
                "p99 us", "max us", "kicks/IO", "irqs/IO", counts(bench) ? " instr/IO" : "");
}

static void print_row(struct shell *shell, const struct blk_bench_options *bench,
                      const struct blk_bench_result *result) {
    char text[8][32];
    uint64_t bytes = result->requests * bench->size_bytes;
    shell_print(
        shell, "%5" PRIu32 " %s %s %s %s %s %s %s", bench->depth,
        decimal(text[0], bytes * 1000, result->elapsed_ns, 1, 9),
        decimal(text[1], rate_of(result), 1, 0, 9), decimal(text[2], result->p50_ns, 1000, 1, 8),
        decimal(text[3], result->p99_ns, 1000, 1, 8), decimal(text[4], result->max_ns, 1000, 1, 8),
        decimal(text[5], result->kicks, result->requests, 3, 8),
        decimal(text[6], result->interrupts, result->requests, 3, 8));
    if (counts(bench))
        shell_print(shell, " %s", decimal(text[7], result->instructions, result->requests, 1, 8));
    shell_print(shell, "\n");
}

static void print_result(struct shell *shell, const struct blk_bench_options *bench,
                         const struct blk_bench_result *result) {
    shell_print(shell, "result %s %" PRIu32 " %" PRIu32 " %s %" PRIu64 " IOPS\n",
                bench->is_write ? "write" : "read", bench->size_bytes, bench->depth,
                bench->is_sequential ? "sequential" : "random", rate_of(result));
}

/* Runs */

/* One row. A command's status. */
static int run_one(struct shell *shell, const struct words *words, struct disk *disk,
                   const struct blk_bench_options *bench, struct blk_bench_result *result) {
    int error = blk_bench_run(disk, bench, result);
    if (error == -ASH_ENOMEM)
        return shell_disk_error(shell, "blk", disk->number, "not enough memory for so many blocks");
    if (error == -ASH_EAGAIN)
        return shell_error(shell, "blk", NULL, "the host has no thread for one of the CPUs");
    if (error != 0)
        return shell_disk_error(shell, "blk", disk->number, disk_explain(disk, error));
    if (result->was_stopped)
        return SHELL_STATUS_STOPPED;
    if (words->result_only)
        print_result(shell, bench, result);
    else
        print_row(shell, bench, result);
    return 0;
}

static void print_copied(struct shell *shell, const struct blk_bench_options *bench,
                         const struct blk_bench_result *result) {
    shell_print(shell, "%" PRIu64 " of %" PRIu64 " bytes copied", result->copied_bytes,
                result->requests * bench->size_bytes);
}

/* What the same with a copy of each block costs beside what it cost without. */
static int compare_copy(struct shell *shell, const struct words *words, struct disk *disk,
                        struct blk_bench_options bench, const struct blk_bench_result *plain) {
    struct blk_bench_result copied;
    char text[3][32];
    bench.copies = true;
    int status = run_one(shell, words, disk, &bench, &copied);
    if (status != 0)
        return status;
    uint64_t lean = plain->requests, fat = copied.requests;
    shell_print(shell, "zero-copy: %s us a block, ",
                decimal(text[0], plain->elapsed_ns, lean * 1000, 3, 0));
    print_copied(shell, &bench, plain);
    shell_print(shell, "\nwith copy: %s us a block, ",
                decimal(text[1], copied.elapsed_ns, fat * 1000, 3, 0));
    print_copied(shell, &bench, &copied);
    if (counts(&bench) && lean != 0 && fat != 0)
        shell_print(
            shell, "; %s instructions more",
            decimal(text[2], copied.instructions / fat - plain->instructions / lean, 1, 0, 0));
    shell_print(shell, "\n");
    return 0;
}

static int run_at(struct shell *shell, const struct words *words, struct disk *disk) {
    struct blk_bench_result result;
    int status = run_one(shell, words, disk, &words->bench, &result);
    if (status != 0 || words->result_only)
        return status;
    if (words->compares)
        return compare_copy(shell, words, disk, words->bench, &result);
    print_copied(shell, &words->bench, &result);
    shell_print(shell, "\n");
    return 0;
}

static int run_curve(struct shell *shell, const struct words *words, struct disk *disk) {
    struct blk_bench_options bench = words->bench;
    struct blk_bench_result result;
    uint64_t first = 0;
    char text[32];
    int status = 0;
    for (bench.depth = 1; bench.depth <= disk->blk.in_flight_max && status == 0; bench.depth *= 2) {
        status = run_one(shell, words, disk, &bench, &result);
        first = bench.depth == 1 ? rate_of(&result) : first;
    }
    bench.depth /= 2;
    if (status != 0 || words->result_only)
        return status;
    shell_print(shell, "depth %" PRIu32 " is %s times as fast as depth 1\n", bench.depth,
                decimal(text, rate_of(&result), first, 1, 0));
    return compare_copy(shell, words, disk, bench, &result);
}

static bool is_stopped(void *context) {
    return shell_interrupted(context);
}

static int run(struct shell *shell, const struct words *words, struct disk *disk) {
    if (!words->result_only)
        print_head(shell, words, disk);
    return words->bench.depth == ALL_DEPTHS ? run_curve(shell, words, disk)
                                            : run_at(shell, words, disk);
}

/* Is there anything that keeps it from being run? */
static bool may_run(struct shell *shell, const struct words *words, const struct disk *disk) {
    struct blk_bench_options bench = words->bench;
    char text[96];
    bench.depth = bench.depth == ALL_DEPTHS ? 1 : bench.depth;
    if (bench.is_write && !shell_disk_may_write(shell, "blk", disk, words->force))
        return false;
    const char *why = blk_bench_refusal(disk, &bench, text);
    if (why != NULL)
        shell_disk_error(shell, "blk", disk->number, why);
    return why == NULL;
}

/* It has the disk, all CPUs and their timers to itself. */
struct alone {
    struct shell *shell;
    const struct words *words;
    struct disk *disk;
    int status;
};

static int run_with_policy(struct shell *shell, const struct words *words, struct disk *disk) {
    enum ash_virtio_blk_policy policy = disk->policy;
    uint32_t amount = disk->policy_amount;
    int error =
        words->bench.is_write ? block_cache_release(&shell->kernel->cache, disk, 0, UINT64_MAX) : 0;
    if (error != 0)
        return shell_disk_error(shell, "blk", disk->number, disk_explain(disk, error));
    error = words->has_policy ? disk_set_policy(disk, words->policy, words->amount) : 0;
    int status =
        error != 0 ? shell_error(shell, "blk", NULL, ash_strerror(error)) : run(shell, words, disk);
    error = disk_set_policy(disk, policy, amount);
    return error != 0 ? shell_error(shell, "blk", NULL, ash_strerror(error)) : status;
}

static void run_alone(void *context) {
    struct alone *alone = context;
    alone->status = run_with_policy(alone->shell, alone->words, alone->disk);
}

int shell_blk_bench(struct shell *shell, int argc, char **argv) {
    struct words words = {.bench = {.size_bytes = 4096,
                                    .segments = 1,
                                    .queues = 1,
                                    .stopped = is_stopped,
                                    .context = shell},
                          .disk = NO_DISK};
    const char *why = parse(&words, argc, argv);
    if (why != NULL)
        return shell_usage(shell, "blk", why);
    if (words.disk == NO_DISK)
        words.disk = words.bench.is_write ? shell_disk_to_write(shell) : 0;
    struct disk *disk = shell_disk(shell, "blk", words.disk);
    if (disk == NULL || !may_run(shell, &words, disk))
        return 1;
    words.bench.has_latencies = !words.result_only;
    words.bench.duration_ns = words.seconds != 0                ? words.seconds * NS_PER_S
                              : words.bench.depth == ALL_DEPTHS ? CURVE_NS
                                                                : NS_PER_S;
    struct alone alone = {shell, &words, disk, 0};
    shell_disks_alone(shell, run_alone, &alone);
    return alone.status;
}
