/* SPDX-License-Identifier: MIT */
/* processes.c: programs from their begin to their end: fork, exec, wait, crashes, memory. What a
 * run finds is looked at afterwards: a CHECK belongs to the case's own thread. */
#include <ashlar/error.h>

#include "kernel/programs.h"
#include "kernel/thread.h"

enum { MEMORY_BYTES = 8 << 20, CHILD = 19, COUNT = 20, OTHER = 21 };

#define EXITED(code)   ((code) << 8)
#define KILLED(signal) (signal)

/* Runs one program, once for its file's pages, and again: what it used must be back. */
struct once {
    const char *name;
    int status, again, refusal;
    uint64_t before, after;
    const char *broken;
    uint32_t left;
};

static void run_once(void *context) {
    struct once *once = context;
    once->status = test_run(once->name);
    once->refusal = test_refusal;
    once->before = test_process_free_pages();
    once->again = test_run(once->name);
    once->after = test_process_free_pages();
    once->broken = processes_check();
    once->left = process_count();
}

static void (*making)(struct test_program *program);

static void make_and_run(void *context) {
    making(test_program("program"));
    run_once(context);
}

static void check_ends(uint32_t cpus, void (*make)(struct test_program *program), int status) {
    struct once once = {.name = "program"};
    making = make;
    test_processes(MEMORY_BYTES, cpus, make_and_run, &once);
    CHECK_EQ(once.refusal, 0);
    CHECK_EQ(once.status, status);
    CHECK_EQ(once.again, status);
    CHECK(once.broken == NULL);
    CHECK_EQ(once.left, 0);
    if (cpus == 1)
        CHECK_EQ(once.after, once.before);
}

/* Begin and end */

static void exits(struct test_program *program) {
    test_exit(program, 7);
}

TEST_CASE(processes, end_with_their_code) {
    check_ends(1, exits, EXITED(7));
}

static void counts_its_arguments(struct test_program *program) {
    test_add(program, 1, 31, 0); /* sp */
    test_load(program, 0, 1, 0);
    test_call(program, CALL_EXIT);
}

TEST_CASE(processes, find_their_arguments_on_the_stack) {
    check_ends(1, counts_its_arguments, EXITED(1));
}

static void knows_itself(struct test_program *program) {
    test_call(program, CALL_GETPPID);
    test_expect(program, 0, 1, 1);
    test_call(program, 9999);
    test_expect(program, 0, (uint64_t)-ASH_ENOSYS, 2);
    test_call(program, 9999);
    test_expect(program, 0, (uint64_t)-ASH_ENOSYS, 3);
    test_exit(program, 0);
}

TEST_CASE(processes, are_told_that_a_call_is_unknown_and_so_are_people_once) {
    check_ends(1, knows_itself, EXITED(0));
    CHECK(strstr(test_reports, "system call 9999\n") != NULL || test_reports[0] == '\0');
}

static void run_bad_files(void *context) {
    int *refusals = context;
    struct test_program *empty = test_program("empty");
    empty->file_bytes = 0;
    (void)test_run("missing");
    refusals[0] = test_refusal;
    (void)test_run("empty");
    refusals[1] = test_refusal;
}

TEST_CASE(processes, are_not_made_of_what_is_no_program) {
    int refusals[2];
    test_processes(MEMORY_BYTES, 1, run_bad_files, refusals);
    CHECK_EQ(refusals[0], -ASH_ENOENT);
    CHECK_EQ(refusals[1], -ASH_ENOEXEC);
}

/* fork, wait */

/* x<CHILD> = fork(); what follows up to child_ends is the child's. */
static uint32_t begin_child(struct test_program *program) {
    test_fork(program);
    test_copy(program, CHILD, 0);
    return test_over_if(program, 0);
}

static void end_child(struct test_program *program, uint32_t skip, uint32_t code) {
    test_exit(program, code);
    test_land(program, skip);
}

static void forks_and_waits(struct test_program *program) {
    uint32_t skip = begin_child(program);
    end_child(program, skip, 42);
    test_wait(program, -1, 0);
    test_sub_reg(program, 2, 0, CHILD);
    test_expect(program, 2, 0, 1);
    test_expect(program, 1, EXITED(42), 2);
    test_wait(program, -1, 0);
    test_expect(program, 0, (uint64_t)-ASH_ECHILD, 3);
    test_exit(program, 0);
}

