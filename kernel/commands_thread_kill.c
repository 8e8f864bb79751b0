/* SPDX-License-Identifier: MIT */
/* commands_thread_kill.c: kill: the end of what spawn started. */
#include <string.h>

#include "kernel.h"
#include "shell_threads.h"

#define MS UINT64_C(1000000)

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
