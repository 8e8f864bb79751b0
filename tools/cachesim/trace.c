/* SPDX-License-Identifier: MIT */
/* trace.c: which format a trace has, and what its readers have in common. */
#include "trace_internal.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

enum { SAMPLE_BYTES = 1 << 14, ORACLE_BYTES = 24, WORD_SHOWN_MAX = 40 };

static const struct {
    const char *name;
    bool (*next)(struct trace *trace, struct trace_record *record);
    bool is_text;
} formats[TRACE_FORMATS] = {[TRACE_AUTO] = {"auto", NULL, false},
                            [TRACE_U32] = {"u32", trace_next_u32, false},
                            [TRACE_TEXT] = {"text", trace_next_text, true},
                            [TRACE_ORACLE] = {"oracle", trace_next_oracle, false},
                            [TRACE_CSV] = {"csv", trace_next_csv, true}};

/* Errors and numbers */

bool trace_fail(struct trace *trace, const char *format, ...) {
    char what[240];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(what, sizeof(what), format, arguments);
    va_end(arguments);
    int len = snprintf(trace->error, sizeof(trace->error), "record %llu",
                       (unsigned long long)trace->records + 1);
    if (formats[trace->format].is_text)
        len += snprintf(trace->error + len, sizeof(trace->error) - (size_t)len, " (line %llu)",
                        (unsigned long long)trace->lines + 1);
    snprintf(trace->error + len, sizeof(trace->error) - (size_t)len, ": %s", what);
    return false;
}

bool trace_fail_word(struct trace *trace, const char *what, const char *word, size_t len) {
    char shown[WORD_SHOWN_MAX + 1];
    size_t count = len < WORD_SHOWN_MAX ? len : WORD_SHOWN_MAX;
    for (size_t i = 0; i < count; i++)
        shown[i] = isprint((unsigned char)word[i]) ? word[i] : '?';
    shown[count] = '\0';
    return trace_fail(trace, "%s: \"%s\"%s", what, shown, count < len ? " ..." : "");
}

enum number trace_number(const char *text, size_t len, uint64_t *number) {
    uint32_t base = 10;
    uint64_t value = 0;
    if (len > 2 && text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
        len -= 2;
    }
    if (len == 0)
        return NUMBER_NONE;
    bool too_large = false;
    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)c - '0'
                         : c >= 'a' && c <= 'f' ? (uint32_t)c - 'a' + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)c - 'A' + 10
                                                : base;
        if (digit >= base)
            return NUMBER_NONE;
        too_large = too_large || value > (UINT64_MAX - digit) / base;
        value = value * base + digit;
    }
    *number = value;
    return too_large ? NUMBER_TOO_LARGE : NUMBER_GOOD;
}

/* Which format it is */

static uint64_t little_endian(const unsigned char *at, size_t len) {
    uint64_t value = 0;
    for (size_t i = len; i-- > 0;)
        value = value << 8 | at[i];
    return value;
}

/* Text has no control characters but those of lines; words below 2^24 have zero bytes. */
static bool looks_like_text(const unsigned char *at, size_t len) {
    for (size_t i = 0; i < len; i++)
        if ((at[i] < ' ' && strchr("\t\n\r\f", at[i]) == NULL) || at[i] == '\0' || at[i] == 0x7f)
            return false;
    return true;
}

/* A line that is neither empty nor a comment has one of the marks that separate fields. */
static bool looks_like_csv(const unsigned char *at, size_t len) {
    bool fresh = true, comment = false; /* of the line */
    for (size_t i = 0; i < len; i++) {
        if (at[i] == '\n') {
            if (!fresh && !comment)
                return false;
            fresh = true;
            comment = false;
        } else if (at[i] == '#') {
            comment = comment || i == 0 || isspace(at[i - 1]);
        } else if (!comment && at[i] != '\0' && strchr(",;|:", at[i]) != NULL) {
            return true;
        } else if (!isspace(at[i])) {
            fresh = false;
        }
    }
    return false;
}

/* No other access comes: both ways are in use. Or it was not looked for, and the size is there. */
static bool is_next_access(uint64_t next, uint64_t size, uint64_t number) {
    if (next == UINT64_MAX || next == INT64_MAX)
        return true;
    return next == 0 ? size != 0 : next > number && next >> 32 == 0;
}

/*
 * Time does not go back, and each object's next access is a later record or none: 24 bytes of
 * words that are block numbers do not look so for long, all zeros apart.
 */
static bool looks_like_oracle(const unsigned char *at, size_t len) {
    uint64_t time_before = 0, count = len / ORACLE_BYTES;
    for (uint64_t i = 0; i < count; i++, at += ORACLE_BYTES) {
        uint64_t time = little_endian(at, 4), size = little_endian(at + 12, 4);
        if (time < time_before || !is_next_access(little_endian(at + 16, 8), size, i))
            return false;
        time_before = time;
    }
    return count != 0;
}

static bool name_has(const char *path, const char *word) {
    size_t len = strlen(word);
    const char *slash = strrchr(path, '/');
    for (const char *at = slash != NULL ? slash + 1 : path; *at != '\0'; at++)
        if (strncasecmp(at, word, len) == 0)
            return true;
    return false;
}

