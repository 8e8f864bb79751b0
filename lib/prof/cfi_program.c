/* SPDX-License-Identifier: MIT */
/*
 * cfi_program.c: a function's program, run for its rows. Of the registers of a caller only two are
 * followed, the return address and the frame pointer. DWARF 5, 6.4.2.
 *
 * Every instruction consumes a byte at least, so that a program ends. What is not understood ends
 * it too: from that address on, the answer is ASH_PROF_CFI_UNKNOWN.
 */
#include "cfi_internal.h"

#include <ashlar/checked.h>

/* DWARF 5, 7.24; from 0x2c on, GNU's and Arm's. */
enum {
    CFA_ADVANCE_LOC = 0x40, /* in the upper two bits, an operand in the lower six */
    CFA_OFFSET = 0x80,
    CFA_RESTORE = 0xc0,
    CFA_NOP = 0x00,
    CFA_SET_LOC = 0x01,
    CFA_ADVANCE_LOC1 = 0x02,
    CFA_ADVANCE_LOC2 = 0x03,
    CFA_ADVANCE_LOC4 = 0x04,
    CFA_OFFSET_EXTENDED = 0x05,
    CFA_RESTORE_EXTENDED = 0x06,
    CFA_UNDEFINED = 0x07,
    CFA_SAME_VALUE = 0x08,
    CFA_REGISTER = 0x09,
    CFA_REMEMBER_STATE = 0x0a,
    CFA_RESTORE_STATE = 0x0b,
    CFA_DEF_CFA = 0x0c,
    CFA_DEF_CFA_REGISTER = 0x0d,
    CFA_DEF_CFA_OFFSET = 0x0e,
    CFA_DEF_CFA_EXPRESSION = 0x0f,
    CFA_EXPRESSION = 0x10,
    CFA_OFFSET_EXTENDED_SF = 0x11,
    CFA_DEF_CFA_SF = 0x12,
    CFA_DEF_CFA_OFFSET_SF = 0x13,
    CFA_VAL_OFFSET = 0x14,
    CFA_VAL_OFFSET_SF = 0x15,
    CFA_VAL_EXPRESSION = 0x16,
    CFA_NEGATE_RA_STATE_WITH_PC = 0x2c,
    CFA_NEGATE_RA_STATE = 0x2d,
    CFA_ARGS_SIZE = 0x2e,
    CFA_NEGATIVE_OFFSET = 0x2f,
};

/* The rule of a register that is followed, or NULL. */
static struct cfi_rule *rule_of(const struct ash_prof_cfi *cfi, struct cfi_row *row,
                                uint64_t number) {
    if (number == cfi->return_register)
        return &row->link;
    return number == cfi->frame_register ? &row->frame : NULL;
}

static void set_rule(struct cfi_run *run, uint64_t number, struct cfi_rule rule) {
    struct cfi_rule *place = rule_of(run->cfi, &run->row, number);
    if (place != NULL)
        *place = rule;
}

static void restore(struct cfi_run *run, uint64_t number) {
    const struct cfi_rule *rule = rule_of(run->cfi, &run->initial, number);
    if (rule != NULL)
        set_rule(run, number, *rule);
}

/* number * scale, as it is if that fits. */
static int64_t scaled(struct cfi_run *run, int64_t number, int64_t scale) {
    int64_t product;
    run->is_broken |= __builtin_mul_overflow(number, scale, &product);
    return run->is_broken ? 0 : product;
}

static int64_t unsigned_operand(struct cfi_run *run) {
    uint64_t value = ash__cfi_uleb(&run->program);
    run->is_broken |= value > INT64_MAX;
    return run->is_broken ? 0 : (int64_t)value;
}

static void set_at(struct cfi_run *run, uint64_t number, int64_t factored) {
    set_rule(run, number,
             (struct cfi_rule){CFI_AT, scaled(run, factored, run->function->data_align)});
}

static void set_cfa(struct cfi_run *run, uint64_t number, int64_t offset) {
    run->is_broken |= number > UINT32_MAX;
    run->row.is_cfa_known = true;
    run->row.cfa_register = (uint32_t)number;
    run->row.cfa_offset = offset;
}