TEST_CASE(processes, learn_how_a_child_ended_and_that_there_is_none) {
    check_ends(1, forks_and_waits, EXITED(0));
}

TEST_CASE(processes, learn_it_on_four_cpus) {
    check_ends(4, forks_and_waits, EXITED(0));
}

/* Both write to the same page, and look at what they have. */
static void write_and_look(struct test_program *program, uint64_t value) {
    test_mov(program, 10, TEST_DATA);
    test_mov(program, 11, value);
    test_store(program, 11, 10, 16);
    test_call(program, CALL_SCHED_YIELD);
    test_load(program, 12, 10, 16);
    test_expect(program, 12, value, 9);
    test_load(program, 12, 10, 24);
    test_expect(program, 12, 5, 8);
}

static void has_memory_of_its_own(struct test_program *program) {
    test_mov(program, 10, TEST_DATA);
    test_mov(program, 11, 5);
    test_store(program, 11, 10, 24);
    uint32_t skip = begin_child(program);
    write_and_look(program, 77);
    end_child(program, skip, 0);
    write_and_look(program, 88);
    test_wait(program, -1, 0);
    test_exit_by(program, 1);
}

TEST_CASE(processes, share_no_write_with_a_child) {
    check_ends(1, has_memory_of_its_own, EXITED(0));
}

TEST_CASE(processes, share_no_write_with_a_child_on_four_cpus) {
    check_ends(4, has_memory_of_its_own, EXITED(0));
}

static void gives_its_registers(struct test_program *program) {
    test_mov(program, 11, 0x1234567890abcdef);
    test_word(program, 0x9e670000 | 11 << 5 | 8); /* fmov d8, x11 */
    test_word(program, 0xd51bd040 | 11);          /* msr tpidr_el0, x11 */
    test_mov(program, 11, 0);
    uint32_t skip = begin_child(program);
    test_word(program, 0x9e660000 | 8 << 5 | 12); /* fmov x12, d8 */
    test_expect(program, 12, 0x1234567890abcdef, 1);
    test_word(program, 0xd53bd040 | 13); /* mrs x13, tpidr_el0 */
    test_expect(program, 13, 0x1234567890abcdef, 2);
    end_child(program, skip, 3);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(3), 1);
    test_exit(program, 0);
}

TEST_CASE(processes, give_a_child_all_registers) {
    check_ends(1, gives_its_registers, EXITED(0));
}

/* The status is written into a page that the child shares, by the kernel. */
static void is_written_to_by_the_kernel(struct test_program *program) {
    test_mov(program, 10, TEST_DATA);
    uint32_t skip = begin_child(program);
    uint32_t again = test_here(program); /* until its parent lets it go on */
    test_call(program, CALL_SCHED_YIELD);
    test_call(program, CALL_GETPPID);
    test_sub(program, 0, 0, 1);
    test_jump_if(program, 0, again);
    test_mov(program, 10, TEST_STATUS);
    test_load32(program, 1, 10, 0);
    end_child(program, skip, 6);
    skip = begin_child(program);
    end_child(program, skip, 5);
    test_sub(program, 5, CHILD, 0);
    test_mov(program, 3, 0);
    test_mov(program, 2, 0);
    test_mov(program, 1, TEST_STATUS);
    test_copy(program, 0, CHILD);
    test_call(program, CALL_WAIT4);
    test_mov(program, 10, TEST_STATUS);
    test_load32(program, 1, 10, 0);
    test_expect(program, 1, EXITED(5), 1);
    test_exit(program, 0);
}

TEST_CASE(processes, have_the_kernel_break_copy_on_write_for_what_it_writes) {
    check_ends(1, is_written_to_by_the_kernel, EXITED(0));
}

static void polls_its_child(struct test_program *program) {
    uint32_t skip = begin_child(program);
    test_mov(program, COUNT, 20);
    uint32_t again = test_here(program);
    test_call(program, CALL_SCHED_YIELD);
    test_sub(program, COUNT, COUNT, 1);
    test_jump_if(program, COUNT, again);
    end_child(program, skip, 1);
    again = test_here(program); /* WNOHANG: 0 until it has ended */
    test_call(program, CALL_SCHED_YIELD);
    test_wait(program, -1, 1);
    test_jump_if_not(program, 0, again);
    test_sub_reg(program, 2, 0, CHILD);
    test_exit_by(program, 2);
}