static enum trace_format find_format(struct bytes *bytes, const char *path) {
    const unsigned char *at;
    size_t len = bytes_peek(bytes, SAMPLE_BYTES, &at);
    if (len > SAMPLE_BYTES)
        len = SAMPLE_BYTES;
    if (looks_like_text(at, len) && len != 0)
        return name_has(path, ".csv") || looks_like_csv(at, len) ? TRACE_CSV : TRACE_TEXT;
    if (name_has(path, ".csv"))
        return TRACE_CSV;
    if (name_has(path, ".txt"))
        return TRACE_TEXT;
    if (name_has(path, "oracleGeneral"))
        return TRACE_ORACLE;
    return !name_has(path, ".u32") && looks_like_oracle(at, len) ? TRACE_ORACLE : TRACE_U32;
}

/* Reading */

static void skip_byte_order_mark(struct bytes *bytes) {
    const unsigned char *at;
    if (bytes_peek(bytes, 3, &at) >= 3 && memcmp(at, "\xef\xbb\xbf", 3) == 0)
        bytes_take(bytes, 3);
}

static bool begin(struct trace *trace, const char *path, enum trace_format format,
                  const char *columns) {
    if (!bytes_open(&trace->bytes, path)) {
        snprintf(trace->error, sizeof(trace->error), "%s", bytes_error(&trace->bytes));
        return false;
    }
    trace->format = format != TRACE_AUTO ? format : find_format(&trace->bytes, path);
    if (formats[trace->format].is_text)
        skip_byte_order_mark(&trace->bytes);
    if (columns != NULL && trace->format != TRACE_CSV) {
        snprintf(trace->error, sizeof(trace->error),
                 "--columns is for csv, and this is %s (--format says otherwise)",
                 formats[trace->format].name);
        return false;
    }
    int len =
        snprintf(trace->description, sizeof(trace->description), "%s", formats[trace->format].name);
    if (trace->format == TRACE_CSV) {
        if ((columns != NULL && !trace_csv_columns(trace, columns)) || !trace_csv_begin(trace))
            return false;
        len += snprintf(trace->description + len, sizeof(trace->description) - (size_t)len,
                        "%s, object in column %u", trace->csv.has_header ? " with a header" : "",
                        (unsigned)trace->csv.id.number);
    }
    if (bytes_are_gzip(&trace->bytes))
        snprintf(trace->description + len, sizeof(trace->description) - (size_t)len, ", gzip");
    return true;
}

struct trace *trace_open(const char *path, enum trace_format format, const char *columns, char *why,
                         size_t room) {
    struct trace *trace = calloc(1, sizeof(*trace));
    if (trace == NULL) {
        snprintf(why, room, "there is no memory to read it");
        return NULL;
    }
    if (begin(trace, path, format, columns))
        return trace;
    snprintf(why, room, "%s", trace->error);
    trace_close(trace);
    return NULL;
}

void trace_close(struct trace *trace) {
    bytes_close(&trace->bytes);
    free(trace);
}

size_t trace_read(struct trace *trace, struct trace_record *records, size_t max) {
    size_t count = 0;
    while (count < max && trace->error[0] == '\0' &&
           formats[trace->format].next(trace, &records[count])) {
        trace->records++;
        count++;
    }
    if (count < max && trace->error[0] == '\0' && bytes_error(&trace->bytes) != NULL)
        trace_fail(trace, "%s", bytes_error(&trace->bytes));
    return count;
}

const char *trace_error(const struct trace *trace) {
    return trace->error[0] != '\0' ? trace->error : NULL;
}

const char *trace_description(const struct trace *trace) {
    return trace->description;
}

const char *trace_format_name(enum trace_format format) {
    return formats[format].name;
}

/* The binary formats */

/* Shows a record of `size` bytes; false: none is left, or a part of one, which is an error. */
static bool take_binary(struct trace *trace, size_t size, const unsigned char **at) {
    size_t there = bytes_peek(&trace->bytes, size, at);
    if (there >= size) {
        bytes_take(&trace->bytes, size);
        return true;
    }
    if (there != 0 && bytes_error(&trace->bytes) == NULL)
        trace_fail(trace, "the trace ends after %zu of its %zu bytes", there, size);
    return false;
}

bool trace_next_u32(struct trace *trace, struct trace_record *record) {
    static const enum trace_op ops[] = {TRACE_READ, TRACE_WRITE, TRACE_FLUSH};
    const unsigned char *at;
    if (!take_binary(trace, 4, &at))
        return false;
    uint32_t word = (uint32_t)little_endian(at, 4);
    if (word >> 30 == 3)
        return trace_fail(trace,
                          "operation 3 does not exist (the word is 0x%08x); the format may be "
                          "another than u32: see --format",
                          (unsigned)word);
    *record = (struct trace_record){.block = word & 0x3fffffff, .op = ops[word >> 30]};
    return true;
}

bool trace_next_oracle(struct trace *trace, struct trace_record *record) {
    const unsigned char *at;
    if (!take_binary(trace, ORACLE_BYTES, &at))
        return false;
    *record = (struct trace_record){.block = little_endian(at + 4, 8), .op = TRACE_READ};
    return true;
}
