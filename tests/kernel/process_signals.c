/* SPDX-License-Identifier: MIT */
/* process_signals.c: signals that programs send each other and themselves. */
#include <ashlar/error.h>

#include "kernel/programs.h"

enum { MEMORY_BYTES = 8 << 20, CHILD = 19, COUNT = 20, OTHER = 21 };

#define EXITED(code) ((code) << 8)

/* Where programs keep things: actions from the begin of their data on, then what handlers note. */
enum { ACTION_BYTES = 32, NOTE = 1024, NOTE_COUNT = 1032, NOTE_OTHER = 1040, ZEROES = 2048 };

/* Offsets behind x2, the context that a handler gets. */
enum { CONTEXT_X0 = 184, CONTEXT_PC = 440 };

struct signal_run {
    void (*make)(struct test_program *program);
    int status, again;
    const char *broken;
    uint32_t left;
    uint64_t before, after;
};

static void make_and_run(void *context) {
    struct signal_run *run = context;
    run->make(test_program("program"));
    run->status = test_run("program");
    run->before = test_process_free_pages();
    run->again = test_run("program");
    run->after = test_process_free_pages();
    run->broken = processes_check();
    run->left = process_count();
}

static void check_ends(uint32_t cpus, void (*make)(struct test_program *program), int status) {
    struct signal_run run = {.make = make};
    test_processes(MEMORY_BYTES, cpus, make_and_run, &run);
    CHECK_EQ(run.status, status);
    CHECK_EQ(run.again, status);
    CHECK(run.broken == NULL);
    CHECK_EQ(run.left, 0);
    if (cpus == 1)
        CHECK_EQ(run.after, run.before);
}

/* Pieces */

/* Action `index` of the data: handler 0 and 1 are none. */
static void put_action(struct test_program *program, uint32_t index, uint64_t handler,
                       uint64_t flags, uint64_t mask) {
    const struct signal_action action = {.handler = handler, .flags = flags, .mask = mask};
    memcpy(program->data + index * ACTION_BYTES, &action, sizeof(action));
}

static void set_action(struct test_program *program, uint32_t signal, uint32_t index) {
    test_call4(program, CALL_SIGACTION, signal, TEST_DATA + index * ACTION_BYTES, 0, 8);
    test_expect(program, 0, 0, 100);
}

static void load_note(struct test_program *program, uint32_t to, uint32_t note) {
    test_mov(program, to, TEST_DATA);
    test_load(program, to, to, note);
}

/* [note] + 1, by x10 and x11. */
static void count_note(struct test_program *program, uint32_t note) {
    test_mov(program, 10, TEST_DATA);
    test_load(program, 11, 10, note);
    test_add(program, 11, 11, 1);
    test_store(program, 11, 10, note);
}

static void return_from_handler(struct test_program *program) {
    test_word(program, 0xd65f03c0); /* ret */
}

static void kill_itself(struct test_program *program, uint32_t signal) {
    test_call(program, CALL_GETPID);
    test_mov(program, 1, signal);
    test_call(program, CALL_KILL);
}

static void signal_parent(struct test_program *program) {
    test_call(program, CALL_GETPPID);
    test_mov(program, 1, SIGNAL_USR1);
    test_call(program, CALL_KILL);
}

/* A handler at the begin, which counts, as action 0. */
static void begin_with_counter(struct test_program *program, uint64_t flags, uint64_t mask) {
    uint32_t skip = test_over(program);
    put_action(program, 0, test_address(test_here(program)), flags, mask);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 0, 10, NOTE);
    count_note(program, NOTE_COUNT);
    return_from_handler(program);
    test_land(program, skip);
}

static void expect_note(struct test_program *program, uint32_t note, uint64_t value,
                        uint32_t code) {
    load_note(program, 12, note);
    test_expect(program, 12, value, code);
}

static uint32_t begin_child(struct test_program *program) {
    test_fork(program);
    test_copy(program, CHILD, 0);
    return test_over_if(program, 0);
}

static void end_child(struct test_program *program, uint32_t skip, uint32_t code) {
    test_exit(program, code);
    test_land(program, skip);
}

/* Handlers */

