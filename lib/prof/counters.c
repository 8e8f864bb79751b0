/* SPDX-License-Identifier: MIT */
/* counters.c: see counters.h. */
#include "counters.h"

#include <ashlar/bits.h>

#include "histogram.h"

#define SIGN     (UINT64_C(1) << 63)
#define COLUMN   15u
#define DECIMALS 3u
#define THOUSAND 1000u /* 10^DECIMALS */

__extension__ typedef unsigned __int128 u128;

static bool is_signed(const struct ash__prof_type *type) {
    return type->field_count == 2 && type->fields[1].reading == ASH__PROF_SIGNED;
}

/* Its last value has lasted until now. */
static void charge(struct ash__prof_counter *counter, uint64_t clock) {
    u128 sum = (u128)counter->sum_high << 64 | counter->sum_low;
    sum += (u128)counter->last * (clock - counter->last_clock);
    counter->sum_high = (uint64_t)(sum >> 64);
    counter->sum_low = (uint64_t)sum;
    counter->last_clock = clock;
}

static struct ash__prof_counter *find(struct ash__prof_counters *counters,
                                      const struct ash__prof_type *types,
                                      const struct ash_trace_record *record) {
    uint32_t same = types[ash_trace_id(record)].same;
    for (uint32_t i = 0; i < counters->used; i++) {
        if (counters->series[i].a == record->a && types[counters->series[i].id].same == same)
            return &counters->series[i];
    }
    if (counters->used == ASH__PROF_COUNTERS)
        return NULL;
    struct ash__prof_counter *counter = &counters->series[counters->used++];
    *counter = (struct ash__prof_counter){.a = record->a,
                                          .least = UINT64_MAX,
                                          .first_clock = record->clock,
                                          .last_clock = record->clock,
                                          .id = (uint16_t)ash_trace_id(record)};
    return counter;
}

void ash__prof_counters_add(struct ash__prof_counters *counters, const struct ash__prof_type *types,
                            const struct ash_trace_record *record) {
    struct ash__prof_counter *counter = find(counters, types, record);
    if (counter == NULL) {
        counters->left_out++;
        return;
    }
    charge(counter, record->clock);
    counter->count++;
    counter->last = record->b ^ (is_signed(&types[counter->id]) ? SIGN : 0);
    counter->least = ash_min_u64(counter->least, counter->last);
    counter->most = ash_max_u64(counter->most, counter->last);
}

/* Behind a blank at least: [-]whole, and .thousandths unless these are THOUSAND. */
static void put_column(struct ash__prof_out *out, bool is_negative, uint64_t whole,
                       uint32_t thousandths) {
    uint32_t columns = (is_negative ? 1u : 0u) + (thousandths < THOUSAND ? 1u + DECIMALS : 0u);
    for (uint64_t rest = whole; columns++, rest >= 10;)
        rest /= 10;
    do
        ash__prof_put_char(out, ' ');
    while (++columns < COLUMN);
    if (is_negative)
        ash__prof_put_char(out, '-');
    ash__prof_put_u64(out, whole);
    if (thousandths >= THOUSAND)
        return;
    ash__prof_put_char(out, '.');
    for (uint32_t part = THOUSAND / 10; part != 0; part /= 10)
        ash__prof_put_char(out, (char)('0' + thousandths / part % 10));
}

static void put_value(struct ash__prof_out *out, uint64_t value, bool has_sign) {
    bool is_negative = has_sign && value < SIGN;
    put_column(out, is_negative,
               !has_sign     ? value
               : is_negative ? SIGN - value
                             : value - SIGN,
               THOUSAND);
}

/* Rounded to zero. */
static void put_mean(struct ash__prof_out *out, const struct ash__prof_counter *counter,
                     bool has_sign) {
    uint64_t ticks = counter->last_clock - counter->first_clock;
    u128 sum = (u128)counter->sum_high << 64 | counter->sum_low;
    u128 zero = has_sign ? (u128)SIGN * ticks : 0;
    bool is_negative = sum < zero;
    sum = is_negative ? zero - sum : sum - zero;
    if (ticks == 0) {
        put_value(out, counter->last, has_sign);
        return;
    }
    uint64_t whole = ash_div_128_by_64((uint64_t)(sum >> 64), (uint64_t)sum, ticks);
    uint64_t rest = (uint64_t)(sum - (u128)whole * ticks);
    put_column(out, is_negative, whole, (uint32_t)ash_mul_div_u64(rest, THOUSAND, ticks));
}

void ash__prof_put_counters(struct ash__prof_out *out, const struct ash_prof_view *view,
                            const struct ash__prof_type *types, struct ash__prof_counters *counters,
                            uint64_t end_clock) {
    if (counters->used == 0)
        return;
    ash__prof_put_string(out, "\nCounters, their mean over time\n"
                              "          least           mean           most           last\n");
    for (uint32_t i = 0; i < counters->used; i++) {
        struct ash__prof_counter *counter = &counters->series[i];
        const struct ash__prof_type *type = &types[counter->id];
        charge(counter, end_clock);
        put_value(out, counter->least, is_signed(type));
        put_mean(out, counter, is_signed(type));
        put_value(out, counter->most, is_signed(type));
        put_value(out, counter->last, is_signed(type));
        ash__prof_put_string(out, "  ");
        ash__prof_put_counter_name(out, view, type, counter->id, counter->a);
        if (type->field_count == 2) {
            ash__prof_put_string(out, ", ");
            ash__prof_put_left(out, type->fields[1].name, type->fields[1].name_len, 0);
        }
        ash__prof_put_char(out, '\n');
    }
    if (counters->left_out != 0) {
        ash__prof_put_string(out, "  left out: ");
        ash__prof_put_u64(out, counters->left_out);
        ash__prof_put_string(out, " records of other counters\n");
    }
}
