/* SPDX-License-Identifier: MIT */
/* calls: system calls with wrong arguments, each of which must return the right error. */
#include "../lib/program.h"

enum { PAGE = 4096 };

static uint32_t checked, wrong;

static void expect(const char *what, int64_t is, int64_t should) {
    if (is != should) {
        printf("%s returned %lld (%s), not %lld (%s)\n", what, (long long)is,
               is < 0 ? ash_strerror((int)is) : "no error", (long long)should,
               ash_strerror((int)should));
        wrong++;
    }
    checked++;
}

#define CALL(number, ...) CALL_6(number, __VA_ARGS__, 0, 0, 0, 0, 0, 0)
#define CALL_6(number, a, b, c, d, e, f, ...)                                              \
    system_call(CALL_##number, (uint64_t)(a), (uint64_t)(b), (uint64_t)(c), (uint64_t)(d), \
                (uint64_t)(e), (uint64_t)(f))
#define BAD 8 /* an address where nothing is */

static void check_files(const char *program, int pipe[2]) {
    static char buffer[PAGE];
    struct system_iovec part = {buffer, PAGE};
    int file = (int)must(sys_open(program, OPEN_READ), program);
    int folder = (int)must(sys_open(".", OPEN_READ), ".");
    expect("read of a closed file", sys_read(99, buffer, 1), -ASH_EBADF);
    expect("read of file -1", sys_read(-1, buffer, 1), -ASH_EBADF);
    expect("read of a directory", sys_read(folder, buffer, 1), -ASH_EISDIR);
    expect("read to nowhere", CALL(READ, file, BAD, 1), -ASH_EFAULT);
    expect("read of nothing", sys_read(file, buffer, 0), 0);
    expect("read of the writing end", sys_read(pipe[1], buffer, 1), -ASH_EBADF);
    expect("write to a closed file", sys_write(99, buffer, 1), -ASH_EBADF);
    expect("write to a file for reading", sys_write(file, buffer, 1), -ASH_EBADF);
    expect("write to the reading end", sys_write(pipe[0], buffer, 1), -ASH_EBADF);
    expect("write from nowhere", CALL(WRITE, pipe[1], BAD, 1), -ASH_EFAULT);
    expect("readv of a closed file", CALL(READV, 99, &part, 1), -ASH_EBADF);
    expect("readv with too many parts", CALL(READV, file, buffer, 1025), -ASH_EINVAL);
    expect("writev with parts nowhere", CALL(WRITEV, pipe[1], BAD, 1), -ASH_EFAULT);
    expect("pread64 of a pipe", CALL(PREAD64, pipe[0], buffer, 1, 0), -ASH_ESPIPE);
    expect("pread64 before the start", CALL(PREAD64, file, buffer, 1, -1), -ASH_EINVAL);
    expect("lseek of a closed file", sys_lseek(99, 0, 0), -ASH_EBADF);
    expect("lseek of a pipe", sys_lseek(pipe[0], 0, 0), -ASH_ESPIPE);
    expect("lseek before the start", sys_lseek(file, -1, SEEK_FROM_START), -ASH_EINVAL);
    expect("lseek from a wrong place", sys_lseek(file, 0, 77), -ASH_EINVAL);
    expect("fstat of a closed file", sys_fstat(99, (struct system_stat *)(void *)buffer),
           -ASH_EBADF);
    expect("fstat to nowhere", CALL(FSTAT, file, BAD), -ASH_EFAULT);
    expect("getdents64 of a file", sys_getdents64(file, buffer, PAGE), -ASH_ENOTDIR);
    expect("getdents64 of a closed file", sys_getdents64(99, buffer, PAGE), -ASH_EBADF);
    expect("getdents64 without room", sys_getdents64(folder, buffer, 1), -ASH_EINVAL);
    expect("close of a closed file", sys_close(99), -ASH_EBADF);
    expect("dup of a closed file", sys_dup(99), -ASH_EBADF);
    expect("dup3 of a closed file", sys_dup3(99, 98, 0), -ASH_EBADF);
    expect("dup3 to itself", sys_dup3(file, file, 0), -ASH_EINVAL);
    expect("dup3 to -1", sys_dup3(file, -1, 0), -ASH_EBADF);
    expect("dup3 with wrong flags", sys_dup3(file, 50, 1), -ASH_EINVAL);
    expect("fcntl of a closed file", sys_fcntl(99, FCNTL_GETFD, 0), -ASH_EBADF);
    expect("fcntl of no command", sys_fcntl(file, 9999, 0), -ASH_EINVAL);
    expect("ioctl of a file", CALL(IOCTL, file, 0x5401, buffer), -ASH_ENOTTY);
    expect("ioctl of a closed file", CALL(IOCTL, 99, 0x5401, buffer), -ASH_EBADF);
    expect("pipe2 to nowhere", CALL(PIPE2, BAD, 0), -ASH_EFAULT);
    expect("pipe2 with wrong flags", CALL(PIPE2, buffer, 1), -ASH_EINVAL);
    expect("chdir to a file", CALL(CHDIR, program), -ASH_ENOTDIR);
    must(sys_close(file), "close");
    must(sys_close(folder), "close");
}

