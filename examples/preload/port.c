/* SPDX-License-Identifier: MIT */
/*
 * port.c: what the hosted port.h and the parts declare and somebody must supply, without the
 * simulated machine of platform/hosted: no clock, no signals, no console. (Its fence.c and spin.c
 * are linked as they are.) Nothing here allocates.
 */
#include <ashlar/check.h>
#include <ashlar/port.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "memory.h"
#include "profile.h"

__thread struct hosted_cpu hosted_this_cpu;

void hosted_yield(void) {
    sched_yield();
}

/* Never reached: no cache here is used from interrupts, so nothing is ever pending. */
void hosted_irq_replay(void) {
}

/* Nobody enables an event here. */
void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[600], report[800];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    bool has_trail = strchr(message, '\n') != NULL;
    int len = snprintf(report, sizeof(report), "libashlar-malloc: %s%s (%s:%u)\n", message,
                       has_trail ? "\n " : "", file, line);
    ssize_t written = write(STDERR_FILENO, report, (size_t)len);
    (void)written;
    if (memory_notes_callers)
        profile_name_addresses(message);
    abort();
}