static void runs_a_handler(struct test_program *program) {
    uint32_t skip = test_over(program);
    put_action(program, 0, test_address(test_here(program)), 0, 0);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 0, 10, NOTE);
    for (uint32_t i = 0; i < 29; i++) {
        if (i != 10)
            test_mov(program, i, 999);
    }
    test_word(program, 0x9e670000 | 9 << 5 | 8); /* fmov d8, x9 */
    return_from_handler(program);
    test_land(program, skip);
    set_action(program, SIGNAL_USR1, 0);
    test_mov(program, 9, 0x123456789);
    test_word(program, 0x9e670000 | 9 << 5 | 8);
    for (uint32_t i = 2; i < 30; i++) {
        if (i != 8)
            test_mov(program, i, i + 50);
    }
    kill_itself(program, SIGNAL_USR1);
    test_expect(program, 0, 0, 98);
    for (uint32_t i = 2; i < 30; i++) {
        if (i != 8 && i != 9)
            test_expect(program, i, i + 50, i);
    }
    test_word(program, 0x9e660000 | 8 << 5 | 12); /* fmov x12, d8 */
    test_expect(program, 12, 0x123456789, 97);
    expect_note(program, NOTE, SIGNAL_USR1, 99);
    test_exit(program, 0);
}

TEST_CASE(process_signals, run_a_handler_after_which_all_registers_are_as_before) {
    check_ends(1, runs_a_handler, EXITED(0));
}

static void masks_itself_in_its_handler(struct test_program *program) {
    uint32_t skip = test_over(program);
    put_action(program, 0, test_address(test_here(program)), 0, 0);
    count_note(program, NOTE_OTHER); /* how many are inside of each other */
    count_note(program, NOTE_COUNT);
    expect_note(program, NOTE_OTHER, 1, 50);
    test_sub(program, 12, 11, 3); /* the first two send another one */
    uint32_t enough = test_over_if_not(program, 12);
    kill_itself(program, SIGNAL_USR1);
    test_land(program, enough);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 31, 10, NOTE_OTHER); /* xzr */
    return_from_handler(program);
    test_land(program, skip);
    set_action(program, SIGNAL_USR1, 0);
    kill_itself(program, SIGNAL_USR1);
    expect_note(program, NOTE_COUNT, 3, 1);
    test_exit(program, 0);
}

TEST_CASE(process_signals, are_masked_while_their_handler_runs) {
    check_ends(1, masks_itself_in_its_handler, EXITED(0));
}

static void waits_for_what_is_masked(struct test_program *program) {
    begin_with_counter(program, 0, 0);
    set_action(program, SIGNAL_USR1, 0);
    memset(program->data + ZEROES + 8, 0, 8);
    const uint64_t set = SIGNAL_BIT(SIGNAL_USR1);
    memcpy(program->data + ZEROES + 8, &set, sizeof(set));
    test_call4(program, CALL_SIGPROCMASK, 0, TEST_DATA + ZEROES + 8, 0, 8); /* block */
    kill_itself(program, SIGNAL_USR1);
    expect_note(program, NOTE_COUNT, 0, 1);
    test_call2(program, CALL_SIGSUSPEND, TEST_DATA + ZEROES, 8); /* nothing is masked in it */
    test_expect(program, 0, (uint64_t)-ASH_EINTR, 2);
    expect_note(program, NOTE_COUNT, 1, 3);
    kill_itself(program, SIGNAL_USR1); /* the mask is back */
    expect_note(program, NOTE_COUNT, 1, 4);
    test_call4(program, CALL_SIGPROCMASK, 1, TEST_DATA + ZEROES + 8, 0, 8); /* unblock */
    expect_note(program, NOTE_COUNT, 2, 5);
    test_exit(program, 0);
}

TEST_CASE(process_signals, that_are_masked_come_later_and_sigsuspend_waits_for_them) {
    check_ends(1, waits_for_what_is_masked, EXITED(0));
}

static void has_another_stack(struct test_program *program) {
    const uint64_t stack[3] = {TEST_DATA + ASH_PAGE_SIZE - 2048, 0, 6144};
    uint32_t skip = test_over(program);
    put_action(program, 0, test_address(test_here(program)), SIGNAL_ONSTACK, 0);
    test_mov(program, 10, TEST_DATA);
    test_add(program, 11, 31, 0); /* sp */
    test_store(program, 11, 10, NOTE);
    return_from_handler(program);
    test_land(program, skip);
    memcpy(program->data + ZEROES, stack, sizeof(stack));
    set_action(program, SIGNAL_USR1, 0);
    test_call2(program, CALL_SIGALTSTACK, TEST_DATA + ZEROES, 0);
    test_expect(program, 0, 0, 1);
    kill_itself(program, SIGNAL_USR1);
    /* 4688 of frame and 16 of record below its end */
    expect_note(program, NOTE, TEST_DATA + ASH_PAGE_SIZE + 4096 - 4704, 2);
    test_exit(program, 0);
}