static void check_paths(const char *program) {
    static char path[2 * PAGE];
    struct system_stat stat;
    expect("openat of nothing", sys_open("no such file", OPEN_READ), -ASH_ENOENT);
    expect("openat of an empty name", sys_open("", OPEN_READ), -ASH_ENOENT);
    expect("openat of nowhere", CALL(OPENAT, AT_HERE, BAD, 0), -ASH_EFAULT);
    expect("openat of a directory for writing", sys_open(".", OPEN_WRITE), -ASH_EISDIR);
    expect("openat from a closed directory", sys_openat(99, "x", OPEN_READ), -ASH_EBADF);
    expect("openat of a file as directory", sys_open(program, OPEN_DIRECTORY), -ASH_ENOTDIR);
    snprintf(path, sizeof(path), "%s/x", program);
    expect("openat below a file", sys_open(path, OPEN_READ), -ASH_ENOTDIR);
    memset(path, 'a', sizeof(path) - 1);
    expect("openat of a long name", sys_open(path, OPEN_READ), -ASH_ENAMETOOLONG);
    expect("newfstatat of nothing", sys_stat("no such file", &stat), -ASH_ENOENT);
    expect("newfstatat to nowhere", CALL(NEWFSTATAT, AT_HERE, ".", BAD, 0), -ASH_EFAULT);
    expect("faccessat of nothing", CALL(FACCESSAT, AT_HERE, "no such file", 0), -ASH_ENOENT);
    expect("readlinkat of a file", CALL(READLINKAT, AT_HERE, program, path, PAGE), -ASH_EINVAL);
    expect("chdir to nothing", CALL(CHDIR, "no such file"), -ASH_ENOENT);
    expect("getcwd without room", CALL(GETCWD, path, 1), -ASH_ERANGE);
    expect("getcwd to nowhere", CALL(GETCWD, BAD, PAGE), -ASH_EFAULT);
}

static void check_exec(const char *program) {
    char *const arguments[] = {(char *)(uintptr_t)program, NULL};
    char *bad[] = {(char *)BAD, NULL};
    expect("execve of nothing", sys_execve("no such file", arguments, NULL), -ASH_ENOENT);
    expect("execve of a directory", sys_execve(".", arguments, NULL), -ASH_EACCES);
    expect("execve of nowhere", CALL(EXECVE, BAD, arguments, 0), -ASH_EFAULT);
    expect("execve with arguments nowhere", CALL(EXECVE, program, BAD, 0), -ASH_EFAULT);
    expect("execve with an argument nowhere", sys_execve(program, bad, NULL), -ASH_EFAULT);
    expect("execve with an environment nowhere", CALL(EXECVE, program, arguments, BAD),
           -ASH_EFAULT);
    size_t len = 16 << 20;
    char *large = memset(map_pages(len), 'x', len - 1);
    char *const too_large[] = {large, NULL};
    expect("execve with a large argument", sys_execve(program, too_large, NULL), -ASH_E2BIG);
    must(sys_munmap((uint64_t)(uintptr_t)large, len), "munmap");
}

