/* SPDX-License-Identifier: MIT */
/*
 * prof_check.c: the invariants of a profile, by their numbers in DESIGN.md.
 */
#include "prof_internal.h"
#include "trail.h"

/* What the head says is what lies there. */
static bool is_stack(const struct ash_prof *prof, uint32_t index) {
    uint64_t head = prof->words[index];
    uint32_t frames = ash_prof_stack_frames(head);
    if (frames == 0 || frames > ASH_PROF_FRAMES_MAX || ash_prof_stack_kernel(head) > frames ||
        ash_prof_stack_flags(head) > (ASH_PROF_CUT | ASH_PROF_UNSURE) ||
        frames > prof->used - index - 1)
        return false;
    uint64_t hash = 0;
    for (uint32_t i = 0; i < frames; i++)
        hash = prof_mix(hash, prof->words[index + 1 + i]);
    return index == 0 || head >> 32 == hash >> 32;
}

/* From its home on, a slot that is not empty until its own. */
static bool is_findable(const struct ash_prof *prof, uint32_t index) {
    uint32_t slot = prof_slot(prof, prof->words[index]);
    while (prof->slots[slot] != 0 && prof->slots[slot] != index)
        slot = (slot + 1) & prof->slot_mask;
    return prof->slots[slot] == index;
}

static const char *check_stacks(const struct ash_prof *prof) {
    uint32_t stacks = 0, slots = 0, next;
    for (uint32_t index = 0; index < prof->used; index = next) {
        if (!is_stack(prof, index))
            return "S2: a stack's head is not that of its frames";
        next = index + 1 + ash_prof_stack_frames(prof->words[index]);
        stacks += index != 0;
        if (index != 0 && !is_findable(prof, index))
            return "S3: a stack is in no slot that its hash leads to";
    }
    for (uint32_t i = 0; i <= prof->slot_mask; i++)
        slots += prof->slots[i] != 0;
    return stacks != prof->stacks || slots != stacks ? "S4: stacks and slots are not as many"
                                                     : NULL;
}

/* The records say what the stack does, and end where they say so. */
static bool leads_there(const struct prof_trail *trail, const uint64_t *stack) {
    const uint64_t *frame = stack + 1, *end = frame + ash_prof_stack_frames(stack[0]);
    const struct prof_record *record = trail->records;
    uint32_t i = 0;
    if (*frame++ != trail->pc)
        return false;
    if (trail->is_link == ASH_PROF_LINK_LIVE && (frame == end || *frame++ != trail->link))
        return false;
    for (; i + 1 < PROF_TRAIL_RECORDS && record[i].next != 0; i++) {
        if (frame == end || *frame++ != record[i].address)
            return false;
    }
    if (record[i].address != 0 && (frame == end || *frame++ != record[i].address))
        return false;
    return record[i].next == 0 && frame == end;
}

static const char *check_trails(const struct ash_prof *prof) {
    for (uint32_t i = 0; i < PROF_TRAILS; i++) {
        const struct prof_trail *trail = &prof->trails[i];
        const struct ash_prof_registers registers = {.pc = trail->pc, .fp = trail->fp};
        if (trail->stack == 0)
            continue;
        if (trail->stack >= prof->used || !is_stack(prof, trail->stack) ||
            prof_trail_of(prof, &registers) != trail ||
            !leads_there(trail, &prof->words[trail->stack]))
            return "S7: a trail does not lead to its stack";
    }
    return NULL;
}

static const char *check_samples(const struct ash_prof *prof) {
    uint32_t first, count;
    uint64_t clock;
    const struct ash_prof_sample *samples = ash_prof_samples(prof, &first, &count, &clock);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t stack = samples[i].stack;
        if (stack >= prof->used || !is_stack(prof, stack))
            return "S5: a sample's stack is none";
        if (samples[i].weight == 0 || samples[i].cpu != prof->cpu)
            return "S6: a sample stands for nothing, or is of another CPU";
    }
    return NULL;
}

const char *ash_prof_check(const struct ash_prof *prof) {
    if (prof->used < PROF_NOWHERE_WORDS || prof->used > prof->words_len ||
        prof->next >= prof->end || &prof->samples[prof->taken % prof->length] != prof->next ||
        prof->leaves > prof->taken || prof->weight < prof->taken)
        return "S1: counts do not fit each other or the storage";
    const char *broken = check_stacks(prof);
    if (broken == NULL)
        broken = check_trails(prof);
    return broken != NULL ? broken : check_samples(prof);
}
