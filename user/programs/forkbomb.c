/* SPDX-License-Identifier: MIT */
/*
 * forkbomb [ROUNDS [PAGES [MOST]]]: forks until the kernel refuses, each child writing to as many
 * pages and staying; then lets all of them end, and does it again: what was possible once is
 * possible again.
 */
#include "../lib/program.h"

enum { PAGE = 4096 };

struct round {
    uint64_t children, killed;
    int64_t refusal;
};

/* A child: says that it has its pages, and stays until the other pipe's end. */
static void stay(const int ready[2], const int hold[2], uint64_t pages) {
    char byte = 0;
    sys_close(hold[1]);
    if (pages != 0) {
        char *memory = map_pages(pages * PAGE);
        for (uint64_t i = 0; i < pages; i++)
            memory[i * PAGE] = 1;
    }
    write_all(ready[1], &byte, 1);
    sys_close(ready[1]);
    sys_read(hold[0], &byte, 1);
    sys_exit_group(0);
}

/* Until the child has said so, or is gone; false: it is. */
static bool await_child(int64_t child, int ready) {
    char byte;
    for (;;) {
        if (sys_read(ready, &byte, 1) == 1)
            return true;
        if (sys_wait4(child, NULL, WAIT_NO_HANG) == child)
            return false;
        sleep_ms(1);
    }
}

static struct round bomb(uint64_t pages, uint64_t most) {
    struct round round = {0, 0, 0};
    int ready[2], hold[2], status;
    must(sys_pipe2(ready, 0), "pipe2");
    must(sys_pipe2(hold, 0), "pipe2");
    must(sys_fcntl(ready[0], FCNTL_SETFL, OPEN_NONBLOCK), "fcntl");
    while (round.children < most && round.killed == 0) {
        int64_t child = sys_fork();
        if (child == 0)
            stay(ready, hold, pages);
        if (child < 0) {
            round.refusal = child;
            break;
        }
        if (await_child(child, ready[0]))
            round.children++;
        else
            round.killed++;
    }
    sys_close(ready[0]);
    sys_close(ready[1]);
    sys_close(hold[0]);
    sys_close(hold[1]);
    for (uint64_t ended = 0;; ended++) {
        int64_t child = sys_wait4(-1, &status, 0);
        if (child == -ASH_ECHILD && ended == round.children)
            return round;
        if (child < 0)
            die("%llu of %llu children ended, then: %s", (unsigned long long)ended,
                (unsigned long long)round.children, ash_strerror((int)child));
        if (status != 0)
            die("a child ended with %#x", (unsigned)status);
    }
}

int main(int argc, char **argv) {
    uint64_t rounds = argument_number(argc, argv, 1, 3);
    uint64_t pages = argument_number(argc, argv, 2, 0);
    uint64_t most = argument_number(argc, argv, 3, UINT64_MAX);
    uint64_t first = 0;
    for (uint64_t i = 0; i < rounds; i++) {
        struct round round = bomb(pages, most);
        const char *end = round.killed != 0    ? "one was killed for its memory"
                          : round.refusal == 0 ? "enough"
                                               : ash_strerror((int)round.refusal);
        if (i == 0)
            first = round.children;
        if (round.refusal != 0 && round.refusal != -ASH_EAGAIN && round.refusal != -ASH_ENOMEM)
            die("fork: %s", end);
        printf("forkbomb: %llu children, then: %s\n", (unsigned long long)round.children, end);
        if (round.children + first / 8 + 1 < first)
            die("there were %llu in the first round", (unsigned long long)first);
    }
    return 0;
}