static void check_memory(int pipe) {
    uint64_t page = (uint64_t)(uintptr_t)map_pages(PAGE);
    int rw = PROTECT_READ | PROTECT_WRITE, own = MAP_IS_PRIVATE | MAP_IS_ANONYMOUS;
    expect("mmap of nothing", sys_mmap(0, 0, rw, own, -1, 0), -ASH_EINVAL);
    expect("mmap of too much", sys_mmap(0, UINT64_C(1) << 50, rw, own, -1, 0), -ASH_ENOMEM);
    expect("mmap of everything", sys_mmap(0, UINT64_MAX, rw, own, -1, 0), -ASH_ENOMEM);
    expect("mmap neither shared nor private", sys_mmap(0, PAGE, rw, MAP_IS_ANONYMOUS, -1, 0),
           -ASH_EINVAL);
    expect("mmap at half a page", sys_mmap(page + 8, PAGE, rw, own | MAP_IS_FIXED, -1, 0),
           -ASH_EINVAL);
    expect("mmap of half a page of a file", sys_mmap(0, PAGE, rw, MAP_IS_PRIVATE, 0, 8),
           -ASH_EINVAL);
    expect("mmap of a closed file", sys_mmap(0, PAGE, rw, MAP_IS_PRIVATE, 99, 0), -ASH_EBADF);
    expect("mmap of a pipe", sys_mmap(0, PAGE, rw, MAP_IS_PRIVATE, pipe, 0), -ASH_ENODEV);
    expect("munmap of half a page", sys_munmap(page + 8, PAGE), -ASH_EINVAL);
    expect("munmap of nothing", sys_munmap(page, 0), -ASH_EINVAL);
    expect("mprotect of half a page", sys_mprotect(page + 8, PAGE, rw), -ASH_EINVAL);
    expect("mprotect to what is no right", sys_mprotect(page, PAGE, 0x1000), -ASH_EINVAL);
    expect("mprotect where nothing is", sys_mprotect(PAGE, PAGE, rw), -ASH_ENOMEM);
}

static void check_processes(void) {
    char page[64];
    expect("wait4 with no children", sys_wait4(-1, NULL, 0), -ASH_ECHILD);
    expect("wait4 with wrong options", sys_wait4(-1, NULL, 64), -ASH_EINVAL);
    expect("kill by signal 65", sys_kill(sys_getpid(), 65), -ASH_EINVAL);
    expect("kill by signal -1", sys_kill(sys_getpid(), -1), -ASH_EINVAL);
    expect("kill of nobody", sys_kill(4000000, 0), -ASH_ESRCH);
    expect("kill of no group", sys_kill(-4000000, 0), -ASH_ESRCH);
    expect("kill of itself by signal 0", sys_kill(sys_getpid(), 0), 0);
    expect("tgkill of process 0", CALL(TGKILL, 0, 1, 0), -ASH_EINVAL);
    expect("tgkill of nobody", CALL(TGKILL, 4000000, 4000000, 0), -ASH_ESRCH);
    expect("getpgid of nobody", CALL(GETPGID, 4000000), -ASH_ESRCH);
    expect("setpgid of a stranger", sys_setpgid(4000000, 0), -ASH_ESRCH);
    expect("setpgid to a negative group", sys_setpgid(0, -1), -ASH_EINVAL);
    expect("getpriority of nothing", CALL(GETPRIORITY, 9, 0), -ASH_EINVAL);
    expect("setpriority of nobody", CALL(SETPRIORITY, 0, 4000000, 1), -ASH_ESRCH);
    expect("prlimit64 of nothing", CALL(PRLIMIT64, 0, 99, 0, page), -ASH_EINVAL);
    expect("prlimit64 to nowhere", CALL(PRLIMIT64, 0, 7, 0, BAD), -ASH_EFAULT);
    expect("uname to nowhere", CALL(UNAME, BAD), -ASH_EFAULT);
    expect("getrandom with wrong flags", CALL(GETRANDOM, page, 8, 0x80), -ASH_EINVAL);
    expect("getrandom to nowhere", CALL(GETRANDOM, BAD, 8, 0), -ASH_EFAULT);
    expect("a call that there is not", CALL(NONE, 0), -ASH_ENOSYS);
}

