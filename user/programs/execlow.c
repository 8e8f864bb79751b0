/* SPDX-License-Identifier: MIT */
/*
 * execlow [PAGES]: eats memory, PAGES pages a child, until the kernel has no more; then starts
 * itself many times. Each start works, or fails with an error after which the old program goes on,
 * or its process is killed; nothing else. When the memory is given back, a start works.
 */
#include "../lib/program.h"

enum { PAGE = 4096, STARTS = 24, EATERS_MAX = 64 };

/* Fills fresh pages by reads into them: where there are none left, a read fails. */
static void eat(uint64_t pages, int ready, int hold) {
    int64_t done = 0;
    char byte = 0;
    int source[2];
    char *memory = map_pages(pages * PAGE);
    must(sys_pipe2(source, 0), "pipe2");
    while ((uint64_t)done < pages) {
        write_all(source[1], &byte, 1);
        if (sys_read(source[0], memory + done * PAGE, 1) != 1)
            break;
        done++;
    }
    write_all(ready, &done, sizeof(done));
    sys_read(hold, &byte, 1);
    sys_exit_group(0);
}

/* An eater is fed; how many pages it has got, -1: it did not live to say. */
static int64_t feed(uint64_t pages, int hold[2]) {
    int ready[2];
    int64_t got = -1;
    must(sys_pipe2(ready, 0), "pipe2");
    int64_t child = sys_fork();
    if (child == 0) {
        sys_close(hold[1]);
        sys_close(ready[0]);
        eat(pages, ready[1], hold[0]);
    }
    sys_close(ready[1]);
    if (child > 0 && read_all(ready[0], &got, sizeof(got)) != sizeof(got))
        got = -1;
    sys_close(ready[0]);
    return got;
}

struct results {
    uint32_t started, refused, killed;
};

static void start_one(const char *program, struct results *results) {
    char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "started", NULL};
    int64_t child = sys_fork();
    if (child == 0) {
        int64_t error = sys_execve(program, arguments, program_environment);
        sys_exit_group(error == -ASH_ENOMEM || error == -ASH_EAGAIN ? 12 : 13);
    }
    if (child < 0) {
        if (child != -ASH_ENOMEM && child != -ASH_EAGAIN)
            must(child, "fork");
        results->refused++;
        return;
    }
    int status = wait_for(child);
    if (wait_exited(status) && wait_exit_status(status) == 42)
        results->started++;
    else if (wait_exited(status) && wait_exit_status(status) == 12)
        results->refused++;
    else if (wait_signal(status) == SIGNAL_KILL || wait_signal(status) == SIGNAL_BUS ||
             wait_signal(status) == SIGNAL_SEGV)
        results->killed++;
    else
        die("a start ended with %#x", (unsigned)status);
}

int main(int argc, char **argv) {
    const char *program = (const char *)(uintptr_t)program_aux(31, 0); /* AT_EXECFN: this one */
    struct results results = {0, 0, 0}, after = {0, 0, 0};
    int hold[2];
    if (argc > 1 && strcmp(argv[1], "started") == 0)
        return 42;
    uint64_t pages = argument_number(argc, argv, 1, 4096), eaters = 0;
    must(sys_pipe2(hold, 0), "pipe2");
    start_one(program, &after);
    for (; eaters < EATERS_MAX; eaters++) {
        int64_t got = feed(pages, hold);
        if (got < (int64_t)pages)
            break;
    }
    for (uint32_t i = 0; i < STARTS; i++)
        start_one(program, &results);
    sys_close(hold[0]);
    sys_close(hold[1]);
    while (sys_wait4(-1, NULL, 0) > 0)
        ;
    start_one(program, &after);
    if (after.started != 2)
        die("%u of 2 starts worked while there was memory", (unsigned)after.started);
    printf("execlow: with %llu eaters %u started, %u refused, %u killed; then all is well\n",
           (unsigned long long)eaters, (unsigned)results.started, (unsigned)results.refused,
           (unsigned)results.killed);
    return 0;
}
