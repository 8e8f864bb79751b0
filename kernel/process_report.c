/* SPDX-License-Identifier: MIT */
/* process_report.c: what is said of a program that the kernel ends: why, and where it was. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "process_internal.h"

enum { CALLERS_MAX = 8, WHY_BYTES = 192, PLACE_BYTES = 48 + ELF_NAME_BYTES };

_Static_assert(1 + CALLERS_MAX <= IMAGE_PLACES_MAX, "all are named at a time");

/* By frame records (Procedure Call Standard for the Arm 64-bit Architecture, 6.4.6), as far as they
 * are readable and go up. */
static uint32_t find_callers(struct process *self, struct image_place callers[CALLERS_MAX]) {
    uint64_t record[2] = {self->user.x[29], 0};
    uint32_t count = 0;
    while (count < CALLERS_MAX) {
        uint64_t at = record[0];
        if (at % 16 != 0 || user_read(self->space, record, at, sizeof(record)) != 0 ||
            record[1] == 0)
            break;
        callers[count++] = (struct image_place){.address = record[1], .is_return = true};
        if (record[0] <= at)
            break;
    }
    return count;
}

/* "0x400364 (main+0x14)" */
static const char *text_of(char text[PLACE_BYTES], const struct image_place *place) {
    if (place->name[0] == '\0')
        snprintf(text, PLACE_BYTES, "0x%" PRIx64, place->address);
    else
        snprintf(text, PLACE_BYTES, "0x%" PRIx64 " (%s+0x%" PRIx64 ")", place->address, place->name,
                 place->offset);
    return text;
}

static void say(const char *format, ...) ASH_PRINTF(1, 2);

static void say(const char *format, ...) {
    char line[WHY_BYTES + PLACE_BYTES + 64];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(line, sizeof(line), format, arguments);
    va_end(arguments);
    processes.config.report(processes.config.context, line);
}

/* Named before the first line is written, so that the lines stay together. */
void process_report(struct process *self, const char *format, ...) {
    struct image_place places[1 + CALLERS_MAX] = {{.address = self->user.pc}};
    char why[WHY_BYTES], place[PLACE_BYTES];
    va_list arguments;
    if (processes.config.report == NULL)
        return;
    va_start(arguments, format);
    vsnprintf(why, sizeof(why), format, arguments);
    va_end(arguments);
    uint32_t count = 1 + find_callers(self, places + 1);
    images_name(&self->image, places, count);
    say("%s (pid %" PRIu32 "): %s, at pc %s", self->name, self->id, why,
        text_of(place, &places[0]));
    for (uint32_t i = 1; i < count; i++)
        say("  called from %s", text_of(place, &places[i]));
}
