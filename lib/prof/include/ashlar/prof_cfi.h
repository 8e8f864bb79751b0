/* SPDX-License-Identifier: MIT */
/*
 * prof_cfi.h: where a function's return address is while it is at an instruction: asked of the call
 * frame information that compilers write into .eh_frame. For prologues, epilogues and functions
 * without a frame, where the chain of frame records skips the caller.
 *
 * Rules
 *  - The bytes may be anything: what is damaged or not understood has the answer
 *    ASH_PROF_CFI_UNKNOWN. Nothing is read outside them.
 *  - No state, no allocation, no recursion; any context. ash_prof_cfi_find is O(bytes) without an
 *    index, and O(log functions) and one function's program with one: so a signal handler asks with
 *    one. It is the caller's array, filled by ash_prof_cfi_index before sampling begins.
 *  - Not understood: expressions, registers saved in registers, entries of more than 4 GiB, a CIE
 *    of more than ASH_PROF_CFI_CIE_MAX bytes, more than ASH_PROF_CFI_NEST_MAX states remembered.
 *
 * A compiler's information tells where the caller's frame pointer has been saved, not when the
 * register is given a new value. On aarch64, between "stp x29, x30" and "mov x29, sp", the answer
 * is ASH_PROF_CFI_STACK like behind them: who has x29 and x30 alone looks at the instructions too.
 *
 * Source: DWARF 5, 6.4; Linux Standard Base Core 5.0, 10.6 (.eh_frame); DWARF for the Arm 64-bit
 * Architecture 4.1, 4.4.
 */
#ifndef ASHLAR_PROF_CFI_H
#define ASHLAR_PROF_CFI_H

#include <ashlar/base.h>
#include <ashlar/prof.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_PROF_CFI_CIE_MAX  512u
#define ASH_PROF_CFI_NEST_MAX 16u

/* A function of the index. */
struct ash_prof_cfi_function {
    uint64_t start;
    uint32_t bytes; /* one of more is UNKNOWN from there on */
    uint32_t entry; /* its FDE: the offset in .eh_frame */
};

struct ash_prof_cfi {
    const uint8_t *frames; /* .eh_frame */
    size_t bytes;          /* it ends here, or before, by an entry of length 0 */
    uint64_t address; /* at which .eh_frame lies, or would: its pointers are relative to that */
    uint32_t return_register, stack_register, frame_register; /* by DWARF's numbers */
    /* NULL: no index. Else what ash_prof_cfi_index made of this section. */
    const struct ash_prof_cfi_function *functions;
    size_t functions_count;
};

/* DWARF's numbers: return address, stack pointer, frame pointer. */
#define ASH_PROF_CFI_AARCH64 30, 31, 29
#define ASH_PROF_CFI_X86_64  16, 7, 6

enum ash_prof_cfi_where {
    ASH_PROF_CFI_UNKNOWN,  /* also: there is no caller */
    ASH_PROF_CFI_REGISTER, /* in its own register: the link register; the frame pointer */
    ASH_PROF_CFI_STACK,    /* at the stack pointer + offset */
    ASH_PROF_CFI_FRAME,    /* at the frame pointer + offset */
};

struct ash_prof_cfi_answer {
    enum ash_prof_cfi_where where; /* the return address is */
    int64_t offset;
    enum ash_prof_cfi_where frame_where; /* the caller's frame pointer is */
    int64_t frame_offset;
    bool is_frame_callers; /* it is in its register: frame_where is ASH_PROF_CFI_REGISTER */
    uint64_t start, end;   /* the answer is the same for these addresses; 0, 0: for pc alone */
};

/* Always answers. Where functions overlap, any of theirs. */
void ash_prof_cfi_find(const struct ash_prof_cfi *cfi, uint64_t pc,
                       struct ash_prof_cfi_answer *answer);

/* Calls each(context, answer) for every row of every function, in the order of the section: each
 * function's by their addresses, without gaps, the last one to its end. O(bytes). */
void ash_prof_cfi_each(const struct ash_prof_cfi *cfi,
                       void (*each)(void *context, const struct ash_prof_cfi_answer *answer),
                       void *context);

/* The number of functions; as many as `capacity` are put into `functions`, by address. Asked with
 * 0 first (then functions may be NULL), it says how many there will be. O(bytes + n log n). */
size_t ash_prof_cfi_index(const struct ash_prof_cfi *cfi, struct ash_prof_cfi_function *functions,
                          size_t capacity);

/*
 * Makes registers->link the return address, and registers->fp the caller's frame pointer
 * (ASH_PROF_LINK_LIVE), as the answer for registers->pc says; in come fp, link (the link register's
 * value, where there is one), the stack's limits and `read`. false: nothing has changed, since the
 * answer is UNKNOWN or leads out of the stack.
 */
bool ash_prof_cfi_apply(const struct ash_prof_cfi_answer *answer, uint64_t sp,
                        struct ash_prof_registers *registers);

#ifdef __cplusplus
}
#endif

#endif