static void advance_to(struct cfi_run *run, uint64_t address) {
    run->is_broken |= address < run->location;
    run->next = address;
}

static void advance(struct cfi_run *run, uint64_t factored) {
    uint64_t bytes, address = 0;
    if (!ash_mul_u64(factored, run->function->code_align, &bytes) ||
        !ash_add_u64(run->location, bytes, &address))
        run->is_broken = true;
    else
        advance_to(run, address);
}

static void skip_block(struct cfi_run *run) {
    ash__cfi_skip(&run->program, ash__cfi_uleb(&run->program));
}

static void remember(struct cfi_run *run) {
    if (run->depth == ASH_PROF_CFI_NEST_MAX)
        run->is_broken = true;
    else
        run->remembered[run->depth++] = run->row;
}

static void recall(struct cfi_run *run) {
    if (run->depth == 0)
        run->is_broken = true;
    else
        run->row = run->remembered[--run->depth];
}

/* Those that say where the caller's registers are. false: none of these. */
static bool execute_rule(struct cfi_run *run, uint8_t code) {
    static const struct cfi_rule same = {CFI_SAME, 0}, other = {CFI_OTHER, 0};
    struct cfi_bytes *program = &run->program;
    switch (code) {
    case CFA_OFFSET_EXTENDED:
    case CFA_OFFSET_EXTENDED_SF:
    case CFA_NEGATIVE_OFFSET:
    case CFA_RESTORE_EXTENDED:
    case CFA_UNDEFINED:
    case CFA_SAME_VALUE:
    case CFA_REGISTER:
    case CFA_EXPRESSION:
    case CFA_VAL_EXPRESSION:
    case CFA_VAL_OFFSET:
    case CFA_VAL_OFFSET_SF:
        break;
    default:
        return false;
    }
    uint64_t number = ash__cfi_uleb(program);
    if (code == CFA_OFFSET_EXTENDED)
        set_at(run, number, unsigned_operand(run));
    else if (code == CFA_OFFSET_EXTENDED_SF)
        set_at(run, number, ash__cfi_sleb(program));
    else if (code == CFA_NEGATIVE_OFFSET)
        set_at(run, number, -unsigned_operand(run));
    else if (code == CFA_RESTORE_EXTENDED)
        restore(run, number);
    else
        set_rule(run, number, code == CFA_SAME_VALUE ? same : other);
    if (code == CFA_EXPRESSION || code == CFA_VAL_EXPRESSION)
        skip_block(run);
    else if (code == CFA_REGISTER || code == CFA_VAL_OFFSET || code == CFA_VAL_OFFSET_SF)
        (void)ash__cfi_uleb(program); /* a signed one is as long */
    return true;
}

/* Those about the CFA. false: none of these. */
static bool execute_cfa(struct cfi_run *run, uint8_t code) {
    struct cfi_bytes *program = &run->program;
    uint64_t number = run->row.cfa_register;
    switch (code) {
    case CFA_DEF_CFA:
        number = ash__cfi_uleb(program);
        set_cfa(run, number, unsigned_operand(run));
        return true;
    case CFA_DEF_CFA_SF:
        number = ash__cfi_uleb(program);
        set_cfa(run, number, scaled(run, ash__cfi_sleb(program), run->function->data_align));
        return true;
    case CFA_DEF_CFA_REGISTER:
        run->is_broken |= !run->row.is_cfa_known;
        set_cfa(run, ash__cfi_uleb(program), run->row.cfa_offset);
        return true;
    case CFA_DEF_CFA_OFFSET:
        run->is_broken |= !run->row.is_cfa_known;
        set_cfa(run, number, unsigned_operand(run));
        return true;
    case CFA_DEF_CFA_OFFSET_SF:
        run->is_broken |= !run->row.is_cfa_known;
        set_cfa(run, number, scaled(run, ash__cfi_sleb(program), run->function->data_align));
        return true;
    case CFA_DEF_CFA_EXPRESSION:
        skip_block(run);
        run->row.is_cfa_known = false;
        return true;
    default:
        return false;
    }
}

