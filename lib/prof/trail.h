/* SPDX-License-Identifier: MIT */
/*
 * trail.h: walks that are not made again. Where a walk leads follows from the registers and from
 * the records that are read; so if the registers are those of a trail, and each record still says
 * what it said, the stack is the trail's. Records are read where they were read before, under the
 * same limits: what was checked of their addresses holds.
 *
 * A trail is of the kernel's own stack, read plainly, with no program below; and of a walk whose
 * last record has no next one, so that it needs no count.
 */
#ifndef ASHLAR_PROF_TRAIL_H
#define ASHLAR_PROF_TRAIL_H

#include "prof_internal.h"

_Static_assert(sizeof(struct prof_trail) == 256, "a trail is a shift away");

/* Instructions of a loop have neighbouring trails. */
static inline struct prof_trail *prof_trail_of(const struct ash_prof *prof,
                                               const struct ash_prof_registers *registers) {
    return &prof->trails[(registers->pc ^ registers->fp >> 2) >> 2 & (PROF_TRAILS - 1)];
}

static inline bool prof_is_trail(const struct prof_trail *trail,
                                 const struct ash_prof_registers *registers) {
    uint64_t pc = registers->pc, fp = registers->fp, low = registers->low, high = registers->high;
    uint64_t pc_then = trail->pc, fp_then = trail->fp, low_then = trail->low,
             high_then = trail->high;
    if (pc != pc_then || fp != fp_then || low != low_then || high != high_then)
        return false;
    return registers->read == NULL && (uint32_t)registers->is_link == trail->is_link &&
           (registers->is_link == ASH_PROF_LINK_RECORD || registers->link == trail->link);
}

/* Was the last walk of this trail's place from here, too? One that is seen once leaves no more than
 * that behind. */
static inline bool prof_is_again(const struct prof_trail *trail,
                                 const struct ash_prof_registers *registers) {
    return trail->pc == registers->pc && trail->fp == registers->fp;
}

static inline void prof_begin_trail(struct prof_trail *trail,
                                    const struct ash_prof_registers *registers) {
    trail->pc = registers->pc;
    trail->fp = registers->fp;
    trail->stack = 0;
}

/* The walk was there again, and has read the trail's records up to `end` at least. A trail is one
 * whose last record has no next one. stack: 0 if it is to be none. */
static inline void prof_keep_trail(struct prof_trail *trail,
                                   const struct ash_prof_registers *registers,
                                   const struct prof_record *end, uint32_t stack) {
    trail->low = registers->low;
    trail->high = registers->high;
    trail->link = registers->link;
    trail->is_link = registers->is_link;
    trail->stack = end != trail->records && end[-1].next == 0 ? stack : 0;
}

/* At this address is what was read there then; *next: the next one's address. */
static inline bool prof_is_record(uint64_t address, const struct prof_record *then,
                                  uint64_t *next) {
    const struct prof_record *now = (const struct prof_record *)(uintptr_t)address;
    uint64_t up = now->next, from = now->address, up_then = then->next, from_then = then->address;
    *next = up;
    return up == up_then && from == from_then;
}

/* The index of the stack, 0: it must be walked. */
static inline uint32_t prof_recall(const struct ash_prof *prof,
                                   const struct ash_prof_registers *registers) {
    const struct prof_trail *trail = prof_trail_of(prof, registers);
    if (ASH_UNLIKELY(!prof_is_trail(trail, registers)))
        return 0;
    uint32_t stack = trail->stack;
    if (stack == 0)
        return 0;
    const struct prof_record *then = trail->records;
    uint64_t fp = registers->fp, next;
    for (;; then += 2) { /* by turns: no word is moved from one register to another */
        if (!prof_is_record(fp, &then[0], &next))
            return 0;
        if (next == 0)
            return stack;
        if (!prof_is_record(next, &then[1], &fp))
            return 0;
        if (fp == 0)
            return stack;
    }
}

#endif
