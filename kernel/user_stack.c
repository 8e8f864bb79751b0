/* SPDX-License-Identifier: MIT */
/* user_stack.c: see user_stack.h. */
#include "user_stack.h"

#include <ashlar/check.h>
#include <ashlar/error.h>

#include <string.h>

enum {
    AT_NULL = 0,
    AT_PHDR = 3,
    AT_PHENT = 4,
    AT_PHNUM = 5,
    AT_PAGESZ = 6,
    AT_BASE = 7,
    AT_FLAGS = 8,
    AT_ENTRY = 9,
    AT_UID = 11,
    AT_EUID = 12,
    AT_GID = 13,
    AT_EGID = 14,
    AT_PLATFORM = 15,
    AT_HWCAP = 16,
    AT_CLKTCK = 17,
    AT_SECURE = 23,
    AT_RANDOM = 25,
    AT_HWCAP2 = 26,
    AT_EXECFN = 31,
    AT_MINSIGSTKSZ = 51,

    USER_PAGE_BYTES = 4096,
    POINTER_BYTES = 8,
    ZEROS_BYTES = 8, /* behind the last string, as Linux has them */
    STACK_ALIGNMENT = 16,
    AUX_COUNT = 20,
};

static const char platform_name[] = "aarch64";

/* What a stack takes, besides strings and the pointers to them. */
static size_t fixed_bytes(const char *path) {
    return ZEROS_BYTES + strlen(path) + 1 + sizeof(platform_name) + USER_STACK_RANDOM_BYTES +
           STACK_ALIGNMENT - 1 + 2 * POINTER_BYTES * AUX_COUNT +
           3 * POINTER_BYTES; /* two ends of lists, and the count */
}

static size_t string_count(const struct user_stack *stack) {
    return (size_t)stack->argument_count + stack->environment_count;
}

int user_stack_begin(struct user_stack *stack, void *buffer, size_t buffer_bytes,
                     const char *path) {
    *stack = (struct user_stack){.buffer = buffer, .buffer_bytes = buffer_bytes, .path = path};
    return fixed_bytes(path) <= buffer_bytes ? 0 : -ASH_E2BIG;
}

char *user_stack_room(const struct user_stack *stack, size_t *len_max) {
    size_t taken = fixed_bytes(stack->path) + stack->used_bytes +
                   POINTER_BYTES * (string_count(stack) + 1) + 1;
    if (taken > stack->buffer_bytes)
        return NULL;
    *len_max = stack->buffer_bytes - taken;
    return (char *)stack->buffer + stack->used_bytes;
}

void user_stack_add(struct user_stack *stack, size_t len) {
    size_t len_max = 0;
    char *room = user_stack_room(stack, &len_max);
    ASH_REQUIRE(room != NULL && len <= len_max, "a string of %zu bytes is added, %zu fit", len,
                len_max);
    ASH_REQUIRE(memchr(room, '\0', len) == NULL, "a string of %zu bytes has a NUL inside", len);
    room[len] = '\0';
    stack->used_bytes += len + 1;
    if (stack->in_environment)
        stack->environment_count++;
    else
        stack->argument_count++;
}

int user_stack_push(struct user_stack *stack, const char *string) {
    size_t len = strlen(string), len_max;
    char *room = user_stack_room(stack, &len_max);
    if (room == NULL || len > len_max)
        return -ASH_E2BIG;
    memcpy(room, string, len);
    user_stack_add(stack, len);
    return 0;
}

void user_stack_end_arguments(struct user_stack *stack) {
    stack->in_environment = true;
}

/* The image while it is filled: from the top down, then from sp up. */
struct image {
    uint8_t *end; /* of the buffer: it stands for `top` */
    uint64_t top, at;
};

static uint8_t *place(const struct image *image, uint64_t address) {
    return image->end - (image->top - address);
}

static uint64_t put_above(struct image *image, const void *bytes, size_t len) {
    image->at -= len;
    memmove(place(image, image->at), bytes, len);
    return image->at;
}

