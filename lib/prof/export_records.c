/* SPDX-License-Identifier: MIT */
/* export_records.c: records on their way out (export_records.h). */
#include "export_records.h"

#define LINES_MAX 64u

void *ash__prof_take(struct ash__prof_work *work, uint64_t count, size_t bytes) {
    void *piece = work->base == NULL ? NULL : work->base + work->used;
    work->used += ash_align_up(count * bytes, 64);
    return piece;
}

/* Descriptors */

static enum ash__prof_reading reading_of(const char *format, uint32_t len) {
    static const struct {
        char text[5];
        uint8_t reading;
    } readings[] = {{"d", ASH__PROF_SIGNED},
                    {"x", ASH__PROF_HEX},
                    {"ns", ASH__PROF_NS},
                    {"e", ASH__PROF_ERROR},
                    {"task", ASH__PROF_TASK}};
    for (size_t i = 0; i < ASH_ARRAY_LEN(readings); i++) {
        if (ash__prof_strlen(readings[i].text) == len &&
            __builtin_memcmp(readings[i].text, format, len) == 0)
            return (enum ash__prof_reading)readings[i].reading;
    }
    return ASH__PROF_NUMBER;
}

/* "name:format" up to a comma or the end; returns what is behind it, NULL: that was the last. */
static const char *parse_field(const char *text, struct ash__prof_field *field) {
    uint32_t end = 0;
    while (text[end] != 0 && text[end] != ',')
        end++;
    uint32_t colon = 0;
    while (colon < end && text[colon] != ':')
        colon++;
    field->name = text;
    field->name_len = colon;
    field->reading = ASH__PROF_NUMBER;
    if (colon < end)
        field->reading = reading_of(text + colon + 1, end - colon - 1);
    return text[end] == ',' ? text + end + 1 : NULL;
}

static void parse_fields(struct ash__prof_type *type, const char *fields) {
    type->field_count = 0;
    while (fields != NULL && *fields != 0 && type->field_count < 2)
        fields = parse_field(fields, &type->fields[type->field_count++]);
}

static bool is_same(const char *a, const char *b) {
    while (*a != 0 && *a == *b) {
        a++;
        b++;
    }
    return *a == *b;
}

void ash__prof_types(const struct ash_prof_view *view, struct ash__prof_type *types) {
    for (uint32_t id = 0; id < ASH__PROF_TYPES; id++) {
        struct ash__prof_type *type = &types[id];
        const struct ash_prof_event *event = ash_prof_view_event(view, id);
        type->name = event == NULL ? NULL : ash_prof_view_string(view, event->name);
        type->kind = ASH_EVENT_INSTANT;
        if (event != NULL && event->kind < ASH_EVENT_KINDS)
            type->kind = (uint8_t)event->kind;
        parse_fields(type, event == NULL ? "a:x,b:x" : ash_prof_view_string(view, event->fields));
        type->same = (uint16_t)id;
        for (uint32_t i = 0; i < id && event != NULL && type->same == id; i++) {
            if (types[i].name != NULL && is_same(types[i].name, type->name))
                type->same = (uint16_t)i;
        }
    }
}

/* Text */

/* Splits the line at `at`; false: it has no '='. */
static bool split(const struct ash_prof_view *view, size_t at, struct ash__prof_line *line) {
    const char *text = view->text + at;
    size_t left = view->text_bytes - at, end = 0, equals = 0;
    while (end < left && text[end] != '\n')
        end++;
    while (equals < end && text[equals] != '=')
        equals++;
    line->key = text;
    line->key_len = equals;
    line->value = text + equals + 1;
    line->value_len = equals < end ? end - equals - 1 : 0;
    line->next = at + ash_min_u64(end + 1, left);
    return equals < end && equals != 0;
}

static bool is_first(const struct ash_prof_view *view, const struct ash__prof_line *line) {
    struct ash__prof_line other = {.next = 0};
    while (other.next < view->text_bytes) {
        bool is_line = split(view, other.next, &other);
        if (other.key == line->key)
            break;
        if (is_line && other.key_len == line->key_len &&
            __builtin_memcmp(other.key, line->key, line->key_len) == 0)
            return false;
    }
    return true;
}

bool ash__prof_line_next(const struct ash_prof_view *view, struct ash__prof_line *line) {
    while (line->next < view->text_bytes && line->count < LINES_MAX) {
        line->count++;
        if (split(view, line->next, line) && is_first(view, line))
            return true;
    }
    return false;
}

size_t ash__prof_group_len(const char *name) {
    size_t len = 0;
    while (name != NULL && name[len] != 0 && name[len] != '.')
        len++;
    return name != NULL && name[len] != 0 && name[len + 1] != 0 ? len : 0;
}

void ash__prof_put_type_name(struct ash__prof_out *out, const struct ash__prof_type *type,
                             uint32_t id) {
    if (type->name != NULL) {
        ash__prof_put_json(out, type->name, ash__prof_strlen(type->name));
    } else {
        ash__prof_put_string(out, "event ");
        ash__prof_put_u64(out, id);
    }
}

void ash__prof_put_counter_name(struct ash__prof_out *out, const struct ash_prof_view *view,
                                const struct ash__prof_type *type, uint32_t id, uint64_t a) {
    ash__prof_put_type_name(out, type, id);
    ash__prof_put_char(out, ' ');
    if (type->field_count != 0 && type->fields[0].reading == ASH__PROF_TASK)
        ash__prof_put_task(out, view, a);
    else if (type->field_count != 0 && type->fields[0].reading == ASH__PROF_HEX)
        ash__prof_put_hex(out, a);
    else
        ash__prof_put_u64(out, a);
}

void ash__prof_put_task(struct ash__prof_out *out, const struct ash_prof_view *view,
                        uint64_t task) {
    const struct ash_prof_task *known =
        ash_prof_view_task(view, (uint32_t)task & ASH_TRACE_TASK_MAX);
    if (known != NULL && known->name[0] != 0) {
        ash__prof_put_json(out, known->name, ash__prof_strlen(known->name));
        ash__prof_put_string(out, " (");
        ash__prof_put_u64(out, task);
        ash__prof_put_char(out, ')');
    } else {
        ash__prof_put_string(out, "task ");
        ash__prof_put_u64(out, task);
    }
}
