/* SPDX-License-Identifier: MIT */
/* events.c: see events.h. A note's sequence number is written last: it says that the rest is
 * there. */
#include "events.h"

#include <ashlar/port.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

/* Weak: an image may have no event at all. */
extern struct ash_event __start_ash_events[] __attribute__((weak));
extern struct ash_event __stop_ash_events[] __attribute__((weak));

/* The test harness counts events too, where it is linked in. */
void test_event_sink(const struct ash_event *event, uint64_t a, uint64_t b) __attribute__((weak));

struct note {
    uint64_t sequence; /* 1 + its number; 0: being written */
    ash_ns_t time_ns;
    const struct ash_event *event;
    uint64_t a, b;
    uint32_t cpu;
};

static struct {
    bool on;
    uint64_t next; /* number of the next note */
    uint64_t printed;
    struct note notes[EVENTS_KEPT];
} events;

void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    if (test_event_sink != NULL)
        test_event_sink(event, a, b);
    if (!ash_load_relaxed(&events.on))
        return;
    uint32_t cpu;
    ash_port_pin(&cpu); /* nobody waits in the middle of a note while all others are taken */
    uint64_t number = ash_fetch_add(&events.next, 1u);
    struct note *note = &events.notes[number % EVENTS_KEPT];
    ash_store_relaxed(&note->sequence, 0u);
    ash_fence(); /* a reader that sees a new field does not see the old number */
    note->cpu = cpu;
    note->time_ns = platform_now_ns();
    note->event = event;
    note->a = a;
    note->b = b;
    ash_store_release(&note->sequence, number + 1);
    ash_port_unpin();
}

void events_enable(bool on) {
    for (struct ash_event *event = __start_ash_events; event < __stop_ash_events; event++)
        ash_store_relaxed(&event->enabled, (uint8_t)on);
    if (on)
        events.printed = ash_load_acquire(&events.next);
    ash_store_relaxed(&events.on, on);
}

bool events_enabled(void) {
    return events.on;
}

/* "1.000123456 cpu 0 slab.refill cache=0x1c objects=0x80" */
static void format(const struct note *note, char *line, size_t size) {
    const char *fields = note->event->fields, *comma = strchr(fields, ',');
    int first_len = comma == NULL ? (int)strlen(fields) : (int)(comma - fields);
    snprintf(line, size,
             "%" PRIu64 ".%09" PRIu64 " cpu %" PRIu32 " %s %.*s=0x%" PRIx64 " %s=0x%" PRIx64,
             note->time_ns / 1000000000u, note->time_ns % 1000000000u, note->cpu, note->event->name,
             first_len, fields, note->a, comma == NULL ? "" : comma + 1, note->b);
}

void events_print(void (*print)(void *context, const char *line), void *context) {
    char line[160];
    uint64_t end = ash_load_acquire(&events.next), lost = 0;
    if (end - events.printed > EVENTS_KEPT) {
        lost = end - events.printed - EVENTS_KEPT;
        events.printed = end - EVENTS_KEPT;
    }
    for (; events.printed != end; events.printed++) {
        const struct note *place = &events.notes[events.printed % EVENTS_KEPT];
        if (ash_load_acquire(&place->sequence) != events.printed + 1) {
            lost++;
            continue;
        }
        struct note note = *place;
        ash_fence();
        if (ash_load_relaxed(&place->sequence) != events.printed + 1) {
            lost++;
            continue;
        }
        format(&note, line, sizeof(line));
        print(context, line);
    }
    if (lost != 0) {
        snprintf(line, sizeof(line), "%" PRIu64 " events more were overwritten", lost);
        print(context, line);
    }
}
