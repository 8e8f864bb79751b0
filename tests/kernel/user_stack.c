/* SPDX-License-Identifier: MIT */
/* The stack that a program begins with, read as a C library reads it. */
#include "harness/test.h"

#include "kernel/user_stack.h"

#include <ashlar/error.h>

#define TOP UINT64_C(0x7ffffffff000)

static const struct user_stack_facts facts = {.headers = 0x400040,
                                              .header_bytes = 56,
                                              .header_count = 6,
                                              .entry = 0x400580,
                                              .hwcap = 0xff,
                                              .hwcap2 = 2,
                                              .signal_stack_bytes = 4720,
                                              .clock_ticks_per_second = 100,
                                              .random = "0123456789abcde"};

/* A finished stack, as bytes at addresses. */
struct view {
    const uint8_t *bytes;
    uint64_t sp, at;
    size_t len;
};

static uint64_t next_word(struct view *view) {
    uint64_t word = 0;
    CHECK(view->at >= view->sp && view->at - view->sp <= view->len - 8);
    memcpy(&word, view->bytes + (view->at - view->sp), 8);
    view->at += 8;
    return word;
}

static const char *text_at(const struct view *view, uint64_t address) {
    CHECK(address >= view->sp && address - view->sp < view->len);
    const uint8_t *text = view->bytes + (address - view->sp);
    CHECK(memchr(text, '\0', view->len - (address - view->sp)) != NULL);
    return (const char *)text;
}

static struct view finish(struct user_stack *stack, const struct user_stack_facts *told,
                          uint64_t top) {
    struct view view;
    view.sp = user_stack_finish(stack, told, top, &view.bytes, &view.len);
    view.at = view.sp;
    CHECK_EQ(view.sp % 16, 0);
    CHECK_EQ(view.sp + view.len, top);
    CHECK(view.bytes >= stack->buffer);
    CHECK(view.bytes + view.len <= stack->buffer + stack->buffer_bytes);
    return view;
}

/* The value of an entry of the auxiliary vector, which must be there once; the cursor stays. */
static uint64_t aux_value(struct view view, uint64_t kind, bool is_there) {
    uint64_t value = 0, found = 0;
    for (;;) {
        uint64_t at = next_word(&view), what = next_word(&view);
        if (at == kind) {
            value = what;
            found++;
        }
        if (at == 0)
            break;
    }
    CHECK_EQ(found, is_there ? 1 : 0);
    return value;
}

TEST_CASE(user_stack, has_arguments_environment_and_the_auxiliary_vector) {
    struct user_stack stack;
    uint8_t *buffer = test_alloc(4096, 16);
    CHECK_EQ(user_stack_begin(&stack, buffer, 4096, "/bin/sort"), 0);
    CHECK_EQ(user_stack_push(&stack, "sort"), 0);
    CHECK_EQ(user_stack_push(&stack, "-n"), 0);
    CHECK_EQ(user_stack_push(&stack, ""), 0);
    user_stack_end_arguments(&stack);
    CHECK_EQ(user_stack_push(&stack, "HOME=/"), 0);
    struct view view = finish(&stack, &facts, TOP);
    CHECK_EQ(next_word(&view), 3);
    CHECK_STR_EQ(text_at(&view, next_word(&view)), "sort");
    CHECK_STR_EQ(text_at(&view, next_word(&view)), "-n");
    CHECK_STR_EQ(text_at(&view, next_word(&view)), "");
    CHECK_EQ(next_word(&view), 0);
    CHECK_STR_EQ(text_at(&view, next_word(&view)), "HOME=/");
    CHECK_EQ(next_word(&view), 0);
    CHECK_EQ(aux_value(view, 3, true), 0x400040);
    CHECK_EQ(aux_value(view, 4, true), 56);
    CHECK_EQ(aux_value(view, 5, true), 6);
    CHECK_EQ(aux_value(view, 6, true), 4096);
    CHECK_EQ(aux_value(view, 7, true), 0);
    CHECK_EQ(aux_value(view, 9, true), 0x400580);
    CHECK_EQ(aux_value(view, 11, true), 0);
    CHECK_EQ(aux_value(view, 16, true), 0xff);
    CHECK_EQ(aux_value(view, 17, true), 100);
    CHECK_EQ(aux_value(view, 23, true), 0);
    CHECK_EQ(aux_value(view, 26, true), 2);
    CHECK_EQ(aux_value(view, 51, true), 4720);
    CHECK_STR_EQ(text_at(&view, aux_value(view, 15, true)), "aarch64");
    CHECK_STR_EQ(text_at(&view, aux_value(view, 31, true)), "/bin/sort");
    CHECK_MEM_EQ(text_at(&view, aux_value(view, 25, true)), facts.random, 16);
    aux_value(view, 33, false); /* AT_SYSINFO_EHDR: there is no vDSO */
}

TEST_CASE(user_stack, says_nothing_of_program_headers_that_are_not_in_memory) {
    struct user_stack stack;
    struct user_stack_facts none = facts;
    uint8_t *buffer = test_alloc(4096, 16);
    none.headers = 0;
    CHECK_EQ(user_stack_begin(&stack, buffer, 4096, "x"), 0);
    struct view view = finish(&stack, &none, TOP);
    CHECK_EQ(next_word(&view), 0);
    CHECK_EQ(next_word(&view), 0);
    CHECK_EQ(next_word(&view), 0);
    for (uint64_t kind = 3; kind <= 5; kind++)
        aux_value(view, kind, false);
    CHECK_EQ(aux_value(view, 9, true), 0x400580);
}

