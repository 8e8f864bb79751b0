/* SPDX-License-Identifier: MIT */
/*
 * export_pprof.c: a profile.proto, not compressed.
 *
 * A sample has two values: periods ("samples") and what they stand for (time, cycles or
 * instructions); labels say which task and which CPU. A location is an address in an image; what a
 * call returns to is written as the byte before it, which is inside the call: so readers expect it.
 * A function is what a location's label says, so places without a name have one, too. time_nanos
 * is of the machine's clock, which begins at 0: a file says nothing of its host.
 *
 * Nested messages begin with their length: all of them are small, and added up first.
 *
 * Source: github.com/google/pprof, proto/profile.proto; protobuf encoding of varints and tags.
 */
#include "export_internal.h"
#include "heading.h"
#include "sort.h"

#include <ashlar/checked.h>

struct location {
    uint64_t address; /* inside the call, where it is one */
    uint32_t process;
    uint32_t function; /* from 0 */
};

/* Where in the table of strings which ones begin. */
enum {
    STRING_EMPTY,
    STRING_SAMPLES,
    STRING_COUNT,
    STRING_VALUE,
    STRING_UNIT,
    STRING_TASK,
    STRING_TASK_NUMBER,
    STRING_CPU,
    STRING_IDLE,
    STRING_UNKNOWN,
    STRING_DAMAGED,
    STRING_HEADINGS, /* then CPUs, tasks, images' names and build-ids, functions */
};

struct profile {
    struct ash__prof_out out, scratch;
    struct ash_prof_aggregate aggregate;
    struct ash_prof_totals totals;
    struct location *locations;
    uint32_t location_count, function_count;
    uint32_t cpus_at, tasks_at, images_at, functions_at; /* among the strings */
};

/* Varints and fields */

static uint32_t varint_len(uint64_t value) {
    uint32_t len = 1;
    for (; value >= 0x80; value >>= 7)
        len++;
    return len;
}

static void put_varint(struct ash__prof_out *out, uint64_t value) {
    for (; value >= 0x80; value >>= 7)
        ash__prof_put_char(out, (char)(value | 0x80));
    ash__prof_put_char(out, (char)value);
}

enum { WIRE_VARINT = 0, WIRE_BYTES = 2 };

/* Fields below 16: a tag is one byte. 0 is what a missing field is. */
static uint32_t field_len(uint64_t value) {
    return value == 0 ? 0 : 1 + varint_len(value);
}

static void put_field(struct ash__prof_out *out, uint32_t field, uint64_t value) {
    if (value == 0)
        return;
    put_varint(out, field << 3 | WIRE_VARINT);
    put_varint(out, value);
}

static void put_bytes_head(struct ash__prof_out *out, uint32_t field, uint64_t len) {
    put_varint(out, field << 3 | WIRE_BYTES);
    put_varint(out, len);
}

/* Strings */

static uint64_t utf8_bytes(const char *text, size_t len) {
    uint64_t bytes = 0;
    for (size_t i = 0, step = 0; i < len; i += step) {
        size_t character = ash__prof_utf8_len(text + i, len - i);
        step = character == 0 ? 1 : character;
        bytes += character == 0 ? 3 : character;
    }
    return bytes;
}

static void put_utf8(struct ash__prof_out *out, const char *text, size_t len) {
    for (size_t i = 0, step = 0; i < len; i += step) {
        size_t character = ash__prof_utf8_len(text + i, len - i);
        step = character == 0 ? 1 : character;
        if (character == 0)
            ash__prof_put_string(out, "\xef\xbf\xbd");
        else
            ash__prof_put(out, text + i, character);
    }
}

static void put_text(struct profile *profile, const char *text, size_t len) {
    put_bytes_head(&profile->out, 6, utf8_bytes(text, len));
    put_utf8(&profile->out, text, len);
}

static void put_string(struct profile *profile, const char *string) {
    put_text(profile, string, ash__prof_strlen(string));
}

static void put_label_text(struct profile *profile, const struct ash_prof_label *label) {
    put_bytes_head(&profile->out, 6, utf8_bytes(label->name, label->name_len) + label->tail_len);
    put_utf8(&profile->out, label->name, label->name_len);
    ash__prof_put(&profile->out, label->tail, label->tail_len);
}

/* Locations and functions */

static int by_place(const void *context, const void *a, const void *b) {
    const struct location *x = a, *y = b;
    (void)context;
    if (x->process != y->process)
        return x->process < y->process ? -1 : 1;
    return x->address < y->address ? -1 : x->address > y->address;
}

