/* SPDX-License-Identifier: MIT */
/* trace_text.c: traces in lines, of block numbers or of fields (CSV, RFC 4180). */
#include "trace_internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

struct word {
    const char *at;
    size_t len;
};

static bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\f';
}

static struct word trimmed(struct word word) {
    while (word.len > 0 && is_blank(word.at[0])) {
        word.at++;
        word.len--;
    }
    while (word.len > 0 && is_blank(word.at[word.len - 1]))
        word.len--;
    return word;
}

static bool word_is(struct word word, const char *text) {
    return strlen(text) == word.len && strncasecmp(word.at, text, word.len) == 0;
}

/* The next line that says something. */
static bool next_line(struct trace *trace, struct word *line) {
    while (bytes_line(&trace->bytes, &line->at, &line->len)) {
        if (trimmed(*line).len != 0)
            return true;
        trace->lines++;
    }
    return false;
}

static bool take_number(struct trace *trace, struct word word, const char *what, uint64_t *number) {
    switch (trace_number(word.at, word.len, number)) {
    case NUMBER_GOOD:
        return true;
    case NUMBER_TOO_LARGE:
        return trace_fail_word(trace, "a number over 18446744073709551615", word.at, word.len);
    default:
        return trace_fail_word(trace, what, word.at, word.len);
    }
}

/* Text */

/* Up to three words: one too many is seen, not read. */
static size_t split(struct word line, struct word words[3]) {
    size_t count = 0, i = 0;
    while (count < 3) {
        while (i < line.len && is_blank(line.at[i]))
            i++;
        if (i == line.len)
            break;
        size_t start = i;
        while (i < line.len && !is_blank(line.at[i]))
            i++;
        words[count++] = (struct word){line.at + start, i - start};
    }
    return count;
}

static bool op_letter(struct word word, enum trace_op *op) {
    static const char letters[] = "RWF";
    static const enum trace_op ops[] = {TRACE_READ, TRACE_WRITE, TRACE_FLUSH};
    for (size_t i = 0; i < sizeof(letters) - 1; i++) {
        if (word.len != 1 || strncasecmp(word.at, &letters[i], 1) != 0)
            continue;
        *op = ops[i];
        return true;
    }
    return false;
}

static bool text_record(struct trace *trace, struct word line, struct trace_record *record) {
    struct word words[3], number;
    size_t count = split(line, words);
    record->op = TRACE_READ;
    record->block = 0;
    if (count == 1 && op_letter(words[0], &record->op)) {
        if (record->op != TRACE_FLUSH)
            return trace_fail_word(trace, "no block number", line.at, line.len);
        record->op = TRACE_FLUSH_ALL;
        return true;
    }
    number = words[0];
    if (count == 2) {
        if (op_letter(words[0], &record->op))
            number = words[1];
        else if (!op_letter(words[1], &record->op))
            return trace_fail_word(trace, "not a block number with R, W or F", line.at, line.len);
    } else if (count > 2) {
        return trace_fail_word(trace, "more than a block number and R, W or F", line.at, line.len);
    }
    return take_number(trace, number, "not a block number", &record->block);
}

bool trace_next_text(struct trace *trace, struct trace_record *record) {
    struct word line;
    while (next_line(trace, &line)) {
        const char *comment = memchr(line.at, '#', line.len);
        if (comment != NULL)
            line = trimmed((struct word){line.at, (size_t)(comment - line.at)});
        if (line.len == 0) {
            trace->lines++;
            continue;
        }
        if (!text_record(trace, line, record))
            return false;
        trace->lines++;
        return true;
    }
    return false;
}

/* CSV: --columns, libCacheSim's words for its --trace-type-params */

static bool columns_fail(struct trace *trace, const char *what, const char *at) {
    snprintf(trace->error, sizeof(trace->error), "--columns: %s: \"%.60s\"", what, at);
    return false;
}