TEST_CASE(processes, may_ask_for_a_child_and_not_wait) {
    check_ends(1, polls_its_child, EXITED(0));
}

/* The child leaves one behind, which sees who its parent is. */
static void leaves_an_orphan(struct test_program *program) {
    uint32_t skip = begin_child(program);
    uint32_t inner = begin_child(program);
    uint32_t again = test_here(program);
    test_call(program, CALL_SCHED_YIELD);
    test_call(program, CALL_GETPPID);
    test_sub(program, 0, 0, 1);
    test_jump_if(program, 0, again);
    end_child(program, inner, 0);
    end_child(program, skip, 0);
    test_wait(program, -1, 0);
    test_wait(program, -1, 0);
    test_expect(program, 0, (uint64_t)-ASH_ECHILD, 1);
    test_exit(program, 0);
}

struct orphan_run {
    int status;
    uint32_t looks;
};

static void run_orphan(void *context) {
    struct orphan_run *run = context;
    leaves_an_orphan(test_program("program"));
    run->status = test_run("program");
    while (process_count() != 0 && run->looks++ < 1000000)
        thread_yield();
}

TEST_CASE(processes, that_are_orphans_are_forgotten_when_they_end) {
    struct orphan_run run = {0};
    test_processes(MEMORY_BYTES, 1, run_orphan, &run);
    CHECK_EQ(run.status, EXITED(0));
    CHECK(run.looks < 1000000);
}

/* Crashes */

static void crash_child(struct test_program *program, void (*crash)(struct test_program *program)) {
    uint32_t skip = begin_child(program);
    crash(program);
    end_child(program, skip, 99);
    test_wait(program, -1, 0);
    test_exit_by(program, 1); /* signals are below 128 */
}

static void write_to_nothing(struct test_program *program) {
    test_mov(program, 10, 0x10);
    test_store(program, 10, 10, 0);
}

static void writes_to_nothing(struct test_program *program) {
    crash_child(program, write_to_nothing);
}

TEST_CASE(processes, that_crash_end_alone_and_say_where) {
    check_ends(1, writes_to_nothing, EXITED(SIGNAL_SEGV));
    CHECK(strstr(test_reports, "SIGSEGV: write to 0x10, where nothing is mapped, at pc 0x4000") !=
          NULL);
}

static void write_to_code(struct test_program *program) {
    test_mov(program, 10, TEST_CODE);
    test_store(program, 10, 10, 0);
}

static void writes_to_code(struct test_program *program) {
    crash_child(program, write_to_code);
}

TEST_CASE(processes, cannot_write_to_their_code) {
    check_ends(1, writes_to_code, EXITED(SIGNAL_SEGV));
    CHECK(strstr(test_reports, "which its rights forbid") != NULL);
}

static void run_data(struct test_program *program) {
    test_mov(program, 10, TEST_DATA);
    test_word(program, 0xd61f0000 | 10 << 5); /* br x10 */
}

static void runs_data(struct test_program *program) {
    crash_child(program, run_data);
}

TEST_CASE(processes, cannot_run_their_data) {
    check_ends(1, runs_data, EXITED(SIGNAL_SEGV));
}

static void run_nonsense(struct test_program *program) {
    test_word(program, 0);
}

static void runs_nonsense(struct test_program *program) {
    crash_child(program, run_nonsense);
}

TEST_CASE(processes, end_by_sigill_at_what_is_no_instruction) {
    check_ends(1, runs_nonsense, EXITED(SIGNAL_ILL));
}

static void run_breakpoint(struct test_program *program) {
    test_word(program, 0xd4200000);
}

static void runs_a_breakpoint(struct test_program *program) {
    crash_child(program, run_breakpoint);
}

TEST_CASE(processes, end_by_sigtrap_at_a_breakpoint) {
    check_ends(1, runs_a_breakpoint, EXITED(SIGNAL_TRAP));
}

