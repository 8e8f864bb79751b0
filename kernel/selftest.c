/* SPDX-License-Identifier: MIT */
/* selftest.c: see selftest.h. */
#include "console.h"
#include "selftest.h"

#include <ashlar/error.h>
#include <string.h>

#include "harness/tap.h"
#include "harness/test_case.h"

extern const size_t test_case_expected; /* generated from the sources */

enum { WORDS_BYTES = 512 };

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
        kernel_print("test: more than %zu characters of arguments\n", size - 1);
        return false;
    }
    size_t used = 0;
    for (size_t len; *words != '\0'; words += len + (words[len] == ' ')) {
        len = strcspn(words, " ");
        if (len > 5 && memcmp(words, "seed=", 5) == 0) {
            uint64_t seed;
            if (!read_number(words + 5, &seed)) {
                kernel_print("test: %.*s: the seed is a decimal number\n", (int)len, words);
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

int selftest_run(const char *words, void *arena) {
    char select[WORDS_BYTES];
    if (test_case_count() != test_case_expected) {
        kernel_print("test: %zu cases linked in, %zu in the sources: %s\n", test_case_count(),
                     test_case_expected,
                     test_case_count() < test_case_expected
                         ? "the linker dropped some"
                         : "a source changed while it was built; build again");
        return -ASH_EINVAL;
    }
    if (!take_seed(words, select, sizeof(select)))
        return -ASH_EINVAL;
    test_set_arena(arena, SELFTEST_ARENA_BYTES);
    return (int)tap_run(select, kernel_print).failed;
}