static void put_word(struct image *image, uint64_t word) {
    memcpy(place(image, image->at), &word, sizeof(word));
    image->at += sizeof(word);
}

/* Pointers to `count` strings from *string on, which moves behind them, and the end of the list. */
static void put_pointers(struct image *image, uint64_t *string, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        put_word(image, *string);
        *string += strlen((const char *)place(image, *string)) + 1;
    }
    put_word(image, 0);
}

static uint32_t make_aux(uint64_t aux[AUX_COUNT][2], const struct user_stack_facts *facts,
                         uint64_t random, uint64_t platform, uint64_t path) {
    uint32_t count = 0;
    const uint64_t all[][2] = {
        {AT_MINSIGSTKSZ, facts->signal_stack_bytes},
        {AT_HWCAP, facts->hwcap},
        {AT_PAGESZ, USER_PAGE_BYTES},
        {AT_CLKTCK, facts->clock_ticks_per_second},
        {AT_PHDR, facts->headers},
        {AT_PHENT, facts->header_bytes},
        {AT_PHNUM, facts->header_count},
        {AT_BASE, 0}, /* there is no dynamic linker */
        {AT_FLAGS, 0},
        {AT_ENTRY, facts->entry},
        {AT_UID, 0},
        {AT_EUID, 0},
        {AT_GID, 0},
        {AT_EGID, 0},
        {AT_SECURE, 0},
        {AT_RANDOM, random},
        {AT_HWCAP2, facts->hwcap2},
        {AT_EXECFN, path},
        {AT_PLATFORM, platform},
        {AT_NULL, 0},
    };
    _Static_assert(ASH_ARRAY_LEN(all) == AUX_COUNT, "fixed_bytes counts them");
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(all); i++) {
        bool is_of_headers = all[i][0] >= AT_PHDR && all[i][0] <= AT_PHNUM;
        if (is_of_headers && facts->headers == 0)
            continue;
        memcpy(aux[count++], all[i], sizeof(all[i]));
    }
    return count;
}

uint64_t user_stack_finish(struct user_stack *stack, const struct user_stack_facts *facts,
                           uint64_t top, const uint8_t **bytes, size_t *len) {
    static const uint8_t zeros[ZEROS_BYTES];
    struct image image = {.end = stack->buffer + stack->buffer_bytes, .top = top, .at = top};
    uint64_t aux[AUX_COUNT][2];
    ASH_REQUIRE(ash_is_aligned(top, STACK_ALIGNMENT), "a stack ends at %#llx, no multiple of 16",
                (unsigned long long)top);
    /* The strings are moved first: what goes above them may lie where they are. */
    uint64_t strings = top - ZEROS_BYTES - (strlen(stack->path) + 1) - sizeof(platform_name) -
                       USER_STACK_RANDOM_BYTES - stack->used_bytes;
    memmove(place(&image, strings), stack->buffer, stack->used_bytes);
    put_above(&image, zeros, sizeof(zeros));
    uint64_t path = put_above(&image, stack->path, strlen(stack->path) + 1);
    uint64_t platform = put_above(&image, platform_name, sizeof(platform_name));
    uint64_t random = put_above(&image, facts->random, sizeof(facts->random));
    uint32_t aux_count = make_aux(aux, facts, random, platform, path);
    size_t words = 3 + string_count(stack) + 2 * (size_t)aux_count;
    uint64_t sp = ash_align_down(strings - words * POINTER_BYTES, STACK_ALIGNMENT);

    image.at = sp;
    memset(place(&image, sp), 0, strings - sp);
    put_word(&image, stack->argument_count);
    put_pointers(&image, &strings, stack->argument_count);
    put_pointers(&image, &strings, stack->environment_count);
    for (uint32_t i = 0; i < aux_count; i++) {
        put_word(&image, aux[i][0]);
        put_word(&image, aux[i][1]);
    }
    *bytes = place(&image, sp);
    *len = top - sp;
    return sp;
}
