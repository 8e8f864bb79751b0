/* SPDX-License-Identifier: MIT */
/*
 * execlow [PAGES]: a larder takes some pages, and children eat the rest, PAGES each, until the
 * kernel has no more. Then the program starts itself again and again, the larder giving four pages
 * back each time: so a fork and its execve run out of memory everywhere that they can. Each start
 * works, or fails with an error after which the old program goes on, or its process is killed;
 * nothing else. When all memory is given back, a start works.
 *
 * A program without memory is killed when it touches a page that it has not got. So this one takes
 * all that it is made of before, after each fork again, and starts programs as vfork does: then it
 * has its memory to itself.
 */
#include "../lib/program.h"

#include <elf.h>

enum { PAGE = 4096, STARTS = 160, STEP = 4 * PAGE, EATERS_MAX = 64 };

extern const Elf64_Ehdr __ehdr_start __attribute__((visibility("hidden")));

/* Reads all pages of the program and of the stack in use, and writes to those that it may. */
static void own_pages(void) {
    volatile char stack[4 * PAGE];
    uint64_t file = (uint64_t)(uintptr_t)&__ehdr_start;
    const Elf64_Phdr *headers = (const Elf64_Phdr *)(uintptr_t)(file + __ehdr_start.e_phoff);
    for (size_t at = 0; at < sizeof(stack); at += PAGE)
        stack[at] = 0;
    for (uint32_t i = 0; i < __ehdr_start.e_phnum; i++) {
        uint64_t end = headers[i].p_vaddr + headers[i].p_memsz;
        if (headers[i].p_type != PT_LOAD)
            continue;
        for (uint64_t at = headers[i].p_vaddr; at < end; at = ash_align_down(at, PAGE) + PAGE) {
            volatile char *byte = (volatile char *)(uintptr_t)at;
            char value = *byte;
            if ((headers[i].p_flags & PF_W) != 0)
                *byte = value;
        }
    }
}

/* Fills fresh pages by reads into them: where there are none left, a read fails. */
static void eat(uint64_t pages, int go, int ready, int hold) {
    int64_t done = 0;
    char byte = 0;
    int source[2];
    read_all(go, &byte, 1);
    char *memory = map_pages(pages * PAGE);
    bool has_source = sys_pipe2(source, 0) == 0;
    while (has_source && (uint64_t)done < pages) {
        write_all(source[1], &byte, 1);
        if (sys_read(source[0], memory + done * PAGE, 1) != 1)
            break;
        done++;
    }
    write_all(ready, &done, sizeof(done));
    sys_read(hold, &byte, 1);
    sys_exit_group(0);
}

/* An eater is fed; how many pages it has got, -1: it did not live to say. */
static int64_t feed(uint64_t pages, int hold[2], int commands) {
    int go[2], ready[2];
    int64_t got = -1;
    if (sys_pipe2(go, 0) != 0)
        return -1;
    if (sys_pipe2(ready, 0) != 0) {
        sys_close(go[0]);
        sys_close(go[1]);
        return -1;
    }
    int64_t child = sys_fork();
    if (child == 0) {
        sys_close(hold[1]);
        sys_close(commands);
        sys_close(ready[0]);
        eat(pages, go[0], ready[1], hold[0]);
    }
    own_pages();
    sys_close(ready[1]);
    write_all(go[1], "1", 1);
    if (child > 0 && read_all(ready[0], &got, sizeof(got)) != sizeof(got))
        got = -1;
    sys_close(ready[0]);
    sys_close(go[0]);
    sys_close(go[1]);
    return got;
}

/* Gives pages back for each byte, and says so; until the end of the pipe. */
static void keep_larder(int commands, int answers) {
    char byte, *memory = map_pages(STARTS * STEP);
    memset(memory, 1, STARTS * STEP);
    write_all(answers, memory, 1);
    while (read_some(commands, &byte, 1) != 0) {
        must(sys_munmap((uint64_t)(uintptr_t)memory, STEP), "munmap");
        memory += STEP;
        write_all(answers, &byte, 1);
    }
    sys_exit_group(0);
}

static void await_larder(int answers) {
    char byte;
    if (read_all(answers, &byte, 1) != 1)
        die("the larder is gone");
}

struct results {
    uint32_t started, refused, killed;
};

/* The child has the parent's memory, stack included, until it has started the program or ended. */
static __attribute__((noinline)) int64_t spawn(const char *program, char *const *arguments) {
    int64_t child =
        system_call(CALL_CLONE, CLONE_SHARES_MEMORY | CLONE_IS_VFORK | SIGNAL_CHLD, 0, 0, 0, 0, 0);
    if (child == 0) {
        int64_t error = sys_execve(program, arguments, program_environment);
        sys_exit_group(error == -ASH_ENOMEM || error == -ASH_EAGAIN ? 12 : 13);
    }
    return child;
}

static void start_one(const char *program, struct results *results) {
    char *const arguments[] = {(char *)(uintptr_t)program, (char *)(uintptr_t) "started", NULL};
    int64_t child = spawn(program, arguments);
    if (child < 0) {
        if (child != -ASH_ENOMEM && child != -ASH_EAGAIN)
            must(child, "fork");
        results->refused++;
        return;
    }
    int status = wait_for(child);
    if (wait_exited(status) && wait_exit_status(status) == 42)
        results->started++;
    else if (wait_exited(status) && wait_exit_status(status) == 12)
        results->refused++;
    else if (wait_signal(status) == SIGNAL_KILL || wait_signal(status) == SIGNAL_BUS ||
             wait_signal(status) == SIGNAL_SEGV)
        results->killed++;
    else
        die("a start ended with %#x", (unsigned)status);
}

int main(int argc, char **argv) {
    const char *program = (const char *)(uintptr_t)program_aux(31, 0); /* AT_EXECFN: this one */
    struct results results = {0, 0, 0}, after = {0, 0, 0};
    int hold[2], commands[2], answers[2];
    if (argc > 1 && strcmp(argv[1], "started") == 0)
        return 42;
    uint64_t pages = argument_number(argc, argv, 1, 4096), eaters = 0;
    must(sys_pipe2(hold, 0), "pipe2");
    must(sys_pipe2(commands, OPEN_CLOEXEC), "pipe2");
    must(sys_pipe2(answers, OPEN_CLOEXEC), "pipe2");
    start_one(program, &after);
    if (must(sys_fork(), "fork") == 0) {
        sys_close(commands[1]);
        sys_close(hold[1]);
        keep_larder(commands[0], answers[1]);
    }
    await_larder(answers[0]);
    while (eaters < EATERS_MAX && feed(pages, hold, commands[1]) == (int64_t)pages)
        eaters++;
    for (uint32_t i = 0; i < STARTS; i++) {
        write_all(commands[1], "1", 1);
        await_larder(answers[0]);
        start_one(program, &results);
    }
    sys_close(commands[1]);
    sys_close(hold[1]);
    while (sys_wait4(-1, NULL, 0) > 0)
        ;
    start_one(program, &after);
    if (after.started != 2)
        die("%u of 2 starts worked while there was memory", (unsigned)after.started);
    printf("execlow: beside %llu eaters %u started, %u refused, %u killed; then all is well\n",
           (unsigned long long)eaters, (unsigned)results.started, (unsigned)results.refused,
           (unsigned)results.killed);
    return 0;
}
