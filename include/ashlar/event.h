/* SPDX-License-Identifier: MIT */
/*
 * event.h: how a part says that something happened (a slab was refilled, a device broke its
 * protocol) without knowing who listens.
 *
 * Rules
 *  - An event is declared once, at file scope of a .c file: a descriptor with its name, its kind,
 *    and the names and formats of its two arguments, in the linker section `ash_events`.
 *  - ASH_EVENT(variable, a, b) goes through the port's inline hook ash_port_event: empty in the
 *    smallest port, elsewhere a load and a branch on `enabled` (<ashlar/event_site.h>), then
 *    ash_event_emit. With ASH_EVENTS=0 it is nothing at all. The arguments may not be evaluated.
 *  - ash_event_emit is supplied by whoever links the part. It stamps time, CPU and task; no part
 *    does. It may be called in any context and must not call back into the part.
 *
 * Fields: "cache:x,objects", the first argument's and, if there is one, the second's. What follows
 * the colon says how people read it:
 *
 *     u   a number (also without a colon)     d   a signed one       x   hexadecimal
 *     ns  nanoseconds of the machine's clock  e   0 or -ASH_E*       task  a task's number
 *     s   up to eight bytes of text, the first one the lowest, the rest 0
 */
#ifndef ASHLAR_EVENT_H
#define ASHLAR_EVENT_H

#include <ashlar/base.h>

#ifndef ASH_EVENTS
#define ASH_EVENTS 1
#endif

enum ash_event_kind {
    ASH_EVENT_INSTANT,
    ASH_EVENT_BEGIN,       /* of what ends on the same task, or in the same interrupt ... */
    ASH_EVENT_END,         /* ... by the event of the same name and this kind; they nest */
    ASH_EVENT_ASYNC_BEGIN, /* of what may end anywhere; the first argument says which */
    ASH_EVENT_ASYNC_END,   /* the same name, and the same first argument */
    ASH_EVENT_COUNTER,     /* from now on: the first argument says which, the second its value */
    ASH_EVENT_SWITCH,      /* this CPU turns from a task, the first argument, to the second */
    ASH_EVENT_KINDS,
};

struct ash_event {
    const char *name;   /* "slab.refill" */
    const char *fields; /* "cache:x,objects" */
    uint16_t id;        /* from 1 on; written by the sink alone */
    uint8_t kind;       /* enum ash_event_kind */
    uint8_t enabled;    /* 0 or 1; written by the sink alone */
};

#ifdef __cplusplus
extern "C" {
#endif

void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b);

#ifdef __cplusplus
}
#endif

#if ASH_EVENTS
/* Aligned by hand, so that the section is an array whatever the compiler's taste in padding. */
#define ASH_EVENT_PLACE __attribute__((section("ash_events"), used, aligned(8)))
#else
#define ASH_EVENT_PLACE __attribute__((unused))
#endif

#define ASH_EVENT_DEFINE_KIND(variable, event_kind, event_name, event_fields) \
    static struct ash_event variable ASH_EVENT_PLACE = {                      \
        .name = (event_name), .fields = (event_fields), .kind = (event_kind)}

/* The hook for a descriptor whose address is a constant; a port may have a better one. */
#ifndef ASH_PORT_EVENT_SITE
#define ASH_PORT_EVENT_SITE(event, a, b) ash_port_event(event, a, b)
#endif

#if ASH_EVENTS
#define ASH_EVENT(variable, a, b) ASH_PORT_EVENT_SITE(&(variable), (uint64_t)(a), (uint64_t)(b))

/* Does anybody want it? To be asked first where the arguments are dear. */
#define ASH_EVENT_IS_ON(variable) \
    ASH_UNLIKELY(__atomic_load_n(&(variable).enabled, __ATOMIC_RELAXED) != 0)
#else
#define ASH_EVENT_IS_ON(variable) ((void)sizeof(variable), false)
#define ASH_EVENT(variable, a, b) \
    ((void)sizeof(variable), (void)sizeof((uint64_t)(a)), (void)sizeof((uint64_t)(b)))
#endif

/* What most are. */
#define ASH_EVENT_DEFINE(variable, event_name, event_fields) \
    ASH_EVENT_DEFINE_KIND(variable, ASH_EVENT_INSTANT, event_name, event_fields)

#endif