/* Each address by a child, which reads it. */
static void reads_what_is_the_kernels(struct test_program *program) {
    static const uint64_t addresses[] = {
        0,
        0x8,
        0xfff8,
        TEST_CODE + 0x1000,
        TEST_DATA + 0x2000,
        0x0000ffffffffeff8,
        0x0001000000000000,
        0x40200000, /* where the machine's memory is, by its physical address */
        0x09000000, /* a device */
        0xffff000040200000,
        0xffff000000000000,
        0xffff000009000000,
        0xffff800000000000,
        0xfffffffffffffff8,
        0x8000000000000000,
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(addresses); i++) {
        uint32_t skip = begin_child(program);
        test_mov(program, 10, addresses[i]);
        test_load(program, 11, 10, 0);
        end_child(program, skip, 0);
        test_wait(program, -1, 0);
        test_expect(program, 1, KILLED(SIGNAL_SEGV), i + 1);
    }
    test_exit(program, 0);
}

TEST_CASE(processes, reach_nothing_that_is_not_theirs) {
    check_ends(1, reads_what_is_the_kernels, EXITED(0));
}

/* The kernel is asked to read and write there. */
static void has_the_kernel_reach(struct test_program *program) {
    static const uint64_t addresses[] = {0,
                                         8,
                                         TEST_CODE + 4094,
                                         TEST_DATA + 8190,
                                         0x0001000000000000,
                                         0xffff000040200000,
                                         0xfffffffffffffffe};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(addresses); i++) {
        test_call4(program, CALL_SIGPROCMASK, 0, 0, addresses[i], 8);
        test_expect(program, 0, addresses[i] == 0 ? 0 : (uint64_t)-ASH_EFAULT, i + 1);
        test_call4(program, CALL_SIGPROCMASK, 0, addresses[i], 0, 8);
        if (i != 0 && addresses[i] != TEST_CODE + 4094)
            test_expect(program, 0, (uint64_t)-ASH_EFAULT, i + 20);
    }
    test_exit(program, 0);
}

TEST_CASE(processes, have_no_kernel_reach_what_is_not_theirs) {
    check_ends(1, has_the_kernel_reach, EXITED(0));
}

/* Eight bytes through a pipe, which a read to nowhere must not lose; and one whose place is but in
 * part there gets as much as there is room. */
static void reads_to_nowhere(struct test_program *program) {
    static const uint64_t ends = TEST_DATA + 512, from = TEST_DATA + 64;
    memcpy(program->data + 64, "12345678", 8);
    test_call2(program, CALL_PIPE2, ends, 0);
    test_expect(program, 0, 0, 1);
    test_mov(program, 10, ends);
    test_load32(program, CHILD, 10, 0);
    test_load32(program, OTHER, 10, 4);
    test_mov(program, 2, 8);
    test_mov(program, 1, from);
    test_copy(program, 0, OTHER);
    test_call(program, CALL_WRITE);
    test_expect(program, 0, 8, 2);
    test_mov(program, 1, 0x10);
    test_copy(program, 0, CHILD);
    test_call(program, CALL_READ);
    test_expect(program, 0, (uint64_t)-ASH_EFAULT, 3);
    test_mov(program, 1, TEST_DATA + 2 * ASH_PAGE_SIZE - 5);
    test_copy(program, 0, CHILD);
    test_call(program, CALL_READ);
    test_expect(program, 0, 5, 4);
    test_mov(program, 1, TEST_DATA);
    test_copy(program, 0, CHILD);
    test_call(program, CALL_READ);
    test_expect(program, 0, 3, 5);
    test_mov(program, 10, TEST_DATA);
    test_load32(program, 11, 10, 0);
    test_expect(program, 11, 0x00383736, 6);
    test_exit(program, 0);
}

TEST_CASE(processes, that_read_to_nowhere_lose_nothing) {
    check_ends(1, reads_to_nowhere, EXITED(0));
}

/* x<CHILD> and x<OTHER> become the ends of a pipe. */
static void make_pipe(struct test_program *program) {
    test_call2(program, CALL_PIPE2, TEST_DATA + 512, 0);
    test_mov(program, 10, TEST_DATA + 512);
    test_load32(program, CHILD, 10, 0);
    test_load32(program, OTHER, 10, 4);
}

