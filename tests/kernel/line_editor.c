/* SPDX-License-Identifier: MIT */
/* Cases of kernel/line_editor.h: bytes in, lines out; on a terminal, what is shown too. */
#include "harness/test.h"
#include "kernel/line_editor.h"

struct typist {
    struct console console;
    struct line_editor editor;
    char shown[4096];
    size_t shown_len;
    enum line_event last;
};

static void keep_shown(void *context, const void *bytes, size_t len) {
    struct typist *typist = context;
    CHECK(typist->shown_len + len < sizeof(typist->shown));
    memcpy(typist->shown + typist->shown_len, bytes, len);
    typist->shown_len += len;
    typist->shown[typist->shown_len] = '\0';
}

static struct typist *typist_new(bool is_terminal) {
    struct typist *typist = test_alloc(sizeof(*typist), 16);
    typist->console = (struct console){keep_shown, NULL, NULL, typist, is_terminal};
    line_editor_init(&typist->editor, &typist->console, "> ");
    line_editor_begin(&typist->editor);
    return typist;
}

static enum line_event feed(struct typist *typist, const char *bytes, size_t len) {
    typist->last = LINE_MORE;
    typist->shown_len = 0;
    typist->shown[0] = '\0';
    for (size_t i = 0; i < len; i++) {
        CHECK_EQ(typist->last, LINE_MORE); /* an event ends the line: feed no more before begin */
        typist->last = line_editor_feed(&typist->editor, (uint8_t)bytes[i]);
    }
    return typist->last;
}

/* The line that the keys, up to Return, make. */
static const char *line_of(struct typist *typist, const char *keys) {
    CHECK_EQ(feed(typist, keys, strlen(keys)), LINE_MORE);
    CHECK_EQ(feed(typist, "\r", 1), LINE_READY);
    char *line = test_alloc(typist->editor.len + 1, 1);
    memcpy(line, typist->editor.line, typist->editor.len + 1);
    line_editor_remember(&typist->editor);
    line_editor_begin(&typist->editor);
    return line;
}

TEST_CASE(line_editor, returns_what_is_typed) {
    struct typist *typist = typist_new(true);
    CHECK_STR_EQ(line_of(typist, "echo a"), "echo a");
    CHECK_STR_EQ(line_of(typist, ""), "");
}

TEST_CASE(line_editor, moves_and_inserts) {
    struct typist *typist = typist_new(true);
    CHECK_STR_EQ(line_of(typist, "bc\x1b[D\x1b[Da"), "abc");
    CHECK_STR_EQ(line_of(typist, "ac\x1b[D\x1b[D\x1b[D\x1b[Cb"), "abc");
    CHECK_STR_EQ(line_of(typist, "bc\x01"
                                 "a\x05"
                                 "d"),
                 "abcd");
    CHECK_STR_EQ(line_of(typist, "bc\x1b[Ha\x1b[Fd"), "abcd");
    CHECK_STR_EQ(line_of(typist, "bc\x1b[1~a\x1b[4~d"), "abcd");
    CHECK_STR_EQ(line_of(typist, "bc\x1bOHa\x1bOFd"), "abcd");
    CHECK_STR_EQ(line_of(typist, "ac\x02"
                                 "b\x06"
                                 "d"),
                 "abcd");
}

TEST_CASE(line_editor, deletes) {
    struct typist *typist = typist_new(true);
    CHECK_STR_EQ(line_of(typist, "abx\x7f"
                                 "c"),
                 "abc");
    CHECK_STR_EQ(line_of(typist, "abx\x08"
                                 "c"),
                 "abc");
    CHECK_STR_EQ(line_of(typist, "\x7f\x7f"
                                 "a"),
                 "a");
    CHECK_STR_EQ(line_of(typist, "xabc\x01\x1b[3~\x05"), "abc");
    CHECK_STR_EQ(line_of(typist, "xabc\x01\x04"), "abc");
    CHECK_STR_EQ(line_of(typist, "abc\x1b[3~"), "abc");
    CHECK_STR_EQ(line_of(typist, "abcd\x1b[D\x1b[D\x0b"), "ab");
    CHECK_STR_EQ(line_of(typist, "abcd\x1b[D\x1b[D\x15"), "cd");
    CHECK_STR_EQ(line_of(typist, "one two  \x17three"), "one three");
    CHECK_STR_EQ(line_of(typist, "one\x17\x17x"), "x");
}

