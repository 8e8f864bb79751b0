/* SPDX-License-Identifier: MIT */
/*
 * events.h: where the events of the parts go: into a ring of notes that the shell prints between
 * two commands. Taking a note is safe in any context (locks held, interrupts masked, any CPU): it
 * writes to memory and nothing else.
 */
#ifndef KERNEL_EVENTS_H
#define KERNEL_EVENTS_H

#include <ashlar/event.h>

enum { EVENTS_KEPT = 256 }; /* a power of two; older notes are overwritten, and counted */

/* Turns all events of the image on or off; off, an event costs a load and a branch. */
void events_enable(bool on);
bool events_enabled(void);

/* Hands over the notes taken since the last call, as lines; also how many were overwritten. By one
 * thread, the shell's. */
void events_print(void (*print)(void *context, const char *line), void *context);

#endif
