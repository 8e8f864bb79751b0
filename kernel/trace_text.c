/* SPDX-License-Identifier: MIT */
/* trace_text.c: see trace_text.h; event.h has what the letters behind a field's colon mean. */
#include "trace_text.h"

#include <ashlar/bits.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"
#include "trace.h"

#define NS_PER_S UINT64_C(1000000000)

uint64_t trace_clock_origin(void) {
    uint64_t clock = ash_port_cycles();
    return clock - ash_mul_div_u64(platform_now_ns(), platform_clock_hz(), NS_PER_S);
}

void trace_text_begin(struct trace_text *text) {
    text->clock_hz = platform_clock_hz();
    text->origin = trace_clock_origin();
    text->name_count = thread_names(text->names, TRACE_NAMES_MAX, false);
}

/* A line that is filled from the left. */
struct line {
    char *text;
    size_t used;
};

static void put(struct line *line, const char *format, ...) ASH_PRINTF(2, 3);

static void put(struct line *line, const char *format, ...) {
    size_t room = TRACE_LINE_BYTES - line->used;
    va_list args;
    va_start(args, format);
    int len = vsnprintf(line->text + line->used, room, format, args);
    va_end(args);
    line->used += len < 0 ? 0 : (size_t)ash_min_u64((uint64_t)len, room - 1);
}

static void put_task(struct line *line, const struct trace_text *text, uint64_t task) {
    for (uint32_t i = 0; i < text->name_count; i++) {
        if ((text->names[i].id & ASH_TRACE_TASK_MAX) == (task & ASH_TRACE_TASK_MAX)) {
            put(line, "%s(%" PRIu64 ")", text->names[i].name, task);
            return;
        }
    }
    if (task == 0)
        put(line, "idle");
    else
        put(line, "%" PRIu64, task);
}

static void put_text(struct line *line, uint64_t value) {
    char bytes[sizeof(value) + 1] = {0};
    memcpy(bytes, &value, sizeof(value));
    for (char *byte = bytes; *byte != '\0'; byte++) {
        if (*byte < ' ' || *byte > '~')
            *byte = '.';
    }
    put(line, "\"%s\"", bytes);
}

static void put_value(struct line *line, const struct trace_text *text, const char *format,
                      size_t len, uint64_t value) {
    if (len == 4 && memcmp(format, "task", len) == 0)
        put_task(line, text, value);
    else if (len == 1 && *format == 'x')
        put(line, "0x%" PRIx64, value);
    else if (len == 1 && *format == 's')
        put_text(line, value);
    else if (len == 1 && *format == 'd')
        put(line, "%" PRId64, (int64_t)value);
    else if (len == 1 && *format == 'e')
        put(line, "%s", value == 0 ? "0" : ash_strerror((int)(int64_t)value));
    else
        put(line, "%" PRIu64 "%s", value, len == 2 ? " ns" : "");
}

/* One of "name:format,name:format"; where the next begins, NULL: this was the last. */
static const char *put_field(struct line *line, const struct trace_text *text, const char *fields,
                             uint64_t value) {
    size_t len = strcspn(fields, ","), name = strcspn(fields, ":,");
    if (len == 0)
        return NULL;
    put(line, " %.*s=", (int)name, fields);
    put_value(line, text, fields + name + 1, name < len ? len - name - 1 : 0, value);
    return fields[len] == ',' ? fields + len + 1 : NULL;
}

static const struct ash_event *event_of(uint32_t id) {
    const struct ash_event *event;
    for (uint32_t i = 0; (event = trace_event(i)) != NULL; i++) {
        if (event->id == id)
            return event;
    }
    return NULL;
}

void trace_text_line(const struct trace_text *text, uint32_t cpu,
                     const struct ash_trace_record *record, char chars[TRACE_LINE_BYTES]) {
    static const char *const marks[ASH_EVENT_KINDS] = {"", " {", " }", " (", " )", "", ""};
    struct line line = {chars, 0};
    const struct ash_event *event = event_of(ash_trace_id(record));
    uint64_t ns = ash_mul_div_u64(record->clock - text->origin, NS_PER_S, text->clock_hz);
    put(&line, "%" PRIu64 ".%09" PRIu64 " cpu %" PRIu32 " ", ns / NS_PER_S, ns % NS_PER_S, cpu);
    put_task(&line, text, ash_trace_task(record));
    put(&line, "%s: ", ash_trace_depth(record) == 0 ? "" : " irq");
    if (event == NULL) {
        put(&line, "event %" PRIu32, ash_trace_id(record));
        return;
    }
    put(&line, "%s%s", event->name, event->kind < ASH_EVENT_KINDS ? marks[event->kind] : "");
    const char *fields = put_field(&line, text, event->fields, record->a);
    if (fields != NULL)
        (void)put_field(&line, text, fields, record->b);
}