TEST_CASE(line_editor, takes_a_character_of_several_bytes_whole) {
    struct typist *typist = typist_new(true);
    CHECK_STR_EQ(line_of(typist, "a\xc3\xa9\xe2\x82\xac\x7f"), "a\xc3\xa9");
    CHECK_STR_EQ(line_of(typist, "\xc3\xa9z\x1b[D\x1b[Da\x1b[C"
                                 "b"),
                 "a\xc3\xa9"
                 "bz");
    CHECK_STR_EQ(line_of(typist, "\xe2\x82\xac"
                                 "b\x01\x1b[3~"),
                 "b");
}

TEST_CASE(line_editor, ignores_keys_that_it_does_not_know) {
    struct typist *typist = typist_new(true);
    CHECK_STR_EQ(line_of(typist, "a\x1b[1;5C\x1b[15~\x1b[Z\x1bOP\x1b"
                                 "xb\x1d\x18"),
                 "ab");
}

TEST_CASE(line_editor, recalls_history) {
    struct typist *typist = typist_new(true);
    (void)line_of(typist, "first");
    (void)line_of(typist, "second");
    (void)line_of(typist, "second");
    (void)line_of(typist, "  ");
    CHECK_STR_EQ(line_of(typist, "\x1b[A!"), "second!");
    CHECK_STR_EQ(line_of(typist, "\x1b[A\x1b[A\x1b[A"), "first");
    CHECK_STR_EQ(line_of(typist, "draft\x1b[A\x1b[A\x1b[B\x1b[B\x1b[B."), "draft.");
    CHECK_STR_EQ(line_of(typist, "\x10\x10\x10\x0e"), "first");
    CHECK_STR_EQ(line_of(typist, "\x1b[B"), "");
}

TEST_CASE(line_editor, forgets_the_oldest_lines_first) {
    struct typist *typist = typist_new(true);
    char line[65];
    memset(line, 'x', 64);
    line[64] = '\0';
    for (uint32_t i = 0; i < 1000; i++) {
        line[0] = (char)('a' + i % 26);
        line[1] = (char)('a' + i / 26);
        for (const char *c = line; *c != '\0'; c++)
            (void)line_editor_feed(&typist->editor, (uint8_t)*c);
        typist->shown_len = 0;
        CHECK_EQ(line_editor_feed(&typist->editor, '\r'), LINE_READY);
        line_editor_remember(&typist->editor);
        line_editor_begin(&typist->editor);
        typist->shown_len = 0;
    }
    uint32_t count = 0;
    const char *kept = NULL, *last = NULL;
    while ((kept = line_editor_history(&typist->editor, kept)) != NULL) {
        CHECK_EQ(strlen(kept), 64);
        last = kept;
        count++;
    }
    CHECK_EQ(count, LINE_HISTORY_BYTES / 65);
    CHECK_STR_EQ(last, line);
}

TEST_CASE(line_editor, drops_the_line_on_control_c) {
    struct typist *typist = typist_new(true);
    CHECK_EQ(feed(typist, "abc\x03", 4), LINE_DROPPED);
    line_editor_begin(&typist->editor);
    CHECK_STR_EQ(line_of(typist, "d"), "d");
}

TEST_CASE(line_editor, ends_on_control_d_on_an_empty_line_alone) {
    struct typist *typist = typist_new(true);
    CHECK_EQ(feed(typist, "a\x04", 2), LINE_MORE);
    CHECK_EQ(feed(typist, "\x7f\x04", 2), LINE_END);
}

TEST_CASE(line_editor, takes_return_and_newline_as_one_line_end) {
    struct typist *typist = typist_new(true);
    CHECK_EQ(feed(typist, "a\r", 2), LINE_READY);
    line_editor_begin(&typist->editor);
    CHECK_EQ(feed(typist, "\n", 1), LINE_MORE);
    CHECK_EQ(feed(typist, "b\n", 2), LINE_READY);
    CHECK_STR_EQ(typist->editor.line, "b");
    line_editor_begin(&typist->editor);
    CHECK_EQ(feed(typist, "\n", 1), LINE_READY);
}

