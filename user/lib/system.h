/* SPDX-License-Identifier: MIT */
/*
 * system.h: the system calls, by Linux's numbers for aarch64 and with its structures, so that a
 * program runs on both.
 *
 * Rules
 *  - A call returns a value, or one of <ashlar/error.h> negated (-ASH_ENOENT). There is no errno.
 *  - sys_x is the call x as the kernel has it, which is not always what C libraries make of it:
 *    see its manual page (section 2), "C library/kernel differences".
 *
 * Sources: Linux, include/uapi/asm-generic/unistd.h, arch/arm64/include/uapi/asm/.
 */
#ifndef USER_SYSTEM_H
#define USER_SYSTEM_H

#include <ashlar/base.h>
#include <ashlar/error.h>

enum call_number {
    CALL_GETCWD = 17,
    CALL_DUP = 23,
    CALL_DUP3 = 24,
    CALL_FCNTL = 25,
    CALL_IOCTL = 29,
    CALL_FACCESSAT = 48,
    CALL_CHDIR = 49,
    CALL_OPENAT = 56,
    CALL_CLOSE = 57,
    CALL_PIPE2 = 59,
    CALL_GETDENTS64 = 61,
    CALL_LSEEK = 62,
    CALL_READ = 63,
    CALL_WRITE = 64,
    CALL_READV = 65,
    CALL_WRITEV = 66,
    CALL_PREAD64 = 67,
    CALL_SENDFILE = 71,
    CALL_PPOLL = 73,
    CALL_READLINKAT = 78,
    CALL_NEWFSTATAT = 79,
    CALL_FSTAT = 80,
    CALL_EXIT = 93,
    CALL_EXIT_GROUP = 94,
    CALL_SET_TID_ADDRESS = 96,
    CALL_FUTEX = 98,
    CALL_SET_ROBUST_LIST = 99,
    CALL_NANOSLEEP = 101,
    CALL_CLOCK_GETTIME = 113,
    CALL_CLOCK_NANOSLEEP = 115,
    CALL_SCHED_YIELD = 124,
    CALL_KILL = 129,
    CALL_TGKILL = 131,
    CALL_SIGALTSTACK = 132,
    CALL_RT_SIGSUSPEND = 133,
    CALL_RT_SIGACTION = 134,
    CALL_RT_SIGPROCMASK = 135,
    CALL_RT_SIGPENDING = 136,
    CALL_RT_SIGRETURN = 139,
    CALL_SETPRIORITY = 140,
    CALL_GETPRIORITY = 141,
    CALL_SETPGID = 154,
    CALL_GETPGID = 155,
    CALL_UNAME = 160,
    CALL_GETPID = 172,
    CALL_GETPPID = 173,
    CALL_GETUID = 174,
    CALL_GETTID = 178,
    CALL_BRK = 214,
    CALL_MUNMAP = 215,
    CALL_CLONE = 220,
    CALL_EXECVE = 221,
    CALL_MMAP = 222,
    CALL_MPROTECT = 226,
    CALL_MADVISE = 233,
    CALL_WAIT4 = 260,
    CALL_PRLIMIT64 = 261,
    CALL_GETRANDOM = 278,
    CALL_RSEQ = 293,
    CALL_NONE = 500, /* there is none of this number */
};

/* Any call; six arguments at most. */
static inline int64_t system_call(uint64_t number, uint64_t a, uint64_t b, uint64_t c, uint64_t d,
                                  uint64_t e, uint64_t f) {
    register uint64_t x8 __asm__("x8") = number;
    register uint64_t x0 __asm__("x0") = a;
    register uint64_t x1 __asm__("x1") = b;
    register uint64_t x2 __asm__("x2") = c;
    register uint64_t x3 __asm__("x3") = d;
    register uint64_t x4 __asm__("x4") = e;
    register uint64_t x5 __asm__("x5") = f;
    __asm__ volatile("svc #0"
                     : "+r"(x0)
                     : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
                     : "memory", "cc");
    return (int64_t)x0;
}

#define SYSTEM_POINTER(pointer) ((uint64_t)(uintptr_t)(pointer))

