/* SPDX-License-Identifier: MIT */
/* commands_thread_spawn.c: spawn: threads that are there to be scheduled. */
#include <inttypes.h>
#include <string.h>

#include "kernel.h"
#include "numbers.h"
#include "shell_disks.h"
#include "shell_threads.h"

#define PAUSE_NS UINT64_C(1000000)

/* What is asked for */

struct request {
    struct spawned what;
    struct ash_sched_attributes attributes;
    struct shell_times times;
    uint32_t class_count; /* of options that name one */
    ash_ns_t work_ns;     /* NOT_SAID */
    ash_ns_t pause_ns;
    uint64_t disk;
};

#define NOT_SAID UINT64_MAX

static bool take_any_time(ash_ns_t *time_ns, const char *value) {
    return duration_parse(value, time_ns) && *time_ns <= ASH_SCHED_TIME_MAX_NS;
}

static bool take_work(struct request *request, const char *value) {
    return take_any_time(&request->work_ns, value);
}

static bool take_pause(struct request *request, const char *value) {
    return take_any_time(&request->pause_ns, value);
}

static bool take_disk(struct request *request, const char *value) {
    return number_parse_within(value, 0, DISKS_MAX - 1, &request->disk);
}

static bool take_soft(struct request *request, const char *value) {
    (void)value;
    request->attributes.flags |= ASH_SCHED_SOFT;
    return true;
}

static bool take_reclaim(struct request *request, const char *value) {
    (void)value;
    request->attributes.flags |= ASH_SCHED_RECLAIM;
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

enum {
    PERIODIC = 1 << SPAWNED_PERIODIC,
    HOG = 1 << SPAWNED_HOG,
    IO = 1 << SPAWNED_IO,
};

#define A_TIME "takes a time, such as 300us or 5ms, of 18 minutes at most"

static const struct option {
    const char *name;
    uint32_t kinds;
    const char *value; /* what it takes; NULL: nothing */
    bool (*take)(struct request *request, const char *value);
} options[] = {
    {"--work", PERIODIC, A_TIME, take_work},
    {"--soft", PERIODIC, NULL, take_soft},
    {"--reclaim", PERIODIC, NULL, take_reclaim},
    {"--nice", HOG | IO, "takes a number from -20 to 19", take_nice},
    {"--inter", HOG | IO, NULL, take_inter},
    {"--idle", HOG | IO, NULL, take_idle},
    {"--disk", IO, "takes the number of a disk, 0 to 7", take_disk},
    {"--pause", IO, A_TIME, take_pause},
    {"--cpu", PERIODIC | HOG | IO, "takes the number of a CPU that runs threads", take_cpu},
};

static const struct option *find_option(const char *word, uint32_t kind) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(options); i++) {
        if (strcmp(options[i].name, word) == 0 && (options[i].kinds & 1u << kind) != 0)
            return &options[i];
    }
    return NULL;
}

static bool take_other(struct shell *shell, struct request *request, const char *word) {
    if (request->what.kind == SPAWNED_PERIODIC && *word != '-')
        return shell_take_time(shell, "spawn", word, &request->times);
    shell_error(shell, "spawn", word, "no such option; help spawn lists them");
    return false;
}

