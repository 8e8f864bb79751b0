/* SPDX-License-Identifier: MIT */
/* bench_golden_sched.c: see bench_golden_sched.h. */
#include "bench_golden_sched.h"

#include <ashlar/check.h>
#include <ashlar/sched.h>

#include "platform.h"
#include "queue.h" /* the part's own: its queue has no other users */

enum { SLOTS = 1000, FAIR = 256, MIXED = 100, ROUNDS = 8 };

#define FAR_NS (UINT64_C(1) << 20) /* the longest distance of a hold */

struct golden_sched {
    struct ash_sched sched;
    struct kernel_memory *memory;
    uint32_t order; /* of the pages that it and all it needs lie in */
    uint32_t count;
    uint64_t now, random;
    struct ash_sched_decision decision;
    struct ash_sched_queue queue;
    struct ash_sched_entity entities[]; /* then the storage; the queue's alone */
};

static uint64_t below(struct golden_sched *sched, uint64_t limit) {
    sched->random = sched->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (sched->random >> 33) % limit;
}

/* The queue */

uint32_t golden_sched_hold(struct golden_sched *sched, uint32_t overhead) {
    (void)overhead;
    uint64_t ahead = 1 + below(sched, FAR_NS);
    uint32_t start = platform_cost();
    uint32_t slot = ash__sched_queue_first(&sched->queue);
    uint64_t key = ash__sched_queue_first_key(&sched->queue);
    ash__sched_queue_requeue(&sched->queue, slot, key + ahead);
    return platform_cost() - start;
}

uint32_t golden_sched_again(struct golden_sched *sched, uint32_t overhead) {
    (void)overhead;
    uint64_t ahead = 1 + below(sched, FAR_NS);
    uint32_t slot = (uint32_t)below(sched, sched->count), start = platform_cost();
    ash__sched_queue_remove(&sched->queue, slot);
    uint64_t key = ash__sched_queue_first_key(&sched->queue);
    ash__sched_queue_insert(&sched->queue, slot, key + ahead);
    return platform_cost() - start;
}

/* The scheduler */

static void decide(struct golden_sched *sched) {
    int error = ash_sched_decide(&sched->sched, sched->now, &sched->decision);
    ASH_REQUIRE(error == 0 && sched->decision.run != NULL && sched->decision.timed,
                "bench: a decision with all runnable said %d", error);
}

uint32_t golden_sched_decide(struct golden_sched *sched, uint32_t overhead) {
    (void)overhead;
    sched->now = sched->decision.call_at;
    uint32_t start = platform_cost();
    int error = ash_sched_decide(&sched->sched, sched->now, &sched->decision);
    uint32_t cost = platform_cost() - start;
    ASH_REQUIRE(error == 0 && sched->decision.timed, "bench: a decision said %d", error);
    return cost;
}

uint32_t golden_sched_block_wake(struct golden_sched *sched, uint32_t overhead) {
    (void)overhead;
    struct ash_sched_entity *entity = sched->decision.run;
    sched->now += (sched->decision.call_at - sched->now) / 2;
    uint32_t start = platform_cost();
    int error = ash_sched_block(&sched->sched, sched->now);
    if (error == 0)
        error = ash_sched_decide(&sched->sched, sched->now, &sched->decision);
    if (error == 0)
        error = ash_sched_wake(&sched->sched, entity, sched->now);
    uint32_t cost = platform_cost() - start;
    ASH_REQUIRE(error >= 0, "bench: a block, decide and wake said %d", error);
    decide(sched);
    return cost;
}

/* Making one */

static const uint32_t counts[GOLDEN_SCHED_KINDS] = {
    [GOLDEN_SCHED_QUEUE] = SLOTS,
    [GOLDEN_SCHED_FAIR] = FAIR,
    [GOLDEN_SCHED_INTERACTIVE] = MIXED,
    [GOLDEN_SCHED_MIXED] = MIXED,
};

/* Real-time ones of 1.5 ms every 100 to 200 ms: a fifth of a CPU for 20. */
static struct ash_sched_attributes attributes_of(struct golden_sched *sched,
                                                 enum golden_sched_kind kind, uint32_t i) {
    struct ash_sched_attributes attributes = {.flags = 0};
    if (kind == GOLDEN_SCHED_MIXED && i % 5 == 0) {
        attributes.runtime_ns = 1500000;
        attributes.period_ns = (100 + below(sched, 100)) * 1000000;
    } else if (kind == GOLDEN_SCHED_FAIR || (kind == GOLDEN_SCHED_MIXED && i % 5 != 1)) {
        attributes.flags = ASH_SCHED_NICE;
        attributes.nice = (int32_t)below(sched, 20) - 10;
    }
    return attributes;
}

static void start(struct golden_sched *sched, enum golden_sched_kind kind) {
    if (kind == GOLDEN_SCHED_QUEUE) {
        ash__sched_queue_init(&sched->queue, sched->entities, sched->count);
        for (uint32_t slot = 0; slot < sched->count; slot++)
            ash__sched_queue_insert(&sched->queue, slot, below(sched, FAR_NS));
        for (uint32_t i = 0; i < ROUNDS * sched->count; i++)
            (void)golden_sched_hold(sched, 0);
        return;
    }
    const struct ash_sched_config config = {.entities_max = sched->count};
    int error = ash_sched_init(&sched->sched, &config, &sched->entities[sched->count],
                               ash_sched_storage_size(&config), 0);
    for (uint32_t i = 0; error >= 0 && i < sched->count; i++) {
        struct ash_sched_attributes attributes = attributes_of(sched, kind, i);
        error = ash_sched_attach(&sched->sched, &sched->entities[i], &attributes, 0, NULL);
        if (error == 0)
            error = ash_sched_wake(&sched->sched, &sched->entities[i], 0);
    }
    ASH_REQUIRE(error >= 0, "bench: a scheduler of %u: %d", sched->count, error);
    decide(sched);
    for (uint32_t i = 0; i < ROUNDS * sched->count; i++)
        (void)golden_sched_decide(sched, 0);
}

struct golden_sched *golden_sched_new(struct kernel_memory *memory, enum golden_sched_kind kind) {
    uint32_t count = counts[kind];
    const struct ash_sched_config config = {.entities_max = count};
    size_t bytes = sizeof(struct golden_sched);
    bytes += kind == GOLDEN_SCHED_QUEUE
                 ? ash__sched_queue_bytes(count)
                 : count * sizeof(struct ash_sched_entity) + ash_sched_storage_size(&config);
    uint32_t order = memory_order_of(bytes);
    struct golden_sched *sched = memory_pages_alloc(memory, order);
    if (sched == NULL)
        return NULL;
    __builtin_memset(sched, 0, ASH_PAGE_SIZE << order);
    sched->memory = memory;
    sched->order = order;
    sched->count = count;
    sched->random = 1;
    start(sched, kind);
    return sched;
}

void golden_sched_free(struct golden_sched *sched) {
    if (sched != NULL)
        memory_pages_free(sched->memory, sched, sched->order);
}
