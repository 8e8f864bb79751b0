/* SPDX-License-Identifier: MIT */
/*
 * driver.c: a body of choices.h under libFuzzer: each input is a case of the harness; one that
 * fails, or panics where none is expected, is a crash. FUZZ_BODY is the body's name.
 */
#include "choices.h"

#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BYTES = 8 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len);

static struct choices input;

static void run_input(void) {
    FUZZ_BODY(&input);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t len) {
    static const struct test_case body = {"fuzz", "input", __FILE__, __LINE__, run_input};
    static void *arena;
    if (arena == NULL) {
        arena = aligned_alloc(2 << 20, ARENA_BYTES);
        test_set_arena(arena, ARENA_BYTES);
    }
    struct test_result result;
    input = choices_of_bytes(bytes, len);
    test_run_case(&body, &result);
    if (result.verdict == TEST_FAILED) {
        fprintf(stderr, "%s:%d: %s\n", result.file, result.line, result.message);
        abort();
    }
    return 0;
}
