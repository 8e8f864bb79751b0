/* SPDX-License-Identifier: MIT */
/*
 * view_samples.c: the samples of an open container, from the oldest on.
 */
#include <ashlar/prof_view.h>

void ash_prof_samples_begin(struct ash_prof_sample_cursor *cursor) {
    *cursor = (struct ash_prof_sample_cursor){0, 0};
}

static const struct ash_prof_sample *sample_at(const struct ash_prof_view_cpu *cpu,
                                               uint32_t index) {
    /* first is 0 unless the ring is full: view_open.c. */
    uint64_t at = (uint64_t)cpu->profile->first + index;
    return &cpu->samples[at < cpu->sample_count ? at : at - cpu->sample_count];
}

/* The clock of the newest is known; that of the oldest is it less the ticks of all but itself. */
static uint64_t oldest_clock(const struct ash_prof_view_cpu *cpu) {
    uint64_t since = 0;
    for (uint32_t i = 1; i < cpu->sample_count; i++)
        since += sample_at(cpu, i)->ticks;
    return since < cpu->profile->clock_last ? cpu->profile->clock_last - since : 0;
}

static void find_stack(const struct ash_prof_view_cpu *cpu, struct ash_prof_view_sample *sample) {
    uint32_t stack = sample->sample->stack;
    sample->is_damaged = true;
    if (stack >= cpu->word_count)
        return;
    uint64_t head = cpu->words[stack];
    uint32_t frames = ash_prof_stack_frames(head), kernel = ash_prof_stack_kernel(head);
    if (frames > ASH_PROF_FRAMES_MAX || kernel > frames || frames > cpu->word_count - stack - 1)
        return;
    sample->is_damaged = false;
    sample->frames = &cpu->words[stack + 1];
    sample->frame_count = frames;
    sample->kernel_count = kernel;
    sample->stack_flags = ash_prof_stack_flags(head);
}

bool ash_prof_samples_next(const struct ash_prof_view *view, uint32_t cpu,
                           struct ash_prof_sample_cursor *cursor,
                           struct ash_prof_view_sample *sample) {
    if (cpu >= view->cpu_count || cursor->next >= view->cpus[cpu].sample_count)
        return false;
    const struct ash_prof_view_cpu *of = &view->cpus[cpu];
    *sample = (struct ash_prof_view_sample){.sample = sample_at(of, cursor->next)};
    if (cursor->next == 0)
        cursor->clock = oldest_clock(of);
    else
        cursor->clock += sample->sample->ticks;
    cursor->next++;
    sample->clock = cursor->clock;
    find_stack(of, sample);
    return true;
}