static struct location location_of(const struct profile *profile,
                                   const struct ash_prof_group *group, uint32_t level) {
    struct ash_prof_frame frame;
    ash_prof_group_frame(profile->aggregate.view, group, level, &frame);
    return (struct location){.address = frame.address - (frame.is_return && frame.address != 0),
                             .process = frame.process};
}

/* What it is called: without the mark of the kernel's, which its mapping says. */
static void location_label(const struct ash_prof_view *view, const struct location *location,
                           struct ash_prof_label *label) {
    const struct ash_prof_frame frame = {.address = location->address,
                                         .process = location->process};
    ash_prof_frame_label(view, &frame, label);
}

/* Locations of a function lie next to each other: they are sorted by address. */
static void number_functions(struct profile *profile) {
    const struct ash_prof_view *view = profile->aggregate.view;
    struct ash_prof_place last = {.image = NULL}, place;
    uint64_t last_start = 0;
    for (uint32_t i = 0; i < profile->location_count; i++) {
        struct location *location = &profile->locations[i];
        bool is_named =
            ash_prof_view_place(view, location->process, location->address, false, &place) &&
            place.name != NULL;
        uint64_t start = location->address - place.offset;
        bool is_same = is_named && i != 0 && last.name == place.name && last.image == place.image &&
                       last_start == start;
        profile->function_count += !is_same;
        location->function = profile->function_count - 1;
        last = place;
        if (!is_named)
            last.name = NULL;
        last_start = start;
    }
}

static void find_locations(struct profile *profile) {
    size_t count = 0, kept = 0;
    for (size_t i = 0; i < profile->aggregate.count; i++) {
        const struct ash_prof_group *group = &profile->aggregate.groups[i];
        if ((group->flags & ASH_PROF_GROUP_DAMAGED) != 0)
            continue;
        for (uint32_t level = 1; level < ash_prof_group_levels(group); level++)
            profile->locations[count++] = location_of(profile, group, level);
    }
    ash__prof_sort(profile->locations, count, sizeof(struct location), by_place, NULL);
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || by_place(NULL, &profile->locations[kept - 1], &profile->locations[i]) != 0)
            profile->locations[kept++] = profile->locations[i];
    }
    profile->location_count = (uint32_t)kept;
    number_functions(profile);
}

/* From 1. One more than there are: that of damaged samples. */
static uint32_t location_id(const struct profile *profile, const struct ash_prof_group *group,
                            uint32_t level) {
    uint32_t low = 0, high = profile->location_count;
    if ((group->flags & ASH_PROF_GROUP_DAMAGED) != 0)
        return profile->location_count + 1;
    struct location wanted = location_of(profile, group, level);
    while (high - low > 1) {
        uint32_t middle = low + (high - low) / 2;
        if (by_place(NULL, &profile->locations[middle], &wanted) <= 0)
            low = middle;
        else
            high = middle;
    }
    return low + 1;
}

/* Messages */

static void put_value_type(struct ash__prof_out *out, uint32_t field, uint32_t type,
                           uint32_t unit) {
    put_bytes_head(out, field, field_len(type) + field_len(unit));
    put_field(out, 1, type);
    put_field(out, 2, unit);
}

/* Of a sample: a string if there is one, else a number. */
static uint32_t label_len(uint32_t key, uint32_t string, uint64_t number) {
    return field_len(key) + field_len(string) + field_len(number);
}

static void put_label(struct ash__prof_out *out, uint32_t key, uint32_t string, uint64_t number) {
    put_bytes_head(out, 3, label_len(key, string, number));
    put_field(out, 1, key);
    put_field(out, 2, string);
    put_field(out, 3, number);
}

static uint32_t task_string(const struct profile *profile, const struct ash_prof_group *group) {
    const struct ash_prof_view *view = profile->aggregate.view;
    if ((group->flags & ASH_PROF_GROUP_IDLE) != 0)
        return STRING_IDLE;
    const struct ash_prof_task *task = ash_prof_view_task(view, group->task);
    return task == NULL || task->name[0] == 0 ? STRING_UNKNOWN
                                              : profile->tasks_at + (uint32_t)(task - view->tasks);
}

