/* SPDX-License-Identifier: MIT */
/*
 * export_folded.c: "task;outer;inner weight" lines, one for each call chain, in the order of their
 * names: what flame graph tools read.
 *
 * Semicolons in names become colons; spaces and control characters, underscores; bytes that are no
 * UTF-8, U+FFFD.
 */
#include "export_internal.h"
#include "export_text.h"

#include <ashlar/checked.h>
#include <ashlar/prof_aggregate.h>

size_t ash__prof_folded_work(const struct ash_prof_view *view) {
    size_t groups = ash_prof_aggregate_work(view), bytes = 0;
    bool fits = ash_add_size(groups, sizeof(struct ash__prof_out), &bytes);
    return groups != 0 && fits ? bytes : 0;
}

static void put_safe(struct ash__prof_out *out, const char *text, size_t len) {
    size_t step = 0;
    for (size_t i = 0; i < len; i += step) {
        size_t bytes = ash__prof_utf8_len(text + i, len - i);
        step = bytes == 0 ? 1 : bytes;
        if (bytes == 0)
            ash__prof_put_string(out, "\xef\xbf\xbd");
        else if (text[i] == ';')
            ash__prof_put_char(out, ':');
        else if ((unsigned char)text[i] <= ' ' || text[i] == 0x7f)
            ash__prof_put_char(out, '_');
        else
            ash__prof_put(out, text + i, bytes);
    }
}

static void put_line(struct ash__prof_out *out, const struct ash_prof_view *view,
                     const struct ash_prof_group *group) {
    for (uint32_t level = 0; level < ash_prof_group_levels(group); level++) {
        struct ash_prof_label label;
        ash_prof_group_label(view, group, level, &label);
        if (level != 0)
            ash__prof_put_char(out, ';');
        put_safe(out, label.name, label.name_len);
        put_safe(out, label.tail, label.tail_len);
    }
    ash__prof_put_char(out, ' ');
    ash__prof_put_u64(out, group->weight);
    ash__prof_put_char(out, '\n');
}

int ash__prof_folded(const struct ash_prof_view *view, const struct ash_prof_sink *sink, void *work,
                     size_t work_bytes) {
    struct ash__prof_out *out = work;
    struct ash_prof_aggregate aggregate;
    int error = ash_prof_aggregate_begin(&aggregate, view, out + 1, work_bytes - sizeof(*out));
    if (error != 0)
        return error;
    ash_prof_aggregate_chains(&aggregate);
    ash__prof_out_begin(out, sink, aggregate.count);
    for (size_t i = 0; i < aggregate.count && out->error == 0; i++) {
        put_line(out, view, &aggregate.groups[i]);
        ash__prof_out_step(out, 1);
    }
    return ash__prof_out_end(out);
}
