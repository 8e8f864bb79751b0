/* SPDX-License-Identifier: MIT */
/* heading.c: what a profile says of itself (heading.h). */
#include "heading.h"

#include <ashlar/checked.h>

#define TEXT_MAX 1000u /* of what the file says: all lines stay inside the buffer */

uint64_t ash__prof_in_units(const struct ash_prof_totals *totals, uint64_t weight) {
    uint64_t units = 0;
    if (!ash_mul_u64(weight, totals->period, &units) || units > INT64_MAX)
        return INT64_MAX;
    return units;
}

static void put_ns(struct ash__prof_out *out, uint64_t ns) {
    static const struct {
        uint64_t least, part; /* part: what the third decimal stands for */
        const char *name;
    } scales[] = {{1000000000, 1000000, " s"}, {1000000, 1000, " ms"}, {1000, 1, " us"}};
    for (size_t i = 0; i < ASH_ARRAY_LEN(scales); i++) {
        if (ns >= scales[i].least) {
            ash__prof_put_fixed(out, ns / scales[i].part, 3);
            ash__prof_put_string(out, scales[i].name);
            return;
        }
    }
    ash__prof_put_u64(out, ns);
    ash__prof_put_string(out, " ns");
}

static const char *unit_name(const struct ash_prof_totals *totals) {
    return totals->unit == ASH_PROF_UNIT_INSTRUCTIONS ? " instructions" : " cycles";
}

bool ash__prof_put_weight(struct ash__prof_out *out, const struct ash_prof_totals *totals,
                          uint64_t weight) {
    if (totals->period == 0)
        return false;
    uint64_t units = ash__prof_in_units(totals, weight);
    if (totals->unit == ASH_PROF_UNIT_NS) {
        put_ns(out, units);
    } else {
        ash__prof_put_u64(out, units);
        ash__prof_put_string(out, unit_name(totals));
    }
    return true;
}

static bool put_text(struct ash__prof_out *out, const struct ash_prof_view *view, const char *key) {
    size_t len = 0;
    const char *text = ash_prof_view_text(view, key, &len);
    if (text == NULL || len == 0)
        return false;
    ash__prof_put(out, text, len < TEXT_MAX ? len : TEXT_MAX);
    return true;
}

static void put_title(struct ash__prof_out *out, const struct ash_prof_view *view) {
    if (!put_text(out, view, "machine"))
        ash__prof_put_string(out, "Profile");
    uint32_t before = out->used;
    ash__prof_put_string(out, ": ");
    if (!put_text(out, view, "workload"))
        out->used = before;
}

static void put_count(struct ash__prof_out *out, uint64_t count, const char *one,
                      const char *many) {
    ash__prof_put_u64(out, count);
    ash__prof_put_string(out, count == 1 ? one : many);
}

static void put_trigger(struct ash__prof_out *out, const struct ash_prof_totals *totals) {
    if (totals->trigger == ASH_PROF_TIMER) {
        ash__prof_put_string(out, ", by time: asked for ");
        ash__prof_put_u64(out, totals->asked_hz);
        ash__prof_put_string(out, " Hz, delivered ");
    } else if (totals->period != 0) {
        ash__prof_put_string(out, ", one every ");
        (void)ash__prof_put_weight(out, totals, 1);
        ash__prof_put_string(out, ": delivered ");
    } else {
        ash__prof_put_string(out, ", by");
        ash__prof_put_string(out, unit_name(totals));
        ash__prof_put_string(out, ": delivered ");
    }
    ash__prof_put_fixed(out, totals->delivered_mhz, 3);
    ash__prof_put_string(out, " Hz");
}

static void put_rate(struct ash__prof_out *out, const struct ash_prof_aggregate *aggregate,
                     const struct ash_prof_totals *totals) {
    put_count(out, aggregate->samples, " sample of ", " samples of ");
    put_count(out, totals->cpus, " CPU", " CPUs");
    ash__prof_put_string(out, " in ");
    put_ns(out, totals->duration_ns);
    put_trigger(out, totals);
}

/* A sample that stands for two periods is one that is missing. */
static void put_loss(struct ash__prof_out *out, const struct ash_prof_aggregate *aggregate,
                     const struct ash_prof_totals *totals) {
    ash__prof_put_u64(out, aggregate->weight - aggregate->samples);
    ash__prof_put_string(out, " missed, ");
    ash__prof_put_u64(out, totals->overwritten);
    ash__prof_put_string(out, " overwritten, ");
    ash__prof_put_u64(out, aggregate->damaged);
    ash__prof_put_string(out, " damaged, ");
    ash__prof_put_u64(out, totals->leaves);
    ash__prof_put_string(out, " without callers, ");
    ash__prof_put_u64(out, aggregate->unsure);
    ash__prof_put_string(out, " unsure of one");
}

void ash__prof_heading(struct ash__prof_out *out, enum ash__prof_heading line,
                       const struct ash_prof_aggregate *aggregate,
                       const struct ash_prof_totals *totals) {
    out->used = 0;
    if (line == ASH__PROF_HEADING_TITLE)
        put_title(out, aggregate->view);
    else if (line == ASH__PROF_HEADING_RATE)
        put_rate(out, aggregate, totals);
    else
        put_loss(out, aggregate, totals);
}