/* False: a message was printed. */
static bool read_words(struct shell *shell, int argc, char **argv, struct request *request) {
    for (int i = 2; i < argc; i++) {
        const struct option *option = find_option(argv[i], request->what.kind);
        const char *value = "";
        if (option == NULL) {
            if (!take_other(shell, request, argv[i]))
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
static int complete_periodic(struct shell *shell, struct request *request) {
    struct workload_periodic *periodic = &request->what.periodic;
    int status = shell_reserve(shell, "spawn", &request->times, &request->attributes);
    periodic->period_ns = request->times.ns[1];
    periodic->deadline_ns = request->times.ns[2];
    periodic->work_ns =
        request->work_ns == NOT_SAID ? request->times.ns[0] / 10 * 9 : request->work_ns;
    return status;
}

static int complete_io(struct shell *shell, struct request *request) {
    struct kernel *kernel = shell->kernel;
    struct disk *disk = shell_disk(shell, "spawn", request->disk);
    if (disk == NULL)
        return 1;
    if (disk->size_bytes == 0)
        return shell_disk_error(shell, "spawn", request->disk, "it is empty");
    request->what.io = (struct workload_io){
        .cache = &kernel->cache,
        .disk = disk,
        .size_bytes = disk->size_bytes,
        .seed = (platform_seed() + kernel->spawned.made[SPAWNED_IO] * 2u) | 1u,
        .pause_ns = request->pause_ns,
    };
    return 0;
}

/* What the words do not say. A status; else than 0, a message was printed. */
static int complete(struct shell *shell, struct request *request) {
    if (request->what.kind == SPAWNED_PERIODIC)
        return complete_periodic(shell, request);
    if (request->what.kind == SPAWNED_IO)
        return complete_io(shell, request);
    if (request->class_count == 0)
        request->attributes.flags |= ASH_SCHED_NICE;
    return 0;
}

static int start(struct shell *shell, const struct request *request) {
    struct kernel *kernel = shell->kernel;
    struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
    struct thread_info info;
    int error;
    const struct spawned *made = spawned_start(&kernel->spawned, &kernel->memory, &request->what,
                                               &request->attributes, &error, &refusal);
    if (made == NULL)
        return shell_thread_refused(shell, "spawn", NULL, error, &refusal);
    if (thread_info_from(made->id, &info) && info.id == made->id)
        shell_print(shell, "%s: thread %" PRIu32 ", on CPU %" PRIu32 "\n", made->name, made->id,
                    info.cpu);
    return 0;
}

static int list(struct shell *shell) {
    char text[SPAWNED_TEXT_BYTES];
    const struct spawned *spawned = shell->kernel->spawned.first;
    if (spawned == NULL)
        shell_print(shell, "nothing is spawned\n");
    for (; spawned != NULL; spawned = spawned->next)
        shell_print(shell, "%3" PRIu32 " %-6s %s\n", spawned->id, spawned->name,
                    spawned_text(spawned, text));
    return 0;
}

static bool find_kind(const char *word, enum spawned_kind *kind) {
    for (uint32_t i = 0; i < SPAWNED_KINDS; i++) {
        *kind = (enum spawned_kind)i;
        if (strcmp(word, spawned_kind_name(*kind)) == 0)
            return true;
    }
    return false;
}

SHELL_COMMAND(spawn, "[rt Q T [D] | hog | io] [OPTION...]",
              "Starts a thread that is there to be scheduled, or says what such ones have done.\n"
              "rt: has Q of each T reserved, to be used within D, and does a job in each T.\n"
              "  --work W: of so much CPU time, 9/10 of Q if not given; of more it overruns.\n"
              "  --soft: out of budget it goes on with a later deadline, and does not wait.\n"
              "  --reclaim: it may use what others leave of theirs.\n"
              "hog: never waits; fair, if nothing else is said.\n"
              "io: reads blocks of a disk at random, through the cache; interactive.\n"
              "  --disk N: of this one, not 0.    --pause TIME: after each, 1ms if not given.\n"
              "hog and io: --nice N: fair, -20 to 19    --inter: interactive    --idle\n"
              "All: --cpu N: on this CPU alone. Times are written as 300us, 5ms, 1.5s.") {
    struct request request = {.work_ns = NOT_SAID, .pause_ns = PAUSE_NS};
    if (!shell_has_kernel(shell, "spawn") || !shell_has_threads(shell, "spawn"))
        return 1;
    spawned_reap(&shell->kernel->spawned, &shell->kernel->memory);
    if (argc == 1)
        return list(shell);
    if (!find_kind(argv[1], &request.what.kind))
        return shell_usage(shell, "spawn", "there are rt, hog and io");
    if (!read_words(shell, argc, argv, &request))
        return SHELL_STATUS_USAGE;
    int status = complete(shell, &request);
    return status == 0 ? start(shell, &request) : status;
}