static void check_signals(void) {
    struct system_action action = {.handler = SIGNAL_IGNORE};
    struct system_signal_stack stack = {.start = &action, .bytes = 100};
    uint64_t mask = 0;
    expect("rt_sigaction of signal 0", sys_rt_sigaction(0, NULL, &action), -ASH_EINVAL);
    expect("rt_sigaction of signal 65", sys_rt_sigaction(65, NULL, &action), -ASH_EINVAL);
    expect("rt_sigaction of SIGKILL", sys_rt_sigaction(SIGNAL_KILL, &action, NULL), -ASH_EINVAL);
    expect("rt_sigaction of SIGSTOP", sys_rt_sigaction(SIGNAL_STOP, &action, NULL), -ASH_EINVAL);
    expect("rt_sigaction of a wrong size", CALL(RT_SIGACTION, 10, &action, 0, 4), -ASH_EINVAL);
    expect("rt_sigaction from nowhere", CALL(RT_SIGACTION, 10, BAD, 0, 8), -ASH_EFAULT);
    expect("rt_sigaction to nowhere", CALL(RT_SIGACTION, 10, 0, BAD, 8), -ASH_EFAULT);
    expect("rt_sigprocmask of no kind", sys_rt_sigprocmask(7, &mask, NULL), -ASH_EINVAL);
    expect("rt_sigprocmask of a wrong size", CALL(RT_SIGPROCMASK, 0, &mask, 0, 4), -ASH_EINVAL);
    expect("rt_sigprocmask from nowhere", CALL(RT_SIGPROCMASK, 0, BAD, 0, 8), -ASH_EFAULT);
    expect("sigaltstack that is small", sys_sigaltstack(&stack, NULL), -ASH_ENOMEM);
    stack.flags = 77;
    expect("sigaltstack with wrong flags", sys_sigaltstack(&stack, NULL), -ASH_EINVAL);
    expect("sigaltstack from nowhere", CALL(SIGALTSTACK, BAD, 0), -ASH_EFAULT);
}

static void check_time(void) {
    struct system_time time = {0, 1000000000};
    expect("nanosleep of a wrong time", sys_nanosleep(&time, NULL), -ASH_EINVAL);
    time.ns = -1;
    expect("nanosleep of a negative time", sys_nanosleep(&time, NULL), -ASH_EINVAL);
    expect("nanosleep of nowhere", CALL(NANOSLEEP, BAD, 0), -ASH_EFAULT);
    expect("clock_gettime of no clock", sys_clock_gettime(99, &time), -ASH_EINVAL);
    expect("clock_gettime to nowhere", CALL(CLOCK_GETTIME, 1, BAD), -ASH_EFAULT);
    expect("ppoll of nowhere", CALL(PPOLL, BAD, 1, 0, 0), -ASH_EFAULT);
    expect("futex at half a word", CALL(FUTEX, (char *)&time + 1, 0, 0, 0), -ASH_EINVAL);
    expect("futex that has changed", CALL(FUTEX, &time, 0, 12345, 0), -ASH_EAGAIN);
}

int main(void) {
    const char *program = (const char *)(uintptr_t)program_aux(31, 0); /* AT_EXECFN: this one */
    int pipe[2];
    must(sys_pipe2(pipe, 0), "pipe2");
    check_files(program, pipe);
    check_paths(program);
    check_exec(program);
    check_memory(pipe[0]);
    check_processes();
    check_signals();
    check_time();
    printf("calls: %u wrong ones, %u without their error\n", (unsigned)checked, (unsigned)wrong);
    return wrong == 0 ? 0 : 1;
}
