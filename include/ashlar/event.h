/* SPDX-License-Identifier: MIT */
/*
 * event.h: how a part says that something happened (a slab was refilled, a device broke its
 * protocol) without knowing who listens.
 *
 * Rules
 *  - An event is declared once, at file scope of a .c file, by ASH_EVENT_DEFINE: a descriptor with
 *    its name and the names of its two arguments, in the linker section `ash_events`.
 *  - ASH_EVENT(id, a, b) goes through the port's inline hook ash_port_event: empty in the smallest
 *    port, elsewhere a load and a branch on `enabled`, then ash_event_emit.
 *  - ash_event_emit is supplied by whoever links the part. It stamps time, CPU and task; no part
 *    does. It may be called in any context and must not call back into the part.
 */
#ifndef ASHLAR_EVENT_H
#define ASHLAR_EVENT_H

#include <ashlar/base.h>

struct ash_event {
    const char *name;   /* "slab.refill" */
    const char *fields; /* the two arguments, comma-separated: "cache,objects" */
    uint8_t enabled;    /* 0 or 1; written by the sink alone */
};

#ifdef __cplusplus
extern "C" {
#endif

void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b);

#ifdef __cplusplus
}
#endif

/* Aligned by hand, so that the section is an array whatever the compiler's taste in padding. */
#define ASH_EVENT_DEFINE(id, event_name, event_fields)                                      \
    static struct ash_event id __attribute__((section("ash_events"), used, aligned(8))) = { \
        .name = (event_name), .fields = (event_fields), .enabled = 0}

#define ASH_EVENT(id, a, b) ash_port_event(&(id), (uint64_t)(a), (uint64_t)(b))

#endif
