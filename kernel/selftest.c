/* SPDX-License-Identifier: MIT */
/* selftest.c: see selftest.h. */
#include "kernel/selftest.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "harness/tap.h"
#include "harness/test_case.h"
#include "platform.h"

extern const size_t test_case_expected; /* generated from the sources */

enum { ARENA_BYTES = 32 << 20, RANGES_MAX = 16, WORDS_BYTES = 512 };

static void print(const char *format, ...) {
    char text[640];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    platform_console_write(text, strlen(text));
}

/* Gives the end of the first range that is large enough to test_alloc, on 2 MiB. */
static bool set_arena(void) {
    const uint64_t align = 2 << 20;
    struct platform_range ranges[RANGES_MAX];
    uint64_t largest = 0;
    uint32_t count = platform_memory(ranges, RANGES_MAX);
    for (uint32_t i = 0; i < count; i++) {
        uint64_t base = ash_align_up(ranges[i].base, align);
        uint64_t end = ash_align_down(ranges[i].base + ranges[i].size_bytes, align);
        if (base < end && end - base >= ARENA_BYTES) {
            test_set_arena(platform_pointer(end - ARENA_BYTES), ARENA_BYTES);
            return true;
        }
        largest = ash_max_u64(largest, base < end ? end - base : 0);
    }
    print("test: the cases need %d MiB in one piece, this machine has %llu: start it with more\n",
          ARENA_BYTES >> 20, (unsigned long long)(largest >> 20));
    return false;
}

/* Decimal digits up to the end of the word; false for anything else. */
static bool read_number(const char *text, uint64_t *number) {
    *number = 0;
    if (*text < '0' || *text > '9')
        return false;
    for (; *text >= '0' && *text <= '9'; text++) {
        if (__builtin_mul_overflow(*number, 10u, number) ||
            __builtin_add_overflow(*number, (uint64_t)(*text - '0'), number))
            return false;
    }
    return *text == '\0' || *text == ' ';
}

/* Copies the words without seed=N, and sets the seed. */
static bool take_seed(const char *words, char *select, size_t size) {
    if (strlen(words) >= size) {
        print("test: more than %zu characters of arguments\n", size - 1);
        return false;
    }
    size_t used = 0;
    for (size_t len; *words != '\0'; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        if (len > 5 && memcmp(words, "seed=", 5) == 0) {
            uint64_t seed;
            if (!read_number(words + 5, &seed)) {
                print("test: %.*s: the seed is a decimal number\n", (int)len, words);
                return false;
            }
            test_set_seed(seed);
        } else if (len != 0) {
            memcpy(select + used, words, len);
            select[used + len] = ' ';
            used += len + 1;
        }
    }
    select[used == 0 ? 0 : used - 1] = '\0';
    return true;
}

int selftest_run(const char *words) {
    char select[WORDS_BYTES];
    if (test_case_count() != test_case_expected) {
        print("test: %zu cases linked in, %zu in the sources: the linker dropped some\n",
              test_case_count(), test_case_expected);
        return 1;
    }
    if (!take_seed(words, select, sizeof(select)) || !set_arena())
        return 1;
    (void)tap_run(select, print);
    return 0;
}
