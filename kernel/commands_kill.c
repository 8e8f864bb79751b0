/* SPDX-License-Identifier: MIT */
/* commands_kill.c: kill: signals for programs, and the end of what spawn started. */
#include <string.h>

#include <ashlar/error.h>

#include "kernel.h"
#include "numbers.h"
#include "shell_threads.h"

#define MS UINT64_C(1000000)

#define PATIENCE_NS (500 * MS)

/* Programs */

/* Of a process, or of a job as %1. True: it was one. */
static bool send(struct shell *shell, const char *word, uint32_t signal, int *status) {
    struct process_info info;
    uint64_t number;
    int64_t target = 0;
    if (*word == '%' && number_parse_within(word + 1, 1, UINT32_MAX, &number)) {
        for (const struct job *job = shell->kernel->jobs.first; job != NULL; job = job->next)
            target = job->number == number ? -(int64_t)job->group : target;
    } else if (number_parse_within(word, 2, UINT32_MAX, &number) &&
               process_info_from((uint32_t)number, &info) && info.id == number) {
        target = (int64_t)number;
    }
    if (target == 0)
        return false;
    int error = process_kill(target, 0, signal, NULL);
    if (error != 0 && error != -ASH_ESRCH) /* it may just have ended */
        *status = shell_error(shell, "kill", word, ash_strerror(error));
    return true;
}

/* Threads that were spawned */

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
    char text[SPAWNED_TEXT_BYTES];
    const struct spawned *spawned = spawned_find(&shell->kernel->spawned, id);
    if (thread_join(id, deadline_ns) != 0)
        return shell_error(shell, "kill", spawned->name,
                           "was asked to end, and will when it is given the CPU again");
    shell_print(shell, "%s: %s\n", spawned->name, spawned_text(spawned, text));
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

static int kill_all(struct shell *shell, uint32_t signal) {
    uint32_t ids[THREADS_MAX], count = 0;
    for (const struct spawned *one = shell->kernel->spawned.first; one != NULL; one = one->next) {
        ids[count++] = one->id;
        (void)!thread_stop(one->id); /* it may have ended by itself */
    }
    (void)!process_kill(-1, 0, signal, NULL); /* perhaps there is none */
    return kill_these(shell, ids, count);
}

/* False: it is no signal, and that was said. */
static bool take_signal(struct shell *shell, int argc, char **argv, int *first, uint32_t *signal) {
    *signal = SIGNAL_TERM;
    if (argc < 2 || argv[1][0] != '-')
        return true;
    *first = 2;
    *signal = signal_parse(argv[1] + 1);
    if (*signal == 0)
        shell_error(shell, "kill", argv[1], "is no signal; such as -9, -KILL, -INT");
    return *signal != 0;
}

SHELL_COMMAND(kill, "[-SIGNAL] ID...|%JOB...|all",
              "Sends programs a signal, TERM if none is said; asks spawned threads to end.\n"
              "Of these it says what they have done. One that is given no CPU, or waits for\n"
              "its next period, ends later.") {
    uint32_t ids[THREADS_MAX], count = 0, signal;
    int status = 0, first = 1;
    if (!take_signal(shell, argc, argv, &first, &signal))
        return SHELL_STATUS_USAGE;
    if (argc == first)
        return shell_usage(shell, "kill", "say the numbers of programs or threads, or all");
    if (!shell_has_kernel(shell, "kill") || !shell_has_threads(shell, "kill"))
        return 1;
    spawned_reap(&shell->kernel->spawned, &shell->kernel->memory);
    if (argc == first + 1 && strcmp(argv[first], "all") == 0)
        return kill_all(shell, signal);
    if (argc - first > THREADS_MAX)
        return shell_usage(shell, "kill", "that are more than there can be");
    for (int i = first; i < argc; i++) {
        if (send(shell, argv[i], signal, &status))
            continue;
        if (ask(shell, argv[i], &ids[count]))
            count++;
        else
            status = 1;
    }
    return kill_these(shell, ids, count) | status;
}
