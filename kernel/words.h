/* SPDX-License-Identifier: MIT */
/*
 * words.h: splits a command line into words, as a POSIX shell would without expansions: blanks
 * separate, ';' ends a command, '...' is literal, "..." too but for \" and \\, a backslash outside
 * of quotes takes the next character as it is.
 */
#ifndef KERNEL_WORDS_H
#define KERNEL_WORDS_H

#include <ashlar/base.h>

/*
 * Rewrites `line` in place: words[] then points to its words, NUL-terminated, and is NULL where a
 * ';' ended a command. *count is the number of entries used, at most max.
 * -ASH_EINVAL: a quote is not closed, or a backslash ends the line; -ASH_E2BIG: more than max.
 */
int words_split(char *line, char **words, size_t max, size_t *count) ASH_MUST_CHECK;

/*
 * For completion: where the word under the cursor (after `len` characters of line) begins, how it
 * is quoted (0, '\'' or '"'), whether it is its command's first word, and its text so far without
 * quotes, NUL-terminated in text (cut to size - 1 characters).
 */
struct word_at_cursor {
    bool is_command;
    char quote;
    size_t text_len;
};
struct word_at_cursor words_at_cursor(const char *line, size_t len, char *text, size_t size);

#endif
