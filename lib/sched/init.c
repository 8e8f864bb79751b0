/* SPDX-License-Identifier: MIT */
/* init.c: the configuration, and what the storage holds. */
#include <ashlar/checked.h>

#include "fair.h"

#define SLICE_NS      UINT64_C(3000000)
#define LEVELS        4
#define BANDWIDTH_ONE (UINT64_C(1) << 32)
#define BANDWIDTH_MAX (UINT64_C(1) << 62)
#define FLAGS_KNOWN \
    (ASH_SCHED_STRICT_WAKE | ASH_SCHED_CFS | ASH_SCHED_FAIR_FIRST | ASH_SCHED_ADMIT_ALL)

_Static_assert(offsetof(struct ash_sched_entity, sched) == 64, "the hot part is a cache line");

static uint64_t allotment_of(const struct ash_sched_config *config, uint32_t level) {
    static const uint64_t allotments_ns[LEVELS] = {5000000, 10000000, 20000000, 40000000};
    if (config->allotments_ns != NULL)
        return config->allotments_ns[level];
    return allotments_ns[level < LEVELS ? level : LEVELS - 1];
}

static bool is_valid(const struct ash_sched_config *config) {
    bool reserves = (config->reserve_runtime_ns | config->reserve_period_ns) != 0;
    if (config->entities_max == 0 || config->entities_max > ASH_SCHED_ENTITIES_MAX ||
        config->cpu >= ASH_SCHED_CPUS_MAX || (config->flags & ~FLAGS_KNOWN) != 0 ||
        config->levels > ASH_SCHED_LEVELS_MAX || config->slice_ns > ASH_SCHED_TIME_MAX_NS ||
        config->period_min_ns > ASH_SCHED_TIME_MAX_NS || config->bandwidth_one > BANDWIDTH_MAX ||
        config->boost_ns > ASH_SCHED_TIME_MAX_NS || config->starving_ns > ASH_SCHED_TIME_MAX_NS ||
        config->interactive_nice < ASH_SCHED_NICE_MIN ||
        config->interactive_nice > ASH_SCHED_NICE_MAX)
        return false;
    uint32_t levels = config->levels == 0 ? LEVELS : config->levels;
    for (uint32_t i = 0; config->allotments_ns != NULL && i < levels; i++) {
        if (config->allotments_ns[i] == 0 || config->allotments_ns[i] > ASH_SCHED_TIME_MAX_NS)
            return false;
    }
    /* A boost before level 0's allotment is used up leaves its first one first, for ever. */
    if (config->boost_ns != 0 && config->boost_ns < allotment_of(config, 0))
        return false;
    /* All of a CPU reserved for fair would leave GRUB to divide by 0. */
    return !reserves || (config->reserve_runtime_ns != 0 &&
                         config->reserve_runtime_ns < config->reserve_period_ns &&
                         config->reserve_period_ns <= ASH_SCHED_TIME_MAX_NS);
}

/* What lies in the storage, in this order. */
struct layout {
    size_t entities, partings, terms, free_slots, ready, timers, fair, bytes;
};

static size_t take(struct layout *at, size_t bytes) {
    size_t start = at->bytes;
    at->bytes += (size_t)ash_align_up(bytes, 64);
    return start;
}

static struct layout layout_of(const struct ash_sched_config *config) {
    size_t most = config->entities_max; /* so few that nothing overflows */
    uint32_t slots = config->entities_max + ASH__SCHED_OWN_SLOTS;
    bool cfs = (config->flags & ASH_SCHED_CFS) != 0;
    struct layout at = {.bytes = 0};
    at.entities = take(&at, slots * sizeof(struct ash_sched_entity *));
    at.partings = take(&at, slots * sizeof(struct ash_sched_parting));
    /* A slot that was changed may be two; the reservation for fair, and a candidate. */
    at.terms = take(&at, (2 * most + 2) * sizeof(struct ash_sched_term));
    at.free_slots = take(&at, most * sizeof(uint32_t));
    at.ready = take(&at, ash__sched_queue_bytes(slots));
    at.timers = take(&at, ash__sched_queue_bytes(slots));
    at.fair = take(&at, cfs ? ash__sched_cfs_bytes(slots) : ash__sched_eevdf_bytes(slots));
    return at;
}