static bool set_column(struct column *column, struct word value) {
    uint64_t number;
    if (value.len == 0)
        return false;
    if (trace_number(value.at, value.len, &number) == NUMBER_GOOD) {
        column->number = (uint32_t)number;
        return number != 0 && number <= BYTES_PEEK_MAX;
    }
    if (value.len >= COLUMN_NAME_MAX)
        return false;
    memcpy(column->name, value.at, value.len);
    column->name[value.len] = '\0';
    return true;
}

static bool truth(struct word value, bool *yes) {
    *yes = word_is(value, "true") || word_is(value, "yes") || word_is(value, "1");
    return *yes || word_is(value, "false") || word_is(value, "no") || word_is(value, "0");
}

static bool set_delimiter(struct csv *csv, struct word value) {
    if (word_is(value, "tab") || word_is(value, "\\t"))
        csv->delimiter = '\t';
    else if (value.len == 1)
        csv->delimiter = value.at[0];
    return csv->delimiter != '\0' && csv->delimiter != '"';
}

/* True: known. *good: the value is one that it takes. */
static bool set_csv(struct csv *csv, struct word key, struct word value, bool *good) {
    /* Of no consequence here: an object is a block, and time is the order of the records. */
    static const char *const unused[] = {"time-col", "obj-size-col", "size-col",
                                         "ttl-col",  "tenant-col",   "next-access-col",
                                         "cnt-col",  "feature-cols", "feature-col"};
    bool yes = false;
    if (word_is(key, "obj-id-col")) {
        *good = set_column(&csv->id, value);
    } else if (word_is(key, "op-col")) {
        *good = set_column(&csv->op, value);
    } else if (word_is(key, "delimiter")) {
        *good = set_delimiter(csv, value);
    } else if (word_is(key, "has-header")) {
        *good = truth(value, &yes);
        csv->header = yes ? HEADER_YES : HEADER_NO;
    } else if (word_is(key, "obj-id-is-num")) {
        *good = truth(value, &yes);
        csv->id_kind = yes ? ID_NUMBER : ID_WORD;
    } else {
        *good = true;
        for (size_t i = 0; i < sizeof(unused) / sizeof(unused[0]); i++)
            if (word_is(key, unused[i]))
                return true;
        return false;
    }
    return true;
}

bool trace_csv_columns(struct trace *trace, const char *columns) {
    const char *at = columns;
    for (;;) {
        while (is_blank(*at))
            at++;
        const char *equals = at + strcspn(at, "=,");
        if (*equals != '=')
            return columns_fail(trace, "KEY=VALUE is wanted, separated by commas", at);
        /* "delimiter=,": its value may be a comma itself. */
        const char *value = equals + 1, *end = value + strcspn(value, ",");
        struct word key = trimmed((struct word){at, (size_t)(equals - at)});
        if (word_is(key, "delimiter") && end == value && *end == ',')
            end++;
        struct word text = {value, (size_t)(end - value)};
        bool good;
        if (!set_csv(&trace->csv, key, text.len == 1 ? text : trimmed(text), &good))
            return columns_fail(trace,
                                "not one of obj-id-col, op-col, time-col, obj-size-col, "
                                "delimiter, has-header, obj-id-is-num",
                                at);
        if (!good)
            return columns_fail(trace, "it takes no such value", at);
        if (*end == '\0')
            return true;
        at = end + 1;
    }
}

/* CSV: fields */

static bool field_fail(struct trace *trace, uint32_t number, const char *why) {
    return trace_fail(trace, "column %u %s", (unsigned)number, why);
}

/* Where a line is being taken apart. */
struct cursor {
    struct word line;
    size_t next;
    char delimiter;
    bool done;
};

static struct cursor fields_of(struct word line, char delimiter) {
    return (struct cursor){.line = line, .delimiter = delimiter};
}

/* Behind the quote that ends what begins at `i`; past the line's end when there is none. A doubled
 * one does not end it. */
static size_t quote_end(struct word line, size_t i) {
    for (; i < line.len; i++) {
        if (line.at[i] != '"')
            continue;
        if (i + 1 == line.len || line.at[i + 1] != '"')
            return i + 1;
        i++;
    }
    return line.len + 1;
}