/* Files */

enum { AT_HERE = -100 }; /* AT_FDCWD */
enum { OPEN_READ = 0, OPEN_WRITE = 1, OPEN_BOTH = 2, OPEN_DIRECTORY = 040000 };
enum { OPEN_NONBLOCK = 04000, OPEN_CLOEXEC = 02000000 };
enum { SEEK_FROM_START = 0, SEEK_FROM_HERE = 1, SEEK_FROM_END = 2 };
enum { FCNTL_GETFD = 1, FCNTL_SETFD = 2, FCNTL_GETFL = 3, FCNTL_SETFL = 4 };
enum { MODE_TYPE = 0170000, MODE_FIFO = 0010000, MODE_DIRECTORY = 0040000, MODE_FILE = 0100000 };

struct system_stat {
    uint64_t device, number;
    uint32_t mode, links, user, group;
    uint64_t special_device, pad;
    int64_t size_bytes;
    int32_t block_bytes, pad2;
    int64_t blocks;
    int64_t times[6];
    uint32_t unused[2];
};
_Static_assert(sizeof(struct system_stat) == 128, "Linux's struct stat");

struct system_entry { /* of getdents64; the next one is `bytes` behind */
    uint64_t number;
    int64_t next;
    uint16_t bytes;
    uint8_t type;
    char name[];
};

struct system_iovec {
    void *start;
    size_t bytes;
};

static inline int64_t sys_openat(int directory, const char *path, int flags) {
    return system_call(CALL_OPENAT, (uint64_t)directory, SYSTEM_POINTER(path), (uint64_t)flags, 0,
                       0, 0);
}

static inline int64_t sys_open(const char *path, int flags) {
    return sys_openat(AT_HERE, path, flags);
}

static inline int64_t sys_close(int file) {
    return system_call(CALL_CLOSE, (uint64_t)file, 0, 0, 0, 0, 0);
}

static inline int64_t sys_read(int file, void *buffer, size_t len) {
    return system_call(CALL_READ, (uint64_t)file, SYSTEM_POINTER(buffer), len, 0, 0, 0);
}

static inline int64_t sys_write(int file, const void *buffer, size_t len) {
    return system_call(CALL_WRITE, (uint64_t)file, SYSTEM_POINTER(buffer), len, 0, 0, 0);
}

static inline int64_t sys_lseek(int file, int64_t offset, int whence) {
    return system_call(CALL_LSEEK, (uint64_t)file, (uint64_t)offset, (uint64_t)whence, 0, 0, 0);
}

static inline int64_t sys_fstat(int file, struct system_stat *stat) {
    return system_call(CALL_FSTAT, (uint64_t)file, SYSTEM_POINTER(stat), 0, 0, 0, 0);
}

static inline int64_t sys_stat(const char *path, struct system_stat *stat) {
    return system_call(CALL_NEWFSTATAT, (uint64_t)AT_HERE, SYSTEM_POINTER(path),
                       SYSTEM_POINTER(stat), 0, 0, 0);
}

static inline int64_t sys_getdents64(int file, void *buffer, size_t len) {
    return system_call(CALL_GETDENTS64, (uint64_t)file, SYSTEM_POINTER(buffer), len, 0, 0, 0);
}

static inline int64_t sys_pipe2(int files[2], int flags) {
    return system_call(CALL_PIPE2, SYSTEM_POINTER(files), (uint64_t)flags, 0, 0, 0, 0);
}

static inline int64_t sys_dup(int file) {
    return system_call(CALL_DUP, (uint64_t)file, 0, 0, 0, 0, 0);
}

static inline int64_t sys_dup3(int file, int as, int flags) {
    return system_call(CALL_DUP3, (uint64_t)file, (uint64_t)as, (uint64_t)flags, 0, 0, 0);
}

static inline int64_t sys_fcntl(int file, int command, uint64_t argument) {
    return system_call(CALL_FCNTL, (uint64_t)file, (uint64_t)command, argument, 0, 0, 0);
}

/* Memory */

