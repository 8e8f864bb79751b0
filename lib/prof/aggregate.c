/* SPDX-License-Identifier: MIT */
/* aggregate.c: samples to groups, groups to chains (prof_aggregate.h). */
#include "sort.h"

#include <ashlar/checked.h>
#include <ashlar/prof_aggregate.h>

_Static_assert(sizeof(struct ash_prof_group) == 32, "prof_aggregate.h says 32 bytes a sample");

typedef int (*compare_groups)(const struct ash_prof_view *view, const struct ash_prof_group *a,
                              const struct ash_prof_group *b);

struct order {
    const struct ash_prof_view *view;
    compare_groups compare;
};

static int compare_items(const void *context, const void *a, const void *b) {
    const struct order *order = context;
    return order->compare(order->view, a, b);
}

static void sort(struct ash_prof_aggregate *aggregate, compare_groups compare) {
    const struct order order = {aggregate->view, compare};
    ash__prof_sort(aggregate->groups, aggregate->count, sizeof(struct ash_prof_group),
                   compare_items, &order);
}

/* Of sorted groups. */
static void put_together(struct ash_prof_aggregate *aggregate, compare_groups compare) {
    struct ash_prof_group *groups = aggregate->groups;
    size_t kept = 0;
    for (size_t i = 1; i < aggregate->count; i++) {
        if (compare(aggregate->view, &groups[kept], &groups[i]) == 0) {
            groups[kept].weight += groups[i].weight;
            groups[kept].samples += groups[i].samples;
        } else {
            groups[++kept] = groups[i];
        }
    }
    aggregate->count = kept + 1;
}

/* Samples to groups */

static int compare_u64(uint64_t a, uint64_t b) {
    return a < b ? -1 : a > b;
}

static int by_origin(const struct ash_prof_view *view, const struct ash_prof_group *a,
                     const struct ash_prof_group *b) {
    (void)view;
    int order = compare_u64(a->cpu, b->cpu);
    if (order == 0) /* a damaged one's stack means nothing */
        order = compare_u64(a->flags, b->flags);
    if (order == 0)
        order = compare_u64(a->task, b->task);
    if (order == 0 && (a->flags & ASH_PROF_GROUP_DAMAGED) == 0)
        order = compare_u64(a->stack, b->stack);
    return order;
}

static struct ash_prof_group group_of(uint32_t cpu, const struct ash_prof_view_sample *taken) {
    const struct ash_prof_sample *sample = taken->sample;
    struct ash_prof_group group = {.weight = sample->weight,
                                   .samples = 1,
                                   .stack = sample->stack,
                                   .task = sample->task,
                                   .cpu = (uint8_t)cpu};
    if ((sample->flags & ASH_PROF_IDLE) != 0)
        group.flags |= ASH_PROF_GROUP_IDLE;
    if (taken->is_damaged || taken->frame_count == 0) {
        group.flags |= ASH_PROF_GROUP_DAMAGED;
        return group;
    }
    group.frames = (uint8_t)taken->frame_count;
    group.kernel = (uint8_t)taken->kernel_count;
    if ((taken->stack_flags & ASH_PROF_UNSURE) != 0 && group.frames - group.kernel >= 2) {
        group.flags |= ASH_PROF_GROUP_UNSURE;
        group.frames--;
    }
    return group;
}

static void add_sample(struct ash_prof_aggregate *aggregate, const struct ash_prof_group *group) {
    aggregate->weight += group->weight;
    aggregate->samples++;
    aggregate->idle += (group->flags & ASH_PROF_GROUP_IDLE) != 0 ? group->weight : 0;
    aggregate->damaged += (group->flags & ASH_PROF_GROUP_DAMAGED) != 0;
    aggregate->unsure += (group->flags & ASH_PROF_GROUP_UNSURE) != 0;
    /* One place is often sampled many times in a row. */
    struct ash_prof_group *end = &aggregate->groups[aggregate->count];
    struct ash_prof_group *last = aggregate->count != 0 ? end - 1 : NULL;
    if (last != NULL && by_origin(aggregate->view, last, group) == 0) {
        last->weight += group->weight;
        last->samples++;
    } else {
        *end = *group;
        aggregate->count++;
    }
}

