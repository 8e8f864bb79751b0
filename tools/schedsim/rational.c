/* SPDX-License-Identifier: MIT */
/* rational.c: exact fractions of 64 bits. */
#include <inttypes.h>
#include <stdio.h>

#include "rational.h"

unsigned __int128 rational_gcd(unsigned __int128 a, unsigned __int128 b) {
    while (b != 0) {
        unsigned __int128 rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

bool rational_make(__int128 num, __int128 den, struct rational *made) {
    bool negative = (num < 0) != (den < 0);
    unsigned __int128 n = (unsigned __int128)(num < 0 ? -num : num),
                      d = (unsigned __int128)(den < 0 ? -den : den), common = rational_gcd(n, d);
    n /= common;
    d /= common;
    if (n > INT64_MAX || d > INT64_MAX)
        return false;
    *made = (struct rational){.num = negative ? -(int64_t)n : (int64_t)n, .den = (int64_t)d};
    return true;
}

/* Digits, with a point among them where `point` says so; *scale counts those behind it. */
static const char *digits(const char *at, const char *end, bool point, __int128 *value,
                          int *scale) {
    bool some = false, behind = false;
    *value = 0;
    *scale = 0;
    for (; at != end; at++) {
        if (*at == '.' && point && some && !behind) {
            behind = true;
            some = false;
            continue;
        }
        if (*at < '0' || *at > '9')
            break;
        some = true;
        if (*value > INT64_MAX / 10)
            return NULL;
        *value = *value * 10 + (*at - '0');
        *scale += behind;
    }
    return some ? at : NULL;
}

static bool shifted(__int128 value, int exponent, struct rational *made) {
    __int128 power = 1;
    for (int i = exponent < 0 ? -exponent : exponent; i > 0 && value != 0; i--) {
        power *= 10;
        if (power > INT64_MAX)
            return false;
    }
    return exponent < 0 ? rational_make(value, power, made) : rational_make(value * power, 1, made);
}

static bool exponent_of(const char *at, const char *end, int *exponent) {
    bool negative = false;
    __int128 value;
    int scale;
    if (at != end && (*at == '+' || *at == '-'))
        negative = *at++ == '-';
    if (digits(at, end, false, &value, &scale) != end || value > 1000)
        return false;
    *exponent = negative ? -(int)value : (int)value;
    return true;
}

bool rational_parse(const char *text, size_t len, struct rational *parsed) {
    const char *at = text, *end = text + len;
    __int128 value, den;
    int scale, none, exponent = 0;
    bool negative = at != end && *at == '-';
    at = digits(at + negative, end, true, &value, &scale);
    if (at == NULL)
        return false;
    if (negative)
        value = -value;
    if (at != end && *at == '/')
        return scale == 0 && digits(at + 1, end, false, &den, &none) == end && den != 0 &&
               rational_make(value, den, parsed);
    if (at != end && (*at == 'e' || *at == 'E')) {
        if (!exponent_of(at + 1, end, &exponent))
            return false;
        at = end;
    }
    return at == end && shifted(value, exponent - scale, parsed);
}

int rational_compare(struct rational a, struct rational b) {
    __int128 left = (__int128)a.num * b.den, right = (__int128)b.num * a.den;
    return (left > right) - (left < right);
}

uint64_t rational_lcm(uint64_t a, uint64_t b, uint64_t most) {
    unsigned __int128 product = (unsigned __int128)a * b / rational_gcd(a, b);
    return product > most ? 0 : (uint64_t)product;
}

const char *rational_text(struct rational value, char text[RATIONAL_TEXT_MAX]) {
    if (value.den == 1)
        snprintf(text, RATIONAL_TEXT_MAX, "%" PRId64, value.num);
    else
        snprintf(text, RATIONAL_TEXT_MAX, "%" PRId64 "/%" PRId64, value.num, value.den);
    return text;
}
