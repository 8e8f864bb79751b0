/* SPDX-License-Identifier: MIT */
/* terminal.c: lines that are typed, keys that send signals, scripts that programs read from. */
#include "kernel/terminal.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "kernel/threads_fixture.h"
#include "kernel/wait.h"

struct desk {
    struct terminal terminal;
    struct console console;
    struct allocator allocator;
    struct open_file *file;
    const char *keys;
    uint32_t key_count, typed; /* what the console still has */
    char screen[512];
    uint32_t shown;
    char read[512]; /* by the program, '|' after each read */
    uint32_t read_len, reads_wanted, signals, wrong;
    uint32_t is_done;
    size_t len; /* of a read */
};

static void *take(void *context, size_t size) {
    (void)context;
    return test_alloc(size, 16);
}

static void drop(void *context, void *pointer) {
    (void)context, (void)pointer;
}

static void show(void *context, const void *bytes, size_t len) {
    struct desk *desk = context;
    if (desk->shown + len < sizeof(desk->screen))
        memcpy(desk->screen + desk->shown, bytes, len);
    desk->shown += (uint32_t)len;
}

static int poll(void *context) {
    struct desk *desk = context;
    return desk->typed == desk->key_count ? -ASH_EPIPE : (uint8_t)desk->keys[desk->typed++];
}

static bool is_done(void *context) {
    struct desk *desk = context;
    return ash_load_acquire(&desk->is_done) != 0;
}

static void on_key(void *context, uint32_t key) {
    struct desk *desk = context;
    desk->signals = desk->signals * 10 + key + 1;
}

/* The program. */
static void read_some(void *context) {
    struct desk *desk = context;
    for (uint32_t i = 0; i < desk->reads_wanted; i++) {
        int64_t got = open_file_read(desk->file, desk->read + desk->read_len, desk->len);
        if (got < 0)
            desk->wrong++;
        else
            desk->read_len += (uint32_t)got;
        desk->read[desk->read_len++] = '|';
    }
    ash_store_release(&desk->is_done, 1u);
    kernel_wait_look();
}

static void serve(void *context) {
    struct desk *desk = context;
    const struct terminal_job job = {is_done, on_key, desk};
    if (test_thread_start("program", NULL, read_some, desk) == 0)
        desk->wrong++;
    else
        terminal_serve(&desk->terminal, &job);
}

static struct desk *desk_new(bool is_terminal, const char *keys, uint32_t reads) {
    struct desk *desk = test_alloc(sizeof(*desk), 16);
    memset(desk, 0, sizeof(*desk));
    desk->console = (struct console){show, NULL, poll, desk, is_terminal};
    desk->allocator = (struct allocator){take, drop, NULL};
    desk->keys = keys;
    desk->key_count = (uint32_t)strlen(keys);
    desk->reads_wanted = reads;
    desk->len = 64;
    terminal_init(&desk->terminal, &desk->console);
    CHECK_EQ(terminal_open(&desk->terminal, OPEN_READ_WRITE, &desk->allocator, &desk->file), 0);
    return desk;
}

static void play(struct desk *desk, const char *read) {
    test_threads_run(1, serve, desk);
    CHECK_STR_EQ(desk->read, read);
    CHECK_EQ(desk->wrong, 0);
    open_file_put(desk->file);
}

TEST_CASE(terminal, gives_lines_as_they_were_corrected) {
    struct desk *desk = desk_new(true,
                                 "ab\x7f"
                                 "c\rx\xc3\xa4\x7fy\nlost\x15"
                                 "d\n",
                                 4);
    play(desk, "ac\n|xy\n|d\n||");
    CHECK_STR_EQ(desk->screen, "ab\b \bc\nx\xc3\xa4\b \by\nlost\b \b\b \b\b \b\b \bd\n");
}

TEST_CASE(terminal, gives_a_long_line_in_pieces) {
    struct desk *desk = desk_new(true, "abcdef\n", 4);
    desk->len = 3;
    play(desk, "abc|def|\n||");
}

TEST_CASE(terminal, ends_where_the_end_is_typed) {
    struct desk *desk = desk_new(true,
                                 "ab\x04\x04"
                                 "c\n",
                                 3);
    play(desk, "ab||c\n|");
}

TEST_CASE(terminal, sends_signals_by_keys) {
    struct desk *desk = desk_new(true,
                                 "ab\x03"
                                 "c\x1c"
                                 "d\n",
                                 1);
    play(desk, "d\n|");
    CHECK_EQ(desk->signals, 12);
    CHECK_STR_EQ(desk->screen, "ab^C\nc^\\\nd\n");
}

TEST_CASE(terminal, takes_of_a_script_only_the_lines_that_are_read) {
    struct desk *desk = desk_new(false, "one\x03\x7f\ntwo\nthree\n", 2);
    play(desk, "one\x03\x7f\n|two\n|");
    CHECK_EQ(desk->typed, 10);
    CHECK_EQ(desk->signals, 0);
    CHECK_EQ(desk->shown, 0);
}

TEST_CASE(terminal, of_a_script_that_is_over_reads_nothing) {
    struct desk *desk = desk_new(false, "last", 3);
    play(desk, "last|||");
}

TEST_CASE(terminal, gives_bytes_as_they_come_when_asked_to) {
    struct desk *desk = desk_new(true, "a\x7f\x04", 2);
    struct terminal_modes modes;
    const struct open_file_type *type = desk->file->type;
    CHECK_EQ(type->control(desk->file, TERMINAL_GET_MODES, &modes), 0);
    modes.local &= ~(uint32_t)(TERMINAL_ICANON | TERMINAL_ECHO);
    CHECK_EQ(type->control(desk->file, TERMINAL_SET_MODES, &modes), 0);
    desk->len = 1;
    play(desk, "a|\x7f|");
    CHECK_EQ(desk->shown, 0);
}

TEST_CASE(terminal, that_is_none_refuses_to_be_one) {
    struct desk *desk = desk_new(false, "", 0);
    struct terminal_modes modes;
    const struct open_file_type *type = desk->file->type;
    CHECK_EQ(type->control(desk->file, TERMINAL_GET_MODES, &modes), -ASH_ENOTTY);
    desk->console.is_terminal = true;
    CHECK_EQ(type->control(desk->file, 0x5499, &modes), -ASH_ENOTTY);
    CHECK_EQ(type->control(desk->file, TERMINAL_GET_MODES, &modes), 0);
    CHECK_EQ(modes.keys[TERMINAL_INTERRUPT], 3);
    open_file_put(desk->file);
}

TEST_CASE(terminal, rings_when_a_line_is_too_long) {
    char *keys = test_alloc(2 * TERMINAL_LINE_BYTES, 16);
    memset(keys, 'x', 2 * TERMINAL_LINE_BYTES);
    keys[TERMINAL_LINE_BYTES + 2] = '\n';
    keys[TERMINAL_LINE_BYTES + 3] = '\0';
    struct desk *desk = desk_new(true, keys, 1);
    desk->len = 256;
    test_threads_run(1, serve, desk);
    CHECK_EQ(desk->read_len, 257);
    CHECK_EQ(desk->terminal.used, TERMINAL_LINE_BYTES - 256);
}
