/* SPDX-License-Identifier: MIT */
/* export_text.c: numbers and escaped strings through a buffer (export_text.h). */
#include "export_text.h"

#define PROGRESS_CALLS 200u

size_t ash__prof_strlen(const char *string) {
    size_t len = 0;
    while (string[len] != 0)
        len++;
    return len;
}

static void flush(struct ash__prof_out *out) {
    if (out->used != 0 && out->error == 0)
        out->error = out->sink->write(out->sink->context, out->bytes, out->used);
    out->written += out->used;
    out->used = 0;
}

void ash__prof_out_begin(struct ash__prof_out *out, const struct ash_prof_sink *sink, uint64_t of) {
    out->sink = sink;
    out->error = 0;
    out->used = 0;
    out->written = 0;
    out->done = 0;
    out->of = of;
    out->shown = 0;
}

void ash__prof_out_open(struct ash__prof_out *out, const char *name) {
    flush(out);
    out->written = 0;
    if (out->error == 0)
        out->error = out->sink->open(out->sink->context, name);
}

static void show(struct ash__prof_out *out) {
    out->shown = out->done;
    if (out->sink->progress != NULL)
        out->sink->progress(out->sink->context, out->done, out->of);
}

int ash__prof_out_end(struct ash__prof_out *out) {
    flush(out);
    if (out->error == 0 && (out->shown != out->of || out->of == 0)) {
        out->done = out->of;
        show(out);
    }
    return out->error;
}

void ash__prof_out_step(struct ash__prof_out *out, uint64_t steps) {
    out->done = ash_min_u64(out->done + steps, out->of);
    if (out->done - out->shown > out->of / PROGRESS_CALLS && out->error == 0)
        show(out);
}

void ash__prof_put(struct ash__prof_out *out, const void *bytes, size_t len) {
    const char *from = bytes;
    while (len != 0) {
        size_t part = ash_min_u64(len, ASH__PROF_OUT_BYTES - out->used);
        __builtin_memcpy(out->bytes + out->used, from, part);
        out->used += (uint32_t)part;
        from += part;
        len -= part;
        if (out->used == ASH__PROF_OUT_BYTES)
            flush(out);
    }
}

void ash__prof_put_char(struct ash__prof_out *out, char c) {
    ash__prof_put(out, &c, 1);
}

void ash__prof_put_string(struct ash__prof_out *out, const char *string) {
    ash__prof_put(out, string, ash__prof_strlen(string));
}

/* At least `least` digits, so that a fraction keeps its zeros. */
static void put_digits(struct ash__prof_out *out, uint64_t value, uint32_t base, uint32_t least) {
    char digits[20]; /* of 2^64 - 1 */
    uint32_t at = sizeof(digits);
    while (value != 0 || sizeof(digits) - at < least) {
        digits[--at] = "0123456789abcdef"[value % base];
        value /= base;
    }
    ash__prof_put(out, digits + at, sizeof(digits) - at);
}

void ash__prof_put_u64(struct ash__prof_out *out, uint64_t value) {
    put_digits(out, value, 10, 1);
}

void ash__prof_put_i64(struct ash__prof_out *out, int64_t value) {
    if (value < 0)
        ash__prof_put_char(out, '-');
    put_digits(out, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, 1);
}

void ash__prof_put_hex(struct ash__prof_out *out, uint64_t value) {
    ash__prof_put_string(out, "0x");
    put_digits(out, value, 16, 1);
}

void ash__prof_put_fixed(struct ash__prof_out *out, uint64_t value, uint32_t decimals) {
    uint64_t one = 1;
    for (uint32_t i = 0; i < decimals; i++)
        one *= 10;
    put_digits(out, value / one, 10, 1);
    ash__prof_put_char(out, '.');
    put_digits(out, value % one, 10, decimals);
}

/*
 * The length of the character at text, 0: it is none. Unicode 15, table 3-7: no surrogates, nothing
 * above U+10FFFF, no longer form than needed.
 */
size_t ash__prof_utf8_len(const char *text, size_t len) {
    const unsigned char *at = (const unsigned char *)text;
    if (at[0] < 0x80)
        return 1;
    size_t need = at[0] >= 0xf0 ? 4 : at[0] >= 0xe0 ? 3 : 2;
    if (at[0] < 0xc2 || at[0] > 0xf4 || len < need)
        return 0;
    unsigned low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : 0x80;
    unsigned high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : 0xbf;
    if (at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < need; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    }
    return need;
}

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

static void put_json_control(struct ash__prof_out *out, char c) {
    if (c == '\n') {
        ash__prof_put_string(out, "\\n");
    } else if (c == '\t') {
        ash__prof_put_string(out, "\\t");
    } else {
        ash__prof_put_string(out, "\\u");
        put_digits(out, (unsigned char)c, 16, 4);
    }
}

/* RFC 8259, 7. */
void ash__prof_put_json(struct ash__prof_out *out, const char *text, size_t len) {
    size_t step = 0;
    for (size_t i = 0; i < len; i += step) {
        size_t bytes = ash__prof_utf8_len(text + i, len - i);
        step = bytes == 0 ? 1 : bytes;
        if (bytes == 0) {
            ash__prof_put_string(out, REPLACEMENT);
        } else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            put_json_control(out, text[i]);
        } else {
            if (text[i] == '"' || text[i] == '\\')
                ash__prof_put_char(out, '\\');
            ash__prof_put(out, text + i, bytes);
        }
    }
}

/* What stands for the character, NULL: itself. XML 1.0, 2.2 and 2.4. */
static const char *xml_escape(const char *at, size_t bytes) {
    if (bytes == 0)
        return REPLACEMENT;
    if (bytes == 3 && __builtin_memcmp(at, "\xef\xbf\xbe", 2) == 0 && (unsigned char)at[2] >= 0xbe)
        return REPLACEMENT; /* U+FFFE, U+FFFF */
    switch (at[0]) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    case '\t':
        return "&#9;";
    case '\n':
        return "&#10;";
    case '\r':
        return "&#13;";
    default:
        return (unsigned char)at[0] < 0x20 ? REPLACEMENT : NULL;
    }
}

void ash__prof_put_xml(struct ash__prof_out *out, const char *text, size_t len) {
    size_t step = 0;
    for (size_t i = 0; i < len; i += step) {
        size_t bytes = ash__prof_utf8_len(text + i, len - i);
        const char *escape = xml_escape(text + i, bytes);
        step = bytes == 0 ? 1 : bytes;
        if (escape != NULL)
            ash__prof_put_string(out, escape);
        else
            ash__prof_put(out, text + i, bytes);
    }
}

void ash__prof_put_json_string(struct ash__prof_out *out, const char *string) {
    ash__prof_put_char(out, '"');
    ash__prof_put_json(out, string, ash__prof_strlen(string));
    ash__prof_put_char(out, '"');
}
