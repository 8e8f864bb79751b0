/* SPDX-License-Identifier: MIT */
/* histogram.c: spans of time as text with bars (histogram.h). */
#include "histogram.h"

#include <ashlar/bits.h>

#define BAR_COLUMNS 40u

void ash__prof_histogram_add(struct ash__prof_histogram *histogram, uint64_t ns) {
    if (histogram->count == 0 || ns < histogram->min_ns)
        histogram->min_ns = ns;
    if (ns > histogram->max_ns)
        histogram->max_ns = ns;
    histogram->count++;
    histogram->total_ns = histogram->total_ns + ns < ns ? UINT64_MAX : histogram->total_ns + ns;
    histogram->buckets[64 - ash_clz64(ns)]++;
}

static uint32_t digits_of(uint64_t value) {
    uint32_t digits = 1;
    while (value >= 10) {
        value /= 10;
        digits++;
    }
    return digits;
}

static void put_blanks(struct ash__prof_out *out, uint32_t count) {
    while (count-- != 0)
        ash__prof_put_char(out, ' ');
}

void ash__prof_put_right(struct ash__prof_out *out, uint64_t value, uint32_t width) {
    uint32_t digits = digits_of(value);
    put_blanks(out, digits < width ? width - digits : 0);
    ash__prof_put_u64(out, value);
}

/* Bytes that are none of a character's first are no column. What is no UTF-8, or a control
 * character, is a question mark. */
void ash__prof_put_left(struct ash__prof_out *out, const char *text, size_t len, uint32_t width) {
    uint32_t columns = 0;
    for (size_t i = 0; i < len; columns++) {
        size_t bytes = ash__prof_utf8_len(text + i, len - i);
        if (bytes == 0 || (unsigned char)text[i] < ' ' || text[i] == 0x7f)
            ash__prof_put_char(out, '?');
        else
            ash__prof_put(out, text + i, bytes);
        i += bytes == 0 ? 1 : bytes;
    }
    put_blanks(out, columns < width ? width - columns : 0);
}

void ash__prof_put_span(struct ash__prof_out *out, uint64_t ns) {
    static const struct {
        uint64_t least, part; /* part: what the third decimal stands for */
        const char *name;
    } scales[] = {{1000000000, 1000000, " s "}, {1000000, 1000, " ms"}, {1000, 1, " us"}};
    for (size_t i = 0; i < ASH_ARRAY_LEN(scales); i++)
        if (ns >= scales[i].least) {
            uint64_t value = ns / scales[i].part;
            uint32_t columns = digits_of(value) + 1;
            put_blanks(out, columns < 8 ? 8 - columns : 0);
            ash__prof_put_fixed(out, value, 3);
            ash__prof_put_string(out, scales[i].name);
            return;
        }
    ash__prof_put_right(out, ns, 8);
    ash__prof_put_string(out, " ns");
}

void ash__prof_put_percent(struct ash__prof_out *out, uint64_t part, uint64_t whole) {
    uint64_t tenths = whole == 0 ? 0 : ash_mul_div_u64(part, 1000, whole);
    put_blanks(out, tenths < 100 ? 2 : tenths < 1000 ? 1 : 0);
    ash__prof_put_fixed(out, tenths, 1);
    ash__prof_put_string(out, " %");
}

static void put_bar(struct ash__prof_out *out, uint64_t count, uint64_t most) {
    uint64_t columns = ash_mul_div_u64(count, BAR_COLUMNS, most);
    if (columns == 0 && count != 0)
        columns = 1;
    while (columns-- != 0)
        ash__prof_put_char(out, '#');
}

void ash__prof_put_histogram(struct ash__prof_out *out,
                             const struct ash__prof_histogram *histogram) {
    if (histogram->count == 0)
        return;
    uint32_t first = 64 - ash_clz64(histogram->min_ns), last = 64 - ash_clz64(histogram->max_ns);
    uint64_t most = 0;
    for (uint32_t i = first; i <= last; i++)
        most = ash_max_u64(most, histogram->buckets[i]);
    ash__prof_put_string(out, "  least ");
    ash__prof_put_span(out, histogram->min_ns);
    ash__prof_put_string(out, ", mean ");
    ash__prof_put_span(out, histogram->total_ns / histogram->count);
    ash__prof_put_string(out, ", most ");
    ash__prof_put_span(out, histogram->max_ns);
    ash__prof_put_char(out, '\n');
    for (uint32_t i = first; i <= last; i++) {
        ash__prof_put_string(out, "  from ");
        ash__prof_put_span(out, i == 0 ? 0 : UINT64_C(1) << (i - 1));
        ash__prof_put_right(out, histogram->buckets[i], 9);
        ash__prof_put_string(out, "  ");
        put_bar(out, histogram->buckets[i], most);
        ash__prof_put_char(out, '\n');
    }
}
