/* SPDX-License-Identifier: MIT */
/* Cases of the platform's own memcpy, memmove and memset, against loops over bytes. Called through
 * pointers, so that the compiler does not know them. */
#include "harness/test.h"

enum { AREA = 160, PLACES = 17, LEN_MAX = 80 };

static void *(*volatile copy)(void *, const void *, size_t) = memcpy;
static void *(*volatile move)(void *, const void *, size_t) = memmove;
static void *(*volatile fill)(void *, int, size_t) = memset;

static void number(unsigned char *area) {
    for (uint32_t i = 0; i < AREA; i++)
        area[i] = (unsigned char)(i + 1);
}

static void check_same(const unsigned char *area, const unsigned char *expected, size_t to,
                       size_t from, size_t len) {
    for (uint32_t i = 0; i < AREA; i++) {
        if (area[i] != expected[i])
            test_fail(__FILE__, __LINE__, "byte %u is %u, not %u: to %zu, from %zu, %zu bytes", i,
                      area[i], expected[i], to, from, len);
    }
}

/* Every place to copy to and from, every length. before: what source holds until the copy. */
static void check_copies(void *(*copy_bytes)(void *, const void *, size_t), unsigned char *area,
                         const unsigned char *source, const unsigned char *before) {
    unsigned char *expected = test_alloc(AREA, 16);
    for (size_t to = 0; to < PLACES; to++) {
        for (size_t from = 0; from < PLACES; from++) {
            for (size_t len = 0; len <= LEN_MAX; len++) {
                number(area);
                number(expected);
                for (size_t i = 0; i < len; i++)
                    expected[to + i] = before[from + i];
                CHECK(copy_bytes(area + to, source + from, len) == area + to);
                check_same(area, expected, to, from, len);
            }
        }
    }
}

TEST_CASE(string, memmove_takes_every_alignment_length_and_overlap) {
    unsigned char *area = test_alloc(AREA, 16), *before = test_alloc(AREA, 16);
    number(before);
    check_copies(move, area, area, before);
}

TEST_CASE(string, memcpy_takes_every_alignment_and_length) {
    unsigned char *area = test_alloc(AREA, 16), *source = test_alloc(AREA, 16);
    for (uint32_t i = 0; i < AREA; i++)
        source[i] = (unsigned char)(200 - i);
    check_copies(copy, area, source, source);
}

TEST_CASE(string, memset_takes_every_alignment_and_length) {
    unsigned char *area = test_alloc(AREA, 16), *expected = test_alloc(AREA, 16);
    for (size_t to = 0; to < PLACES; to++) {
        for (size_t len = 0; len <= LEN_MAX; len++) {
            number(area);
            number(expected);
            for (size_t i = 0; i < len; i++)
                expected[to + i] = 0xa5;
            CHECK(fill(area + to, 0x7a5, len) == area + to);
            check_same(area, expected, to, 0, len);
        }
    }
}
