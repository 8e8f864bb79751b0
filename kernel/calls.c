/* SPDX-License-Identifier: MIT */
/* calls.c: see calls.h. The numbers are Linux's for aarch64 (include/uapi/asm-generic/unistd.h). */
#include "calls.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>

#include "process_internal.h"

#define CALL(number, function_name) \
    [number] = {.name = #function_name, .function = call_##function_name}
/* Made again after a handler, if its action says so. */
#define RESTARTS(number, function_name) \
    [number] = {.name = #function_name, .function = call_##function_name, .restarts = true}
#define CALLED(number, call_name, function_name) \
    [number] = {.name = #call_name, .function = call_##function_name}

static const struct call calls[CALLS_MAX] = {
    CALL(17, getcwd),
    CALL(23, dup),
    CALL(24, dup3),
    RESTARTS(25, fcntl),
    RESTARTS(29, ioctl),
    CALLED(34, mkdirat, change_disk),
    CALLED(35, unlinkat, change_disk),
    CALLED(36, symlinkat, change_disk),
    CALLED(37, linkat, change_disk),
    CALL(48, faccessat),
    CALL(49, chdir),
    CALL(50, fchdir),
    CALLED(53, fchmodat, change_disk),
    RESTARTS(56, openat),
    CALL(57, close),
    CALL(59, pipe2),
    CALL(61, getdents64),
    CALL(62, lseek),
    RESTARTS(63, read),
    RESTARTS(64, write),
    RESTARTS(65, readv),
    RESTARTS(66, writev),
    RESTARTS(67, pread64),
    RESTARTS(71, sendfile),
    CALL(73, ppoll),
    CALL(78, readlinkat),
    CALL(79, newfstatat),
    CALL(80, fstat),
    CALL(82, fsync),
    CALL(93, exit),
    CALLED(94, exit_group, exit),
    CALL(96, set_tid_address),
    RESTARTS(98, futex),
    CALL(99, set_robust_list),
    CALL(101, nanosleep),
    CALL(113, clock_gettime),
    CALL(114, clock_getres),
    CALL(115, clock_nanosleep),
    CALL(124, sched_yield),
    CALL(129, kill),
    CALL(130, tkill),
    CALL(131, tgkill),
    CALL(132, sigaltstack),
    CALL(133, rt_sigsuspend),
    CALL(134, rt_sigaction),
    CALL(135, rt_sigprocmask),
    CALL(136, rt_sigpending),
    CALL(139, rt_sigreturn),
    CALL(140, setpriority),
    CALL(141, getpriority),
    CALLED(144, setgid, set_id),
    CALLED(146, setuid, set_id),
    CALL(153, times),
    CALL(154, setpgid),
    CALL(155, getpgid),
    CALL(156, getsid),
    CALL(157, setsid),
    CALLED(158, getgroups, get_id),
    CALL(160, uname),
    CALL(165, getrusage),
    CALL(166, umask),
    CALL(167, prctl),
    CALL(169, gettimeofday),
    CALL(172, getpid),
    CALL(173, getppid),
    CALLED(174, getuid, get_id),
    CALLED(175, geteuid, get_id),
    CALLED(176, getgid, get_id),
    CALLED(177, getegid, get_id),
    CALLED(178, gettid, getpid),
    CALL(179, sysinfo),
    CALL(214, brk),
    CALL(215, munmap),
    CALL(220, clone),
    CALL(221, execve),
    CALL(222, mmap),
    CALL(226, mprotect),
    CALL(233, madvise),
    RESTARTS(260, wait4),
    CALL(261, prlimit64),
    CALL(278, getrandom),
    CALL(293, rseq),
    CALLED(439, faccessat2, faccessat),
};

const struct call *call_find(uint64_t number) {
    return number < CALLS_MAX && calls[number].function != NULL ? &calls[number] : NULL;
}

/* Once for each number; all beyond the table are one. */
static void report_unknown(const struct process *process, uint64_t number) {
    static uint64_t reported[CALLS_MAX / 64 + 1];
    char line[96];
    uint64_t at = number < CALLS_MAX ? number : CALLS_MAX;
    uint64_t bit = UINT64_C(1) << at % 64;
    if ((__atomic_fetch_or(&reported[at / 64], bit, __ATOMIC_RELAXED) & bit) != 0 ||
        processes.config.report == NULL)
        return;
    snprintf(line, sizeof(line), "%s (pid %" PRIu32 "): there is no system call %" PRIu64,
             process->name, process->id, number);
    processes.config.report(processes.config.context, line);
}

bool call_dispatch(struct process *process) {
    uint64_t args[6], number = process->user.x[8];
    const struct call *call = call_find(number);
    int64_t result = -ASH_ENOSYS;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(args); i++)
        args[i] = process->user.x[i];
    if (call != NULL)
        result = call->function(process, args);
    else
        report_unknown(process, number);
    process->user.x[0] = (uint64_t)result;
    return result == -ASH_EINTR && call->function != call_rt_sigreturn;
}
