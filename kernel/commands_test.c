/* SPDX-License-Identifier: MIT */
/* commands_test.c: test: the cases that are linked into the kernel, run beside the shell. */
#include "dump.h"
#include "kernel.h"
#include "prof.h"
#include "selftest.h"
#include "shell.h"
#include "thread.h"
#include "trace.h"

#include <string.h>

enum { WORDS_BYTES = 512 };

static bool join(char *words, int argc, char **argv) {
    size_t used = 0;
    words[0] = '\0';
    for (int i = 1; i < argc; i++) {
        size_t len = strlen(argv[i]);
        if (used + len + 2 > WORDS_BYTES)
            return false;
        if (used != 0)
            words[used++] = ' ';
        memcpy(words + used, argv[i], len + 1);
        used += len;
    }
    return true;
}

struct run {
    const char *words;
    void *arena;
    int failed;
};

static void run(void *context) {
    struct run *run = context;
    run->failed = selftest_run(run->words, run->arena);
}

SHELL_COMMAND(
    test, "[SUITE...] [seed=N]",
    "Runs the test cases, or those of some suites (SUITE or SUITE.CASE), and prints TAP.") {
    char words[WORDS_BYTES];
    const uint32_t order = ash_log2_ceil(SELFTEST_ARENA_BYTES >> ASH_PAGE_SHIFT);
    if (!join(words, argc, argv))
        return shell_usage(shell, "test", "too many words");
    if (prof_state() == PROF_RUNS)
        return shell_error(shell, "test", NULL, "its cases sample, too; profstop first");
    void *arena = memory_pages_alloc(&shell->kernel->memory, order);
    if (arena == NULL)
        return shell_error(shell, "test", NULL,
                           "the cases need 32 MiB in one piece; start the machine with more");
    struct run alone = {words, arena, 0};
    struct trace trace;
    dump_prepare(&shell->kernel->memory); /* or a case's memory would be in it */
    trace_set_aside(&trace);
    threads_alone(run, &alone);
    trace_put_back(&trace);
    memory_pages_free(&shell->kernel->memory, arena, order);
    return alone.failed != 0;
}