TEST_CASE(user_stack, ends_in_eight_zeros) {
    struct user_stack stack;
    uint8_t *buffer = test_alloc(1024, 16);
    memset(buffer, 0xff, 1024);
    CHECK_EQ(user_stack_begin(&stack, buffer, 1024, "path"), 0);
    struct view view = finish(&stack, &facts, TOP);
    CHECK_MEM_EQ(view.bytes + view.len - 13, "path\0\0\0\0\0\0\0\0\0", 13);
}

TEST_CASE(user_stack, refuses_a_path_that_is_too_long_for_the_buffer) {
    struct user_stack stack;
    uint8_t *buffer = test_alloc(512, 16);
    CHECK_EQ(user_stack_begin(&stack, buffer, 0, ""), -ASH_E2BIG);
    CHECK_EQ(user_stack_begin(&stack, buffer, 300, "x"), -ASH_E2BIG);
    size_t len_max = 0, bytes = 300;
    while (user_stack_begin(&stack, buffer, bytes, "x") != 0)
        bytes++;
    CHECK(bytes < 512);
    CHECK(user_stack_room(&stack, &len_max) == NULL);
    CHECK_EQ(user_stack_push(&stack, ""), -ASH_E2BIG);
    finish(&stack, &facts, TOP);
}

TEST_CASE(user_stack, refuses_the_string_that_does_not_fit_and_goes_on) {
    for (size_t bytes = 400; bytes < 600; bytes++) {
        struct user_stack stack;
        uint8_t *buffer = test_alloc(bytes, 1);
        size_t len_max = 0;
        CHECK_EQ(user_stack_begin(&stack, buffer, bytes, "p"), 0);
        uint32_t count = 0;
        while (user_stack_push(&stack, "abcdefghi") == 0)
            count++;
        CHECK_EQ(user_stack_push(&stack, "abcdefghi"), -ASH_E2BIG);
        if (user_stack_room(&stack, &len_max) != NULL) { /* one of just that length fits */
            CHECK(len_max < 9);
            CHECK_EQ(user_stack_push(&stack, &"123456789"[9 - len_max]), 0);
            CHECK(user_stack_room(&stack, &len_max) == NULL || len_max == 0);
            count++;
        }
        struct view view = finish(&stack, &facts, TOP);
        CHECK(bytes - view.len < 16 + 9); /* no room: for a pointer and a NUL, after a gap */
        CHECK_EQ(next_word(&view), count);
    }
}

TEST_CASE(user_stack, keeps_every_string_of_a_random_list) {
    enum { BYTES = 3000, STRINGS_MAX = 400 };
    struct test_random random = test_random_from(test_seed());
    uint8_t *buffer = test_alloc(BYTES, 1), *strings = test_alloc(BYTES, 1);
    for (uint32_t round = 0; round < 200; round++) {
        struct user_stack stack;
        uint32_t counts[2] = {0, 0}, used = 0;
        uint64_t top = ash_align_down(test_random_u64(&random) >> 17, 16) + BYTES * 16;
        uint64_t longest = 1 + test_random_below(&random, 60);
        CHECK_EQ(user_stack_begin(&stack, buffer, 500 + test_random_below(&random, 2500), "p"), 0);
        for (uint32_t list = 0; list < 2; list++) {
            size_t room_len, len = test_random_below(&random, longest);
            char *room;
            while ((room = user_stack_room(&stack, &room_len)) != NULL && len <= room_len &&
                   counts[list] < STRINGS_MAX && !test_random_chance(&random, 2)) {
                for (size_t i = 0; i < len; i++)
                    room[i] = (char)(1 + test_random_below(&random, 255));
                memcpy(strings + used, room, len);
                strings[used + len] = '\0';
                used += (uint32_t)len + 1;
                user_stack_add(&stack, len);
                counts[list]++;
                len = test_random_below(&random, longest);
            }
            if (list == 0)
                user_stack_end_arguments(&stack);
        }
        struct view view = finish(&stack, &facts, top);
        CHECK_EQ(next_word(&view), counts[0]);
        used = 0;
        for (uint32_t list = 0; list < 2; list++) {
            for (uint32_t i = 0; i < counts[list]; i++) {
                CHECK_STR_EQ(text_at(&view, next_word(&view)), (const char *)strings + used);
                used += (uint32_t)strlen((const char *)strings + used) + 1;
            }
            CHECK_EQ(next_word(&view), 0);
        }
        CHECK_STR_EQ(text_at(&view, aux_value(view, 31, true)), "p");
        CHECK_MEM_EQ(text_at(&view, aux_value(view, 25, true)), facts.random, 16);
    }
}

TEST_CASE(user_stack, panics_of_wrong_calls) {
    struct user_stack stack;
    char *buffer = test_alloc(512, 16);
    const uint8_t *image;
    size_t len;
    CHECK_EQ(user_stack_begin(&stack, buffer, 512, "p"), 0);
    CHECK_PANICS(user_stack_add(&stack, 512), "a string of 512 bytes is added");
    memcpy(buffer, "a\0b", 3);
    CHECK_PANICS(user_stack_add(&stack, 3), "has a NUL inside");
    CHECK_PANICS(user_stack_finish(&stack, &facts, TOP + 8, &image, &len), "no multiple of 16");
}
