/* SPDX-License-Identifier: MIT */
/*
 * choices.h: what a random run decides by: the bytes of a fuzzer's input, or a seed. One body
 * serves both; with bytes it ends when they do, with a seed after a number of steps.
 */
#ifndef ASHLAR_TEST_CHOICES_H
#define ASHLAR_TEST_CHOICES_H

#include "harness/test.h"

struct choices {
    const uint8_t *next, *end; /* NULL: by `random` */
    struct test_random random;
    uint32_t steps; /* left, by `random` */
};

static inline struct choices choices_of_bytes(const uint8_t *bytes, size_t len) {
    static const uint8_t none[1];
    const uint8_t *first = len == 0 ? none : bytes;
    return (struct choices){.next = first, .end = first + len};
}

static inline struct choices choices_of_seed(uint64_t seed, uint32_t steps) {
    return (struct choices){.random = test_random_from(seed), .steps = steps};
}

/* 0..limit-1; limit is 1..65536. Bytes that have run out choose 0. */
static inline uint32_t choose(struct choices *choices, uint32_t limit) {
    if (choices->next == NULL)
        return (uint32_t)((test_random_u64(&choices->random) >> 32) * limit >> 32);
    uint32_t value = 0;
    for (uint32_t range = 1; range < limit && choices->next < choices->end; range <<= 8)
        value = value << 8 | *choices->next++;
    return value % limit;
}

/* One of `percent` in 100. */
static inline bool choose_chance(struct choices *choices, uint32_t percent) {
    return choose(choices, 100) < percent;
}

/* To be asked before each step. */
static inline bool choices_go_on(struct choices *choices) {
    if (choices->next != NULL)
        return choices->next < choices->end;
    return choices->steps != 0 && choices->steps-- != 0;
}

/* The bodies, each over a machine of its own that it makes and takes apart. */
void fuzz_buddy(struct choices *choices);
void fuzz_slab(struct choices *choices);
void fuzz_heap(struct choices *choices);
void fuzz_device(struct choices *choices);    /* the host's */
void fuzz_prof_file(struct choices *choices); /* the host's */
void fuzz_virtio_blk(struct choices *choices);
void fuzz_vm(struct choices *choices);
void fuzz_virtq(struct choices *choices);
void fuzz_cache(struct choices *choices);
void fuzz_sched_queue(struct choices *choices);
void fuzz_elf(struct choices *choices);
void fuzz_cfi(struct choices *choices);

/* The one of virtio_blk; how often the device did something. */
uint64_t fuzz_virtio_blk_acts(struct choices *choices);

#endif
