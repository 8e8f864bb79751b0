/* SPDX-License-Identifier: MIT */
/*
 * cowcheck: where the kernel writes into a program's memory, it must copy shared pages as it does
 * for the program's own writes. After a fork a child lets the kernel write by many calls into pages
 * that it shares with its parent, or that are a file's, or that nobody has written to yet.
 */
#include "../lib/program.h"

enum { PAGE = 4096, PAGES = 4, FILL = 0xc5 };

static uint8_t *shared; /* PAGES, by parent and children until somebody writes */
static int input[2];

static void put_input(const char *text) {
    write_all(input[1], text, strlen(text));
}

static void by_read(uint8_t *at) {
    put_input("12345678");
    if (sys_read(input[0], at, 8) != 8 || memcmp(at, "12345678", 8) != 0)
        die("read brought something else");
}

static void by_readv(uint8_t *at) {
    struct system_iovec parts[2] = {{at, 3}, {at + 100, 5}};
    put_input("12345678");
    if (system_call(CALL_READV, (uint64_t)input[0], SYSTEM_POINTER(parts), 2, 0, 0, 0) != 8 ||
        memcmp(at, "123", 3) != 0 || memcmp(at + 100, "45678", 5) != 0)
        die("readv brought something else");
}

static void by_fstat(uint8_t *at) {
    struct system_stat *stat = (struct system_stat *)(void *)at;
    must(sys_fstat(input[0], stat), "fstat");
    if ((stat->mode & MODE_TYPE) != MODE_FIFO)
        die("fstat says that a pipe has mode %o", (unsigned)stat->mode);
}

static void by_clock(uint8_t *at) {
    must(sys_clock_gettime(1, (struct system_time *)(void *)at), "clock_gettime");
    if (((struct system_time *)(void *)at)->ns >= 1000000000)
        die("clock_gettime has written nothing");
}

static void by_wait(uint8_t *at) {
    int64_t child = must(sys_fork(), "fork");
    if (child == 0)
        sys_exit_group(3);
    must(sys_wait4(child, (int *)(void *)at, 0), "wait4");
    if (*(int *)(void *)at != 3 << 8)
        die("wait4 has written %#x", *(unsigned *)(void *)at);
}

static void by_pipe(uint8_t *at) {
    int *files = (int *)(void *)at;
    must(sys_pipe2(files, 0), "pipe2");
    must(sys_close(files[0]), "close");
    must(sys_close(files[1]), "close");
}

static void by_random(uint8_t *at) {
    must(system_call(CALL_GETRANDOM, SYSTEM_POINTER(at), 64, 0, 0, 0, 0), "getrandom");
    for (size_t i = 0; i < 64; i++) {
        if (at[i] != FILL)
            return;
    }
    die("getrandom has written nothing");
}

static void by_getcwd(uint8_t *at) {
    must(system_call(CALL_GETCWD, SYSTEM_POINTER(at), PAGE / 2, 0, 0, 0, 0), "getcwd");
    if (at[0] != '/')
        die("getcwd has not written a path");
}

static void by_uname(uint8_t *at) {
    must(system_call(CALL_UNAME, SYSTEM_POINTER(at), 0, 0, 0, 0, 0), "uname");
    if (strcmp((const char *)at + 4 * 65, "aarch64") != 0)
        die("uname says %s", (const char *)at + 4 * 65);
}

static void by_mask(uint8_t *at) {
    must(sys_rt_sigprocmask(SIGNALS_BLOCK, NULL, (uint64_t *)(void *)at), "rt_sigprocmask");
    if (*(uint64_t *)(void *)at != 0)
        die("rt_sigprocmask has not written a mask");
}

/* A handler's frame goes where its stack is. */
static volatile int handled;
static void on_signal(int signal, struct system_signal_info *info, struct system_context *context) {
    (void)signal;
    (void)info;
    (void)context;
    handled++;
}

