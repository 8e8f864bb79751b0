/* SPDX-License-Identifier: MIT */
/* commands_thread_spawn.c: spawn, kill: threads that are there to be scheduled. */
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "kernel.h"
#include "numbers.h"
#include "shell_threads.h"

#define MS UINT64_C(1000000)

enum { TIMES_MAX = 3, COUNTS_BYTES = 160 };

/* What is asked for */

struct request {
    struct spawned what;
    struct ash_sched_attributes attributes;
    ash_ns_t times_ns[TIMES_MAX]; /* Q, T, D */
    uint32_t time_count;
    uint32_t class_count; /* of options that name one */
    bool has_work;
};

enum { PERIODIC = 1 << SPAWNED_PERIODIC, HOG = 1 << SPAWNED_HOG };

static bool take_work(struct request *request, const char *value) {
    request->has_work = true;
    return duration_parse(value, &request->what.periodic.work_ns) &&
           request->what.periodic.work_ns <= ASH_SCHED_TIME_MAX_NS;
}

static bool take_soft(struct request *request, const char *value) {
    (void)value;
    request->attributes.flags |= ASH_SCHED_SOFT;
    return true;
}

static bool take_cpu(struct request *request, const char *value) {
    uint64_t cpu;
    if (!number_parse_within(value, 0, threads_cpu_count() - 1, &cpu))
        return false;
    request->attributes.affinity = UINT64_C(1) << cpu;
    return true;
}

/* Out of range: admission says so. */
static bool take_nice(struct request *request, const char *value) {
    request->attributes.flags |= ASH_SCHED_NICE;
    request->class_count++;
    return number_parse_signed(value, &request->attributes.nice);
}

static bool take_inter(struct request *request, const char *value) {
    (void)value;
    request->class_count++;
    return true;
}

static bool take_idle(struct request *request, const char *value) {
    (void)value;
    request->attributes.flags |= ASH_SCHED_IDLEST;
    request->class_count++;
    return true;
}

static const struct option {
    const char *name;
    uint32_t kinds;
    const char *value; /* what it takes; NULL: nothing */
    bool (*take)(struct request *request, const char *value);
} options[] = {
    {"--work", PERIODIC, "takes a time, such as 300us or 5ms, of 18 minutes at most", take_work},
    {"--soft", PERIODIC, NULL, take_soft},
    {"--nice", HOG, "takes a number from -20 to 19", take_nice},
    {"--inter", HOG, NULL, take_inter},
    {"--idle", HOG, NULL, take_idle},
    {"--cpu", PERIODIC | HOG, "takes the number of a CPU that runs threads", take_cpu},
};

static const struct option *find_option(const char *word, uint32_t kind) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(options); i++) {
        if (strcmp(options[i].name, word) == 0 && (options[i].kinds & 1u << kind) != 0)
            return &options[i];
    }
    return NULL;
}

static bool take_time(struct shell *shell, struct request *request, const char *word) {
    if (request->what.kind != SPAWNED_PERIODIC || *word == '-') {
        shell_error(shell, "spawn", word, "no such option; help spawn lists them");
        return false;
    }
    if (request->time_count == TIMES_MAX) {
        shell_error(shell, "spawn", word, "is one time too many: Q T [D]");
        return false;
    }
    if (!duration_parse(word, &request->times_ns[request->time_count++])) {
        shell_error(shell, "spawn", word,
                    "is no time that fits; times are written as 300us, 5ms, 1.5s");
        return false;
    }
    return true;
}

/* False: a message was printed. */
static bool read_words(struct shell *shell, int argc, char **argv, struct request *request) {
    for (int i = 2; i < argc; i++) {
        const struct option *option = find_option(argv[i], request->what.kind);
        const char *value = "";
        if (option == NULL) {
            if (!take_time(shell, request, argv[i]))
                return false;
            continue;
        }
        if (option->value != NULL)
            value = ++i < argc ? argv[i] : "";
        if (!option->take(request, value)) {
            shell_error(shell, "spawn", option->name, option->value);
            return false;
        }
    }
    if (request->class_count > 1)
        shell_error(shell, "spawn", NULL, "--nice, --inter and --idle exclude each other");
    return request->class_count <= 1;
}