static void put_sample(struct profile *profile, const struct ash_prof_group *group) {
    struct ash__prof_out *out = &profile->out;
    uint32_t ids[ASH_PROF_FRAMES_MAX], count = ash_prof_group_levels(group) - 1, ids_len = 0;
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = location_id(profile, group, count - i);
        ids_len += varint_len(ids[i]);
    }
    uint64_t value = ash__prof_in_units(&profile->totals, group->weight);
    uint32_t values_len = varint_len(group->weight) + varint_len(value);
    uint32_t task = task_string(profile, group);
    uint32_t task_len = label_len(STRING_TASK, task, 0);
    uint32_t number_len = label_len(STRING_TASK_NUMBER, 0, group->task);
    uint32_t cpu_len = label_len(STRING_CPU, profile->cpus_at + group->cpu, 0);
    put_bytes_head(out, 2,
                   (1 + varint_len(ids_len) + ids_len) + (1 + varint_len(values_len) + values_len) +
                       (2 + task_len) + (2 + number_len) + (2 + cpu_len));
    put_bytes_head(out, 1, ids_len);
    for (uint32_t i = 0; i < count; i++)
        put_varint(out, ids[i]);
    put_bytes_head(out, 2, values_len);
    put_varint(out, group->weight);
    put_varint(out, value);
    put_label(out, STRING_TASK, task, 0);
    put_label(out, STRING_TASK_NUMBER, 0, group->task);
    put_label(out, STRING_CPU, profile->cpus_at + group->cpu, 0);
}

static void put_mapping(struct profile *profile, uint32_t i) {
    struct ash__prof_out *out = &profile->out;
    const struct ash_prof_image *image = &profile->aggregate.view->images[i];
    uint32_t name = profile->images_at + 2 * i;
    put_bytes_head(out, 3,
                   field_len(i + 1) + field_len(image->start) + field_len(image->end) +
                       field_len(name) + field_len(name + 1) + field_len(1));
    put_field(out, 1, i + 1);
    put_field(out, 2, image->start);
    put_field(out, 3, image->end);
    put_field(out, 5, name);
    put_field(out, 6, name + 1);
    put_field(out, 7, 1); /* has_functions: nobody has to look into the image */
}

static void put_location_of(struct ash__prof_out *out, uint32_t id, uint32_t mapping,
                            uint64_t address, uint32_t function) {
    uint32_t line_len = field_len(function);
    put_bytes_head(out, 4, field_len(id) + field_len(mapping) + field_len(address) + 2 + line_len);
    put_field(out, 1, id);
    put_field(out, 2, mapping);
    put_field(out, 3, address);
    put_bytes_head(out, 4, line_len);
    put_field(out, 1, function);
}

static void put_location(struct profile *profile, uint32_t i) {
    const struct ash_prof_view *view = profile->aggregate.view;
    const struct location *location = &profile->locations[i];
    struct ash_prof_place place;
    uint32_t mapping = 0;
    if (ash_prof_view_place(view, location->process, location->address, false, &place))
        mapping = (uint32_t)(place.image - view->images) + 1;
    put_location_of(&profile->out, i + 1, mapping, location->address, location->function + 1);
}

static void put_function(struct profile *profile, uint32_t id, uint32_t name) {
    struct ash__prof_out *out = &profile->out;
    put_bytes_head(out, 5, field_len(id) + 2 * field_len(name));
    put_field(out, 1, id);
    put_field(out, 2, name);
    put_field(out, 3, name);
}

static void put_build_id(struct profile *profile, const struct ash_prof_image *image) {
    uint32_t bytes = image->build_id_bytes < sizeof(image->build_id)
                         ? image->build_id_bytes
                         : (uint32_t)sizeof(image->build_id);
    put_bytes_head(&profile->out, 6, 2 * bytes);
    for (uint32_t i = 0; i < bytes; i++) {
        ash__prof_put_char(&profile->out, "0123456789abcdef"[image->build_id[i] >> 4]);
        ash__prof_put_char(&profile->out, "0123456789abcdef"[image->build_id[i] & 15]);
    }
}

/* Parts of the profile */

static void put_fixed_strings(struct profile *profile) {
    static const char *const values[][2] = {
        [ASH_PROF_UNIT_NS] = {"cpu", "nanoseconds"},
        [ASH_PROF_UNIT_CYCLES] = {"cycles", "count"},
        [ASH_PROF_UNIT_INSTRUCTIONS] = {"instructions", "count"}};
    const char *const fixed[STRING_HEADINGS] = {
        [STRING_EMPTY] = "",
        [STRING_SAMPLES] = "samples",
        [STRING_COUNT] = "count",
        [STRING_VALUE] = values[profile->totals.unit][0],
        [STRING_UNIT] = values[profile->totals.unit][1],
        [STRING_TASK] = "task",
        [STRING_TASK_NUMBER] = "task_number",
        [STRING_CPU] = "cpu",
        [STRING_IDLE] = "[idle]",
        [STRING_UNKNOWN] = "[unknown]",
        [STRING_DAMAGED] = "[damaged]",
    };
    for (uint32_t i = 0; i < STRING_HEADINGS; i++)
        put_string(profile, fixed[i]);
}

