/* SPDX-License-Identifier: MIT */
/* sched_trace.c: see sched_trace.h. */
#include "sched_trace.h"

#include <ashlar/bits.h>

void sched_trace_init(struct sched_trace *trace, struct sched_trace_record *records,
                      uint32_t records_max, uint64_t origin) {
    *trace = (struct sched_trace){.records = records,
                                  .records_max = records_max,
                                  .origin = origin,
                                  .running = SCHED_TRACE_NOBODY};
}

static void note(struct sched_trace *trace, uint64_t now, uint32_t who,
                 enum sched_trace_event event) {
    if ((int64_t)(now - trace->origin) < 0)
        return;
    if (trace->count == trace->records_max) {
        trace->lost++;
        return;
    }
    trace->records[trace->count++] =
        (struct sched_trace_record){.time_ns = now - trace->origin, .who = who, .event = event};
}

/* Its counts against those of the last look. */
static void look_at(struct sched_trace *trace, struct ash_sched *sched, uint32_t who) {
    struct ash_sched_account *seen = &trace->accounts[who], account;
    if (ash_sched_get_account(sched, trace->entities[who], sched->now, &account) != 0)
        return;
    if (account.misses != seen->misses)
        note(trace, sched->now, who, SCHED_TRACE_MISS);
    if (account.completions != seen->completions)
        note(trace, sched->now, who, SCHED_TRACE_END);
    if (account.throttles != seen->throttles)
        note(trace, sched->now, who, SCHED_TRACE_THROTTLE);
    if (account.releases != seen->releases)
        note(trace, sched->now, who, SCHED_TRACE_RELEASE);
    trace->overrun_max_ns[who] =
        ash_max_u64(trace->overrun_max_ns[who], account.overrun_ns - seen->overrun_ns);
    *seen = account;
}

void sched_trace_look(struct sched_trace *trace, struct ash_sched *sched,
                      const struct ash_sched_entity *run) {
    uint32_t running = SCHED_TRACE_NOBODY;
    for (uint32_t who = 0; who < SCHED_TRACE_ENTITIES; who++) {
        if (trace->entities[who] == NULL)
            continue;
        look_at(trace, sched, who);
        if (trace->entities[who] == run)
            running = who;
    }
    if (running == trace->running)
        return;
    trace->running = running;
    note(trace, sched->now, running, SCHED_TRACE_RUN);
}

/* FNV-1a, byte by byte: the byte order of the machine has no part in it. */
static uint64_t mix(uint64_t hash, uint64_t value) {
    for (int i = 0; i < 8; i++, value >>= 8)
        hash = (hash ^ (value & 0xff)) * UINT64_C(0x100000001b3);
    return hash;
}

uint64_t sched_trace_digest(const struct sched_trace *trace) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct sched_trace_record *record = &trace->records[i];
        hash = mix(mix(mix(hash, record->time_ns), record->who), record->event);
    }
    return mix(hash, trace->lost);
}

static uint64_t distance(uint64_t a, uint64_t b) {
    return a < b ? b - a : a - b;
}

uint32_t sched_trace_same(const struct sched_trace *a, const struct sched_trace *b,
                          uint64_t apart_ns[SCHED_TRACE_ENTITIES]) {
    uint32_t count = (uint32_t)ash_min_u64(a->count, b->count), i;
    for (uint32_t who = 0; who < SCHED_TRACE_ENTITIES; who++)
        apart_ns[who] = 0;
    for (i = 0; i < count; i++) {
        const struct sched_trace_record *one = &a->records[i], *other = &b->records[i];
        if (one->who != other->who || one->event != other->event)
            break;
        if (one->who < SCHED_TRACE_ENTITIES)
            apart_ns[one->who] =
                ash_max_u64(apart_ns[one->who], distance(one->time_ns, other->time_ns));
    }
    return i;
}

const char *sched_trace_event_name(uint32_t event) {
    static const char *const names[] = {[SCHED_TRACE_RELEASE] = "release",
                                        [SCHED_TRACE_MISS] = "miss",
                                        [SCHED_TRACE_END] = "end",
                                        [SCHED_TRACE_THROTTLE] = "throttle",
                                        [SCHED_TRACE_RUN] = "run"};
    return event < ASH_ARRAY_LEN(names) ? names[event] : "?";
}
