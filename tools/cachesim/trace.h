/* SPDX-License-Identifier: MIT */
/*
 * trace.h: the records of a block trace, in any of the formats below, in order and in bounded
 * memory. Nothing of a trace is trusted and nothing of it is left out: the first record that does
 * not follow the format ends the trace with an error that names it.
 *
 * TRACE_U32     little-endian words: bits 31..30 the operation (0 read, 1 write, 2 flush of file
 *               block >> 24), bits 29..0 the block
 * TRACE_TEXT    a line each: a block number, decimal or 0x hexadecimal, with R, W or F before or
 *               after it (R where there is none); "F" alone flushes every file; # begins a comment
 * TRACE_ORACLE  libCacheSim's oracleGeneral: 24 bytes, little-endian, packed: u32 time, u64 object,
 *               u32 size, i64 number of the next access to that object (-1: none)
 * TRACE_CSV     a line each, of fields, as libCacheSim's: one of them the object
 */
#ifndef CACHESIM_TRACE_H
#define CACHESIM_TRACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum trace_format { TRACE_AUTO, TRACE_U32, TRACE_TEXT, TRACE_ORACLE, TRACE_CSV, TRACE_FORMATS };

enum trace_op { TRACE_READ, TRACE_WRITE, TRACE_FLUSH, TRACE_FLUSH_ALL };

struct trace_record {
    uint64_t block;
    enum trace_op op;
};

struct trace;

/*
 * Opens `path` ("-" is standard input) as `format`; TRACE_AUTO finds that out from the first bytes,
 * and from the name where those allow of two. `columns` is the --columns of a CSV, or NULL. NULL:
 * it cannot be read, and `why` (of `room` bytes) says so.
 */
struct trace *trace_open(const char *path, enum trace_format format, const char *columns, char *why,
                         size_t room);
void trace_close(struct trace *trace);

/* The next records, up to `max` of them; 0: there are no more, or trace_error says why. */
size_t trace_read(struct trace *trace, struct trace_record *records, size_t max);

/* NULL, or what is wrong with the record after the last one that was read. */
const char *trace_error(const struct trace *trace);

/* What is read, in words: "csv, object in column 5, gzip". */
const char *trace_description(const struct trace *trace);

const char *trace_format_name(enum trace_format format);

#endif
