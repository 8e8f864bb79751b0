/* SPDX-License-Identifier: MIT */
/* trace_internal.h: what the readers of the formats share. */
#ifndef CACHESIM_TRACE_INTERNAL_H
#define CACHESIM_TRACE_INTERNAL_H

#include "bytes.h"
#include "trace.h"

enum { COLUMN_NONE = 0, COLUMN_NAME_MAX = 64 };

/* A column by its number, from 1, or by its name in the header. */
struct column {
    uint32_t number;
    char name[COLUMN_NAME_MAX];
};

struct csv {
    struct column id, op;
    char delimiter; /* '\0': to be found out */
    enum { HEADER_AUTO, HEADER_YES, HEADER_NO } header;
    enum { ID_AUTO, ID_NUMBER, ID_WORD } id_kind;
    bool has_header; /* it had one */
};

struct trace {
    struct bytes bytes;
    enum trace_format format;
    struct csv csv;
    uint64_t records, lines; /* read well so far */
    char error[400];
    char description[160];
};

/* Each reads one record: false at the end and on an error. */
bool trace_next_u32(struct trace *trace, struct trace_record *record);
bool trace_next_text(struct trace *trace, struct trace_record *record);
bool trace_next_oracle(struct trace *trace, struct trace_record *record);
bool trace_next_csv(struct trace *trace, struct trace_record *record);

/* Reads --columns; and the first line of a trace. False: trace->error says why. */
bool trace_csv_columns(struct trace *trace, const char *columns);
bool trace_csv_begin(struct trace *trace);

/* Notes what is wrong with the next record, in the words of printf; returns false. */
bool trace_fail(struct trace *trace, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The same for the next line of a text; `len` bytes at `word` are shown, made harmless. */
bool trace_fail_word(struct trace *trace, const char *what, const char *word, size_t len);

enum number { NUMBER_GOOD, NUMBER_NONE, NUMBER_TOO_LARGE };

/* The whole of `len` bytes as a number without a sign, decimal or 0x hexadecimal. */
enum number trace_number(const char *text, size_t len, uint64_t *number);

#endif
