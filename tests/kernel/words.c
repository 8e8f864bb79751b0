/* SPDX-License-Identifier: MIT */
/* Cases of kernel/words.h. */
#include "harness/test.h"
#include "kernel/words.h"

#include <ashlar/error.h>

/* The words of a line, each in brackets, "|" for the end of a command; or the error. */
static const char *split(const char *line) {
    char *copy = test_alloc(strlen(line) + 1, 1), *text = test_alloc(strlen(line) * 3 + 64, 1);
    char *words[16];
    size_t count;
    memcpy(copy, line, strlen(line) + 1);
    int error = words_split(copy, words, ASH_ARRAY_LEN(words), &count);
    if (error != 0)
        return error == -ASH_EINVAL ? "EINVAL" : error == -ASH_E2BIG ? "E2BIG" : "?";
    text[0] = '\0';
    for (size_t i = 0; i < count; i++) {
        strcat(text, words[i] == NULL ? "|" : "[");
        if (words[i] != NULL) {
            strcat(text, words[i]);
            strcat(text, "]");
        }
    }
    return text;
}

TEST_CASE(words, are_separated_by_blanks) {
    CHECK_STR_EQ(split("  cat\ta  b "), "[cat][a][b]");
    CHECK_STR_EQ(split(""), "");
    CHECK_STR_EQ(split(" \t "), "");
}

TEST_CASE(words, keep_what_is_quoted) {
    CHECK_STR_EQ(split("'a b' \"c d\" e\\ f"), "[a b][c d][e f]");
    CHECK_STR_EQ(split("a'b'\"c\"d"), "[abcd]");
    CHECK_STR_EQ(split("'' \"\""), "[][]");
    CHECK_STR_EQ(split("'\"' \"'\""), "[\"][']");
}

TEST_CASE(words, take_a_backslash_as_a_shell_does) {
    CHECK_STR_EQ(split("'a\\b'"), "[a\\b]");
    CHECK_STR_EQ(split("\"a\\\"b\""), "[a\"b]");
    CHECK_STR_EQ(split("\"a\\nb\""), "[a\\nb]");
    CHECK_STR_EQ(split("\"a\\\\\""), "[a\\]");
    CHECK_STR_EQ(split("a\\;b \\' \\\\"), "[a;b]['][\\]");
}

TEST_CASE(words, end_a_command_at_a_semicolon) {
    CHECK_STR_EQ(split("a;b c ; d"), "[a]|[b][c]|[d]");
    CHECK_STR_EQ(split(";;"), "||");
    CHECK_STR_EQ(split("'a;b'"), "[a;b]");
}

TEST_CASE(words, refuse_what_is_not_closed) {
    CHECK_STR_EQ(split("'a"), "EINVAL");
    CHECK_STR_EQ(split("a \"b"), "EINVAL");
    CHECK_STR_EQ(split("a\\"), "EINVAL");
}

TEST_CASE(words, refuse_more_than_fit) {
    CHECK_STR_EQ(split("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"),
                 "[1][2][3][4][5][6][7][8][9][10][11][12][13][14][15][16]");
    CHECK_STR_EQ(split("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17"), "E2BIG");
    CHECK_STR_EQ(split("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16;"), "E2BIG");
}

TEST_CASE(words, at_the_cursor_are_known_with_their_quote) {
    char text[64];
    struct word_at_cursor word = words_at_cursor("  he", 4, text, sizeof(text));
    CHECK(word.is_command);
    CHECK_STR_EQ(text, "he");
    word = words_at_cursor("cat ", 4, text, sizeof(text));
    CHECK(!word.is_command);
    CHECK_STR_EQ(text, "");
    word = words_at_cursor("ls; cat 'a b/c", 14, text, sizeof(text));
    CHECK(!word.is_command);
    CHECK_EQ(word.quote, '\'');
    CHECK_STR_EQ(text, "a b/c");
    word = words_at_cursor("cat a\\ b", 8, text, sizeof(text));
    CHECK_STR_EQ(text, "a b");
    word = words_at_cursor("cat a; ca", 9, text, sizeof(text));
    CHECK(word.is_command);
    word = words_at_cursor("cat abcdef", 10, text, 4);
    CHECK_STR_EQ(text, "abc");
}