static void put_strings(struct profile *profile) {
    const struct ash_prof_view *view = profile->aggregate.view;
    struct ash__prof_out *scratch = &profile->scratch;
    put_fixed_strings(profile);
    for (uint32_t line = 0; line < ASH__PROF_HEADINGS; line++) {
        ash__prof_heading(scratch, line, &profile->aggregate, &profile->totals);
        put_text(profile, scratch->bytes, scratch->used);
    }
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        scratch->used = 0;
        ash__prof_put_string(scratch, "cpu");
        ash__prof_put_u64(scratch, cpu);
        put_text(profile, scratch->bytes, scratch->used);
    }
    for (uint32_t i = 0; i < view->task_count; i++)
        put_string(profile, view->tasks[i].name);
    for (uint32_t i = 0; i < view->image_count; i++) {
        put_string(profile, view->strings + view->images[i].name);
        put_build_id(profile, &view->images[i]);
    }
    for (uint32_t i = 0; i < profile->location_count; i++) {
        struct ash_prof_label label;
        if (i != 0 && profile->locations[i - 1].function == profile->locations[i].function)
            continue;
        location_label(view, &profile->locations[i], &label);
        put_label_text(profile, &label);
    }
}

static void put_tables(struct profile *profile) {
    const struct ash_prof_view *view = profile->aggregate.view;
    struct ash__prof_out *out = &profile->out;
    for (uint32_t i = 0; i < view->image_count; i++)
        put_mapping(profile, i);
    for (uint32_t i = 0; i < profile->location_count; i++)
        put_location(profile, i);
    for (uint32_t i = 0; i < profile->function_count; i++)
        put_function(profile, i + 1, profile->functions_at + i);
    if (profile->aggregate.damaged != 0) {
        put_location_of(out, profile->location_count + 1, 0, 0, profile->function_count + 1);
        put_function(profile, profile->function_count + 1, STRING_DAMAGED);
    }
}

static void put_profile(struct profile *profile) {
    struct ash__prof_out *out = &profile->out;
    put_value_type(out, 1, STRING_SAMPLES, STRING_COUNT);
    put_value_type(out, 1, STRING_VALUE, STRING_UNIT);
    for (size_t i = 0; i < profile->aggregate.count && out->error == 0; i++) {
        put_sample(profile, &profile->aggregate.groups[i]);
        ash__prof_out_step(out, 1);
    }
    put_tables(profile);
    put_strings(profile);
    put_field(out, 9, ash_min_u64(profile->totals.begin_ns, INT64_MAX));
    put_field(out, 10, ash_min_u64(profile->totals.duration_ns, INT64_MAX));
    put_value_type(out, 11, STRING_VALUE, STRING_UNIT);
    put_field(out, 12, ash__prof_in_units(&profile->totals, 1));
    for (uint32_t line = 0; line < ASH__PROF_HEADINGS; line++)
        put_field(out, 13, STRING_HEADINGS + line);
    put_field(out, 14, profile->totals.period != 0 ? STRING_VALUE : STRING_SAMPLES);
}

/* One for each frame of each sample, if no two had anything in common. */
static size_t locations_max(const struct ash_prof_view *view) {
    size_t count = 0;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        struct ash_prof_sample_cursor cursor;
        struct ash_prof_view_sample taken;
        ash_prof_samples_begin(&cursor);
        while (ash_prof_samples_next(view, cpu, &cursor, &taken))
            count += taken.frame_count;
    }
    return count;
}

size_t ash__prof_pprof_work(const struct ash_prof_view *view) {
    size_t groups = ash_prof_aggregate_work(view), locations = 0, bytes = 0;
    if (groups == 0 || !ash_mul_size(locations_max(view), sizeof(struct location), &locations) ||
        !ash_add_size(groups, locations, &bytes) ||
        !ash_add_size(bytes, sizeof(struct profile), &bytes))
        return 0;
    return bytes;
}

int ash__prof_pprof(const struct ash_prof_view *view, const struct ash_prof_sink *sink, void *work,
                    size_t work_bytes) {
    struct profile *profile = work;
    size_t groups = ash_prof_aggregate_work(view);
    (void)work_bytes;
    int error = ash_prof_aggregate_begin(&profile->aggregate, view, profile + 1, groups);
    if (error != 0)
        return error;
    profile->locations = (struct location *)(void *)((char *)(profile + 1) + groups);
    profile->function_count = 0;
    ash_prof_view_totals(view, &profile->totals);
    find_locations(profile);
    profile->cpus_at = STRING_HEADINGS + ASH__PROF_HEADINGS;
    profile->tasks_at = profile->cpus_at + view->cpu_count;
    profile->images_at = profile->tasks_at + view->task_count;
    profile->functions_at = profile->images_at + 2 * view->image_count;
    ash__prof_out_begin(&profile->out, sink, profile->aggregate.count);
    put_profile(profile);
    return ash__prof_out_end(&profile->out);
}
