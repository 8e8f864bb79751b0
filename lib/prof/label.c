/* SPDX-License-Identifier: MIT */
/* label.c: what tasks and frames are called (prof_aggregate.h). */
#include <ashlar/prof_aggregate.h>

static size_t length(const char *text) {
    size_t len = 0;
    while (text[len] != 0)
        len++;
    return len;
}

static void tail_add(struct ash_prof_label *label, const char *text) {
    for (size_t i = 0; text[i] != 0 && label->tail_len < sizeof(label->tail); i++)
        label->tail[label->tail_len++] = text[i];
}

static void tail_add_number(struct ash_prof_label *label, uint64_t number, uint32_t base) {
    char digits[21];
    uint32_t at = sizeof(digits) - 1;
    digits[at] = 0;
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    tail_add(label, base == 16 ? "0x" : "");
    tail_add(label, digits + at);
}

static void set_name(struct ash_prof_label *label, const char *name) {
    label->name = name;
    label->name_len = length(name);
}

/* The last part of a path. */
static const char *file_name(const char *path) {
    const char *name = path;
    for (; *path != 0; path++) {
        if (*path == '/' && path[1] != 0)
            name = path + 1;
    }
    return name;
}

static void root_label(const struct ash_prof_view *view, const struct ash_prof_group *group,
                       struct ash_prof_label *label) {
    const struct ash_prof_task *task = ash_prof_view_task(view, group->task);
    if ((group->flags & ASH_PROF_GROUP_IDLE) != 0) {
        set_name(label, "[idle]");
    } else if (task != NULL && task->name[0] != 0) {
        set_name(label, task->name);
    } else {
        set_name(label, "task ");
        tail_add_number(label, group->task, 10);
    }
}

void ash_prof_frame_label(const struct ash_prof_view *view, const struct ash_prof_frame *frame,
                          struct ash_prof_label *label) {
    struct ash_prof_place place;
    set_name(label, "");
    label->tail_len = 0;
    if (!ash_prof_view_place(view, frame->process, frame->address, frame->is_return, &place)) {
        tail_add_number(label, frame->address, 16);
    } else if (place.name == NULL || place.name[0] == 0) {
        set_name(label, file_name(view->strings + place.image->name));
        tail_add(label, "+");
        tail_add_number(label, place.offset, 16);
    } else {
        set_name(label, place.name);
    }
    if (frame->is_kernel)
        tail_add(label, "_[k]");
}

void ash_prof_group_label(const struct ash_prof_view *view, const struct ash_prof_group *group,
                          uint32_t level, struct ash_prof_label *label) {
    label->tail_len = 0;
    if (level == 0) {
        root_label(view, group, label);
    } else if ((group->flags & ASH_PROF_GROUP_DAMAGED) != 0) {
        set_name(label, "[damaged]");
    } else {
        struct ash_prof_frame frame;
        ash_prof_group_frame(view, group, level, &frame);
        ash_prof_frame_label(view, &frame, label);
    }
}

static unsigned char byte_at(const struct ash_prof_label *label, size_t i) {
    return (unsigned char)(i < label->name_len ? label->name[i] : label->tail[i - label->name_len]);
}

int ash_prof_label_compare(const struct ash_prof_label *a, const struct ash_prof_label *b) {
    size_t a_len = a->name_len + a->tail_len, b_len = b->name_len + b->tail_len;
    size_t least = a_len < b_len ? a_len : b_len;
    for (size_t i = a->name == b->name ? ash_min_u64(a->name_len, b->name_len) : 0; i < least;
         i++) {
        int order = byte_at(a, i) - byte_at(b, i);
        if (order != 0)
            return order;
    }
    return a_len < b_len ? -1 : a_len > b_len;
}

size_t ash_prof_label_copy(const struct ash_prof_label *label, char *text, size_t bytes) {
    size_t len = label->name_len + label->tail_len;
    size_t copied = len < bytes ? len : bytes - 1;
    for (size_t i = 0; i < copied; i++)
        text[i] = (char)byte_at(label, i);
    text[copied] = 0;
    return len;
}