size_t ash_sched_storage_size(const struct ash_sched_config *config) {
    return is_valid(config) ? layout_of(config).bytes : 0;
}

static void fill_in(struct ash_sched *sched) {
    struct ash_sched_config *config = &sched->config;
    config->levels = config->levels == 0 ? LEVELS : config->levels;
    config->slice_ns = config->slice_ns == 0 ? SLICE_NS : config->slice_ns;
    config->bandwidth_one = config->bandwidth_one == 0 ? BANDWIDTH_ONE : config->bandwidth_one;
    for (uint32_t i = 0; i < config->levels; i++)
        sched->mlfq.allotments_ns[i] = allotment_of(config, i);
    config->allotments_ns = NULL;
}

/* The entities that are the scheduler's own: the interactive class among the fair, and the
 * reservation for fair among the real-time ones. */
static void init_own(struct ash_sched *sched) {
    const struct ash_sched_config *config = &sched->config;
    struct ash_sched_entity *group = &sched->interactive, *reserve = &sched->reserve;
    group->slot = config->entities_max + ASH__SCHED_INTERACTIVE_SLOT;
    group->class_ = ASH_SCHED_FAIR;
    group->sched = sched;
    group->attributes.nice = config->interactive_nice;
    sched->entities[group->slot] = group;
    ASH__FAIR(sched, attach, sched, group);

    reserve->slot = config->entities_max + ASH__SCHED_RESERVE_SLOT;
    reserve->class_ = ASH_SCHED_REALTIME;
    reserve->sched = sched;
    sched->entities[reserve->slot] = reserve;
    struct ash__sched_reservation reservation = {
        config->reserve_runtime_ns, config->reserve_period_ns, config->reserve_period_ns};
    sched->bandwidth_max = config->bandwidth_one;
    if (reservation.runtime_ns == 0)
        return;
    ash__sched_server_init(sched, reserve, &reservation);
    /* At least 1: it divides. */
    sched->bandwidth_max = ash_max_u64(sched->bandwidth_max - reserve->bandwidth, 1);
}

int ash_sched_init(struct ash_sched *sched, const struct ash_sched_config *config, void *storage,
                   size_t storage_bytes, uint64_t now) {
    if (!is_valid(config) || !ash_is_aligned((uintptr_t)storage, 64))
        return -ASH_EINVAL;
    struct layout at = layout_of(config);
    if (storage_bytes < at.bytes)
        return -ASH_ENOMEM;
    uint32_t slots = config->entities_max + ASH__SCHED_OWN_SLOTS;
    char *base = storage;
    __builtin_memset(storage, 0, at.bytes);
    __builtin_memset(sched, 0, sizeof(*sched));
    sched->config = *config;
    sched->now = now;
    sched->watch_at = now + (config->starving_ns + 1) / 2;
    sched->hint_class = ASH_SCHED_NOTHING;
    sched->entities = (void *)(base + at.entities);
    sched->partings = (void *)(base + at.partings);
    sched->terms = (void *)(base + at.terms);
    sched->free_slots = (void *)(base + at.free_slots);
    for (uint32_t i = 0; i < config->entities_max; i++)
        sched->free_slots[i] = config->entities_max - 1 - i;
    sched->free_count = config->entities_max;
    fill_in(sched);
    ash__sched_queue_init(&sched->ready, base + at.ready, slots);
    ash__sched_queue_init(&sched->timers, base + at.timers, slots);
    ASH__FAIR(sched, init, sched, base + at.fair, slots);
    ash__sched_mlfq_init(sched, now);
    ash_list_init(&sched->idle);
    init_own(sched);
    return 0;
}
