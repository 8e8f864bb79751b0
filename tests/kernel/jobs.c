/* SPDX-License-Identifier: MIT */
/* jobs.c: programs that a pipe joins, keys that end them, and what is left when one is missing. */
#include "kernel/jobs.h"

#include <ashlar/error.h>
#include <string.h>

#include "kernel/programs.h"
#include "kernel/thread.h"
#include "kernel/wait.h"

enum { MEMORY_BYTES = 8 << 20, TEXT_BYTES = 5 };

struct play {
    struct console console;
    struct terminal terminal;
    struct job_list jobs;
    struct job_stage stages[2];
    const char *keys;
    const char *input;
    uint32_t count;
    bool is_background;
    bool types_on; /* the last key, again and again, once there is something to be seen */
    char screen[64];
    uint32_t shown;
    int error, status;
    struct job_failure failure;
    uint32_t left;
    bool was_told;
};

static void show(void *context, const void *bytes, size_t len) {
    struct play *play = context;
    if (play->shown + len < sizeof(play->screen))
        memcpy(play->screen + play->shown, bytes, len);
    play->shown += (uint32_t)len;
    if (play->types_on) {
        kernel_wait_look();
        thread_yield();
    }
}

static int poll(void *context) {
    struct play *play = context;
    if (play->types_on)
        return play->shown == 0 ? -ASH_EAGAIN : (uint8_t)*play->keys;
    return *play->keys == '\0' ? -ASH_EAGAIN : (uint8_t)*play->keys++;
}

/* Programs: x0..x2 are what read and write take. */

static void transfer(struct test_program *program, uint32_t number, uint32_t file) {
    test_mov(program, 0, file);
    test_mov(program, 1, TEST_DATA);
    test_mov(program, 2, TEXT_BYTES);
    test_call(program, number);
}

static void make_programs(void) {
    struct test_program *says = test_program("says");
    memcpy(says->data, "12345", TEXT_BYTES);
    transfer(says, CALL_WRITE, 1);
    test_exit(says, 3);
    struct test_program *passes = test_program("passes");
    transfer(passes, CALL_READ, 0);
    test_copy(passes, 19, 0);
    transfer(passes, CALL_WRITE, 1);
    test_exit_by(passes, 19);
    struct test_program *stops = test_program("stops");
    memcpy(stops->data, "12345", TEXT_BYTES);
    stops->data[64] = SIGNAL_IGNORE;
    test_call4(stops, CALL_SIGACTION, SIGNAL_INT, TEST_DATA + 64, 0, 8);
    transfer(stops, CALL_WRITE, 1);
    test_call(stops, CALL_GETPID);
    test_mov(stops, 1, SIGNAL_STOP);
    test_call(stops, CALL_KILL);
    test_exit(stops, 9);
    struct test_program *spins = test_program("spins");
    uint32_t again = test_here(spins);
    test_call(spins, CALL_SCHED_YIELD);
    test_jump(spins, again);
}

static void end_background(struct play *play) {
    struct job *job;
    while ((job = job_ended(&play->jobs)) == NULL)
        thread_yield();
    play->status = job->wait_status;
    job_forget(job);
    play->was_told = true;
}

static void start_and_wait(void *context) {
    struct play *play = context;
    const struct files_config files = {files_system(), &play->terminal, *files_allocator()};
    const struct job_request request = {.stages = play->stages,
                                        .count = play->count,
                                        .terminal = &play->terminal,
                                        .input = play->input,
                                        .is_background = play->is_background};
    struct job *job;
    make_programs();
    terminal_init(&play->terminal, &play->console);
    files_init(&files);
    play->error = job_start(&play->jobs, &request, &job, &play->failure);
    if (play->error == 0 && play->is_background)
        end_background(play);
    else if (play->error == 0)
        play->status = job_wait(&play->jobs, job, &play->terminal);
    play->left = process_count();
}

static struct play *new_play(const char *first, const char *second, const char *keys) {
    struct play *play = test_alloc(sizeof(*play), 16);
    memset(play, 0, sizeof(*play));
    play->console = (struct console){show, NULL, poll, play, true};
    play->stages[0] = (struct job_stage){.path = first, .words = {first}};
    play->stages[1] = (struct job_stage){.path = second, .words = {second}};
    play->count = second == NULL ? 1 : 2;
    play->keys = keys;
    return play;
}

static void run(struct play *play) {
    test_processes(MEMORY_BYTES, 1, start_and_wait, play);
    CHECK_EQ(play->left, 0);
    CHECK(play->jobs.first == NULL);
}

TEST_CASE(jobs, one_program_writes_to_the_terminal) {
    struct play *play = new_play("says", NULL, "");
    run(play);
    CHECK_EQ(play->error, 0);
    CHECK_STR_EQ(play->screen, "12345");
    CHECK_EQ(job_shell_status(play->status), 3);
}

TEST_CASE(jobs, a_pipe_joins_programs_and_the_last_one_has_the_status) {
    struct play *play = new_play("says", "passes", "");
    run(play);
    CHECK_EQ(play->error, 0);
    CHECK_STR_EQ(play->screen, "12345");
    CHECK_EQ(job_shell_status(play->status), TEXT_BYTES);
}

TEST_CASE(jobs, a_program_reads_what_is_typed) {
    struct play *play = new_play("passes", NULL, "abcd\r");
    run(play);
    CHECK_STR_EQ(play->screen, "abcd\nabcd\n");
    CHECK_EQ(job_shell_status(play->status), TEXT_BYTES);
}

TEST_CASE(jobs, a_key_ends_all_of_a_job) {
    struct play *play = new_play("spins", "passes", "\x03");
    run(play);
    CHECK_EQ(play->error, 0);
    CHECK_EQ(job_shell_status(play->status), 128 + SIGNAL_INT);
}

TEST_CASE(jobs, a_key_reaches_one_that_is_stopped) {
    struct play *play = new_play("stops", NULL, "\x03");
    play->types_on = true;
    run(play);
    CHECK_EQ(play->error, 0);
    CHECK_EQ(job_shell_status(play->status), 9);
}

TEST_CASE(jobs, beside_the_shell_a_program_reads_nothing) {
    struct play *play = new_play("passes", NULL, "");
    play->is_background = true;
    run(play);
    CHECK(play->was_told);
    CHECK_EQ(job_shell_status(play->status), 0);
}

TEST_CASE(jobs, that_cannot_be_started_leave_none_of_their_programs) {
    struct play *play = new_play("spins", "missing", "");
    run(play);
    CHECK_EQ(play->error, -ASH_ENOENT);
    CHECK_EQ(play->failure.stage, 1);
    play = new_play("spins", NULL, "");
    play->input = "/dev/nothing";
    run(play);
    CHECK_EQ(play->error, -ASH_ENOENT);
    CHECK_EQ(play->failure.stage, 0);
}

/* In this order of wait4's word: what a shell says of it. */
TEST_CASE(jobs, tell_a_status_as_shells_do) {
    CHECK_EQ(job_shell_status(0), 0);
    CHECK_EQ(job_shell_status(7 << 8), 7);
    CHECK_EQ(job_shell_status(SIGNAL_SEGV), 128 + 11);
}