TEST_CASE(process_signals, may_have_a_stack_of_their_own) {
    check_ends(1, has_another_stack, EXITED(0));
}

/* The handler of a fault gets the address, and goes on behind the instruction. */
static void answers_a_fault(struct test_program *program) {
    uint32_t skip = test_over(program);
    put_action(program, 0, test_address(test_here(program)), SIGNAL_SIGINFO, 0);
    test_load(program, 11, 1, 16); /* si_addr */
    test_mov(program, 10, TEST_DATA);
    test_store(program, 11, 10, NOTE);
    test_load(program, 11, 2, CONTEXT_PC);
    test_add(program, 11, 11, 4);
    test_store(program, 11, 2, CONTEXT_PC);
    test_mov(program, 11, 77);
    test_store(program, 11, 2, CONTEXT_X0);
    return_from_handler(program);
    test_land(program, skip);
    set_action(program, SIGNAL_SEGV, 0);
    test_mov(program, 13, 0x1238);
    test_store(program, 13, 13, 0);
    test_expect(program, 0, 77, 1);
    expect_note(program, NOTE, 0x1238, 2);
    test_exit(program, 0);
}

TEST_CASE(process_signals, of_a_fault_say_where_and_their_handler_may_go_on_elsewhere) {
    check_ends(1, answers_a_fault, EXITED(0));
}

static void returns_from_nothing(struct test_program *program) {
    test_call(program, CALL_SIGRETURN);
    test_exit(program, 0);
}

TEST_CASE(process_signals, a_return_from_no_handler_is_the_end) {
    check_ends(1, returns_from_nothing, SIGNAL_SEGV);
}

static void has_no_stack(struct test_program *program) {
    begin_with_counter(program, 0, 0);
    set_action(program, SIGNAL_USR1, 0);
    test_mov(program, 10, 0x20);
    test_add(program, 31, 10, 0);
    kill_itself(program, SIGNAL_USR1);
    test_exit(program, 0);
}

TEST_CASE(process_signals, with_no_stack_for_their_frame_are_the_end) {
    check_ends(1, has_no_stack, SIGNAL_SEGV);
}

/* exec */

struct exec_run {
    int status;
};

static void run_exec(void *context) {
    struct exec_run *run = context;
    struct test_program *first = test_program("first"), *second = test_program("second");
    memcpy(first->data + ZEROES, "second", 7);
    begin_with_counter(first, 0, 0);
    put_action(first, 1, SIGNAL_IGNORE, 0, 0);
    set_action(first, SIGNAL_USR1, 0);
    set_action(first, SIGNAL_USR2, 1);
    test_mov(first, 2, 0);
    test_call2(first, CALL_EXECVE, TEST_DATA + ZEROES, 0);
    test_exit(first, 1);
    kill_itself(second, SIGNAL_USR2);
    kill_itself(second, SIGNAL_USR1);
    test_exit(second, 2);
    run->status = test_run("first");
}

TEST_CASE(process_signals, that_are_ignored_stay_so_over_exec_and_handlers_are_gone) {
    struct exec_run run = {0};
    test_processes(MEMORY_BYTES, 1, run_exec, &run);
    CHECK_EQ(run.status, SIGNAL_USR1);
}

/* Calls that are interrupted */

/* The child sends one while its parent waits for it, then ends. */
static void waits_again(struct test_program *program) {
    begin_with_counter(program, SIGNAL_RESTART, 0);
    set_action(program, SIGNAL_USR1, 0);
    uint32_t skip = begin_child(program);
    for (uint32_t i = 0; i < 8; i++)
        test_call(program, CALL_SCHED_YIELD);
    signal_parent(program);
    for (uint32_t i = 0; i < 8; i++)
        test_call(program, CALL_SCHED_YIELD);
    end_child(program, skip, 3);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(3), 1);
    expect_note(program, NOTE_COUNT, 1, 2);
    test_exit(program, 0);
}

