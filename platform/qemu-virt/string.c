/* SPDX-License-Identifier: MIT */
/*
 * string.c: memcpy, memmove and memset in words: picolibc's, of those without SIMD registers, go
 * byte by byte, five instructions each. Every access is aligned, as it must be while the MMU is
 * off (Arm ARM B2.5.2): what is aligned differently goes by bytes here too.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t __attribute__((may_alias)) word;

enum { WORD = sizeof(word), UNROLLED = 4 };

/* Keeps the compiler from seeing a loop that copies or fills: it would make a call of the very
 * function that the loop is in. */
#define OPAQUE(value) __asm__("" : "+r"(value))

/* Can both be at a word's start at once, and is it worth while? */
static int in_words(const void *to, const void *from, size_t len) {
    return (((uintptr_t)to ^ (uintptr_t)from) & (WORD - 1)) == 0 && len >= 2 * WORD;
}

static void bytes_up(unsigned char *to, const unsigned char *from, size_t len) {
    for (; len != 0; len--) {
        unsigned char byte = *from++;
        OPAQUE(byte);
        *to++ = byte;
    }
}

static void bytes_down(unsigned char *to_end, const unsigned char *from_end, size_t len) {
    for (; len != 0; len--) {
        unsigned char byte = *--from_end;
        OPAQUE(byte);
        *--to_end = byte;
    }
}

static void words_up(word *to, const word *from, size_t count) {
    for (; count >= UNROLLED; count -= UNROLLED, to += UNROLLED, from += UNROLLED) {
        word a = from[0], b = from[1], c = from[2], d = from[3];
        OPAQUE(a);
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
    }
    for (; count != 0; count--) {
        word a = *from++;
        OPAQUE(a);
        *to++ = a;
    }
}

static void words_down(word *to_end, const word *from_end, size_t count) {
    for (; count != 0; count--) {
        word a = *--from_end;
        OPAQUE(a);
        *--to_end = a;
    }
}

static void copy_up(unsigned char *to, const unsigned char *from, size_t len) {
    if (in_words(to, from, len)) {
        size_t head = -(uintptr_t)to & (WORD - 1), count = (len - head) / WORD;
        bytes_up(to, from, head);
        words_up((word *)(void *)(to + head), (const word *)(const void *)(from + head), count);
        to += head + count * WORD;
        from += head + count * WORD;
        len -= head + count * WORD;
    }
    bytes_up(to, from, len);
}

static void copy_down(unsigned char *to_end, const unsigned char *from_end, size_t len) {
    if (in_words(to_end, from_end, len)) {
        size_t tail = (uintptr_t)to_end & (WORD - 1), count = (len - tail) / WORD;
        bytes_down(to_end, from_end, tail);
        to_end -= tail;
        from_end -= tail;
        words_down((word *)(void *)to_end, (const word *)(const void *)from_end, count);
        to_end -= count * WORD;
        from_end -= count * WORD;
        len -= tail + count * WORD;
    }
    bytes_down(to_end, from_end, len);
}

void *memcpy(void *restrict to, const void *restrict from, size_t len) {
    copy_up(to, from, len);
    return to;
}

void *memmove(void *to, const void *from, size_t len) {
    /* Upwards unless the start of `to` lies in `from`. */
    if ((uintptr_t)to - (uintptr_t)from >= len)
        copy_up(to, from, len);
    else
        copy_down((unsigned char *)to + len, (const unsigned char *)from + len, len);
    return to;
}

void *memset(void *to, int value, size_t len) {
    unsigned char *at = to, *end = at + len;
    word pattern = (unsigned char)value * UINT64_C(0x0101010101010101);
    for (; at != end && ((uintptr_t)at & (WORD - 1)) != 0; at++) {
        OPAQUE(pattern);
        *at = (unsigned char)pattern;
    }
    for (; (size_t)(end - at) >= WORD; at += WORD) {
        OPAQUE(pattern);
        *(word *)(void *)at = pattern;
    }
    for (; at != end; at++) {
        OPAQUE(pattern);
        *at = (unsigned char)pattern;
    }
    return to;
}