static void by_frame(uint8_t *at) {
    struct system_signal_stack stack = {.start = at, .bytes = 3 * PAGE};
    struct system_action action = {.handler = on_signal, .flags = ACTION_ON_STACK};
    handled = 0;
    must(sys_sigaltstack(&stack, NULL), "sigaltstack");
    must(sys_rt_sigaction(SIGNAL_USR1, &action, NULL), "rt_sigaction");
    must(sys_kill(sys_getpid(), SIGNAL_USR1), "kill");
    if (handled != 1)
        die("a handler on another stack did not run");
}

static const struct way {
    const char *name;
    void (*write)(uint8_t *at);
    size_t at; /* some over the border of two pages */
} ways[] = {
    {"read", by_read, 0},
    {"read over a border", by_read, PAGE - 4},
    {"readv", by_readv, PAGE - 50},
    {"fstat", by_fstat, PAGE - 64},
    {"clock_gettime", by_clock, PAGE - 8},
    {"wait4", by_wait, 16},
    {"pipe2", by_pipe, PAGE - 4},
    {"getrandom", by_random, PAGE - 32},
    {"getcwd", by_getcwd, PAGE},
    {"uname", by_uname, PAGE - 200},
    {"rt_sigprocmask", by_mask, 64},
    {"a handler's frame", by_frame, 0},
};

static void check_all(uint8_t value, const char *when) {
    for (size_t i = 0; i < PAGES * PAGE; i++) {
        if (shared[i] != value)
            die("%s: byte %zu of another process has changed", when, i);
    }
}

static void check_parents_and_childrens(void) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(ways); i++) {
        memset(shared, FILL, PAGES * PAGE);
        int64_t child = must(sys_fork(), "fork");
        if (child == 0) {
            ways[i].write(shared + ways[i].at);
            exit(0);
        }
        wait_for_success(child);
        check_all(FILL, ways[i].name);
    }
}

/* The other way round: the child looks while its parent lets the kernel write. */
static void check_child_keeps(void) {
    int go[2];
    char byte = 0;
    memset(shared, FILL, PAGES * PAGE);
    must(sys_pipe2(go, 0), "pipe2");
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        sys_close(go[1]);
        read_all(go[0], &byte, 1);
        check_all(FILL, "read by the parent");
        exit(0);
    }
    by_read(shared + PAGE - 4);
    sys_close(go[0]);
    sys_close(go[1]);
    wait_for_success(child);
}

/* Pages that were only read are all the same one, of zeros. */
static void check_zero_page(void) {
    uint8_t *zeros = map_pages(2 * PAGE);
    if (zeros[0] != 0 || zeros[PAGE] != 0)
        die("fresh memory is not zero");
    by_read(zeros + 8);
    for (size_t i = 0; i < PAGE; i++) {
        if (zeros[PAGE + i] != 0 || (zeros[i] != 0 && (i < 8 || i >= 16)))
            die("the page of zeros was written to");
    }
}

static void check_file_page(const char *path) {
    int file = (int)must(sys_open(path, OPEN_READ), path);
    int64_t first =
        must(sys_mmap(0, PAGE, PROTECT_READ | PROTECT_WRITE, MAP_IS_PRIVATE, file, 0), "mmap");
    int64_t second = must(sys_mmap(0, PAGE, PROTECT_READ, MAP_IS_PRIVATE, file, 0), "mmap");
    uint8_t *mine = (uint8_t *)(uintptr_t)first, *others = (uint8_t *)(uintptr_t)second, bytes[8];
    if (memcmp(mine, others, PAGE) != 0)
        die("two mappings of a file differ");
    by_read(mine);
    if (memcmp(others, "\177ELF", 4) != 0)
        die("a write to a private page went to the file");
    must(sys_read(file, bytes, sizeof(bytes)), "read");
    if (memcmp(bytes, "\177ELF", 4) != 0)
        die("a write to a private page went to the file");
    must(sys_close(file), "close");
}

int main(void) {
    shared = map_pages(PAGES * PAGE);
    must(sys_pipe2(input, 0), "pipe2");
    check_parents_and_childrens();
    check_child_keeps();
    check_zero_page();
    check_file_page((const char *)(uintptr_t)program_aux(31, 0)); /* AT_EXECFN: this program */
    printf("cowcheck: %zu ways to write, and nobody else's memory has changed\n",
           ASH_ARRAY_LEN(ways));
    return 0;
}