static void call_with_end(struct test_program *program, uint32_t call, uint32_t end,
                          uint64_t address) {
    test_mov(program, 2, 8);
    test_mov(program, 1, address);
    test_copy(program, 0, end);
    test_call(program, call);
}

static void has_what_was_open(struct test_program *program) {
    memcpy(program->data + 64, "12345678", 8);
    make_pipe(program);
    test_fork(program);
    uint32_t skip = test_over_if(program, 0);
    call_with_end(program, CALL_WRITE, OTHER, TEST_DATA + 64);
    test_exit_by(program, 0);
    test_land(program, skip);
    call_with_end(program, CALL_READ, CHILD, TEST_DATA + 128);
    test_expect(program, 0, 8, 1);
    test_mov(program, 10, TEST_DATA);
    test_load(program, 11, 10, 128);
    test_expect(program, 11, 0x3837363534333231, 2);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(8), 3);
    test_exit(program, 0);
}

TEST_CASE(processes, have_the_files_open_that_their_parent_had) {
    check_ends(1, has_what_was_open, EXITED(0));
}

/* Nobody writes, and the writing end stays open: nothing but the signal ends it. */
static void reads_for_ever(struct test_program *program) {
    make_pipe(program);
    test_fork(program);
    test_copy(program, COUNT, 0);
    uint32_t skip = test_over_if(program, 0);
    call_with_end(program, CALL_READ, CHILD, TEST_DATA + 128);
    test_exit(program, 1);
    test_land(program, skip);
    for (uint32_t i = 0; i < 8; i++)
        test_call(program, CALL_SCHED_YIELD);
    test_mov(program, 1, SIGNAL_TERM);
    test_copy(program, 0, COUNT);
    test_call(program, CALL_KILL);
    test_wait(program, -1, 0);
    test_expect(program, 1, KILLED(SIGNAL_TERM), 3);
    test_exit(program, 0);
}

TEST_CASE(processes, that_wait_for_a_pipe_can_be_ended) {
    check_ends(1, reads_for_ever, EXITED(0));
}

TEST_CASE(processes, that_wait_for_a_pipe_can_be_ended_by_another_cpu) {
    check_ends(4, reads_for_ever, EXITED(0));
}

static void forks_with_a_heap(struct test_program *program) {
    test_call1(program, CALL_BRK, 0);
    test_add(program, 0, 0, 4000);
    test_call(program, CALL_BRK);
    test_copy(program, OTHER, 0);
    uint32_t skip = begin_child(program);
    test_call1(program, CALL_BRK, 0);
    test_sub_reg(program, 1, 0, OTHER);
    test_expect(program, 1, 0, 1);
    test_add(program, 0, 0, 4000);
    test_call(program, CALL_BRK);
    test_sub_reg(program, 1, 0, OTHER);
    test_expect(program, 1, 4000, 2);
    end_child(program, skip, 5);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(5), 3);
    test_call1(program, CALL_BRK, 0); /* the child's growth is its own */
    test_sub_reg(program, 1, 0, OTHER);
    test_expect(program, 1, 0, 4);
    test_exit(program, 0);
}

TEST_CASE(processes, go_on_with_the_heap_of_their_parent_as_their_own) {
    check_ends(1, forks_with_a_heap, EXITED(0));
}

/* Memory that is asked for */

static void maps_and_unmaps(struct test_program *program) {
    enum { READ_WRITE = 3, PRIVATE_ANONYMOUS = 0x22 };
    test_mov(program, 4, (uint64_t)-1);
    test_mov(program, 5, 0);
    test_call4(program, CALL_MMAP, 0, 8 * ASH_PAGE_SIZE, READ_WRITE, PRIVATE_ANONYMOUS);
    test_copy(program, OTHER, 0);
    test_load(program, 1, OTHER, 4096); /* zeroes */
    test_expect(program, 1, 0, 1);
    test_store(program, OTHER, OTHER, 4096);
    test_load(program, 1, OTHER, 4096);
    test_sub_reg(program, 1, 1, OTHER);
    test_expect(program, 1, 0, 2);
    test_mov(program, 1, ASH_PAGE_SIZE);
    test_add(program, 0, OTHER, 0);
    test_call(program, CALL_MUNMAP);
    test_expect(program, 0, 0, 3);
    test_load(program, 1, OTHER, 4096); /* the page behind is still there */
    test_mov(program, 2, 7);            /* read, write, execute: never all */
    test_mov(program, 1, ASH_PAGE_SIZE);
    test_add(program, 0, OTHER, 4095);
    test_add(program, 0, 0, 1);
    test_call(program, CALL_MPROTECT);
    test_expect(program, 0, (uint64_t)-ASH_EACCES, 4);
    test_load(program, 1, OTHER, 0);
    test_exit(program, 5);
}

