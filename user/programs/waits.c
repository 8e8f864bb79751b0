/* SPDX-License-Identifier: MIT */
/* waits: the rules of wait4, of zombies and of orphans. */
#include "../lib/program.h"

static volatile int child_signals;
static volatile int child_pid, child_code, child_status;

static void on_child(int signal, struct system_signal_info *info, struct system_context *context) {
    (void)signal;
    (void)context;
    child_signals++;
    child_pid = info->process;
    child_code = info->code;
    memcpy((void *)&child_status, info->bytes + 8, sizeof(child_status));
}

static void expect(int64_t is, int64_t should, const char *what) {
    if (is != should)
        die("%s: %lld, not %lld", what, (long long)is, (long long)should);
}

static int64_t child_that_exits(int status) {
    int64_t child = must(sys_fork(), "fork");
    if (child == 0)
        sys_exit_group(status);
    return child;
}

/* Stays until a signal, or until its parent closes the pipe. */
static int64_t child_that_stays(const int pipe[2]) {
    int64_t child = must(sys_fork(), "fork");
    char byte;
    if (child == 0) {
        sys_close(pipe[1]);
        sys_read(pipe[0], &byte, 1);
        sys_exit_group(5);
    }
    return child;
}

static void check_statuses(void) {
    static const int statuses[] = {0, 1, 127, 255, 256 + 3};
    int status;
    for (size_t i = 0; i < ASH_ARRAY_LEN(statuses); i++) {
        int64_t child = child_that_exits(statuses[i]);
        expect(sys_wait4(child, &status, 0), child, "wait4 of a child");
        expect(status, (statuses[i] & 0xff) << 8, "the status of a child that has exited");
    }
    int64_t child = child_that_exits(3);
    expect(sys_wait4(child, NULL, 0), child, "wait4 without a status");
    expect(sys_wait4(child, &status, 0), -ASH_ECHILD, "wait4 for the second time");
    expect(sys_wait4(-1, &status, 0), -ASH_ECHILD, "wait4 without children");
    expect(sys_wait4(sys_getpid(), &status, 0), -ASH_ECHILD, "wait4 of itself");
    expect(sys_wait4(-1, &status, 0x100), -ASH_EINVAL, "wait4 with an unknown option");
}

static void check_no_hang(void) {
    int pipe[2], status = 77;
    must(sys_pipe2(pipe, 0), "pipe2");
    int64_t child = child_that_stays(pipe);
    expect(sys_wait4(child, &status, WAIT_NO_HANG), 0, "wait4 of one that runs");
    expect(sys_wait4(-1, &status, WAIT_NO_HANG), 0, "wait4 of any, one runs");
    expect(status, 77, "a status that nobody has written");
    sys_close(pipe[0]);
    sys_close(pipe[1]);
    expect(sys_wait4(-1, &status, 0), child, "wait4 of any");
    expect(status, 5 << 8, "the status");
}

static void check_signals(void) {
    int pipe[2], status;
    must(sys_pipe2(pipe, 0), "pipe2");
    int64_t child = child_that_stays(pipe);
    expect(sys_kill(child, SIGNAL_STOP), 0, "kill by SIGSTOP");
    expect(sys_wait4(child, &status, WAIT_STOPPED), child, "wait4 of one that stops");
    expect(status, SIGNAL_STOP << 8 | 0x7f, "the status of one that is stopped");
    expect(sys_wait4(child, &status, WAIT_STOPPED | WAIT_NO_HANG), 0, "the same again");
    expect(sys_kill(child, SIGNAL_CONT), 0, "kill by SIGCONT");
    expect(sys_wait4(child, &status, WAIT_CONTINUED), child, "wait4 of one that goes on");
    expect(status, 0xffff, "the status of one that goes on");
    expect(sys_kill(child, SIGNAL_STOP), 0, "kill by SIGSTOP");
    expect(sys_kill(child, SIGNAL_KILL), 0, "kill of one that is stopped");
    expect(sys_wait4(child, &status, 0), child, "wait4 of one that was killed");
    expect(status, SIGNAL_KILL, "its status");
    child = child_that_stays(pipe);
    expect(sys_kill(child, SIGNAL_TERM), 0, "kill");
    expect(sys_wait4(child, &status, 0), child, "wait4 of one that was ended");
    expect(status, SIGNAL_TERM, "its status");
    sys_close(pipe[0]);
    sys_close(pipe[1]);
}

