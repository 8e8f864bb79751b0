/* SPDX-License-Identifier: MIT */
/* totals.c: what the CPUs' profiles say of themselves (prof_aggregate.h). */
#include <ashlar/prof_aggregate.h>

#define NS_PER_S UINT64_C(1000000000)

/* 0: there is none, or it is no number. */
static uint64_t text_number(const struct ash_prof_view *view, const char *key) {
    size_t len = 0;
    const char *text = ash_prof_view_text(view, key, &len);
    uint64_t number = 0;
    for (size_t i = 0; text != NULL && i < len; i++) {
        if (text[i] < '0' || text[i] > '9' || number > UINT64_MAX / 10 - 1)
            return 0;
        number = 10 * number + (uint64_t)(text[i] - '0');
    }
    return number;
}

static enum ash_prof_unit cycles_unit(const struct ash_prof_view *view) {
    static const char instructions[] = "instructions";
    size_t len = 0;
    const char *text = ash_prof_view_text(view, "cycles_are", &len);
    bool is_said = text != NULL && len == sizeof(instructions) - 1 &&
                   __builtin_memcmp(text, instructions, len) == 0;
    return is_said ? ASH_PROF_UNIT_INSTRUCTIONS : ASH_PROF_UNIT_CYCLES;
}

/* 1000 * samples / seconds, within 2^-20: what it is made from may be any number. */
static uint64_t rate_mhz(uint64_t samples, uint64_t ns) {
    while (samples >> 20 != 0) {
        samples >>= 1;
        ns >>= 1;
    }
    return ns == 0 ? 0 : samples * 1000 * NS_PER_S / ns;
}

static uint64_t add_capped(uint64_t a, uint64_t b) {
    return a > UINT64_MAX - b ? UINT64_MAX : a + b;
}

void ash_prof_view_totals(const struct ash_prof_view *view, struct ash_prof_totals *totals) {
    uint64_t ns = 0; /* of all CPUs */
    *totals = (struct ash_prof_totals){.begin_ns = UINT64_MAX};
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        const struct ash_prof_profile *profile = view->cpus[cpu].profile;
        if (profile == NULL)
            continue;
        uint64_t begin = ash_prof_view_ns(view, profile->clock_begin);
        uint64_t end = ash_prof_view_ns(view, profile->clock_end);
        uint64_t duration = end > begin ? end - begin : 0;
        if (totals->cpus++ == 0) {
            totals->asked_hz = profile->asked_hz;
            totals->trigger =
                profile->trigger == ASH_PROF_CYCLES ? ASH_PROF_CYCLES : ASH_PROF_TIMER;
        }
        totals->kept += view->cpus[cpu].sample_count;
        totals->taken = add_capped(totals->taken, profile->taken);
        totals->overwritten = add_capped(totals->overwritten, profile->overwritten);
        totals->leaves = add_capped(totals->leaves, profile->leaves);
        totals->begin_ns = ash_min_u64(totals->begin_ns, begin);
        totals->duration_ns = ash_max_u64(totals->duration_ns, duration);
        ns = add_capped(ns, duration);
    }
    if (totals->cpus == 0)
        totals->begin_ns = 0;
    totals->delivered_mhz = rate_mhz(totals->taken, ns);
    if (totals->trigger == ASH_PROF_CYCLES) {
        totals->unit = cycles_unit(view);
        totals->period = text_number(view, "period_cycles");
    } else if (totals->asked_hz != 0) {
        totals->period = NS_PER_S / totals->asked_hz;
    }
}