enum { PROTECT_NONE = 0, PROTECT_READ = 1, PROTECT_WRITE = 2, PROTECT_EXECUTE = 4 };
enum { MAP_SHARES = 1, MAP_IS_PRIVATE = 2, MAP_IS_FIXED = 0x10, MAP_IS_ANONYMOUS = 0x20 };
enum { ADVISE_HUGE = 14, ADVISE_NO_HUGE = 15 };

static inline int64_t sys_mmap(uint64_t address, size_t len, int rights, int flags, int file,
                               int64_t offset) {
    return system_call(CALL_MMAP, address, len, (uint64_t)rights, (uint64_t)flags, (uint64_t)file,
                       (uint64_t)offset);
}

static inline int64_t sys_munmap(uint64_t address, size_t len) {
    return system_call(CALL_MUNMAP, address, len, 0, 0, 0, 0);
}

static inline int64_t sys_mprotect(uint64_t address, size_t len, int rights) {
    return system_call(CALL_MPROTECT, address, len, (uint64_t)rights, 0, 0, 0);
}

static inline int64_t sys_madvise(uint64_t address, size_t len, int advice) {
    return system_call(CALL_MADVISE, address, len, (uint64_t)advice, 0, 0, 0);
}

static inline uint64_t sys_brk(uint64_t end) {
    return (uint64_t)system_call(CALL_BRK, end, 0, 0, 0, 0, 0);
}

/* Processes */

enum { WAIT_NO_HANG = 1, WAIT_STOPPED = 2, WAIT_CONTINUED = 8 };
enum { CLONE_SHARES_MEMORY = 0x100, CLONE_IS_VFORK = 0x4000 };

static inline int64_t sys_fork(void) {
    return system_call(CALL_CLONE, 17 /* SIGCHLD */, 0, 0, 0, 0, 0);
}

static inline int64_t sys_execve(const char *path, char *const *arguments,
                                 char *const *environment) {
    return system_call(CALL_EXECVE, SYSTEM_POINTER(path), SYSTEM_POINTER(arguments),
                       SYSTEM_POINTER(environment), 0, 0, 0);
}

static inline int64_t sys_wait4(int64_t process, int *status, int options) {
    return system_call(CALL_WAIT4, (uint64_t)process, SYSTEM_POINTER(status), (uint64_t)options, 0,
                       0, 0);
}

static inline void sys_exit_group(int status) {
    for (;;)
        system_call(CALL_EXIT_GROUP, (uint64_t)status, 0, 0, 0, 0, 0);
}

static inline int64_t sys_getpid(void) {
    return system_call(CALL_GETPID, 0, 0, 0, 0, 0, 0);
}

static inline int64_t sys_getppid(void) {
    return system_call(CALL_GETPPID, 0, 0, 0, 0, 0, 0);
}

static inline int64_t sys_setpgid(int64_t process, int64_t group) {
    return system_call(CALL_SETPGID, (uint64_t)process, (uint64_t)group, 0, 0, 0, 0);
}

static inline int64_t sys_sched_yield(void) {
    return system_call(CALL_SCHED_YIELD, 0, 0, 0, 0, 0, 0);
}

/* What wait4 says of an end. */
static inline bool wait_exited(int status) {
    return (status & 0x7f) == 0;
}

static inline int wait_exit_status(int status) {
    return status >> 8 & 0xff;
}

static inline bool wait_stopped(int status) {
    return (status & 0xff) == 0x7f;
}

/* The signal that ended it; 0: none did. */
static inline int wait_signal(int status) {
    return wait_stopped(status) ? 0 : status & 0x7f;
}

/* Signals */

enum {
    SIGNAL_HUP = 1,
    SIGNAL_INT = 2,
    SIGNAL_ILL = 4,
    SIGNAL_TRAP = 5,
    SIGNAL_BUS = 7,
    SIGNAL_FPE = 8,
    SIGNAL_KILL = 9,
    SIGNAL_USR1 = 10,
    SIGNAL_SEGV = 11,
    SIGNAL_USR2 = 12,
    SIGNAL_PIPE = 13,
    SIGNAL_ALRM = 14,
    SIGNAL_TERM = 15,
    SIGNAL_CHLD = 17,
    SIGNAL_CONT = 18,
    SIGNAL_STOP = 19,
};