static void check_zombie(void) {
    int64_t child = child_that_exits(9);
    int status;
    sleep_ms(30);
    expect(sys_kill(child, 0), 0, "kill of a zombie by signal 0");
    expect(sys_kill(child, SIGNAL_KILL), 0, "kill of a zombie");
    expect(sys_wait4(child, &status, WAIT_NO_HANG), child, "wait4 of a zombie");
    expect(status, 9 << 8, "the status of a zombie");
    expect(sys_kill(child, 0), -ASH_ESRCH, "kill of what was a zombie");
}

/* A child ends before its own child, which then has another parent, and is no child of ours. */
static void check_orphan(void) {
    int pipe[2], status;
    int64_t parent = 0;
    must(sys_pipe2(pipe, 0), "pipe2");
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        int64_t mother = sys_getpid();
        if (must(sys_fork(), "fork") == 0) {
            while ((parent = sys_getppid()) == mother)
                sleep_ms(1);
            write_all(pipe[1], &parent, sizeof(parent));
        }
        sys_exit_group(0);
    }
    sys_close(pipe[1]);
    expect(sys_wait4(child, &status, 0), child, "wait4 of the mother");
    expect((int64_t)read_all(pipe[0], &parent, sizeof(parent)), sizeof(parent), "the orphan");
    if (parent == child || parent == sys_getpid())
        die("an orphan has the parent %lld", (long long)parent);
    sys_close(pipe[0]);
    expect(sys_wait4(-1, &status, 0), -ASH_ECHILD, "wait4 when only the orphan is there");
}

static void check_groups(void) {
    int pipe[2], status;
    must(sys_pipe2(pipe, 0), "pipe2");
    int64_t same = child_that_exits(1), other = child_that_stays(pipe);
    expect(sys_setpgid(other, other), 0, "setpgid of a child");
    expect(sys_wait4(0, &status, 0), same, "wait4 of the own group");
    expect(sys_wait4(0, &status, 0), -ASH_ECHILD, "wait4 of the own group, empty");
    expect(sys_wait4(-other, &status, WAIT_NO_HANG), 0, "wait4 of another group");
    expect(sys_kill(-other, SIGNAL_TERM), 0, "kill of a group");
    expect(sys_wait4(-other, &status, 0), other, "wait4 of another group");
    expect(status, SIGNAL_TERM, "the status");
    sys_close(pipe[0]);
    sys_close(pipe[1]);
}

static void check_child_signal(void) {
    struct system_action action = {.handler = on_child, .flags = ACTION_HAS_INFO}, ignore;
    uint64_t blocked = SIGNAL_BIT(SIGNAL_CHLD), none = 0;
    int status;
    must(sys_rt_sigaction(SIGNAL_CHLD, &action, NULL), "rt_sigaction");
    must(sys_rt_sigprocmask(SIGNALS_BLOCK, &blocked, NULL), "rt_sigprocmask");
    int64_t child = child_that_exits(42);
    while (child_signals == 0)
        sys_rt_sigsuspend(&none);
    expect(child_signals, 1, "SIGCHLDs");
    expect(child_pid, child, "the process that SIGCHLD is about");
    expect(child_code, 1, "why SIGCHLD came (CLD_EXITED)");
    expect(child_status, 42, "the status that SIGCHLD says");
    expect(sys_wait4(child, &status, WAIT_NO_HANG), child, "wait4 after SIGCHLD");
    must(sys_rt_sigprocmask(SIGNALS_SET, &none, NULL), "rt_sigprocmask");
    /* Who ignores it has no zombies: wait4 waits for all to be gone. */
    ignore = (struct system_action){.handler = SIGNAL_IGNORE};
    must(sys_rt_sigaction(SIGNAL_CHLD, &ignore, NULL), "rt_sigaction");
    child = child_that_exits(1);
    expect(sys_wait4(child, &status, 0), -ASH_ECHILD, "wait4 while SIGCHLD is ignored");
    action.handler = SIGNAL_DEFAULT;
    must(sys_rt_sigaction(SIGNAL_CHLD, &action, NULL), "rt_sigaction");
}

static void check_many(void) {
    enum { MANY = 40 };
    uint64_t seen = 0;
    int status;
    for (int i = 0; i < MANY; i++)
        child_that_exits(i);
    for (int i = 0; i < MANY; i++) {
        must(sys_wait4(-1, &status, 0), "wait4");
        seen |= UINT64_C(1) << (status >> 8);
    }
    expect((int64_t)seen, (INT64_C(1) << MANY) - 1, "the children that were seen");
    expect(sys_wait4(-1, &status, WAIT_NO_HANG), -ASH_ECHILD, "wait4 after all");
}

int main(void) {
    check_statuses();
    check_no_hang();
    check_signals();
    check_zombie();
    check_orphan();
    check_groups();
    check_child_signal();
    check_many();
    printf("waits: all rules hold\n");
    return 0;
}
