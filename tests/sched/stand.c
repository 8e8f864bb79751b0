/* SPDX-License-Identifier: MIT */
#include "sched/stand.h"

static void check(const struct stand *stand) {
    const char *broken = ash_sched_check(stand->sched);
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "at %llu: %s", (unsigned long long)stand->now, broken);
}

void stand_begin(struct stand *stand, struct ash_sched_config config, uint64_t now) {
    if (config.entities_max == 0)
        config.entities_max = 32;
    size_t bytes = ash_sched_storage_size(&config);
    CHECK(bytes != 0);
    stand->sched = test_alloc(sizeof(*stand->sched), 64);
    stand->storage = test_alloc(bytes, 64);
    stand->storage_bytes = bytes;
    stand->origin = now;
    stand->now = now;
    CHECK_EQ(ash_sched_init(stand->sched, &config, stand->storage, bytes, now), 0);
    check(stand);
}

struct ash_sched_entity *stand_attach(struct stand *stand, struct ash_sched_attributes attributes) {
    struct ash_sched_entity *entity = test_alloc(sizeof(*entity), 64);
    struct ash_sched_refusal refusal;
    int error = ash_sched_attach(stand->sched, entity, &attributes, stand->now, &refusal);
    if (error != 0)
        test_fail(__FILE__, __LINE__, "refused: %s", ash_sched_reason_text(refusal.reason));
    check(stand);
    return entity;
}

struct ash_sched_entity *stand_server(struct stand *stand, uint64_t runtime, uint64_t deadline,
                                      uint64_t period, uint32_t flags) {
    return stand_attach(stand, (struct ash_sched_attributes){.flags = flags,
                                                             .runtime_ns = runtime,
                                                             .deadline_ns = deadline,
                                                             .period_ns = period});
}

void stand_copy(const struct stand *stand, struct stand_copy *copy) {
    copy->sched = *stand->sched;
    copy->storage = test_alloc(stand->storage_bytes, 64);
    memcpy(copy->storage, stand->storage, stand->storage_bytes);
}

void stand_is_same(const struct stand *stand, const struct stand_copy *copy) {
    size_t terms = (size_t)((char *)stand->sched->terms - stand->storage);
    size_t behind = (size_t)((char *)stand->sched->free_slots - stand->storage);
    CHECK_MEM_EQ(stand->sched, &copy->sched, sizeof(copy->sched));
    CHECK_MEM_EQ(stand->storage, copy->storage, terms);
    CHECK_MEM_EQ(stand->storage + behind, copy->storage + behind, stand->storage_bytes - behind);
}

enum ash_sched_reason stand_refused(struct stand *stand, struct ash_sched_attributes attributes) {
    struct stand_copy *copy = test_alloc(sizeof(*copy), 64);
    struct ash_sched_entity *entity = test_alloc(sizeof(*entity), 64), blank = *entity;
    struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
    stand_copy(stand, copy);
    CHECK(ash_sched_attach(stand->sched, entity, &attributes, stand->now, &refusal) < 0);
    stand_is_same(stand, copy);
    CHECK_MEM_EQ(entity, &blank, sizeof(blank));
    return refusal.reason;
}

void stand_wake(struct stand *stand, struct ash_sched_entity *entity) {
    CHECK(ash_sched_wake(stand->sched, entity, stand->now) >= 0);
    check(stand);
}

void stand_block(struct stand *stand) {
    CHECK_EQ(ash_sched_block(stand->sched, stand->now), 0);
    check(stand);
}

void stand_decide(struct stand *stand) {
    CHECK_EQ(ash_sched_decide(stand->sched, stand->now, &stand->decision), 0);
    check(stand);
}

struct ash_sched_entity *stand_run(struct stand *stand, uint64_t until) {
    stand_decide(stand);
    while (stand->decision.timed && (int64_t)(stand->decision.call_at - until) <= 0) {
        CHECK((int64_t)(stand->decision.call_at - stand->now) > 0);
        stand->now = stand->decision.call_at;
        stand_decide(stand);
    }
    if (stand->now != until) {
        stand->now = until;
        stand_decide(stand);
    }
    return stand->decision.run;
}

struct ash_sched_entity *stand_go(struct stand *stand, uint64_t ahead_ns) {
    return stand_run(stand, stand->now + ahead_ns);
}

uint64_t stand_ran(struct stand *stand, struct ash_sched_entity *entity) {
    struct ash_sched_account account;
    CHECK_EQ(ash_sched_get_account(stand->sched, entity, stand->now, &account), 0);
    return account.runtime_ns;
}