static void add_cpu(struct ash_prof_aggregate *aggregate, uint32_t cpu) {
    const struct ash_prof_view *view = aggregate->view;
    struct ash_prof_sample_cursor cursor;
    struct ash_prof_view_sample taken;
    ash_prof_samples_begin(&cursor);
    for (uint32_t i = 0; i < view->cpus[cpu].sample_count; i++) {
        if (!ash_prof_samples_next(view, cpu, &cursor, &taken))
            break;
        struct ash_prof_group group = group_of(cpu, &taken);
        if (group.weight != 0)
            add_sample(aggregate, &group);
    }
}

/* Groups of a task lie next to each other by now, so few tasks are asked for. */
static void find_processes(struct ash_prof_aggregate *aggregate) {
    const struct ash_prof_group *last = NULL;
    for (size_t i = 0; i < aggregate->count; i++) {
        struct ash_prof_group *group = &aggregate->groups[i];
        if (last != NULL && last->task == group->task) {
            group->process = last->process;
        } else {
            const struct ash_prof_task *task = ash_prof_view_task(aggregate->view, group->task);
            group->process = task != NULL ? task->process : 0;
        }
        last = group;
    }
}

size_t ash_prof_aggregate_work(const struct ash_prof_view *view) {
    size_t bytes = 0;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++) {
        size_t part = 0;
        if (!ash_mul_size(view->cpus[cpu].sample_count, sizeof(struct ash_prof_group), &part) ||
            !ash_add_size(bytes, part, &bytes))
            return 0;
    }
    return bytes;
}

int ash_prof_aggregate_begin(struct ash_prof_aggregate *aggregate, const struct ash_prof_view *view,
                             void *work, size_t work_bytes) {
    *aggregate = (struct ash_prof_aggregate){.view = view, .groups = work};
    size_t need = ash_prof_aggregate_work(view);
    if (need == 0)
        return -ASH_ENOENT;
    if (work_bytes < need || !ash_is_aligned((uintptr_t)work, 8))
        return -ASH_EINVAL;
    for (uint32_t cpu = 0; cpu < view->cpu_count; cpu++)
        add_cpu(aggregate, cpu);
    if (aggregate->count == 0)
        return -ASH_ENOENT;
    sort(aggregate, by_origin);
    put_together(aggregate, by_origin);
    find_processes(aggregate);
    return 0;
}

/* Groups to chains */

void ash_prof_group_frame(const struct ash_prof_view *view, const struct ash_prof_group *group,
                          uint32_t level, struct ash_prof_frame *frame) {
    uint32_t at = (uint32_t)group->frames - level; /* from the innermost */
    frame->is_kernel = at < group->kernel;
    frame->process = frame->is_kernel ? 0 : group->process;
    frame->is_return = at != 0 && at != group->kernel;
    if ((group->flags & ASH_PROF_GROUP_UNSURE) != 0 && at > group->kernel)
        at++;
    frame->address = view->cpus[group->cpu].words[group->stack + 1 + at];
}

static int compare_roots(const struct ash_prof_view *view, const struct ash_prof_group *a,
                         const struct ash_prof_group *b) {
    int order = compare_u64(a->flags & ASH_PROF_GROUP_IDLE, b->flags & ASH_PROF_GROUP_IDLE);
    if (order != 0 || (a->flags & ASH_PROF_GROUP_IDLE) != 0 || a->task == b->task)
        return order;
    struct ash_prof_label x, y;
    ash_prof_group_label(view, a, 0, &x);
    ash_prof_group_label(view, b, 0, &y);
    return ash_prof_label_compare(&x, &y);
}

static int compare_level(const struct ash_prof_view *view, const struct ash_prof_group *a,
                         const struct ash_prof_group *b, uint32_t level) {
    if (level == 0)
        return compare_roots(view, a, b);
    if (((a->flags | b->flags) & ASH_PROF_GROUP_DAMAGED) == 0) {
        /* Most have the same address, and need no name. */
        struct ash_prof_frame x, y;
        ash_prof_group_frame(view, a, level, &x);
        ash_prof_group_frame(view, b, level, &y);
        if (x.address == y.address && x.process == y.process && x.is_return == y.is_return &&
            x.is_kernel == y.is_kernel)
            return 0;
    }
    struct ash_prof_label x, y;
    ash_prof_group_label(view, a, level, &x);
    ash_prof_group_label(view, b, level, &y);
    return ash_prof_label_compare(&x, &y);
}

