/* SPDX-License-Identifier: MIT */
/*
 * unwind.h: the frames of one piece of stack, checked step by step. A record {next, return address}
 * lies at a multiple of 8, inside the stack, above all that came before it; so a chain ends after
 * (high - low) / 16 steps at the latest, and no record is read twice. It ends well with a next one,
 * or a return address, of 0.
 */
#ifndef ASHLAR_PROF_UNWIND_H
#define ASHLAR_PROF_UNWIND_H

#include "prof_internal.h"

struct unwinding {
    uint64_t *out, *end; /* frames go here; there is no room from `end` on */
    uint64_t hash;
    uint64_t flags;                           /* enum ash_prof_stack_flags */
    struct prof_record *record, *records_end; /* the first ones are kept here */
};

static inline bool prof_read(const struct ash_prof_registers *registers, uint64_t fp,
                             struct prof_record *record) {
    if (ASH_UNLIKELY(registers->read != NULL)) {
        uint64_t words[2];
        if (!registers->read(registers->context, fp, words))
            return false;
        *record = (struct prof_record){words[0], words[1]};
        return true;
    }
    *record = *(const struct prof_record *)(uintptr_t)fp;
    return true;
}

/* Room for one is there. */
static inline void prof_add_frame(struct unwinding *unwinding, uint64_t frame) {
    *unwinding->out++ = frame;
    unwinding->hash = prof_mix(unwinding->hash, frame);
}

static inline void prof_keep_record(struct unwinding *unwinding, struct prof_record record) {
    if (unwinding->record != unwinding->records_end)
        *unwinding->record++ = record;
}

/* Records from fp on. */
static inline void prof_follow(struct unwinding *unwinding,
                               const struct ash_prof_registers *registers) {
    uint64_t fp = registers->fp, high = registers->high;
    uint64_t low = registers->low | (registers->low == 0); /* an fp of 0 is outside */
    uint64_t last = high < 16 ? 0 : high - 16;
    while (ASH_LIKELY((fp >= low) & (fp <= last) & (fp % 8 == 0))) {
        struct prof_record record;
        if (unwinding->out == unwinding->end || !prof_read(registers, fp, &record))
            break;
        prof_keep_record(unwinding, record);
        if (record.address == 0)
            return;
        prof_add_frame(unwinding, record.address);
        low = fp + 16;
        fp = record.next;
    }
    if (fp != 0)
        unwinding->flags |= ASH_PROF_CUT;
}

/* The link register of unknown use is none, or is what the first record says. */
static inline bool prof_link_is_record(const struct ash_prof_registers *registers) {
    uint64_t low = registers->low, high = registers->high, fp = registers->fp;
    struct prof_record record;
    if (registers->link == 0)
        return true;
    return fp % 8 == 0 && fp != 0 && low < high && high - low >= 16 && fp >= low &&
           fp <= high - 16 && prof_read(registers, fp, &record) &&
           record.address == registers->link;
}

/* Room for two frames is there at least. */
static inline void prof_unwind(struct unwinding *unwinding,
                               const struct ash_prof_registers *registers) {
    prof_add_frame(unwinding, registers->pc);
    if (registers->is_link != ASH_PROF_LINK_RECORD) {
        if (registers->is_link == ASH_PROF_LINK_UNSURE) {
            if (!prof_link_is_record(registers)) {
                unwinding->flags |= ASH_PROF_UNSURE;
                prof_add_frame(unwinding, registers->link);
            }
        } else if (registers->link == 0) {
            return; /* nobody called it */
        } else {
            prof_add_frame(unwinding, registers->link);
        }
    }
    prof_follow(unwinding, registers);
}

#endif
