/* SPDX-License-Identifier: MIT */
/*
 * programs.h: programs for cases of processes, made of instructions that a case writes down one by
 * one: real ones of the processor, so that the same bytes run at EL0 in QEMU, and on a host by a
 * machine that interprets the few there are (user_machine.c).
 *
 *     struct test_program *program = test_program("exit");
 *     test_mov(program, 0, 7);
 *     test_call(program, CALL_EXIT);
 *     ... test_run("exit") is a wait status
 *
 * A program is a file of this name: its code at TEST_CODE, and at TEST_DATA two pages that it may
 * write, the first from the file. x19..x27 are its own; calls change x0 and x8.
 */
#ifndef TESTS_KERNEL_PROGRAMS_H
#define TESTS_KERNEL_PROGRAMS_H

#include "harness/test.h"
#include "kernel/process.h"

enum {
    TEST_CODE = 0x400000,
    TEST_DATA = 0x500000,
    TEST_WORDS_MAX = 960,
    TEST_PROGRAMS_MAX = 4,
};

/* Numbers of calls. */
enum {
    CALL_PIPE2 = 59,
    CALL_READ = 63,
    CALL_WRITE = 64,
    CALL_EXIT = 93,
    CALL_NANOSLEEP = 101,
    CALL_SCHED_YIELD = 124,
    CALL_KILL = 129,
    CALL_SIGALTSTACK = 132,
    CALL_SIGSUSPEND = 133,
    CALL_SIGACTION = 134,
    CALL_SIGPROCMASK = 135,
    CALL_SIGRETURN = 139,
    CALL_GETPID = 172,
    CALL_GETPPID = 173,
    CALL_BRK = 214,
    CALL_MUNMAP = 215,
    CALL_CLONE = 220,
    CALL_EXECVE = 221,
    CALL_MMAP = 222,
    CALL_MPROTECT = 226,
    CALL_WAIT4 = 260,
};

struct test_program {
    char name[16];
    uint32_t words[TEST_WORDS_MAX];
    uint32_t count;
    uint8_t data[ASH_PAGE_SIZE]; /* what is at TEST_DATA at first */
    uint8_t *file;               /* made when it is first looked for */
    size_t file_bytes;
};

/*
 * A machine of its own for the case: memory, files, threads, processes; skips where it cannot be
 * had. run(context) is a thread of it. Afterwards all memory must be back that was there after
 * programs had been loaded once.
 */
void test_processes(size_t memory_bytes, uint32_t cpus, void (*run)(void *context), void *context);

/* From inside of run: */

/* A new one. */
struct test_program *test_program(const char *name);

/* Its wait status; -1: it was refused, and test_refusal says by what. A thread's: no CHECK. */
int test_run(const char *name);
extern int test_refusal;

/* The lines that were reported since the begin, newlines between them. */
extern char test_reports[4096];

struct kernel_memory *test_process_memory(void);

/* Free pages, when no process is there and its caches have given back what they can. */
uint64_t test_process_free_pages(void);

/* Instructions */

void test_word(struct test_program *program, uint32_t word);
void test_mov(struct test_program *program, uint32_t to, uint64_t value);
void test_copy(struct test_program *program, uint32_t to, uint32_t from);
void test_add(struct test_program *program, uint32_t to, uint32_t from, uint32_t value);
void test_sub(struct test_program *program, uint32_t to, uint32_t from, uint32_t value);
void test_sub_reg(struct test_program *program, uint32_t to, uint32_t from, uint32_t other);
/* The upper 32 bits: not 0 of an error that a call returned. */
void test_high(struct test_program *program, uint32_t to, uint32_t from);
/* 64 bits at [base + offset]. */
void test_load(struct test_program *program, uint32_t to, uint32_t base, uint32_t offset);
void test_store(struct test_program *program, uint32_t from, uint32_t base, uint32_t offset);
/* 32 bits. */
void test_load32(struct test_program *program, uint32_t to, uint32_t base, uint32_t offset);
void test_call(struct test_program *program, uint32_t number); /* x8, svc */
/* The call with these arguments. */
void test_call1(struct test_program *program, uint32_t number, uint64_t a);
void test_call2(struct test_program *program, uint32_t number, uint64_t a, uint64_t b);
void test_call4(struct test_program *program, uint32_t number, uint64_t a, uint64_t b, uint64_t c,
                uint64_t d);

/* Jumps: to a place that is known, or that test_land gives later. */
uint32_t test_here(const struct test_program *program);
uint64_t test_address(uint32_t place);
void test_jump(struct test_program *program, uint32_t place);
void test_jump_if(struct test_program *program, uint32_t reg, uint32_t place);     /* not 0 */
void test_jump_if_not(struct test_program *program, uint32_t reg, uint32_t place); /* 0 */
uint32_t test_over(struct test_program *program);
uint32_t test_over_if(struct test_program *program, uint32_t reg);
uint32_t test_over_if_not(struct test_program *program, uint32_t reg);
void test_land(struct test_program *program, uint32_t skip);

/* Pieces that cases share */

/* exit(code); exit(x<reg>). */
void test_exit(struct test_program *program, uint32_t code);
void test_exit_by(struct test_program *program, uint32_t reg);
/* x0 = fork(). */
void test_fork(struct test_program *program);
/* x0 = wait4(pid, TEST_DATA + 4088, options, 0), and x1 the status. */
void test_wait(struct test_program *program, int64_t pid, uint32_t options);
/* Ends with this code if x<reg> is not what it should be. */
void test_expect(struct test_program *program, uint32_t reg, uint64_t value, uint32_t code);

/* Where wait puts the status. */
#define TEST_STATUS (TEST_DATA + 4088)

#endif
