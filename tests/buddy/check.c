/* SPDX-License-Identifier: MIT */
/* Cases of ash_buddy_check: seeded corruption, found and named. */
#include "buddy/fixture.h"

#include <ashlar/bits.h>

#define CHECK_BROKEN(buddy, invariant)               \
    do {                                             \
        const char *broken = ash_buddy_check(buddy); \
        CHECK(broken != NULL);                       \
        char number[3] = {broken[0], broken[1], 0};  \
        CHECK_STR_EQ(number, (invariant));           \
    } while (0)

/* Of 1500 frames from 60 on: some blocks allocated, some reserved; the CPU's cache has claims,
 * collected frees and blocks. */
static const uint8_t *scene(struct ash_buddy *buddy, bool hardened) {
    struct ash_buddy_region region = {60, 1500};
    struct ash_buddy_config config = {.regions = &region, .region_count = 1, .hardened = hardened};
    const uint8_t *end = buddy_by(buddy, &config);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 64, 2), 0);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 130, 0), 0);
    CHECK_EQ(ash_buddy_reserve(buddy, 600, 70), 0);
    ash_buddy_free(buddy, 130, 0);
    (void)frame_of(buddy, 0);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 900, 0), 0);
    ash_buddy_free(buddy, 900, 0);
    CHECK_EQ(ash_buddy_alloc_at(buddy, 1280, 5), 0);
    ash_buddy_free(buddy, 1280, 5);
    CHECK(ash_buddy_check(buddy) == NULL);
    return end;
}

TEST_CASE(buddy_check, each_flipped_bit_of_storage_is_found) {
    struct ash_buddy buddy;
    const uint8_t *end = scene(&buddy, true);
    for (uint8_t *byte = (uint8_t *)buddy.words; byte < end; byte++) {
        bool is_span = byte >= (uint8_t *)buddy.spans && byte < buddy.classes;
        bool is_class = byte >= buddy.classes && byte < buddy.classes + buddy.chunk_count;
        bool is_slack = byte >= buddy.state + buddy.chunk_count * 512 ||
                        (byte >= buddy.state && byte < buddy.state + 60) ||
                        (byte >= buddy.state + 1560);
        for (uint32_t bit = 0; bit < 8 && !is_span && !is_slack; bit++) {
            if (is_class && bit == 7 && ((*byte & 15) == 0 || (*byte & 15) == 10))
                continue; /* nothing is free, or all is: no hint yet */
            *byte ^= (uint8_t)(1u << bit);
            if (ash_buddy_check(&buddy) == NULL)
                test_fail(__FILE__, __LINE__, "bit %u of byte %u is not missed", bit,
                          (uint32_t)(byte - (uint8_t *)buddy.words));
            *byte ^= (uint8_t)(1u << bit);
        }
    }
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_check, free_frame_outside_the_regions_is_invariant_1) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    buddy.words[0] |= 1;
    CHECK_BROKEN(&buddy, "I1");
    buddy.words[0] &= ~UINT64_C(1);
    buddy.words[1560 / 64] |= UINT64_C(1) << 1560 % 64;
    CHECK_BROKEN(&buddy, "I1");
}

TEST_CASE(buddy_check, free_block_that_nobody_knows_of_is_invariant_2) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    buddy.orders[2] &= ~(UINT64_C(1) << 6);
    CHECK_BROKEN(&buddy, "I2");
}

TEST_CASE(buddy_check, wrong_class_set_or_summary_is_invariant_3) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    buddy.classes[2]--;
    CHECK_BROKEN(&buddy, "I3");
    buddy.classes[2]++;
    buddy.sets[3] ^= 1;
    CHECK_BROKEN(&buddy, "I3");
    buddy.sets[3] ^= 1;
    buddy.nonempty ^= 1u << 18;
    CHECK_BROKEN(&buddy, "I3");
}

TEST_CASE(buddy_check, claim_and_mark_that_differ_are_invariant_4) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    CHECK(buddy.cpus[0].claim_count[0] != 0);
    uint64_t word = buddy.cpus[0].claims[0][0].word;
    uint64_t mark = UINT64_C(1) << (56 + word % 8);
    buddy.orders[word / 8] ^= mark;
    CHECK_BROKEN(&buddy, "I4");
    buddy.orders[word / 8] ^= mark;
    buddy.orders[3] |= UINT64_C(1) << 63; /* a word that nobody claims */
    CHECK_BROKEN(&buddy, "I4");
}

