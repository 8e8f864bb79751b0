/* SPDX-License-Identifier: MIT */
/*
 * view.c: what is asked of an open container: its text, events, tasks, places in code, time.
 */
#include <ashlar/bits.h>
#include <ashlar/prof_view.h>

#define NS_PER_S UINT64_C(1000000000)

/* The length of `key`, if the line begins with it and "="; else 0. */
static size_t key_at(const char *line, size_t room, const char *key) {
    size_t len = 0;
    while (key[len] != '\0' && len < room && line[len] == key[len])
        len++;
    return key[len] == '\0' && len < room && line[len] == '=' ? len : 0;
}

const char *ash_prof_view_text(const struct ash_prof_view *view, const char *key, size_t *len) {
    size_t at = 0;
    while (at < view->text_bytes) {
        size_t end = at;
        while (end < view->text_bytes && view->text[end] != '\n' && view->text[end] != '\0')
            end++;
        size_t key_len = key_at(view->text + at, end - at, key);
        if (key_len != 0) {
            *len = end - at - key_len - 1;
            return view->text + at + key_len + 1;
        }
        at = end + 1;
    }
    return NULL;
}

const struct ash_prof_event *ash_prof_view_event(const struct ash_prof_view *view, uint32_t id) {
    uint32_t low = 0, high = view->event_count;
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (view->events[middle].id == id)
            return &view->events[middle];
        if (view->events[middle].id < id)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct ash_prof_task *ash_prof_view_task(const struct ash_prof_view *view, uint32_t task) {
    for (uint32_t i = 0; i < view->task_count; i++)
        if (((view->tasks[i].id ^ task) & ASH_TRACE_TASK_MAX) == 0)
            return &view->tasks[i];
    return NULL;
}

/* The last symbol that begins at or before the address, and covers it; NULL: none. */
static const struct ash_prof_symbol *symbol_at(const struct ash_prof_symbol *symbols,
                                               uint32_t count, uint64_t address) {
    uint32_t low = 0, high = count; /* those below low begin there or before, those from high not */
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbols[middle].start <= address)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0)
        return NULL;
    const struct ash_prof_symbol *symbol = &symbols[low - 1];
    return symbol->bytes == 0 || address - symbol->start < symbol->bytes ? symbol : NULL;
}

static const struct ash_prof_image *image_at(const struct ash_prof_view *view, uint32_t process,
                                             uint64_t address) {
    for (uint32_t i = 0; i < view->image_count; i++) {
        const struct ash_prof_image *image = &view->images[i];
        if (image->process == process && address >= image->start && address < image->end)
            return image;
    }
    return NULL;
}

bool ash_prof_view_place(const struct ash_prof_view *view, uint32_t process, uint64_t address,
                         bool is_return, struct ash_prof_place *place) {
    /* A call may be the last instruction of its function: what it returns to is then another. */
    uint64_t asked = address - (is_return && address != 0);
    const struct ash_prof_image *image = image_at(view, process, asked);
    *place = (struct ash_prof_place){.image = image, .offset = address};
    if (image == NULL)
        return false;
    uint64_t in_file = asked - image->start + image->link_start;
    place->offset = in_file + (address - asked);
    if (image->symbols == 0)
        return true;
    const struct ash_prof_symbol *symbol = symbol_at(
        view->symbols[image->symbols - 1], view->symbol_counts[image->symbols - 1], in_file);
    if (symbol != NULL) {
        place->name = ash_prof_view_string(view, symbol->name);
        place->offset -= symbol->start;
    }
    return true;
}

uint64_t ash_prof_view_ns(const struct ash_prof_view *view, uint64_t clock) {
    const struct ash_prof_file_header *header = view->header;
    if (clock <= header->clock_origin)
        return 0;
    return ash_mul_div_u64(clock - header->clock_origin, NS_PER_S, header->clock_hz);
}
