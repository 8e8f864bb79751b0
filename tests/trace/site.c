/* SPDX-License-Identifier: MIT */
/* site.c: a site of an event and nothing beside it, for sites.py to look at. */
#include <ashlar/port.h>

/* What sites.py knows a test of `enabled` by. */
_Static_assert(sizeof(struct ash_event) == 24 && offsetof(struct ash_event, enabled) == 19,
               "as in sites.py");

ASH_EVENT_DEFINE(event_one, "test.one", "a,b");

void site(uint64_t a, uint64_t b);

void site(uint64_t a, uint64_t b) {
    ASH_EVENT(event_one, a, b);
    (void)a, (void)b;
}
