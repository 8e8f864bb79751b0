/* SPDX-License-Identifier: MIT */
/*
 * export_text.h: what exports write with: a buffer before the sink, numbers and strings in the
 * notations of JSON and XML.
 *
 * The sink's first error sticks: nothing reaches the sink after it, and ash__prof_out_end returns
 * it. So an export need not look at every call; a long loop asks out->error now and then.
 */
#ifndef ASHLAR_PROF_EXPORT_TEXT_H
#define ASHLAR_PROF_EXPORT_TEXT_H

#include <ashlar/prof_export.h>

#define ASH__PROF_OUT_BYTES 8192u

/* Large: it belongs in an export's work memory, not on a kernel's stack. */
struct ash__prof_out {
    const struct ash_prof_sink *sink;
    int error;                /* the sink's first */
    uint32_t used;            /* of bytes */
    uint64_t written;         /* handed over, of the file that is open */
    uint64_t done, of, shown; /* progress */
    char bytes[ASH__PROF_OUT_BYTES];
};

/* of: how many steps ash__prof_out_step will count in all. */
void ash__prof_out_begin(struct ash__prof_out *out, const struct ash_prof_sink *sink, uint64_t of);
/* What follows goes into the file `name`. */
void ash__prof_out_open(struct ash__prof_out *out, const char *name);
/* Hands over the rest; the first error, or 0. */
int ash__prof_out_end(struct ash__prof_out *out) ASH_MUST_CHECK;
/* Work was done: the sink's progress is called some hundred times over the whole. */
void ash__prof_out_step(struct ash__prof_out *out, uint64_t steps);
/* Bytes of this file so far, those in the buffer included. */
static inline uint64_t ash__prof_out_offset(const struct ash__prof_out *out) {
    return out->written + out->used;
}

void ash__prof_put(struct ash__prof_out *out, const void *bytes, size_t len);
void ash__prof_put_char(struct ash__prof_out *out, char c);
void ash__prof_put_string(struct ash__prof_out *out, const char *string);
void ash__prof_put_u64(struct ash__prof_out *out, uint64_t value);
void ash__prof_put_i64(struct ash__prof_out *out, int64_t value);
void ash__prof_put_hex(struct ash__prof_out *out, uint64_t value); /* 0x1f */
/* value / 10^decimals, exactly: (12345, 3) is 12.345. decimals: 1 to 19. */
void ash__prof_put_fixed(struct ash__prof_out *out, uint64_t value, uint32_t decimals);

/*
 * Text from a file inside a JSON string, without its quotes: quotes, backslashes and control
 * characters escaped, each byte that is no UTF-8 as U+FFFD.
 */
void ash__prof_put_json(struct ash__prof_out *out, const char *text, size_t len);
/* The same of XML 1.0: in text, and in attributes of either quote; what XML cannot say at all
 * (control characters) as U+FFFD. */
void ash__prof_put_xml(struct ash__prof_out *out, const char *text, size_t len);

/* A whole JSON string with its quotes. */
void ash__prof_put_json_string(struct ash__prof_out *out, const char *string);

/* Of the character at text, where len is 1 or more; 0: it is no UTF-8. */
size_t ash__prof_utf8_len(const char *text, size_t len);

size_t ash__prof_strlen(const char *string);

#endif
