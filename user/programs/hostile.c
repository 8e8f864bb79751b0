/* SPDX-License-Identifier: MIT */
/*
 * hostile [MEGABYTES]: asks for what costs the kernel most: one call that would take minutes, all
 * memory at once, a terabyte changed page by page. Each is done by a child, which must be gone soon
 * after it is killed. MEGABYTES: of zeroes that are read, more than the machine has.
 */
#include "../lib/program.h"

enum { PAGE = 4096, VECTORS = 1024, SOON_MS = 2000, BEGUN_MS = 100 };

static uint64_t zeroes, zeroes_bytes;

static uint64_t map_at(uint64_t address, uint64_t bytes, int rights, int flags) {
    return (uint64_t)must(sys_mmap(address, bytes, rights, flags, -1, 0), "mmap");
}

/* 64 GiB in one call. */
static void write_long(const char *path) {
    static struct system_iovec vectors[VECTORS];
    int file = (int)must(sys_open(path, OPEN_WRITE), path);
    for (uint32_t i = 0; i < VECTORS; i++)
        vectors[i] = (struct system_iovec){map_pages(PAGE), 64 << 20};
    uint64_t memory = map_at(0, 64 << 20, PROTECT_READ, MAP_IS_PRIVATE | MAP_IS_ANONYMOUS);
    for (uint32_t i = 0; i < VECTORS; i++)
        vectors[i].start = (void *)(uintptr_t)memory;
    (void)system_call(66, (uint64_t)file, SYSTEM_POINTER(vectors), VECTORS, 0, 0, 0);
}

static void write_null(void) {
    write_long("/dev/null");
}

static void share_terabyte(void) {
    for (;;)
        (void)sys_mmap(0, UINT64_C(1) << 39, PROTECT_READ | PROTECT_WRITE,
                       MAP_SHARES | MAP_IS_ANONYMOUS, -1, 0);
}

/* One frame in all places becomes code, and does not. */
static void execute_zeroes(void) {
    for (;;) {
        must(sys_mprotect(zeroes, zeroes_bytes, PROTECT_READ | PROTECT_EXECUTE), "mprotect");
        must(sys_mprotect(zeroes, zeroes_bytes, PROTECT_READ), "mprotect");
    }
}

/* Regions as many as there may be, a page in each, in a terabyte. */
static void change_terabyte(void) {
    const uint64_t bytes = UINT64_C(1) << 39, step = bytes / 2000;
    uint64_t memory =
        map_at(0, bytes, PROTECT_READ | PROTECT_WRITE, MAP_IS_PRIVATE | MAP_IS_ANONYMOUS);
    for (uint64_t i = 0; i < 2000; i++) {
        uint64_t at = memory + i * step / PAGE * PAGE;
        *(volatile uint64_t *)(uintptr_t)at = i;
        must(sys_mprotect(at, PAGE, PROTECT_READ), "mprotect");
    }
    for (;;) {
        must(sys_mprotect(memory, bytes, PROTECT_NONE), "mprotect");
        must(sys_mprotect(memory, bytes, PROTECT_READ), "mprotect");
        int64_t child = sys_fork();
        if (child == 0)
            sys_exit_group(0);
        if (child > 0)
            wait_for(child);
    }
}

static void ignore_and_stop(void) {
    const struct system_action ignores = {.handler = SIGNAL_IGNORE};
    must(sys_rt_sigaction(SIGNAL_CONT, &ignores, NULL), "sigaction");
    must(sys_kill(sys_getpid(), SIGNAL_STOP), "kill");
    sys_exit_group(0);
}

static int64_t begin(void (*body)(void)) {
    int64_t child = must(sys_fork(), "fork");
    if (child != 0)
        return child;
    body();
    sys_exit_group(0);
    return 0;
}

/* Its status, within SOON_MS; else all is over. */
static int end_of(int64_t child, const char *what) {
    int status = 0;
    uint64_t start = time_ms();
    int64_t got = sys_wait4(child, &status, 1);
    for (; got == 0 && time_ms() - start < SOON_MS; got = sys_wait4(child, &status, 1))
        sleep_ms(5);
    if (got != child)
        die("%s: it does not end", what);
    printf("hostile: %s: ended after %llu ms\n", what, (unsigned long long)(time_ms() - start));
    return status;
}

int main(int argc, char **argv) {
    static const struct {
        const char *what;
        void (*body)(void);
    } all[] = {{"a write of 64 GiB", write_null},
               {"shared memory without end", share_terabyte},
               {"2000 regions in a terabyte", change_terabyte},
               {"zeroes become code", execute_zeroes}};
    zeroes_bytes = argument_number(argc, argv, 1, 320) << 20;
    zeroes = map_at(0, zeroes_bytes, PROTECT_READ, MAP_IS_PRIVATE | MAP_IS_ANONYMOUS);
    for (uint64_t at = zeroes; at < zeroes + zeroes_bytes; at += PAGE)
        (void)*(volatile uint64_t *)(uintptr_t)at;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(all); i++) {
        int64_t child = begin(all[i].body);
        sleep_ms(BEGUN_MS);
        (void)sys_kill(child, SIGNAL_KILL);
        (void)end_of(child, all[i].what);
    }
    int64_t child = begin(ignore_and_stop);
    int status;
    must(sys_wait4(child, &status, 2), "wait4");
    must(sys_kill(child, SIGNAL_CONT), "kill");
    if (end_of(child, "a stop while SIGCONT is ignored") != 0)
        die("it ended otherwise");
    printf("hostile: all end\n");
    return 0;
}