TEST_CASE(buddy_check, stack_of_what_are_no_blocks_is_invariant_5) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    struct ash_buddy_stack *stack = &buddy.cpus[0].stacks[5];
    CHECK_EQ(stack->count, 1);
    CHECK(stack->blocks[0] == 1280);
    static const uint64_t nowhere[] = {1281, 1296, 32, 1536, UINT64_C(1) << 40, UINT64_MAX - 31};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(nowhere); i++) {
        stack->blocks[0] = nowhere[i];
        CHECK_BROKEN(&buddy, "I5");
    }
    stack->blocks[0] = 1280;
    stack->count = 0; /* the block is behind the count */
    CHECK_BROKEN(&buddy, "I5");
    stack->count = ASH_BUDDY__STACK_MAX + 1;
    CHECK_BROKEN(&buddy, "I5");
    stack->count = 1;
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_check, frame_in_two_places_is_invariant_6) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    struct ash_buddy_cpu *cpu = &buddy.cpus[0], *other = &buddy.cpus[3];
    CHECK_EQ(cpu->freed_count, 1);
    other->freed[0] = cpu->freed[0];
    other->freed_count = 1;
    CHECK_BROKEN(&buddy, "I6");
    other->freed_count = 0;
    other->claim[0].hot = 900; /* it is among those */
    CHECK_BROKEN(&buddy, "I6");
    other->claim[0].hot = 910; /* free in the map */
    CHECK_BROKEN(&buddy, "I6");
    other->claim[0].hot = 1560; /* behind the last frame */
    CHECK_BROKEN(&buddy, "I6");
    other->claim[0].hot = UINT64_MAX;
    CHECK(cpu->claim[0].held != 0);
    other->claim[1].hot = cpu->claim[0].first + ash_ctz64(cpu->claim[0].held);
    CHECK_BROKEN(&buddy, "I6");
    other->claim[1].hot = UINT64_MAX;
    CHECK(ash_buddy_check(&buddy) == NULL);
    cpu->freed[0].bits |= cpu->freed[0].bits << 1; /* and its neighbour, free in the map */
    CHECK_BROKEN(&buddy, "I6");
}

TEST_CASE(buddy_check, block_in_two_places_is_invariant_6) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    buddy.cpus[3].stacks[5] = buddy.cpus[0].stacks[5];
    buddy.cpus[3].stacked_pages = 32;
    CHECK_BROKEN(&buddy, "I6");
    buddy.cpus[3].stacks[5].blocks[0] = 1312; /* free in the map */
    CHECK_BROKEN(&buddy, "I6");
    buddy.cpus[3].stacks[5] = buddy.cpus[3].stacks[6];
    buddy.cpus[3].stacks[4].blocks[0] = 1296; /* the second half of the block */
    buddy.cpus[3].stacks[4].count = 1;
    buddy.cpus[3].stacked_pages = 16;
    CHECK_BROKEN(&buddy, "I6");
    buddy.cpus[3].stacks[4] = buddy.cpus[3].stacks[6];
    buddy.cpus[3].stacked_pages = 0;
    CHECK(ash_buddy_check(&buddy) == NULL);
}

TEST_CASE(buddy_check, wrong_page_counts_are_invariant_7) {
    struct ash_buddy buddy;
    scene(&buddy, false);
    buddy.map_pages++;
    CHECK_BROKEN(&buddy, "I7");
    buddy.map_pages--;
    buddy.claimed_pages++;
    CHECK_BROKEN(&buddy, "I7");
    buddy.claimed_pages--;
    buddy.cpus[0].stacked_pages++;
    CHECK_BROKEN(&buddy, "I7");
    buddy.cpus[0].stacked_pages--;
    buddy.reserved_pages += 1000;
    buddy.reserved_pages += 500;
    CHECK_BROKEN(&buddy, "I7");
}

TEST_CASE(buddy_check, impossible_state_bytes_are_invariant_8) {
    struct ash_buddy buddy;
    scene(&buddy, true);
    CHECK_EQ(buddy.state[64], 3);
    static const uint8_t wrong[] = {0, 1, 4, 12, 19, 20, 31, 255};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        buddy.state[64] = wrong[i];
        CHECK_BROKEN(&buddy, "I8");
    }
    buddy.state[64] = 3;
    buddy.state[66] = 1; /* inside */
    CHECK_BROKEN(&buddy, "I8");
    buddy.state[66] = 0;
    buddy.state[1200] = 1; /* free */
    CHECK_BROKEN(&buddy, "I8");
    buddy.state[1200] = 0;
    buddy.state[600] = 0; /* reserved */
    CHECK_BROKEN(&buddy, "I8");
}
