/* SPDX-License-Identifier: MIT */
/* words.c: see words.h. One scanner serves both the splitting and the completion. */
#include "words.h"

#include <ashlar/error.h>

struct scanner {
    char quote;   /* the open one, or 0 */
    bool escaped; /* the last character was a backslash that takes this one */
    bool in_word; /* "" is a word too, so having characters does not decide it */
};

enum scanned { SCANNED_TEXT, SCANNED_NOTHING, SCANNED_BLANK, SCANNED_END_OF_COMMAND };

/* What the next character of a line is. `next` is the one after it, for \ inside of "...". */
static enum scanned scan(struct scanner *scanner, char c, char next) {
    if (scanner->escaped) {
        scanner->escaped = false;
        return SCANNED_TEXT;
    }
    if (scanner->quote != 0) {
        if (c == scanner->quote) {
            scanner->quote = 0;
            return SCANNED_NOTHING;
        }
        scanner->escaped = c == '\\' && scanner->quote == '"' && (next == '"' || next == '\\');
        return scanner->escaped ? SCANNED_NOTHING : SCANNED_TEXT;
    }
    if (c == ' ' || c == '\t' || c == ';') {
        scanner->in_word = false;
        return c == ';' ? SCANNED_END_OF_COMMAND : SCANNED_BLANK;
    }
    scanner->in_word = true;
    if (c == '\'' || c == '"') {
        scanner->quote = c;
        return SCANNED_NOTHING;
    }
    scanner->escaped = c == '\\';
    return scanner->escaped ? SCANNED_NOTHING : SCANNED_TEXT;
}

int words_split(char *line, char **words, size_t max, size_t *count) {
    struct scanner scanner = {0};
    char *write = line; /* never ahead of the reading: what is written is never longer */
    *count = 0;
    for (const char *read = line; *read != '\0'; read++) {
        bool was_in_word = scanner.in_word;
        char c = *read;
        enum scanned scanned = scan(&scanner, c, read[1]);
        if (was_in_word && !scanner.in_word)
            *write++ = '\0';
        bool starts = !was_in_word && scanner.in_word;
        if (starts || scanned == SCANNED_END_OF_COMMAND) {
            if (*count == max)
                return -ASH_E2BIG;
            words[(*count)++] = starts ? write : NULL;
        }
        if (scanned == SCANNED_TEXT)
            *write++ = c;
    }
    *write = '\0';
    return scanner.quote != 0 || scanner.escaped ? -ASH_EINVAL : 0;
}

struct word_at_cursor words_at_cursor(const char *line, size_t len, char *text, size_t size) {
    struct scanner scanner = {0};
    struct word_at_cursor word = {.is_command = true};
    for (size_t i = 0; i < len; i++) {
        bool was_in_word = scanner.in_word;
        switch (scan(&scanner, line[i], i + 1 < len ? line[i + 1] : '\0')) {
        case SCANNED_TEXT:
            if (word.text_len + 1 < size)
                text[word.text_len++] = line[i];
            break;
        case SCANNED_NOTHING:
            break;
        case SCANNED_BLANK:
            word.text_len = 0;
            word.is_command = word.is_command && !was_in_word;
            break;
        case SCANNED_END_OF_COMMAND:
            word.text_len = 0;
            word.is_command = true;
            break;
        }
    }
    word.quote = scanner.quote;
    text[word.text_len] = '\0';
    return word;
}
