/* SPDX-License-Identifier: MIT */
/* calls.c: see calls.h. The numbers are Linux's for aarch64 (include/uapi/asm-generic/unistd.h). */
#include "calls.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <ashlar/event.h>
#include <ashlar/port.h>
#include <inttypes.h>
#include <stdio.h>

#include "process_internal.h"

/* RESTARTS: made again after a handler, if its action says so. */
enum { ONCE = false, RESTARTS = true };

/* number, name, what carries it out, is it made again */
/* clang-format off */
#define CALLS(X) \
    X(17, getcwd, getcwd, ONCE) \
    X(23, dup, dup, ONCE) \
    X(24, dup3, dup3, ONCE) \
    X(25, fcntl, fcntl, RESTARTS) \
    X(29, ioctl, ioctl, RESTARTS) \
    X(34, mkdirat, change_disk, ONCE) \
    X(35, unlinkat, change_disk, ONCE) \
    X(36, symlinkat, change_disk, ONCE) \
    X(37, linkat, change_disk, ONCE) \
    X(48, faccessat, faccessat, ONCE) \
    X(49, chdir, chdir, ONCE) \
    X(50, fchdir, fchdir, ONCE) \
    X(53, fchmodat, change_disk, ONCE) \
    X(56, openat, openat, RESTARTS) \
    X(57, close, close, ONCE) \
    X(59, pipe2, pipe2, ONCE) \
    X(61, getdents64, getdents64, ONCE) \
    X(62, lseek, lseek, ONCE) \
    X(63, read, read, RESTARTS) \
    X(64, write, write, RESTARTS) \
    X(65, readv, readv, RESTARTS) \
    X(66, writev, writev, RESTARTS) \
    X(67, pread64, pread64, RESTARTS) \
    X(71, sendfile, sendfile, RESTARTS) \
    X(73, ppoll, ppoll, ONCE) \
    X(78, readlinkat, readlinkat, ONCE) \
    X(79, newfstatat, newfstatat, ONCE) \
    X(80, fstat, fstat, ONCE) \
    X(82, fsync, fsync, ONCE) \
    X(93, exit, exit, ONCE) \
    X(94, exit_group, exit, ONCE) \
    X(96, set_tid_address, set_tid_address, ONCE) \
    X(98, futex, futex, RESTARTS) \
    X(99, set_robust_list, set_robust_list, ONCE) \
    X(101, nanosleep, nanosleep, ONCE) \
    X(113, clock_gettime, clock_gettime, ONCE) \
    X(114, clock_getres, clock_getres, ONCE) \
    X(115, clock_nanosleep, clock_nanosleep, ONCE) \
    X(124, sched_yield, sched_yield, ONCE) \
    X(129, kill, kill, ONCE) \
    X(130, tkill, tkill, ONCE) \
    X(131, tgkill, tgkill, ONCE) \
    X(132, sigaltstack, sigaltstack, ONCE) \
    X(133, rt_sigsuspend, rt_sigsuspend, ONCE) \
    X(134, rt_sigaction, rt_sigaction, ONCE) \
    X(135, rt_sigprocmask, rt_sigprocmask, ONCE) \
    X(136, rt_sigpending, rt_sigpending, ONCE) \
    X(139, rt_sigreturn, rt_sigreturn, ONCE) \
    X(140, setpriority, setpriority, ONCE) \
    X(141, getpriority, getpriority, ONCE) \
    X(144, setgid, set_id, ONCE) \
    X(146, setuid, set_id, ONCE) \
    X(153, times, times, ONCE) \
    X(154, setpgid, setpgid, ONCE) \
    X(155, getpgid, getpgid, ONCE) \
    X(156, getsid, getsid, ONCE) \
    X(157, setsid, setsid, ONCE) \
    X(158, getgroups, get_id, ONCE) \
    X(160, uname, uname, ONCE) \
    X(165, getrusage, getrusage, ONCE) \
    X(166, umask, umask, ONCE) \
    X(167, prctl, prctl, ONCE) \
    X(169, gettimeofday, gettimeofday, ONCE) \
    X(172, getpid, getpid, ONCE) \
    X(173, getppid, getppid, ONCE) \
    X(174, getuid, get_id, ONCE) \
    X(175, geteuid, get_id, ONCE) \
    X(176, getgid, get_id, ONCE) \
    X(177, getegid, get_id, ONCE) \
    X(178, gettid, getpid, ONCE) \
    X(179, sysinfo, sysinfo, ONCE) \
    X(214, brk, brk, ONCE) \
    X(215, munmap, munmap, ONCE) \
    X(220, clone, clone, ONCE) \
    X(221, execve, execve, ONCE) \
    X(222, mmap, mmap, ONCE) \
    X(226, mprotect, mprotect, ONCE) \
    X(233, madvise, madvise, ONCE) \
    X(260, wait4, wait4, RESTARTS) \
    X(261, prlimit64, prlimit64, ONCE) \
    X(278, getrandom, getrandom, ONCE) \
    X(293, rseq, rseq, ONCE) \
    X(439, faccessat2, faccessat, ONCE)
/* clang-format on */

#define INDEX_OF(number, call_name, function_name, again) INDEX_##call_name,
enum { CALLS(INDEX_OF) CALLS_KNOWN };

/* An event of each call's own: a timeline has their names. */
#define BEGIN_OF(number, call_name, function_name, again) \
    {.name = "syscall." #call_name, .fields = "first:x,second:x", .kind = ASH_EVENT_BEGIN},
#define END_OF(number, call_name, function_name, again) \
    {.name = "syscall." #call_name, .fields = "result:d", .kind = ASH_EVENT_END},
static struct ash_event begin_events[CALLS_KNOWN] ASH_EVENT_PLACE = {CALLS(BEGIN_OF)};
static struct ash_event end_events[CALLS_KNOWN] ASH_EVENT_PLACE = {CALLS(END_OF)};

ASH_EVENT_DEFINE(event_unknown, "syscall.unknown", "number");

#define CALL_OF(call_number, call_name, function_name, again) \
    [call_number] = {.name = #call_name,                      \
                     .function = call_##function_name,        \
                     .index = INDEX_##call_name,              \
                     .restarts = (again)},
static const struct call calls[CALLS_MAX] = {CALLS(CALL_OF)};

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

/* As ASH_EVENT, which wants a variable of its own for each. */
static void tell(struct ash_event *events, const struct call *call, uint64_t a, uint64_t b) {
    if (ASH_ENABLED(ASH_EVENTS))
        ash_port_event(&events[call->index], a, b);
}

bool call_dispatch(struct process *process) {
    uint64_t args[6], number = process->user.x[8];
    const struct call *call = call_find(number);
    int64_t result = -ASH_ENOSYS;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(args); i++)
        args[i] = process->user.x[i];
    if (call != NULL) {
        tell(begin_events, call, args[0], args[1]);
        result = call->function(process, args);
        tell(end_events, call, (uint64_t)result, 0);
    } else {
        ASH_EVENT(event_unknown, number, 0);
        report_unknown(process, number);
    }
    process->user.x[0] = (uint64_t)result;
    return result == -ASH_EINTR && call->function != call_rt_sigreturn;
}