TEST_CASE(line_editor, drops_a_line_that_is_too_long_and_goes_on) {
    for (uint32_t terminal = 0; terminal < 2; terminal++) {
        struct typist *typist = typist_new(terminal == 1);
        for (uint32_t i = 0; i < 10000; i++) {
            CHECK_EQ(line_editor_feed(&typist->editor, 'x'), LINE_MORE);
            typist->shown_len = 0;
        }
        CHECK_EQ(feed(typist, "\n", 1), LINE_TOO_LONG);
        line_editor_begin(&typist->editor);
        CHECK_EQ(feed(typist, "next\n", 5), LINE_READY);
        CHECK_STR_EQ(typist->editor.line, "next");
    }
}

TEST_CASE(line_editor, takes_a_line_of_the_longest_length) {
    struct typist *typist = typist_new(false);
    for (uint32_t i = 0; i < LINE_MAX_BYTES; i++)
        CHECK_EQ(line_editor_feed(&typist->editor, 'x'), LINE_MORE);
    CHECK_EQ(feed(typist, "\n", 1), LINE_READY);
    CHECK_EQ(strlen(typist->editor.line), LINE_MAX_BYTES);
}

TEST_CASE(line_editor, takes_bytes_of_a_pipe_as_they_are) {
    struct typist *typist = typist_new(false);
    static const char bytes[] = "a\x01\x03\x04\t\x1b[D\x7f\x10z\r\n";
    CHECK_EQ(feed(typist, bytes, sizeof(bytes) - 1), LINE_READY);
    CHECK_STR_EQ(typist->editor.line, "a\x01\x03\x04\t\x1b[D\x7f\x10z");
    CHECK_EQ(typist->shown_len, 0);
    line_editor_begin(&typist->editor);
    CHECK_EQ(feed(typist, "a\0b\n", 4), LINE_HAS_NUL);
}

TEST_CASE(line_editor, finishes_a_line_without_its_end) {
    struct typist *typist = typist_new(false);
    CHECK_EQ(line_editor_finish(&typist->editor), LINE_END);
    CHECK_EQ(feed(typist, "abc", 3), LINE_MORE);
    CHECK_EQ(line_editor_finish(&typist->editor), LINE_READY);
    CHECK_STR_EQ(typist->editor.line, "abc");
}

/* A terminal of one row: what stands on it after the bytes, the cursor shown as '|'. */
static const char *row_of(const struct typist *typist, size_t width) {
    char *row = test_alloc(width + 2, 1);
    size_t at = 0, len = 0;
    for (const char *c = typist->shown; *c != '\0'; c++) {
        if (*c == '\r') {
            at = 0;
        } else if (*c == '\x1b') {
            size_t count = 0;
            for (c += 2; *c >= '0' && *c <= '9'; c++)
                count = count * 10 + (size_t)(*c - '0');
            if (*c == 'D')
                at -= count;
            else if (*c == 'K')
                len = at;
        } else {
            CHECK(at < width);
            row[at++] = *c;
            len = len < at ? at : len;
        }
    }
    memmove(row + at + 1, row + at, len - at);
    row[at] = '|';
    row[len + 1] = '\0';
    return row;
}

TEST_CASE(line_editor, shows_the_line_and_the_cursor) {
    struct typist *typist = typist_new(true);
    CHECK_STR_EQ(typist->shown, "> ");
    (void)feed(typist, "abc", 3);
    CHECK_STR_EQ(typist->shown, "abc"); /* typing at the end costs one byte a character */
    (void)feed(typist, "\x1b[D\x1b[D", 6);
    CHECK_STR_EQ(row_of(typist, 80), "> a|bc");
    (void)feed(typist, "x", 1);
    CHECK_STR_EQ(row_of(typist, 80), "> ax|bc");
    (void)feed(typist, "\x0b", 1);
    CHECK_STR_EQ(row_of(typist, 80), "> ax|");
    (void)feed(typist, "\x0c", 1);
    CHECK(strstr(typist->shown, "\x1b[2J") != NULL);
}

TEST_CASE(line_editor, scrolls_a_line_that_is_wider_than_the_row) {
    struct typist *typist = typist_new(true);
    for (uint32_t i = 0; i < 200; i++) {
        char c = (char)('0' + i % 10);
        (void)feed(typist, &c, 1);
    }
    const char *row = row_of(typist, 80);
    CHECK_EQ(strlen(row), LINE_COLUMNS + 1);
    CHECK_STR_EQ(row + LINE_COLUMNS - 3, "789|");
    (void)feed(typist, "\x01", 1);
    row = row_of(typist, 80);
    CHECK(memcmp(row, "> |0123", 7) == 0);
}