/* Left out, the work is a little less than the budget: of that, the wake-up and the sleep take
 * their part, and a job that is through just behind its budget has missed. */
static void complete_periodic(struct request *request) {
    struct workload_periodic *periodic = &request->what.periodic;
    request->attributes.runtime_ns = request->times_ns[0];
    request->attributes.period_ns = periodic->period_ns = request->times_ns[1];
    request->attributes.deadline_ns = periodic->deadline_ns = request->times_ns[2];
    if (!request->has_work)
        periodic->work_ns = request->times_ns[0] / 10 * 9;
}

/* Times of 0 mean to the scheduler that they are not given. */
static enum ash_sched_reason check_times(const struct request *request) {
    if (request->what.kind != SPAWNED_PERIODIC)
        return ASH_SCHED_OK;
    if (request->times_ns[1] == 0)
        return ASH_SCHED_PERIOD_RANGE;
    if (request->times_ns[0] == 0)
        return ASH_SCHED_NO_RUNTIME;
    return request->time_count == TIMES_MAX && request->times_ns[2] == 0
               ? ASH_SCHED_RUNTIME_DEADLINE
               : ASH_SCHED_OK;
}

static int start(struct shell *shell, const struct request *request) {
    struct kernel *kernel = shell->kernel;
    struct ash_sched_refusal refusal = {.reason = check_times(request)};
    struct thread_info info;
    int error = -ASH_EINVAL;
    if (refusal.reason != ASH_SCHED_OK)
        return shell_thread_refused(shell, "spawn", NULL, error, &refusal);
    const struct spawned *made = spawned_start(&kernel->spawned, &kernel->memory, &request->what,
                                               &request->attributes, &error, &refusal);
    if (made == NULL)
        return shell_thread_refused(shell, "spawn", NULL, error, &refusal);
    if (thread_info_from(made->id, &info) && info.id == made->id)
        shell_print(shell, "%s: thread %" PRIu32 ", on CPU %" PRIu32 "\n", made->name, made->id,
                    info.cpu);
    return 0;
}

/* What they have done */

static const char *counts_of(char text[COUNTS_BYTES], const struct spawned *spawned) {
    char response[DURATION_TEXT_BYTES], delay[DURATION_TEXT_BYTES];
    struct workload_counts counts;
    if (spawned->kind == SPAWNED_HOG) {
        snprintf(text, COUNTS_BYTES, "%" PRIu64 " rounds", ash_load_relaxed(&spawned->hog.rounds));
        return text;
    }
    workload_periodic_look(&spawned->periodic, &counts);
    snprintf(text, COUNTS_BYTES,
             "%" PRIu64 " jobs, %" PRIu64 " late; the longest %s, begun %s late at most",
             counts.jobs, counts.misses, duration_text(response, counts.response_max_ns),
             duration_text(delay, counts.delay_max_ns));
    return text;
}

static int list(struct shell *shell) {
    char counts[COUNTS_BYTES];
    const struct spawned *spawned = shell->kernel->spawned.first;
    if (spawned == NULL)
        shell_print(shell, "nothing is spawned\n");
    for (; spawned != NULL; spawned = spawned->next)
        shell_print(shell, "%3" PRIu32 " %-6s %s\n", spawned->id, spawned->name,
                    counts_of(counts, spawned));
    return 0;
}

