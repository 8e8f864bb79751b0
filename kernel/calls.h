/* SPDX-License-Identifier: MIT */
/*
 * calls.h: what programs ask of the kernel, by Linux's numbers for aarch64: x8 says which, x0..x5
 * are the arguments, x0 becomes the result, -4095..-1 being an error.
 *
 * Rules
 *  - A call runs on its process's thread. Its arguments are any numbers: addresses go through
 *    user_read and user_write, numbers of 32 bits are cut by the call.
 *  - A call that was interrupted before it did anything returns -ASH_EINTR. If no handler runs, it
 *    is made again; else if the table says that it restarts and the action has SA_RESTART; else
 *    the program sees EINTR.
 */
#ifndef KERNEL_CALLS_H
#define KERNEL_CALLS_H

#include "process.h"

typedef int64_t call_function(struct process *process, const uint64_t args[6]);

struct call {
    const char *name;
    call_function *function;
    uint16_t index; /* of its events */
    bool restarts;
};

enum { CALLS_MAX = 512 };

/* NULL: there is none of this number. */
const struct call *call_find(uint64_t number);

/* Does what the registers say. True: it was interrupted (x0 is -ASH_EINTR), and is as if it had not
 * been made but for that. */
bool call_dispatch(struct process *process);

/* call_file.c */
call_function call_read, call_write, call_pread64, call_readv, call_writev, call_sendfile,
    call_lseek, call_close, call_dup, call_dup3, call_pipe2, call_fcntl, call_ioctl;
/* call_path.c; call_change_disk: mkdirat, unlinkat and whatever else would */
call_function call_openat, call_fstat, call_newfstatat, call_faccessat, call_readlinkat,
    call_getdents64, call_chdir, call_fchdir, call_getcwd, call_change_disk, call_fsync;
/* call_poll.c */
call_function call_ppoll;
/* call_process.c */
call_function call_clone, call_execve, call_wait4, call_exit, call_getpid, call_getppid,
    call_getpgid, call_setpgid, call_getsid, call_setsid, call_sched_yield, call_setpriority,
    call_getpriority, call_set_tid_address, call_getrusage;
/* call_memory.c */
call_function call_mmap, call_munmap, call_mprotect, call_brk, call_madvise;
/* call_signal.c */
call_function call_kill, call_tkill, call_tgkill, call_rt_sigaction, call_rt_sigprocmask,
    call_rt_sigreturn, call_rt_sigpending, call_rt_sigsuspend, call_sigaltstack;
/* call_time.c */
call_function call_nanosleep, call_clock_nanosleep, call_clock_gettime, call_clock_getres,
    call_gettimeofday, call_times;
/* call_misc.c */
call_function call_uname, call_getrandom, call_prlimit64, call_set_robust_list, call_rseq,
    call_get_id, call_set_id, call_futex, call_umask, call_sysinfo, call_prctl;

#endif