TEST_CASE(processes, map_memory_and_lose_what_they_unmap) {
    check_ends(1, maps_and_unmaps, KILLED(SIGNAL_SEGV));
}

static void grows_its_heap(struct test_program *program) {
    test_call1(program, CALL_BRK, 0);
    test_copy(program, OTHER, 0);
    test_add(program, 0, 0, 4000);
    test_add(program, 0, 0, 4000);
    test_call(program, CALL_BRK);
    test_sub_reg(program, 1, 0, OTHER);
    test_expect(program, 1, 8000, 1);
    test_store(program, OTHER, OTHER, 7992);
    test_copy(program, 0, OTHER); /* and back */
    test_call(program, CALL_BRK);
    test_sub_reg(program, 1, 0, OTHER);
    test_expect(program, 1, 0, 2);
    test_add(program, 0, OTHER, 4000);
    test_add(program, 0, 0, 4000);
    test_call(program, CALL_BRK);
    test_load(program, 1, OTHER, 7992);
    test_expect(program, 1, 0, 3);
    test_call1(program, CALL_BRK, UINT64_MAX);
    test_sub_reg(program, 1, 0, OTHER);
    test_expect(program, 1, 8000, 4);
    test_exit(program, 0);
}

TEST_CASE(processes, have_a_heap_that_grows_and_shrinks) {
    check_ends(1, grows_its_heap, EXITED(0));
}

/* exec */

struct exec_run {
    int status, again, refusal;
    uint64_t before, after;
};

static void put_string(struct test_program *program, uint32_t offset, const char *text) {
    memcpy(program->data + offset, text, strlen(text) + 1);
}

static void run_exec(void *context) {
    struct exec_run *run = context;
    struct test_program *first = test_program("first"), *second = test_program("second");
    put_string(first, 0, "missing");
    put_string(first, 16, "second");
    test_mov(first, 20, 123);
    test_mov(first, 2, 0);
    test_call2(first, CALL_EXECVE, TEST_DATA, 0);
    test_expect(first, 0, (uint64_t)-ASH_ENOENT, 1);
    test_expect(first, 20, 123, 2); /* the old program goes on as it was */
    test_mov(first, 2, 0);
    test_call2(first, CALL_EXECVE, TEST_DATA + 16, 0);
    test_exit(first, 3);
    test_expect(second, 20, 0, 4);
    test_exit(second, 55);
    run->status = test_run("first");
    run->before = test_process_free_pages();
    run->status = test_run("first");
    run->after = test_process_free_pages();
}

TEST_CASE(processes, become_another_program_or_stay_as_they_are) {
    struct exec_run run = {0};
    test_processes(MEMORY_BYTES, 1, run_exec, &run);
    CHECK_EQ(run.status, EXITED(55));
    CHECK_EQ(run.after, run.before);
}

/* Many */

/* Until fork says no: each child stays, with a page of its own; then all are killed and reaped. */
static void forks_until_it_cannot(struct test_program *program) {
    test_mov(program, COUNT, 0);
    uint32_t again = test_here(program);
    test_fork(program);
    uint32_t parent = test_over_if(program, 0);
    test_mov(program, 1, TEST_DATA);
    test_store(program, COUNT, 1, 0);
    uint32_t forever = test_here(program);
    test_call2(program, CALL_SIGSUSPEND, TEST_DATA + 64, 8);
    test_jump(program, forever);
    test_land(program, parent);
    test_add(program, COUNT, COUNT, 1);
    test_high(program, 9, 0);
    test_jump_if_not(program, 9, again);
    test_call2(program, CALL_KILL, (uint64_t)-1, SIGNAL_KILL);
    test_mov(program, OTHER, 1);
    uint32_t reap = test_here(program);
    test_wait(program, -1, 0);
    test_add(program, OTHER, OTHER, 1);
    test_high(program, 9, 0);
    test_jump_if_not(program, 9, reap);
    test_sub_reg(program, 9, COUNT, OTHER); /* both counted one too many */
    test_add(program, 9, 9, 1);
    test_expect(program, 9, 0, 255);
    test_sub(program, COUNT, COUNT, 1);
    test_exit_by(program, COUNT);
}