SHELL_COMMAND(spawn, "[rt Q T [D] | hog] [OPTION...]",
              "Starts a thread that is there to be scheduled, or says what such ones have done.\n"
              "rt: has Q of each T reserved, to be used within D, and does a job in each T.\n"
              "  --work W: of so much CPU time, 9/10 of Q if not given; of more it overruns.\n"
              "  --soft: out of budget it goes on with a later deadline, and does not wait.\n"
              "hog: never waits. Fair; or\n"
              "  --nice N: fair, -20 to 19    --inter: interactive    --idle: when nobody else.\n"
              "Both: --cpu N: on this CPU alone. Times are written as 300us, 5ms, 1.5s.") {
    struct request request = {.what = {.kind = SPAWNED_PERIODIC}};
    if (!shell_has_kernel(shell, "spawn") || !shell_has_threads(shell, "spawn"))
        return 1;
    spawned_reap(&shell->kernel->spawned, &shell->kernel->memory);
    if (argc == 1)
        return list(shell);
    bool is_periodic = strcmp(argv[1], "rt") == 0;
    if (!is_periodic && strcmp(argv[1], "hog") != 0)
        return shell_usage(shell, "spawn", "there are rt and hog");
    request.what.kind = is_periodic ? SPAWNED_PERIODIC : SPAWNED_HOG;
    if (!read_words(shell, argc, argv, &request))
        return SHELL_STATUS_USAGE;
    if (is_periodic && request.time_count < 2)
        return shell_usage(shell, "spawn", "rt takes two times, Q T, or three, Q T D");
    if (is_periodic)
        complete_periodic(&request);
    else if (request.class_count == 0)
        request.attributes.flags |= ASH_SCHED_NICE;
    return start(shell, &request);
}

/* kill */

#define PATIENCE_NS (500 * MS)

static bool ask(struct shell *shell, const char *word, uint32_t *id) {
    struct thread_info info;
    if (!shell_thread(shell, "kill", word, &info))
        return false;
    if (spawned_find(&shell->kernel->spawned, info.id) == NULL) {
        shell_error(shell, "kill", word, "was not spawned, and is not asked to end");
        return false;
    }
    *id = info.id;
    return thread_stop(*id) == 0;
}

static int wait_for(struct shell *shell, uint32_t id, ash_ns_t deadline_ns) {
    char counts[COUNTS_BYTES];
    const struct spawned *spawned = spawned_find(&shell->kernel->spawned, id);
    if (thread_join(id, deadline_ns) != 0)
        return shell_error(shell, "kill", spawned->name,
                           "was asked to end, and will when it is given the CPU again");
    shell_print(shell, "%s: %s\n", spawned->name, counts_of(counts, spawned));
    return 0;
}

static int kill_these(struct shell *shell, const uint32_t *ids, uint32_t count) {
    ash_ns_t deadline_ns = platform_now_ns() + PATIENCE_NS;
    int status = 0;
    for (uint32_t i = 0; i < count; i++)
        status |= wait_for(shell, ids[i], deadline_ns);
    spawned_reap(&shell->kernel->spawned, &shell->kernel->memory);
    return status;
}

static int kill_all(struct shell *shell) {
    uint32_t ids[THREADS_MAX], count = 0;
    for (const struct spawned *one = shell->kernel->spawned.first; one != NULL; one = one->next) {
        ids[count++] = one->id;
        (void)!thread_stop(one->id); /* it may have ended by itself */
    }
    return kill_these(shell, ids, count);
}

SHELL_COMMAND(kill, "ID...|all",
              "Asks spawned threads to end, and says what they have done.\n"
              "One that is given no CPU, or waits for its next period, ends later.") {
    uint32_t ids[THREADS_MAX], count = 0;
    int status = 0;
    if (argc == 1)
        return shell_usage(shell, "kill", "say the numbers of threads, or all");
    if (!shell_has_kernel(shell, "kill") || !shell_has_threads(shell, "kill"))
        return 1;
    spawned_reap(&shell->kernel->spawned, &shell->kernel->memory);
    if (argc == 2 && strcmp(argv[1], "all") == 0)
        return kill_all(shell);
    if (argc - 1 > THREADS_MAX)
        return shell_usage(shell, "kill", "that are more than there can be");
    for (int i = 1; i < argc; i++) {
        if (ask(shell, argv[i], &ids[count]))
            count++;
        else
            status = 1;
    }
    return kill_these(shell, ids, count) | status;
}
