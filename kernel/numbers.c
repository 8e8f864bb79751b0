/* SPDX-License-Identifier: MIT */
/* numbers.c: see numbers.h. */
#include "numbers.h"

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
