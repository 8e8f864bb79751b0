/* SPDX-License-Identifier: MIT */
/*
 * export_records.h: what the exports of records share: descriptors looked at once, lines of the
 * container's text, pieces of work memory.
 */
#ifndef ASHLAR_PROF_EXPORT_RECORDS_H
#define ASHLAR_PROF_EXPORT_RECORDS_H

#include "export_text.h"

#include <ashlar/event.h>

/* Pieces of the caller's memory, one after the other. With base NULL it only counts. */
struct ash__prof_work {
    char *base;
    size_t used;
};
void *ash__prof_take(struct ash__prof_work *work, uint64_t count, size_t bytes);

/* How a field is read by people: event.h. */
enum ash__prof_reading {
    ASH__PROF_NUMBER,
    ASH__PROF_SIGNED,
    ASH__PROF_HEX,
    ASH__PROF_NS,
    ASH__PROF_ERROR,
    ASH__PROF_TASK,
};

struct ash__prof_field {
    const char *name; /* name_len bytes */
    uint32_t name_len;
    enum ash__prof_reading reading;
};

struct ash__prof_type {
    const char *name; /* NULL: the container does not describe it */
    struct ash__prof_field fields[2];
    uint16_t same; /* the least id of this name */
    uint8_t kind, field_count;
};

#define ASH__PROF_TYPES (ASH_TRACE_ID_MAX + 1)

/* By id. What is not described is an instant with two hexadecimal fields. */
void ash__prof_types(const struct ash_prof_view *view, struct ash__prof_type *types);

/* All of a name that stands before its point; 0: it has no group, or is NULL. */
size_t ash__prof_group_len(const char *name);

/* As inside a JSON string: "slab.refill", "event 7"; and of a counter with what its first argument
 * says: "buddy.free 0x40211000". */
void ash__prof_put_type_name(struct ash__prof_out *out, const struct ash__prof_type *type,
                             uint32_t id);
void ash__prof_put_counter_name(struct ash__prof_out *out, const struct ash_prof_view *view,
                                const struct ash__prof_type *type, uint32_t id, uint64_t a);

/* The lines "key=value" of the container's text, in order, of each key the first, 64 at most. */
struct ash__prof_line {
    const char *key, *value;
    size_t key_len, value_len;
    size_t next; /* 0 at first */
    uint32_t count;
};
bool ash__prof_line_next(const struct ash_prof_view *view, struct ash__prof_line *line);

/* "sh (5)", "task 5"; as inside a JSON string. */
void ash__prof_put_task(struct ash__prof_out *out, const struct ash_prof_view *view, uint64_t task);

#endif
