/* SPDX-License-Identifier: MIT */
/* pipe.c: bytes between threads: in order, none lost, whole pieces, and how it ends. */
#include "kernel/pipe.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "kernel/threads_fixture.h"

enum { WRITERS = 3, PIECES = 40 };

static uint8_t buffer[2 * PIPE_BYTES];

struct play {
    struct allocator allocator;
    struct open_file *reader, *writer;
    uint64_t seed, total;
    uint32_t writers, wrong, done;
    int64_t result;
};

static void *take(void *context, size_t size) {
    (void)context;
    return test_alloc(size, 16);
}

static void drop(void *context, void *pointer) {
    (void)context, (void)pointer;
}

static struct play new_play(uint32_t flags) {
    struct play play = {.allocator = {take, drop, NULL}, .seed = test_seed()};
    CHECK_EQ(pipe_new(&play.allocator, flags, &play.reader, &play.writer), 0);
    return play;
}

TEST_CASE(pipe, that_would_block_says_so) {
    struct play play = new_play(OPEN_NONBLOCK);
    CHECK_EQ(open_file_read(play.reader, buffer, 1), -ASH_EAGAIN);
    CHECK_EQ(open_file_ready(play.reader), 0);
    CHECK_EQ(open_file_write(play.writer, buffer, sizeof(buffer)), PIPE_BYTES);
    CHECK_EQ(open_file_write(play.writer, buffer, 1), -ASH_EAGAIN);
    CHECK_EQ(open_file_ready(play.writer), 0);
    CHECK_EQ(open_file_read(play.reader, buffer, 100), 100);
    CHECK_EQ(open_file_write(play.writer, buffer, 101), -ASH_EAGAIN); /* in one piece or not */
    CHECK_EQ(open_file_write(play.writer, buffer, PIPE_ATOMIC + 1), 100);
    CHECK_EQ(open_file_ready(play.reader), OPEN_POLL_IN);
    open_file_put(play.reader);
    CHECK_EQ(open_file_write(play.writer, buffer, 1), -ASH_EPIPE);
    CHECK_EQ(open_file_ready(play.writer), OPEN_POLL_OUT | OPEN_POLL_ERROR);
    open_file_put(play.writer);
}

TEST_CASE(pipe, ends_when_nobody_writes_any_more) {
    struct play play = new_play(0);
    CHECK_EQ(open_file_write(play.writer, "abc", 3), 3);
    CHECK_EQ(open_file_write(play.writer, "abc", 0), 0);
    CHECK_EQ(open_file_write(play.reader, "abc", 3), -ASH_EBADF);
    CHECK_EQ(open_file_read(play.writer, buffer, 3), -ASH_EBADF);
    CHECK_EQ(open_file_seek(play.reader, 0, 0), -ASH_ESPIPE);
    open_file_put(play.writer);
    CHECK_EQ(open_file_ready(play.reader), OPEN_POLL_IN | OPEN_POLL_HANG_UP);
    CHECK_EQ(open_file_read(play.reader, buffer, 8), 3);
    CHECK_EQ(open_file_read(play.reader, buffer, 8), 0);
    open_file_put(play.reader);
}

/* Pieces of a letter that a writer repeats must come whole: a read may end inside of one. */
static void write_pieces(void *context) {
    struct play *play = context;
    uint8_t piece[PIPE_ATOMIC];
    uint32_t number = ash_fetch_add(&play->writers, 1u);
    uint64_t total = 0;
    for (uint32_t i = 0; i < PIECES; i++) {
        uint32_t len = 1 + (play->seed * (i + 7) * (number + 13) >> 7) % PIPE_ATOMIC;
        memset(piece, (int)number, len);
        piece[len - 1] = (uint8_t)(number | 0x80);
        if (open_file_write(play->writer, piece, len) != len)
            ash_fetch_add(&play->wrong, 1u);
        total += len;
    }
    ash_fetch_add(&play->total, total);
    open_file_put(play->writer);
}

static uint64_t read_pieces(struct play *play) {
    uint64_t total = 0;
    uint32_t inside = UINT32_MAX; /* of whose piece */
    for (;;) {
        int64_t got = open_file_read(play->reader, buffer, 1 + total * 31 % 9000);
        if (got <= 0)
            return got == 0 && inside == UINT32_MAX ? total : UINT64_MAX;
        for (int64_t i = 0; i < got; i++) {
            uint32_t number = buffer[i] & 0x7f;
            play->wrong += inside != UINT32_MAX && number != inside;
            inside = (buffer[i] & 0x80) != 0 ? UINT32_MAX : number;
        }
        total += (uint64_t)got;
    }
}

static void many_writers(void *context) {
    struct play *play = context;
    for (uint32_t i = 0; i < WRITERS; i++) {
        open_file_get(play->writer);
        if (test_thread_start("writer", NULL, write_pieces, play) == 0)
            play->wrong++;
    }
    open_file_put(play->writer);
    uint64_t total = read_pieces(play);
    play->wrong += total != play->total;
    open_file_put(play->reader);
    ash_store_release(&play->done, 1u);
}

TEST_CASE(pipe, brings_the_pieces_of_several_writers_whole_and_all) {
    struct play play = new_play(0);
    test_threads_run(1, many_writers, &play);
    CHECK_EQ(play.wrong, 0);
    CHECK_EQ(play.done, 1);
}

TEST_CASE(pipe, brings_the_pieces_of_writers_on_other_CPUs) {
    struct play play = new_play(0);
    test_threads_run(2, many_writers, &play);
    CHECK_EQ(play.wrong, 0);
    CHECK_EQ(play.done, 1);
}

static void write_much(void *context) {
    struct play *play = context;
    play->result = open_file_write(play->writer, buffer, sizeof(buffer));
    ash_store_release(&play->done, 1u);
}

static void leave_a_writer(void *context) {
    struct play *play = context;
    uint32_t id = test_thread_start("writer", NULL, write_much, play);
    while (open_file_ready(play->writer) != 0)
        (void)thread_sleep_until(platform_now_ns() + 100000);
    open_file_put(play->reader);
    play->wrong += thread_join(id, UINT64_MAX) != 0;
    open_file_put(play->writer);
}

TEST_CASE(pipe, tells_a_writer_who_waits_that_nobody_reads_any_more) {
    struct play play = new_play(0);
    test_threads_run(1, leave_a_writer, &play);
    CHECK_EQ(play.result, PIPE_BYTES);
    CHECK_EQ(play.done, 1);
    CHECK_EQ(play.wrong, 0);
}

/* Polling */

static bool is_ready(void *context) {
    struct play *play = context;
    return open_file_ready(play->reader) != 0;
}

static void poll_reader(void *context) {
    struct play *play = context;
    play->result = open_file_poll(is_ready, play, UINT64_MAX);
    ash_store_release(&play->done, 1u);
}

static void write_to_poll(void *context) {
    struct play *play = context;
    play->wrong += open_file_poll(is_ready, play, platform_now_ns()) != -ASH_ETIMEDOUT;
    uint32_t id = test_thread_start("poll", NULL, poll_reader, play);
    thread_yield();
    play->wrong += open_file_write(play->writer, "x", 1) != 1;
    play->wrong += thread_join(id, UINT64_MAX) != 0;
}

TEST_CASE(pipe, wakes_who_polls) {
    struct play play = new_play(0);
    play.result = -1;
    test_threads_run(1, write_to_poll, &play);
    CHECK_EQ(play.result, 0);
    CHECK_EQ(play.wrong, 0);
    open_file_put(play.reader);
    open_file_put(play.writer);
}
