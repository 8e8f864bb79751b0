/* SPDX-License-Identifier: MIT */
/* numbers.c: see numbers.h. */
#include "numbers.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* 16 and more: no digit. */
static uint64_t digit_of(char c) {
    if (c >= '0' && c <= '9')
        return (uint64_t)(c - '0');
    if (c >= 'a' && c <= 'f')
        return (uint64_t)(c - 'a' + 10);
    return c >= 'A' && c <= 'F' ? (uint64_t)(c - 'A' + 10) : 16;
}

/* Bits that the letter shifts by, or UINT32_MAX: it is none. */
static uint32_t shift_of(char c) {
    switch (c) {
    case '\0':
        return 0;
    case 'b':
    case 'B':
        return 9;
    case 'k':
    case 'K':
        return 10;
    case 'm':
    case 'M':
        return 20;
    case 'g':
    case 'G':
        return 30;
    default:
        return UINT32_MAX;
    }
}

bool number_parse(const char *text, uint64_t *value) {
    uint64_t base = 10, number = 0, digit;
    if (text[0] == '0' && (text[1] == 'x' || text[1] == 'X')) {
        base = 16;
        text += 2;
    } else if (text[0] == '0') {
        base = 8;
    }
    const char *first = text;
    for (; (digit = digit_of(*text)) < base; text++) {
        if (number > (UINT64_MAX - digit) / base)
            return false;
        number = number * base + digit;
    }
    uint32_t shift = shift_of(*text);
    if (text == first || shift == UINT32_MAX || (*text != '\0' && text[1] != '\0') ||
        number > UINT64_MAX >> shift)
        return false;
    *value = number << shift;
    return true;
}

bool number_parse_within(const char *text, uint64_t min, uint64_t max, uint64_t *value) {
    return number_parse(text, value) && *value >= min && *value <= max;
}

bool number_parse_signed(const char *text, int32_t *value) {
    bool is_negative = *text == '-';
    uint64_t number = 0;
    if (*text == '-' || *text == '+')
        text++;
    if (*text == '\0')
        return false;
    for (; digit_of(*text) < 10; text++)
        number = ash_min_u64(number * 10 + digit_of(*text), INT32_MAX);
    *value = is_negative ? -(int32_t)number : (int32_t)number;
    return *text == '\0';
}

/* Durations */

static const struct unit {
    const char *name;
    uint64_t ns;
} units[] = {{"ns", 1}, {"us", 1000}, {"ms", 1000000}, {"s", 1000000000}};

/* 0: there is none of this name. */
static uint64_t unit_of(const char *name) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(units); i++) {
        if (strcmp(units[i].name, name) == 0)
            return units[i].ns;
    }
    return 0;
}

/* The digits at *text as a number; false: there are none, or it does not fit. */
static bool take_digits(const char **text, uint64_t *number) {
    const char *first = *text;
    uint64_t digit;
    *number = 0;
    for (; (digit = digit_of(**text)) < 10; (*text)++) {
        if (*number > (UINT64_MAX - digit) / 10)
            return false;
        *number = *number * 10 + digit;
    }
    return *text != first;
}

enum { FRACTION_MAX = 9 };

bool duration_parse(const char *text, ash_ns_t *duration_ns) {
    uint64_t whole, part = 0, scale = 1;
    if (!take_digits(&text, &whole))
        return false;
    if (*text == '.') {
        const char *first = ++text;
        if (!take_digits(&text, &part) || text - first > FRACTION_MAX)
            return false;
        for (; first != text; first++)
            scale *= 10;
    }
    uint64_t unit = unit_of(text);
    if (unit == 0 || part * unit % scale != 0 || whole > UINT64_MAX / unit)
        return false;
    uint64_t whole_ns = whole * unit, part_ns = part * unit / scale;
    *duration_ns = whole_ns + part_ns;
    return part_ns <= UINT64_MAX - whole_ns;
}

/* Three digits: 1.23, 12.3, 123; no zeros at the end of a fraction. */
static void print_scaled(char text[DURATION_TEXT_BYTES], uint64_t value, const struct unit *unit) {
    uint64_t whole = value / unit->ns, hundredths = value % unit->ns / (unit->ns / 100);
    if (whole >= 100 || (whole >= 10 && hundredths < 10) || hundredths == 0)
        snprintf(text, DURATION_TEXT_BYTES, "%" PRIu64 "%s", whole, unit->name);
    else if (whole >= 10 || hundredths % 10 == 0)
        snprintf(text, DURATION_TEXT_BYTES, "%" PRIu64 ".%" PRIu64 "%s", whole, hundredths / 10,
                 unit->name);
    else
        snprintf(text, DURATION_TEXT_BYTES, "%" PRIu64 ".%02" PRIu64 "%s", whole, hundredths,
                 unit->name);
}

const char *duration_text(char text[DURATION_TEXT_BYTES], ash_ns_t duration_ns) {
    size_t at = ASH_ARRAY_LEN(units) - 1;
    while (at != 0 && duration_ns < units[at].ns)
        at--;
    if (at == 0)
        snprintf(text, DURATION_TEXT_BYTES, "%" PRIu64 "%s", duration_ns,
                 duration_ns == 0 ? "" : "ns");
    else
        print_scaled(text, duration_ns, &units[at]);
    return text;
}