TEST_CASE(process_signals, with_sa_restart_let_a_wait_go_on) {
    check_ends(1, waits_again, EXITED(0));
}

/* The child never ends, so nothing but a signal ends the wait, whenever it comes. */
static void waits_no_more(struct test_program *program) {
    begin_with_counter(program, 0, 0);
    set_action(program, SIGNAL_USR1, 0);
    uint32_t skip = begin_child(program);
    uint32_t forever = test_here(program);
    signal_parent(program);
    test_call(program, CALL_SCHED_YIELD);
    test_jump(program, forever);
    test_land(program, skip);
    test_wait(program, -1, 0);
    test_expect(program, 0, (uint64_t)-ASH_EINTR, 1);
    load_note(program, 12, NOTE_COUNT);
    uint32_t counted = test_over_if(program, 12);
    test_exit(program, 2);
    test_land(program, counted);
    test_copy(program, 0, CHILD);
    test_mov(program, 1, SIGNAL_KILL);
    test_call(program, CALL_KILL);
    uint32_t again = test_here(program); /* one that was sent before may come yet */
    test_wait(program, -1, 0);
    test_add(program, 12, 0, ASH_EINTR);
    test_jump_if_not(program, 12, again);
    test_expect(program, 1, SIGNAL_KILL, 3);
    test_exit(program, 0);
}

TEST_CASE(process_signals, without_sa_restart_end_a_wait) {
    check_ends(1, waits_no_more, EXITED(0));
}

static void ignores_its_children(struct test_program *program) {
    put_action(program, 0, SIGNAL_IGNORE, 0, 0);
    set_action(program, SIGNAL_CHLD, 0);
    uint32_t skip = begin_child(program);
    end_child(program, skip, 3);
    test_wait(program, -1, 0);
    test_expect(program, 0, (uint64_t)-ASH_ECHILD, 1);
    test_exit(program, 0);
}

TEST_CASE(process_signals, of_children_that_are_ignored_leave_no_zombie) {
    check_ends(1, ignores_its_children, EXITED(0));
}

static void is_told_of_its_child(struct test_program *program) {
    uint32_t skip = test_over(program);
    put_action(program, 0, test_address(test_here(program)), SIGNAL_SIGINFO | SIGNAL_RESTART, 0);
    test_load32(program, 11, 1, 24); /* si_status */
    test_mov(program, 10, TEST_DATA);
    test_store(program, 11, 10, NOTE);
    return_from_handler(program);
    test_land(program, skip);
    set_action(program, SIGNAL_CHLD, 0);
    skip = begin_child(program);
    end_child(program, skip, 31);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(31), 1);
    expect_note(program, NOTE, 31, 2);
    test_exit(program, 0);
}

TEST_CASE(process_signals, tell_a_parent_how_its_child_ended) {
    check_ends(1, is_told_of_its_child, EXITED(0));
}

/* Ends and stops */

static void ends_a_child(struct test_program *program, bool spins) {
    uint32_t skip = begin_child(program);
    uint32_t forever = test_here(program);
    if (!spins)
        test_call2(program, CALL_SIGSUSPEND, TEST_DATA + ZEROES, 8);
    test_jump(program, forever);
    test_land(program, skip);
    for (uint32_t i = 0; i < 4; i++)
        test_call(program, CALL_SCHED_YIELD);
    test_copy(program, 0, CHILD);
    test_mov(program, 1, SIGNAL_KILL);
    test_call(program, CALL_KILL);
    test_wait(program, -1, 0);
    test_expect(program, 1, SIGNAL_KILL, 1);
    test_exit(program, 0);
}

static void ends_one_that_waits(struct test_program *program) {
    ends_a_child(program, false);
}

static void ends_one_that_spins(struct test_program *program) {
    ends_a_child(program, true);
}

TEST_CASE(process_signals, end_one_that_waits) {
    check_ends(1, ends_one_that_waits, EXITED(0));
}

TEST_CASE(process_signals, end_one_that_never_asks_for_anything) {
    check_ends(1, ends_one_that_spins, EXITED(0));
}

TEST_CASE(process_signals, end_one_that_waits_on_another_cpu) {
    check_ends(4, ends_one_that_waits, EXITED(0));
}

TEST_CASE(process_signals, end_one_that_never_asks_on_another_cpu) {
    check_ends(4, ends_one_that_spins, EXITED(0));
}

