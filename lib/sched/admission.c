/* SPDX-License-Identifier: MIT */
/* admission.c: would a set of reservations meet all its deadlines? */
#include "sched_internal.h"

bool ash__sched_admits(const struct ash_sched *sched, const struct ash_sched_entity *instead_of,
                       const struct ash__sched_reservation *reservation, uint64_t now, bool *tight,
                       struct ash_sched_refusal *refusal) {
    const uint64_t one = UINT64_C(1) << 40;
    uint64_t sum = ash_mul_div_u64(one, reservation->runtime_ns, reservation->relative_ns);
    for (uint32_t slot = 0; slot < sched->config.entities_max + ASH__SCHED_OWN_SLOTS; slot++) {
        const struct ash_sched_entity *entity = sched->entities[slot];
        if (entity != NULL && entity != instead_of && entity->class_ == ASH_SCHED_REALTIME &&
            entity->server.period_ns != 0)
            sum += ash_mul_div_u64(one, entity->server.runtime_ns, entity->server.relative_ns);
    }
    (void)now;
    *tight = false;
    if (sum <= one)
        return true;
    refusal->reason = ASH_SCHED_OVER_BANDWIDTH;
    refusal->bandwidth_ppm = ash_mul_div_u64(sum, 1000000, one) + 1;
    return false;
}