static void execute_rest(struct cfi_run *run, uint8_t code) {
    struct cfi_bytes *program = &run->program;
    switch (code) {
    case CFA_NOP:
    case CFA_NEGATE_RA_STATE: /* signed return addresses: the same place */
    case CFA_NEGATE_RA_STATE_WITH_PC:
        break;
    case CFA_SET_LOC:
        advance_to(run, ash__cfi_pointer(run->cfi, program, run->function->encoding));
        break;
    case CFA_ADVANCE_LOC1:
    case CFA_ADVANCE_LOC2:
    case CFA_ADVANCE_LOC4:
        advance(run, ash__cfi_fixed(program, 1u << (code - CFA_ADVANCE_LOC1)));
        break;
    case CFA_REMEMBER_STATE:
        remember(run);
        break;
    case CFA_RESTORE_STATE:
        recall(run);
        break;
    case CFA_ARGS_SIZE:
        (void)ash__cfi_uleb(program);
        break;
    default:
        run->is_broken = true;
    }
}

static void execute(struct cfi_run *run) {
    uint8_t code = (uint8_t)ash__cfi_fixed(&run->program, 1);
    uint8_t operand = code & 0x3f;
    switch (code & 0xc0) {
    case CFA_ADVANCE_LOC:
        advance(run, operand);
        break;
    case CFA_OFFSET:
        set_at(run, operand, unsigned_operand(run));
        break;
    case CFA_RESTORE:
        restore(run, operand);
        break;
    default:
        if (!execute_rule(run, code) && !execute_cfa(run, code))
            execute_rest(run, code);
    }
    run->is_broken |= run->program.is_bad;
}

/* Up to the next address, or the end. */
static void execute_row(struct cfi_run *run) {
    run->next = run->location;
    while (!run->is_broken && run->next == run->location && run->program.at < run->program.end)
        execute(run);
}

void ash__cfi_run_begin(struct cfi_run *run, const struct ash_prof_cfi *cfi,
                        const struct cfi_function *function) {
    run->cfi = cfi;
    run->function = function;
    run->location = run->next = function->start;
    run->is_broken = !function->is_known;
    run->depth = 0;
    run->row = (struct cfi_row){.is_cfa_known = false};
    run->initial = run->row;
    run->program = function->initial;
    execute_row(run);
    run->is_broken |= run->next != run->location; /* a CIE stays where it is */
    run->initial = run->row;
    run->program = function->program;
}

/* Where a rule leads to by the registers of now. */
static enum ash_prof_cfi_where place_of(const struct cfi_run *run, const struct cfi_rule *rule,
                                        int64_t *offset) {
    const struct cfi_row *row = &run->row;
    *offset = 0;
    if (rule->kind == CFI_SAME)
        return ASH_PROF_CFI_REGISTER;
    if (rule->kind == CFI_OTHER || !row->is_cfa_known ||
        __builtin_add_overflow(row->cfa_offset, rule->offset, offset)) {
        *offset = 0;
        return ASH_PROF_CFI_UNKNOWN;
    }
    if (row->cfa_register == run->cfi->stack_register)
        return ASH_PROF_CFI_STACK;
    if (row->cfa_register == run->cfi->frame_register)
        return ASH_PROF_CFI_FRAME;
    *offset = 0;
    return ASH_PROF_CFI_UNKNOWN;
}

bool ash__cfi_run_row(struct cfi_run *run, struct ash_prof_cfi_answer *answer) {
    uint64_t end = run->function->end;
    if (run->location >= end)
        return false;
    execute_row(run);
    bool is_last = run->is_broken || run->next == run->location || run->next > end;
    *answer =
        (struct ash_prof_cfi_answer){.start = run->location, .end = is_last ? end : run->next};
    if (!run->is_broken) {
        answer->where = place_of(run, &run->row.link, &answer->offset);
        answer->frame_where = place_of(run, &run->row.frame, &answer->frame_offset);
        answer->is_frame_callers = answer->frame_where == ASH_PROF_CFI_REGISTER;
    }
    run->location = answer->end;
    return true;
}
