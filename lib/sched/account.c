/* SPDX-License-Identifier: MIT */
/* account.c: what an entity used and got. Whoever asks is answered up to the moment. */
#include "sched_internal.h"

int ash_sched_get_account(struct ash_sched *sched, struct ash_sched_entity *entity, uint64_t now,
                          struct ash_sched_account *account) {
    if (entity->sched != sched)
        return -ASH_ENOENT;
    if (ash__sched_before(now, sched->now))
        return -ASH_EINVAL;
    ash__sched_charge(sched, now);
    *account = entity->account;
    account->runtime_ns = entity->runtime_ns;
    if (entity->state == ASH_SCHED_READY && entity != sched->current)
        account->waited_max_ns = ash_max_u64(account->waited_max_ns, now - entity->ready_since);
    return 0;
}

void ash_sched_get_stats(const struct ash_sched *sched, struct ash_sched_stats *stats) {
    *stats = sched->stats;
}
