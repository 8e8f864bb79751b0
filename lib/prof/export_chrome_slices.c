/* SPDX-License-Identifier: MIT */
/* export_chrome_slices.c: tracks, and the slices that are open on them (export_chrome.h). */
#include "export_chrome.h"

static uint64_t pid_of(const struct chrome *chrome, uint32_t tid, uint32_t task) {
    if (tid >= TID_ASYNC)
        return chrome->cpus_pid;
    const struct ash_prof_task *known = ash_prof_view_task(chrome->view, task);
    return known == NULL || known->process == 0 ? chrome->kernel_pid : known->process;
}

struct chrome_track *ash__chrome_track(struct chrome *chrome, uint32_t tid, uint32_t task) {
    uint32_t at = tid * UINT32_C(0x9e3779b1) >> 5 & chrome->track_mask;
    for (; chrome->track_index[at] != 0; at = (at + 1) & chrome->track_mask) {
        struct chrome_track *track = &chrome->tracks[chrome->track_index[at] - 1];
        if (track->tid == tid)
            return track;
    }
    struct chrome_track *track = &chrome->tracks[chrome->track_count++];
    chrome->track_index[at] = chrome->track_count;
    *track = (struct chrome_track){.tid = tid, .pid = pid_of(chrome, tid, task)};
    return track;
}

/* There is always one: a record takes one at most, and there are as many as records. */
static uint32_t take_slice(struct chrome *chrome) {
    uint32_t taken = chrome->free_slice;
    if (taken == NO_SLICE)
        return ++chrome->slice_count;
    chrome->free_slice = chrome->slices[taken].below;
    return taken;
}

static void push(struct chrome *chrome, uint32_t *stack, const struct chrome_slice *slice) {
    uint32_t taken = take_slice(chrome);
    chrome->slices[taken] = *slice;
    chrome->slices[taken].below = *stack;
    *stack = taken;
}

/* Time goes on where readers would else see an end before, or another begin inside, its begin. */
static void write_open(struct chrome *chrome, struct chrome_track *track,
                       const struct chrome_slice *slice) {
    if (!chrome->is_writing)
        return;
    if (track->closed_ns == chrome->now_ns + 1 && track->closed_type == slice->type &&
        track->closed_a == slice->a)
        chrome->now_ns++;
    track->opened_ns = chrome->now_ns + 1;
    ash__chrome_slice(chrome, 'B', track, slice);
}

static void write_close(struct chrome *chrome, struct chrome_track *track,
                        const struct chrome_slice *slice) {
    if (!chrome->is_writing)
        return;
    if (track->opened_ns == chrome->now_ns + 1)
        chrome->now_ns++;
    track->closed_ns = chrome->now_ns + 1;
    track->closed_type = slice->type;
    track->closed_a = slice->a;
    ash__chrome_slice(chrome, 'E', track, slice);
}

void ash__chrome_open(struct chrome *chrome, struct chrome_track *track, uint32_t type, uint64_t a,
                      uint32_t depth) {
    struct chrome_slice slice = {.a = a, .type = (uint16_t)type, .depth = (uint16_t)depth};
    push(chrome, &track->top, &slice);
    write_open(chrome, track, &slice);
}

static void pop(struct chrome *chrome, struct chrome_track *track) {
    uint32_t top = track->top;
    write_close(chrome, track, &chrome->slices[top]);
    track->top = chrome->slices[top].below;
    chrome->slices[top].below = chrome->free_slice;
    chrome->free_slice = top;
}

static uint32_t same_of(const struct chrome *chrome, const struct chrome_slice *slice) {
    return slice->type == RUNNING ? (uint32_t)RUNNING : chrome->types[slice->type].same;
}

bool ash__chrome_close(struct chrome *chrome, struct chrome_track *track, uint32_t same,
                       uint32_t depth) {
    uint32_t at = track->top;
    while (at != NO_SLICE &&
           (same_of(chrome, &chrome->slices[at]) != same || chrome->slices[at].depth != depth))
        at = chrome->slices[at].below;
    if (at == NO_SLICE)
        return false;
    for (; track->top != at; chrome->closed++)
        pop(chrome, track);
    pop(chrome, track);
    return true;
}

void ash__chrome_close_all(struct chrome *chrome, struct chrome_track *track) {
    for (; track->top != NO_SLICE; chrome->closed++)
        pop(chrome, track);
}

void ash__chrome_lost_begin(struct chrome *chrome, const struct chrome_record *record) {
    struct chrome_slice slice = {
        .a = record->a, .type = (uint16_t)record->id, .depth = (uint16_t)record->depth};
    if (record->track->top == NO_SLICE)
        push(chrome, &record->track->lost, &slice);
}

/* The list turns round: the outermost, first in it, is opened first and is the stack's last. */
void ash__chrome_open_lost(struct chrome *chrome, struct chrome_track *track) {
    for (uint32_t next; track->lost != NO_SLICE; track->lost = next) {
        struct chrome_slice *slice = &chrome->slices[track->lost];
        next = slice->below;
        slice->below = track->top;
        track->top = track->lost;
        write_open(chrome, track, slice);
        chrome->opened++;
    }
}