enum { UNTRACED = 2, CONTINUED = 8 };

static void stops_and_goes_on(struct test_program *program) {
    uint32_t skip = begin_child(program);
    uint32_t forever = test_here(program);
    test_call(program, CALL_SCHED_YIELD);
    test_jump(program, forever);
    test_land(program, skip);
    test_copy(program, 0, CHILD);
    test_mov(program, 1, SIGNAL_STOP);
    test_call(program, CALL_KILL);
    test_wait(program, -1, UNTRACED);
    test_expect(program, 1, SIGNAL_STOP << 8 | 0x7f, 1);
    test_wait(program, -1, UNTRACED | 1); /* once; and no news */
    test_expect(program, 0, 0, 2);
    test_copy(program, 0, CHILD);
    test_mov(program, 1, SIGNAL_CONT);
    test_call(program, CALL_KILL);
    test_wait(program, -1, CONTINUED);
    test_expect(program, 1, 0xffff, 3);
    test_copy(program, 0, CHILD);
    test_mov(program, 1, SIGNAL_STOP);
    test_call(program, CALL_KILL);
    test_wait(program, -1, UNTRACED);
    test_copy(program, 0, CHILD); /* a stopped one can be killed */
    test_mov(program, 1, SIGNAL_KILL);
    test_call(program, CALL_KILL);
    test_wait(program, -1, 0);
    test_expect(program, 1, SIGNAL_KILL, 4);
    test_exit(program, 0);
}

TEST_CASE(process_signals, stop_a_child_and_let_it_go_on_and_its_parent_learns_it) {
    check_ends(1, stops_and_goes_on, EXITED(0));
}

TEST_CASE(process_signals, stop_a_child_on_another_cpu) {
    check_ends(4, stops_and_goes_on, EXITED(0));
}

/* What ends the stop is that SIGCONT is sent, not what becomes of it. */
static void goes_on_though_it_ignores(struct test_program *program) {
    put_action(program, 0, SIGNAL_IGNORE, 0, 0);
    set_action(program, SIGNAL_CONT, 0);
    uint32_t skip = begin_child(program);
    kill_itself(program, SIGNAL_STOP);
    test_exit(program, 7);
    test_land(program, skip);
    test_wait(program, -1, UNTRACED);
    test_expect(program, 1, SIGNAL_STOP << 8 | 0x7f, 1);
    test_copy(program, 0, CHILD);
    test_mov(program, 1, SIGNAL_CONT);
    test_call(program, CALL_KILL);
    test_wait(program, -1, 0);
    test_expect(program, 1, EXITED(7), 2);
    test_exit(program, 0);
}

TEST_CASE(process_signals, let_a_stopped_one_go_on_by_what_it_ignores) {
    check_ends(1, goes_on_though_it_ignores, EXITED(0));
    check_ends(4, goes_on_though_it_ignores, EXITED(0));
}

/* Two children send as fast as they can; what counts is that all go on, and end. */
static void is_stormed(struct test_program *program) {
    enum { STORM = __STDC_HOSTED__ ? 3000 : 1000 };
    begin_with_counter(program, SIGNAL_RESTART, 0);
    set_action(program, SIGNAL_USR1, 0);
    set_action(program, 40, 0);
    for (uint32_t i = 0; i < 2; i++) {
        uint32_t skip = begin_child(program);
        test_mov(program, COUNT, STORM);
        uint32_t again = test_here(program);
        test_call(program, CALL_GETPPID);
        test_mov(program, 1, i == 0 ? SIGNAL_USR1 : 40);
        test_call(program, CALL_KILL);
        test_sub(program, COUNT, COUNT, 1);
        test_jump_if(program, COUNT, again);
        end_child(program, skip, 9);
    }
    for (uint32_t i = 0; i < 2; i++) {
        test_wait(program, -1, 0);
        test_expect(program, 1, EXITED(9), i + 1);
    }
    load_note(program, 12, NOTE_COUNT); /* at least one of each, and no more than were sent */
    test_high(program, 12, 12);
    test_expect(program, 12, 0, 3);
    test_exit(program, 0);
}

TEST_CASE(process_signals, may_storm) {
    check_ends(1, is_stormed, EXITED(0));
}

TEST_CASE(process_signals, may_storm_on_four_cpus) {
    check_ends(4, is_stormed, EXITED(0));
}