enum { SIGNALS_BLOCK = 0, SIGNALS_UNBLOCK = 1, SIGNALS_SET = 2 };

#define SIGNAL_DEFAULT        ((signal_handler *)0)
#define SIGNAL_IGNORE         ((signal_handler *)1)
#define SIGNAL_BIT(signal)    (UINT64_C(1) << ((signal)-1))
#define ACTION_HAS_INFO       UINT64_C(0x00000004)
#define ACTION_ON_STACK       UINT64_C(0x08000000)
#define ACTION_RESTARTS       UINT64_C(0x10000000)
#define ACTION_DOES_NOT_BLOCK UINT64_C(0x40000000)
#define ACTION_RESETS         UINT64_C(0x80000000)

struct system_signal_info {
    int32_t signal, error, code, pad;
    union {
        struct {
            int32_t process;
            uint32_t user;
        };
        uint64_t address;
        uint8_t bytes[112];
    };
};
_Static_assert(sizeof(struct system_signal_info) == 128, "Linux's siginfo_t");

struct system_signal_stack {
    void *start;
    int32_t flags, pad;
    size_t bytes;
};

/* What a handler was called in the middle of; the registers are given back from here. */
struct system_context {
    uint64_t flags;
    struct system_context *link;
    struct system_signal_stack stack;
    uint64_t mask;
    uint8_t unused[120];
    uint64_t pad;
    uint64_t fault_address;
    uint64_t x[31], sp, pc, pstate;
};

typedef void signal_handler(int signal, struct system_signal_info *info,
                            struct system_context *context);

struct system_action {
    signal_handler *handler;
    uint64_t flags;
    void *restorer;
    uint64_t mask;
};

static inline int64_t sys_rt_sigaction(int signal, const struct system_action *action,
                                       struct system_action *old) {
    return system_call(CALL_RT_SIGACTION, (uint64_t)signal, SYSTEM_POINTER(action),
                       SYSTEM_POINTER(old), sizeof(action->mask), 0, 0);
}

static inline int64_t sys_rt_sigprocmask(int how, const uint64_t *set, uint64_t *old) {
    return system_call(CALL_RT_SIGPROCMASK, (uint64_t)how, SYSTEM_POINTER(set), SYSTEM_POINTER(old),
                       sizeof(*set), 0, 0);
}

static inline int64_t sys_rt_sigpending(uint64_t *set) {
    return system_call(CALL_RT_SIGPENDING, SYSTEM_POINTER(set), sizeof(*set), 0, 0, 0, 0);
}

/* Waits, with another mask, for a handler to have run: -ASH_EINTR. */
static inline int64_t sys_rt_sigsuspend(const uint64_t *mask) {
    return system_call(CALL_RT_SIGSUSPEND, SYSTEM_POINTER(mask), sizeof(*mask), 0, 0, 0, 0);
}

static inline int64_t sys_sigaltstack(const struct system_signal_stack *stack,
                                      struct system_signal_stack *old) {
    return system_call(CALL_SIGALTSTACK, SYSTEM_POINTER(stack), SYSTEM_POINTER(old), 0, 0, 0, 0);
}

static inline int64_t sys_kill(int64_t process, int signal) {
    return system_call(CALL_KILL, (uint64_t)process, (uint64_t)signal, 0, 0, 0, 0);
}

/* Time */

struct system_time {
    int64_t s, ns;
};

static inline int64_t sys_nanosleep(const struct system_time *span, struct system_time *left) {
    return system_call(CALL_NANOSLEEP, SYSTEM_POINTER(span), SYSTEM_POINTER(left), 0, 0, 0, 0);
}

static inline int64_t sys_clock_gettime(int clock, struct system_time *time) {
    return system_call(CALL_CLOCK_GETTIME, (uint64_t)clock, SYSTEM_POINTER(time), 0, 0, 0, 0);
}

#endif
