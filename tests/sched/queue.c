/* SPDX-License-Identifier: MIT */
/* The queue: what a sorted list has no edge for. Beside tests/fuzz/sched_queue.c. */
#include "queue.h"

#include "harness/test.h"

#define SEQUENCE_END ASH__SCHED_SEQUENCE_END
#define HOURS_NS     (UINT64_C(1) << 43) /* beyond this a key is far */

static struct ash_sched_queue *queue_new(uint32_t slots) {
    struct ash_sched_queue *queue = test_alloc(sizeof(*queue), 8);
    size_t bytes = ash__sched_queue_bytes(slots);
    CHECK(bytes != 0);
    ash__sched_queue_init(queue, test_alloc(bytes, 64), slots);
    return queue;
}

static void check(const struct ash_sched_queue *queue) {
    const char *broken = ash__sched_queue_check(queue);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

/* The first one, which is taken out; it must have this key. */
static uint32_t pop(struct ash_sched_queue *queue, uint64_t key) {
    uint32_t slot = ash__sched_queue_first(queue);
    CHECK(slot != ASH__SCHED_NO_SLOT);
    CHECK_EQ(ash__sched_queue_first_key(queue), key);
    ash__sched_queue_remove(queue, slot);
    check(queue);
    return slot;
}

TEST_CASE(sched_queue, storage_is_for_1_to_2_to_the_20_less_1_slots) {
    CHECK_EQ(ash__sched_queue_bytes(0), 0);
    CHECK_EQ(ash__sched_queue_bytes(ASH__SCHED_SLOTS_MAX + 1), 0);
    CHECK_EQ(ash__sched_queue_bytes(UINT32_MAX), 0);
    CHECK(ash__sched_queue_bytes(ASH__SCHED_SLOTS_MAX) > 36u * ASH__SCHED_SLOTS_MAX);
    CHECK_EQ(ash__sched_queue_bytes(1) % 64, 0);
    CHECK(ash__sched_queue_bytes(1) >= 7 * 16 + 20);
}

TEST_CASE(sched_queue, an_empty_one_has_no_min) {
    struct ash_sched_queue *queue = queue_new(3);
    CHECK_EQ(ash__sched_queue_first(queue), ASH__SCHED_NO_SLOT);
    ash__sched_queue_insert(queue, 2, 7);
    CHECK_EQ(pop(queue, 7), 2);
    CHECK_EQ(ash__sched_queue_first(queue), ASH__SCHED_NO_SLOT);
}

/* In the lane, in the heap, and one here and one there. */
TEST_CASE(sched_queue, equal_keys_come_out_as_they_came_in) {
    struct ash_sched_queue *queue = queue_new(64);
    ash__sched_queue_insert(queue, 63, 500); /* the lane's end: what is before it is in the heap */
    for (uint32_t slot = 0; slot < 60; slot++)
        ash__sched_queue_insert(queue, slot, slot % 3 == 0 ? 500 : 400);
    check(queue);
    for (uint32_t slot = 0; slot < 60; slot++) {
        if (slot % 3 != 0)
            CHECK_EQ(pop(queue, 400), slot);
    }
    CHECK_EQ(pop(queue, 500), 63);
    for (uint32_t slot = 0; slot < 60; slot += 3)
        CHECK_EQ(pop(queue, 500), slot);
}

TEST_CASE(sched_queue, what_is_queued_anew_goes_behind_its_equals) {
    struct ash_sched_queue *queue = queue_new(8);
    for (uint32_t slot = 0; slot < 8; slot++)
        ash__sched_queue_insert(queue, slot, 10);
    for (uint32_t slot = 0; slot < 8; slot++)
        ash__sched_queue_replace(queue, slot, slot, slot == 3 ? 9 : 10);
    CHECK_EQ(pop(queue, 9), 3);
    CHECK_EQ(pop(queue, 10), 0);
    ash__sched_queue_replace(queue, 1, 3, 10);
    CHECK_EQ(pop(queue, 10), 2);
    for (uint32_t slot = 4; slot < 8; slot++)
        CHECK_EQ(pop(queue, 10), slot);
    CHECK_EQ(pop(queue, 10), 3);
    CHECK_EQ(ash__sched_queue_first(queue), ASH__SCHED_NO_SLOT);
}

/* Zephyr #109477: deadlines of 32 bits that wrapped within minutes. */
TEST_CASE(sched_queue, keys_may_wrap) {
    static const uint64_t starts[] = {UINT64_MAX - 1000, (UINT64_C(1) << 32) - 100,
                                      INT64_MAX - UINT64_C(700)};
    for (size_t i = 0; i < ASH_ARRAY_LEN(starts); i++) {
        struct ash_sched_queue *queue = queue_new(200);
        for (uint32_t slot = 0; slot < 200; slot++)
            ash__sched_queue_insert(queue, slot, starts[i] + slot * 77 % 200 * 10);
        check(queue);
        for (uint32_t place = 0; place < 200; place++)
            CHECK_EQ(pop(queue, starts[i] + place * 10) * 77 % 200, place);
    }
}

/* Of each arrival's number only 20 bits are there: before they are used up, all get new ones. */
TEST_CASE(sched_queue, renumbering_keeps_the_order_of_equal_keys) {
    struct ash_sched_queue *queue = queue_new(40);
    ash__sched_queue_insert(queue, 39, 3);
    for (uint32_t slot = 0; slot < 39; slot++) {
        if (slot == 20)
            queue->sequence = SEQUENCE_END - 1;
        ash__sched_queue_insert(queue, slot, slot % 2 == 0 ? 1 : 2);
        check(queue);
    }
    CHECK_EQ(queue->renumbers, 1);
    CHECK(queue->sequence < 40);
    for (uint32_t slot = 0; slot < 39; slot += 2)
        CHECK_EQ(pop(queue, 1), slot);
    for (uint32_t slot = 1; slot < 39; slot += 2)
        CHECK_EQ(pop(queue, 2), slot);
    CHECK_EQ(pop(queue, 3), 39);
}

TEST_CASE(sched_queue, renumbering_comes_by_itself_after_2_to_the_20_arrivals) {
    struct ash_sched_queue *queue = queue_new(3);
    for (uint32_t slot = 0; slot < 3; slot++)
        ash__sched_queue_insert(queue, slot, 0);
    for (uint32_t i = 0; i < SEQUENCE_END + 9; i++)
        ash__sched_queue_replace(queue, i % 3, i % 3, i / 3);
    CHECK_EQ(queue->renumbers, 1);
    check(queue);
    CHECK_EQ(ash__sched_queue_first(queue), (SEQUENCE_END + 9) % 3);
}

TEST_CASE(sched_queue, an_empty_one_numbers_from_0) {
    struct ash_sched_queue *queue = queue_new(2);
    for (uint32_t i = 0; i < 100; i++) {
        ash__sched_queue_insert(queue, 0, i);
        CHECK_EQ(queue->sequence, 1);
        ash__sched_queue_remove(queue, 0);
    }
}

/* Hours and years beside nanoseconds: tgoskits #1775 saw distinct deadlines become one. */
TEST_CASE(sched_queue, far_keys_stay_apart) {
    struct ash_sched_queue *queue = queue_new(64);
    ash__sched_queue_insert(queue, 62, 5);
    for (uint32_t slot = 0; slot < 62; slot++)
        ash__sched_queue_insert(queue, slot, UINT64_C(1) << (61 - slot));
    check(queue);
    CHECK_EQ(pop(queue, 1), 61);
    CHECK_EQ(pop(queue, 2), 60);
    CHECK_EQ(pop(queue, 4), 59);
    CHECK_EQ(pop(queue, 5), 62);
    for (uint32_t bit = 3; bit < 62; bit++)
        CHECK_EQ(pop(queue, UINT64_C(1) << bit), 61 - bit);
}

TEST_CASE(sched_queue, equal_far_keys_come_out_as_they_came_in_renumbered_or_not) {
    struct ash_sched_queue *queue = queue_new(64);
    ash__sched_queue_insert(queue, 63, 1);
    for (uint32_t slot = 0; slot < 60; slot++) {
        if (slot == 30)
            queue->sequence = SEQUENCE_END;
        ash__sched_queue_insert(queue, slot, HOURS_NS * (slot % 2 == 0 ? 8 : 4));
        check(queue);
    }
    CHECK_EQ(queue->renumbers, 1);
    CHECK_EQ(pop(queue, 1), 63);
    for (uint32_t slot = 1; slot < 60; slot += 2)
        CHECK_EQ(pop(queue, 4 * HOURS_NS), slot);
    for (uint32_t slot = 0; slot < 60; slot += 2)
        CHECK_EQ(pop(queue, 8 * HOURS_NS), slot);
}

/* Whoever is near when it comes may be far once an earlier one has come. */
TEST_CASE(sched_queue, an_earlier_key_moves_the_base_back) {
    struct ash_sched_queue *queue = queue_new(8);
    for (uint32_t slot = 0; slot < 6; slot++)
        ash__sched_queue_insert(queue, slot, HOURS_NS * 16 + (slot ^ 1) * (HOURS_NS / 8));
    ash__sched_queue_insert(queue, 6, HOURS_NS * 15 + HOURS_NS / 2);
    CHECK_EQ(queue->rebases, 0);
    ash__sched_queue_insert(queue, 7, 3);
    CHECK_EQ(queue->rebases, 1);
    check(queue);
    CHECK_EQ(pop(queue, 3), 7);
    CHECK_EQ(pop(queue, HOURS_NS * 15 + HOURS_NS / 2), 6);
    for (uint32_t place = 0; place < 6; place++)
        CHECK_EQ(pop(queue, HOURS_NS * 16 + place * (HOURS_NS / 8)), place ^ 1);
}

/* The base follows the keys once in 2.4 hours, not at each arrival. */
TEST_CASE(sched_queue, the_base_follows_seldom) {
    struct ash_sched_queue *queue = queue_new(4);
    uint64_t step = HOURS_NS / 1000;
    for (uint32_t slot = 0; slot < 4; slot++)
        ash__sched_queue_insert(queue, slot, 0);
    for (uint32_t i = 0; i < 10500; i++)
        ash__sched_queue_replace(queue, i % 4, i % 4, i * step);
    CHECK_EQ(queue->rebases, 10);
    check(queue);
}

TEST_CASE(sched_queue, the_audit_sees_each_kind_of_damage) {
    struct ash_sched_queue *queue = queue_new(16);
    for (uint32_t slot = 0; slot < 16; slot++)
        ash__sched_queue_insert(queue, slot, slot < 3 ? 1000 + slot : slot * 5 % 16);
    check(queue);
    struct damage {
        void *where;
        size_t bytes;
        uint64_t value;
        char name[4];
    } damages[] = {
        {&queue->where[queue->root[2].slot], 4, 0, "Q1"},
        {&queue->root[0].place, 8, UINT64_C(500) << 20, "Q2"},
        {&queue->sequence, 4, 3, "Q3"},
        {&queue->root[12].place, 8, INT64_MAX - 0xfffff, "Q4"},
        {&queue->root[14].place, 8, 0, "Q5"},
        {&queue->links[1].prev, 4, 2, "Q6"},
        {&queue->links[2].at.place, 8, 0, "Q7"},
        {&queue->last, 4, 1, "Q8"},
        {&queue->heap_bytes, 4, 17 * 16, "Q9"},
        {&queue->length, 4, 15, "Q10"},
    };
    for (size_t i = 0; i < ASH_ARRAY_LEN(damages); i++) {
        uint64_t before;
        memcpy(&before, damages[i].where, damages[i].bytes);
        memcpy(damages[i].where, &damages[i].value, damages[i].bytes);
        const char *broken = ash__sched_queue_check(queue);
        CHECK(broken != NULL && strncmp(broken, damages[i].name, strlen(damages[i].name)) == 0);
        memcpy(damages[i].where, &before, damages[i].bytes);
        check(queue);
    }
}