/*
 * The next field. Its quotes are taken off, a doubled one inside stays doubled: as the name of an
 * object it serves as well. False: there is none, or its quote does not end.
 */
static bool next_field(struct cursor *cursor, struct word *found) {
    struct word line = cursor->line;
    size_t i = cursor->next;
    if (cursor->done)
        return false;
    while (i < line.len && line.at[i] != cursor->delimiter && is_blank(line.at[i]))
        i++;
    if (i < line.len && line.at[i] == '"') {
        size_t start = i + 1, end = quote_end(line, start);
        cursor->done = end > line.len;
        if (cursor->done)
            return false;
        *found = (struct word){line.at + start, end - 1 - start};
        for (i = end; i < line.len && line.at[i] != cursor->delimiter;)
            i++;
    } else {
        size_t start = i;
        while (i < line.len && line.at[i] != cursor->delimiter)
            i++;
        *found = trimmed((struct word){line.at + start, i - start});
    }
    cursor->done = i >= line.len;
    cursor->next = i + 1;
    return true;
}

/* Field `number`, from 1. */
static bool field(struct word line, char delimiter, uint32_t number, struct word *found) {
    struct cursor cursor = fields_of(line, delimiter);
    for (uint32_t i = 1; i < number; i++)
        if (!next_field(&cursor, found))
            return false;
    return next_field(&cursor, found);
}

static uint32_t count_fields(struct word line, char delimiter) {
    struct cursor cursor = fields_of(line, delimiter);
    struct word ignored;
    uint32_t count = 0;
    while (next_field(&cursor, &ignored))
        count++;
    return count;
}

/* The mark that the first line has most of. */
static char find_delimiter(struct word line) {
    static const char marks[] = ",\t;|:";
    char best = ',';
    uint32_t most = 1;
    for (size_t i = 0; i < sizeof(marks) - 1; i++) {
        uint32_t count = count_fields(line, marks[i]);
        if (count > most) {
            most = count;
            best = marks[i];
        }
    }
    return best;
}

/* A first line whose fields all begin as names do, not as numbers. */
static bool is_header(struct word line, char delimiter) {
    struct cursor cursor = fields_of(line, delimiter);
    struct word word;
    while (next_field(&cursor, &word))
        if (word.len != 0 && memchr("0123456789+-.", word.at[0], 13) != NULL)
            return false;
    return true;
}

static bool find_column(struct column *column, struct word header, char delimiter) {
    struct cursor cursor = fields_of(header, delimiter);
    struct word word;
    if (column->name[0] == '\0')
        return true;
    for (uint32_t number = 1; next_field(&cursor, &word); number++) {
        if (!word_is(word, column->name))
            continue;
        column->number = number;
        return true;
    }
    return false;
}

/* Where --columns does not say which it is: by its name, or where libCacheSim's examples have it
 * (time, object, size). */
static bool guess_id(struct csv *csv, struct word line, bool has_header) {
    static const char *const names[] = {"obj_id", "obj-id", "objid", "object_id", "object", "obj",
                                        "id",     "key",    "block", "lbn",       "lba",    "page"};
    uint32_t count = count_fields(line, csv->delimiter);
    for (size_t i = 0; has_header && i < sizeof(names) / sizeof(names[0]); i++) {
        struct column column = {0};
        snprintf(column.name, sizeof(column.name), "%s", names[i]);
        if (find_column(&column, line, csv->delimiter)) {
            csv->id.number = column.number;
            return true;
        }
    }
    if (count == 1)
        csv->id.number = 1;
    else if (count >= 3 && !has_header)
        csv->id.number = 2;
    return csv->id.number != COLUMN_NONE;
}

