/* SPDX-License-Identifier: MIT */
/*
 * signals [PROCESSES [COUNT]]: first each child sends its own signal COUNT times to the parent and
 * waits each time for the answer: none may be lost, and each must say who sent it. Then all send as
 * fast as they can, also to each other, while each computes a sum that a signal must not disturb.
 */
#include "../lib/program.h"

enum { PROCESSES_MAX = 16, FIRST = 34, TURNS = 20000 };

static volatile uint64_t counts[PROCESSES_MAX];
static volatile int64_t senders[PROCESSES_MAX];
static volatile uint64_t answers, storm;

static void on_call(int signal, struct system_signal_info *info, struct system_context *context) {
    (void)context;
    uint64_t from = (uint64_t)(signal - FIRST);
    if (info->signal != signal || info->process != senders[from])
        die("signal %d says that it is %d of process %d", signal, info->signal, info->process);
    counts[from]++;
    must(sys_kill(info->process, SIGNAL_USR1), "kill");
}

static void on_answer(int signal, struct system_signal_info *info, struct system_context *context) {
    (void)signal;
    (void)info;
    (void)context;
    answers++;
}

static void on_storm(int signal, struct system_signal_info *info, struct system_context *context) {
    (void)info;
    (void)context;
    if (signal != SIGNAL_USR2)
        die("signal %d came as SIGUSR2", signal);
    storm++;
}

static void handle(int signal, signal_handler *handler) {
    struct system_action action = {.handler = handler, .flags = ACTION_HAS_INFO | ACTION_RESTARTS};
    must(sys_rt_sigaction(signal, &action, NULL), "rt_sigaction");
}

static void call_and_wait(int64_t parent, int signal, uint64_t count) {
    uint64_t blocked = SIGNAL_BIT(SIGNAL_USR1), none = 0;
    must(sys_rt_sigprocmask(SIGNALS_BLOCK, &blocked, NULL), "rt_sigprocmask");
    for (uint64_t i = 1; i <= count; i++) {
        must(sys_kill(parent, signal), "kill");
        while (answers < i) {
            int64_t result = sys_rt_sigsuspend(&none);
            if (result != -ASH_EINTR)
                die("rt_sigsuspend returned %lld", (long long)result);
        }
    }
    if (answers != count)
        die("%llu answers to %llu signals", (unsigned long long)answers, (unsigned long long)count);
}

/* Of random numbers; in registers most of the time. */
static uint64_t sum_of(uint64_t seed) {
    uint64_t sum = 0;
    for (uint32_t i = 0; i < TURNS; i++)
        sum += random_next(&seed) >> 3;
    return sum;
}

static void send_storm(int64_t parent, const int64_t *others, uint64_t other_count,
                       uint64_t count) {
    uint64_t expected = sum_of(7);
    for (uint64_t i = 0; i < count; i++) {
        sys_kill(parent, SIGNAL_USR2);
        if (other_count != 0)
            sys_kill(others[i % other_count], SIGNAL_USR2); /* it may be over */
        if (i % 16 == 0 && sum_of(7) != expected)
            die("a sum is wrong");
    }
}

static void child(uint64_t index, int64_t parent, const int64_t *others, uint64_t count, int go) {
    char byte;
    call_and_wait(parent, FIRST + (int)index, count);
    if (sys_read(go, &byte, 1) != 0)
        die("the parent said something");
    send_storm(parent, others, index, count);
    exit(0);
}

static bool has_ended(uint64_t processes, uint64_t count) {
    for (uint64_t i = 0; i < processes; i++) {
        if (counts[i] != count)
            return false;
    }
    return true;
}

int main(int argc, char **argv) {
    uint64_t processes = argument_number(argc, argv, 1, 4), ended = 0;
    uint64_t count = argument_number(argc, argv, 2, 200);
    int64_t children[PROCESSES_MAX], parent = sys_getpid();
    uint64_t blocked = 0, none = 0;
    int go[2], status;
    if (processes > PROCESSES_MAX)
        die("%d processes at most", PROCESSES_MAX);
    for (uint64_t i = 0; i < processes; i++) {
        handle(FIRST + (int)i, on_call);
        blocked |= SIGNAL_BIT(FIRST + (int)i);
    }
    handle(SIGNAL_USR1, on_answer);
    handle(SIGNAL_USR2, on_storm);
    must(sys_rt_sigprocmask(SIGNALS_BLOCK, &blocked, NULL), "rt_sigprocmask");
    must(sys_pipe2(go, 0), "pipe2");
    for (uint64_t i = 0; i < processes; i++) {
        children[i] = must(sys_fork(), "fork");
        if (children[i] == 0) {
            must(sys_rt_sigprocmask(SIGNALS_SET, &none, NULL), "rt_sigprocmask");
            sys_close(go[1]);
            child(i, parent, children, count, go[0]);
        }
        senders[i] = children[i];
    }
    while (!has_ended(processes, count))
        sys_rt_sigsuspend(&none);
    sys_close(go[1]);
    uint64_t expected = sum_of(9);
    while (ended < processes) {
        if (sum_of(9) != expected)
            die("a sum is wrong");
        int64_t process = sys_wait4(-1, &status, WAIT_NO_HANG);
        if (process > 0 && status != 0)
            die("process %lld ended with %#x", (long long)process, (unsigned)status);
        ended += must(process, "wait4") > 0;
    }
    if (storm == 0 || storm > processes * count)
        die("%llu signals of %llu came", (unsigned long long)storm,
            (unsigned long long)(processes * count));
    printf("signals: %llu processes, %llu each answered, and a storm\n",
           (unsigned long long)processes, (unsigned long long)count);
    return 0;
}