/* Levels that two groups have in common; *order: how the first other one compares. */
static uint32_t common_levels(const struct ash_prof_view *view, const struct ash_prof_group *a,
                              const struct ash_prof_group *b, int *order) {
    uint32_t a_levels = ash_prof_group_levels(a), b_levels = ash_prof_group_levels(b);
    uint32_t least = a_levels < b_levels ? a_levels : b_levels;
    for (uint32_t level = 0; level < least; level++) {
        *order = compare_level(view, a, b, level);
        if (*order != 0)
            return level;
    }
    *order = compare_u64(a_levels, b_levels);
    return least;
}

static int by_chain(const struct ash_prof_view *view, const struct ash_prof_group *a,
                    const struct ash_prof_group *b) {
    int order = 0;
    (void)common_levels(view, a, b, &order);
    return order;
}

void ash_prof_aggregate_chains(struct ash_prof_aggregate *aggregate) {
    sort(aggregate, by_chain);
    put_together(aggregate, by_chain);
    aggregate->groups[0].common = 0;
    for (size_t i = 1; i < aggregate->count; i++) {
        int order = 0;
        aggregate->groups[i].common = (uint8_t)common_levels(
            aggregate->view, &aggregate->groups[i - 1], &aggregate->groups[i], &order);
    }
}

/* Functions */

/* What a group is one of in a list of functions: its innermost level, or that it is idle. */
static void leaf_label(const struct ash_prof_view *view, const struct ash_prof_group *group,
                       struct ash_prof_label *label) {
    bool is_idle = (group->flags & ASH_PROF_GROUP_IDLE) != 0;
    ash_prof_group_label(view, group, is_idle ? 0 : ash_prof_group_levels(group) - 1, label);
}

static int by_leaf(const struct ash_prof_view *view, const struct ash_prof_group *a,
                   const struct ash_prof_group *b) {
    struct ash_prof_label x, y;
    leaf_label(view, a, &x);
    leaf_label(view, b, &y);
    return ash_prof_label_compare(&x, &y);
}

static size_t insert(struct ash_prof_top *top, size_t count, size_t max,
                     const struct ash_prof_top *one) {
    size_t at = count;
    while (at > 0 && top[at - 1].self < one->self)
        at--;
    if (at == max)
        return count;
    size_t end = count < max ? count : max - 1;
    for (size_t i = end; i > at; i--)
        top[i] = top[i - 1];
    top[at] = *one;
    return end + 1;
}

/* A function that calls itself is in a chain more than once, and counts once. */
static void add_totals(const struct ash_prof_view *view, const struct ash_prof_group *group,
                       struct ash_prof_top *top, size_t count) {
    uint32_t levels = (group->flags & ASH_PROF_GROUP_IDLE) != 0 ? 1 : ash_prof_group_levels(group);
    for (uint32_t level = levels == 1 ? 0 : 1; level < levels; level++) {
        struct ash_prof_label label;
        ash_prof_group_label(view, group, level, &label);
        for (size_t i = 0; i < count; i++) {
            if (top[i].last == group || ash_prof_label_compare(&label, &top[i].label) != 0)
                continue;
            top[i].last = group;
            top[i].total += group->weight;
        }
    }
}

size_t ash_prof_aggregate_top(struct ash_prof_aggregate *aggregate, struct ash_prof_top *top,
                              size_t max) {
    const struct ash_prof_view *view = aggregate->view;
    size_t count = 0;
    if (max == 0)
        return 0;
    sort(aggregate, by_leaf);
    for (size_t i = 0; i < aggregate->count;) {
        struct ash_prof_top one = {.self = 0};
        leaf_label(view, &aggregate->groups[i], &one.label);
        size_t first = i;
        do
            one.self += aggregate->groups[i++].weight;
        while (i < aggregate->count &&
               by_leaf(view, &aggregate->groups[first], &aggregate->groups[i]) == 0);
        count = insert(top, count, max, &one);
    }
    for (size_t i = 0; i < aggregate->count; i++)
        add_totals(view, &aggregate->groups[i], top, count);
    return count;
}