bool trace_csv_begin(struct trace *trace) {
    struct csv *csv = &trace->csv;
    const unsigned char *at;
    size_t there = bytes_peek(&trace->bytes, BYTES_PEEK_MAX, &at);
    const unsigned char *end = there != 0 ? memchr(at, '\n', there) : NULL;
    struct word line = {(const char *)at, end != NULL ? (size_t)(end - at) : there};
    while (line.len > 0 && line.at[line.len - 1] == '\r')
        line.len--;
    if (csv->delimiter == '\0')
        csv->delimiter = find_delimiter(line);
    bool named = csv->id.name[0] != '\0' || csv->op.name[0] != '\0';
    bool has_header = csv->header == HEADER_YES || named ||
                      (csv->header == HEADER_AUTO && is_header(line, csv->delimiter));
    if (named && csv->header == HEADER_NO)
        return columns_fail(trace, "without a header a column has a number, not a name",
                            csv->id.name[0] != '\0' ? csv->id.name : csv->op.name);
    if (named && !find_column(&csv->id, line, csv->delimiter))
        return columns_fail(trace, "the header has no such column", csv->id.name);
    if (named && !find_column(&csv->op, line, csv->delimiter))
        return columns_fail(trace, "the header has no such column", csv->op.name);
    if (csv->id.number == COLUMN_NONE && there != 0 && !guess_id(csv, line, has_header)) {
        snprintf(trace->error, sizeof(trace->error),
                 "which column holds the object is not clear: --columns obj-id-col=N");
        return false;
    }
    csv->has_header = has_header && there != 0;
    if (csv->has_header) {
        bytes_line(&trace->bytes, &line.at, &line.len);
        trace->lines++;
    }
    return true;
}

/* CSV: records */

/* FNV-1a: 64 bits for a name; two of a million names meet with a chance of 3 in 10^8. */
static uint64_t hash(struct word word) {
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < word.len; i++)
        value = (value ^ (unsigned char)word.at[i]) * 0x100000001b3u;
    return value;
}

/* Words that traces have for operations; and the first bytes of SCSI commands. */
static bool op_word(struct word word, enum trace_op *op) {
    static const struct {
        const char *word;
        enum trace_op op;
    } words[] = {{"r", TRACE_READ},      {"read", TRACE_READ}, {"get", TRACE_READ},
                 {"gets", TRACE_READ},   {"28", TRACE_READ},   {"88", TRACE_READ},
                 {"a8", TRACE_READ},     {"w", TRACE_WRITE},   {"write", TRACE_WRITE},
                 {"set", TRACE_WRITE},   {"put", TRACE_WRITE}, {"2a", TRACE_WRITE},
                 {"8a", TRACE_WRITE},    {"aa", TRACE_WRITE},  {"f", TRACE_FLUSH},
                 {"flush", TRACE_FLUSH}, {"sync", TRACE_FLUSH}};
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        if (!word_is(word, words[i].word))
            continue;
        *op = words[i].op;
        return true;
    }
    return false;
}

static bool take_id(struct trace *trace, struct word word, uint64_t *id) {
    const struct csv *csv = &trace->csv;
    if (word.len == 0)
        return field_fail(trace, csv->id.number, "is empty: no object");
    if (csv->id_kind == ID_NUMBER)
        return take_number(trace, word, "not a number, as obj-id-is-num says", id);
    /* Two names of one number ("7", "007") are two objects. */
    bool plain = csv->id_kind == ID_AUTO && (word.at[0] != '0' || word.len == 1) &&
                 trace_number(word.at, word.len, id) == NUMBER_GOOD;
    if (!plain)
        *id = hash(word);
    return true;
}

bool trace_next_csv(struct trace *trace, struct trace_record *record) {
    const struct csv *csv = &trace->csv;
    struct word line, word;
    if (!next_line(trace, &line))
        return false;
    if (!field(line, csv->delimiter, csv->id.number, &word))
        return field_fail(trace, csv->id.number, "is missing, or a quote does not end");
    if (!take_id(trace, word, &record->block))
        return false;
    record->op = TRACE_READ;
    if (csv->op.number != COLUMN_NONE) {
        if (!field(line, csv->delimiter, csv->op.number, &word))
            return field_fail(trace, csv->op.number, "is missing, or a quote does not end");
        if (!op_word(word, &record->op))
            return trace_fail_word(trace, "not an operation (read, write, flush)", word.at,
                                   word.len);
    }
    trace->lines++;
    return true;
}