struct many {
    int status, again;
    uint64_t before, after;
    const char *broken;
};

static void run_many(void *context) {
    struct many *many = context;
    making(test_program("program"));
    many->status = test_run("program");
    many->before = test_process_free_pages();
    many->again = test_run("program");
    many->after = test_process_free_pages();
    many->broken = processes_check();
}

static void check_bomb(size_t memory_bytes, uint32_t cpus) {
    struct many many = {0};
    making = forks_until_it_cannot;
    test_processes(memory_bytes, cpus, run_many, &many);
    CHECK_EQ(many.status & 0xff, 0);
    CHECK(many.status >> 8 >= 2 && many.status >> 8 < PROCESSES_MAX);
    CHECK(many.broken == NULL);
    if (cpus == 1)
        CHECK_EQ(many.after, many.before);
}

TEST_CASE(processes, are_made_until_memory_ends_and_all_of_it_comes_back) {
    check_bomb(2 << 20, 1);
}

TEST_CASE(processes, are_made_until_there_are_too_many_and_all_of_it_comes_back) {
    check_bomb(12 << 20, 1);
}

TEST_CASE(processes, are_made_until_memory_ends_on_four_cpus) {
    check_bomb(4 << 20, 4);
}

enum { FORKS = __STDC_HOSTED__ ? 10000 : 1000 };

static void forks_many_times(struct test_program *program) {
    test_mov(program, COUNT, FORKS);
    uint32_t again = test_here(program);
    uint32_t skip = begin_child(program);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 10, 10, 0);
    end_child(program, skip, 1);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 10, 10, 8);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(1), 1);
    test_sub(program, COUNT, COUNT, 1);
    test_jump_if(program, COUNT, again);
    test_exit(program, 0);
}

TEST_CASE(processes, fork_ten_thousand_times_and_leave_nothing) {
    check_ends(1, forks_many_times, EXITED(0));
}

/* Blocks of 2 MiB */

enum { CALL_MADVISE = 233, ADVICE_HUGE = 14, MAP_FIXED_PRIVATE = 0x32, BLOCKS = 0x40000000 };

static void asks_for_blocks(struct test_program *program) {
    const uint64_t arguments[] = {BLOCKS, 4 << 20, 3, MAP_FIXED_PRIVATE, UINT64_MAX, 0};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(arguments); i++)
        test_mov(program, i, arguments[i]);
    test_call(program, CALL_MMAP);
    test_expect(program, 0, BLOCKS, 1);
    test_call4(program, CALL_MADVISE, BLOCKS, 4 << 20, ADVICE_HUGE, 0);
    test_expect(program, 0, 0, 2);
    test_mov(program, COUNT, 77);
    test_mov(program, OTHER, BLOCKS + 0x3000);
    test_store(program, COUNT, OTHER, 0);
}

/* What a child writes to a block is its own; so is what is left of one that has lost a part. */
static void shares_a_block(struct test_program *program) {
    asks_for_blocks(program);
    test_fork(program);
    uint32_t parent = test_over_if(program, 0);
    test_mov(program, COUNT, 88);
    test_store(program, COUNT, OTHER, 0);
    test_load(program, 1, OTHER, 8);
    test_expect(program, 1, 0, 3);
    test_exit(program, 9);
    test_land(program, parent);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(9), 4);
    test_load(program, 1, OTHER, 0);
    test_expect(program, 1, 77, 5);
    test_call2(program, CALL_MUNMAP, BLOCKS + 0x4000, 0x1000);
    test_expect(program, 0, 0, 6);
    test_load(program, 1, OTHER, 0);
    test_expect(program, 1, 77, 7);
    test_exit(program, 0);
}

TEST_CASE(processes, have_blocks_where_they_ask_for_them) {
    check_ends(1, shares_a_block, EXITED(0));
}
