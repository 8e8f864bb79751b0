/* SPDX-License-Identifier: MIT */
/*
 * Call frame information written by hand, instruction by instruction; and damaged, byte by byte.
 */
#include "prof/cfi_section.h"

static struct cfi_section *make(void) {
    struct cfi_section *section = test_alloc(sizeof(*section), 8);
    cfi_section_make(section);
    cfi_section_cie(section);
    return section;
}

static struct ash_prof_cfi_answer at(const struct cfi_section *section, uint64_t pc) {
    struct ash_prof_cfi_answer answer;
    memset(&answer, 0xa5, sizeof(answer));
    ash_prof_cfi_find(&section->cfi, pc, &answer);
    return answer;
}

static void check_answer(struct ash_prof_cfi_answer answer, enum ash_prof_cfi_where where,
                         int64_t offset, enum ash_prof_cfi_where frame, int64_t frame_offset) {
    CHECK_EQ(answer.where, where);
    CHECK_EQ(answer.offset, offset);
    CHECK_EQ(answer.frame_where, frame);
    CHECK_EQ(answer.frame_offset, frame_offset);
    CHECK_EQ(answer.is_frame_callers, frame == ASH_PROF_CFI_REGISTER);
}

#define IN_REGISTERS ASH_PROF_CFI_REGISTER, 0, ASH_PROF_CFI_REGISTER, 0
#define NOT_KNOWN    ASH_PROF_CFI_UNKNOWN, 0, ASH_PROF_CFI_UNKNOWN, 0

TEST_CASE(prof_cfi, a_function_without_a_frame_has_both_in_registers) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, 0);
    check_answer(at(section, 0x4000), IN_REGISTERS);
    check_answer(at(section, 0x403f), IN_REGISTERS);
    CHECK_EQ(at(section, 0x4010).start, 0x4000);
    CHECK_EQ(at(section, 0x4010).end, 0x4040);
}

TEST_CASE(prof_cfi, an_address_of_no_function_is_unknown) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, 0);
    check_answer(at(section, 0x3fff), NOT_KNOWN);
    check_answer(at(section, 0x4040), NOT_KNOWN);
    check_answer(at(section, UINT64_MAX), NOT_KNOWN);
    CHECK_EQ(at(section, 0).end, 0);
}

/* stp x29, x30, [sp, -32]! ... ldp x29, x30, [sp], 32; ret */
TEST_CASE(prof_cfi, a_frame_is_at_the_stack_pointer_between_prologue_and_epilogue) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_ADVANCE + 1, CFI_DEF_CFA_OFFSET, 32, CFI_OFFSET + CFI_FP, 4,
            CFI_OFFSET + CFI_LINK, 3, CFI_ADVANCE + 8, CFI_RESTORE + CFI_LINK, CFI_RESTORE + CFI_FP,
            CFI_DEF_CFA_OFFSET, 0);
    check_answer(at(section, 0x4000), IN_REGISTERS);
    check_answer(at(section, 0x4004), ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_STACK, 0);
    check_answer(at(section, 0x4023), ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_STACK, 0);
    check_answer(at(section, 0x4024), IN_REGISTERS);
}

TEST_CASE(prof_cfi, a_cfa_of_the_frame_pointer_gives_places_by_that) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_DEF_CFA, CFI_FP, 16, CFI_OFFSET + CFI_FP, 2,
            CFI_OFFSET + CFI_LINK, 1);
    check_answer(at(section, 0x4000), ASH_PROF_CFI_FRAME, 8, ASH_PROF_CFI_FRAME, 0);
}

TEST_CASE(prof_cfi, a_cfa_of_another_register_or_by_an_expression_is_unknown) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_OFFSET + CFI_FP, 2, CFI_OFFSET + CFI_LINK, 1,
            CFI_DEF_CFA_REGISTER, 9, CFI_ADVANCE + 1, CFI_DEF_CFA_EXPRESSION, 2, 0x12, 0x06,
            CFI_ADVANCE + 1, CFI_DEF_CFA, CFI_SP, 16);
    check_answer(at(section, 0x4000), NOT_KNOWN);
    check_answer(at(section, 0x4004), NOT_KNOWN);
    check_answer(at(section, 0x4008), ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_STACK, 0);
}

/* As gcc writes an epilogue in the middle of a function. */
TEST_CASE(prof_cfi, a_state_is_remembered_and_restored_nested) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_DEF_CFA_OFFSET, 16, CFI_OFFSET + CFI_LINK, 1, CFI_REMEMBER,
            CFI_ADVANCE + 1, CFI_DEF_CFA_OFFSET, 64, CFI_REMEMBER, CFI_ADVANCE + 1,
            CFI_RESTORE + CFI_LINK, CFI_ADVANCE + 1, CFI_RECALL, CFI_ADVANCE + 1, CFI_RECALL);
    check_answer(at(section, 0x4000), ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_REGISTER, 0);
    check_answer(at(section, 0x4004), ASH_PROF_CFI_STACK, 56, ASH_PROF_CFI_REGISTER, 0);
    check_answer(at(section, 0x4008), IN_REGISTERS);
    check_answer(at(section, 0x400c), ASH_PROF_CFI_STACK, 56, ASH_PROF_CFI_REGISTER, 0);
    check_answer(at(section, 0x4010), ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_REGISTER, 0);
}

TEST_CASE(prof_cfi, too_many_states_or_too_few_are_unknown_from_there_on) {
    struct cfi_section *section = make();
    uint8_t program[ASH_PROF_CFI_NEST_MAX + 2];
    memset(program, CFI_REMEMBER, sizeof(program));
    cfi_section_fde(section, 0x4000, 0x40, program, ASH_PROF_CFI_NEST_MAX);
    program[0] = CFI_ADVANCE + 1;
    cfi_section_fde(section, 0x5000, 0x40, program, sizeof(program));
    CFI_FDE(section, 0x6000, 0x40, CFI_ADVANCE + 1, CFI_RECALL);
    check_answer(at(section, 0x4000), IN_REGISTERS);
    check_answer(at(section, 0x5000), IN_REGISTERS);
    check_answer(at(section, 0x5004), NOT_KNOWN);
    check_answer(at(section, 0x6000), IN_REGISTERS);
    check_answer(at(section, 0x6004), NOT_KNOWN);
    CHECK_EQ(at(section, 0x6004).end, 0x6040);
}

TEST_CASE(prof_cfi, each_form_of_a_rule_is_read_to_its_end) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x100, CFI_OFFSET_EXTENDED, CFI_LINK, 1, CFI_ADVANCE + 1,
            CFI_RESTORE_EXTENDED, CFI_LINK, CFI_ADVANCE + 1, CFI_OFFSET_EXTENDED_SF, CFI_LINK,
            0x7e /* -2 */, CFI_ADVANCE + 1, CFI_NEGATIVE_OFFSET, CFI_LINK, 3, CFI_ADVANCE + 1,
            CFI_UNDEFINED, CFI_LINK, CFI_ADVANCE + 1, CFI_SAME_VALUE, CFI_LINK, CFI_ADVANCE + 1,
            CFI_REGISTER, CFI_LINK, 0x85, 0x01, CFI_ADVANCE + 1, CFI_VAL_OFFSET, CFI_LINK, 1,
            CFI_ADVANCE + 1, CFI_VAL_OFFSET_SF, CFI_LINK, 0x7f, CFI_ADVANCE + 1, CFI_EXPRESSION,
            CFI_LINK, 3, 0xff, 0xff, 0xff, CFI_ADVANCE + 1, CFI_VAL_EXPRESSION, CFI_LINK, 1, 0xff,
            CFI_ADVANCE + 1, CFI_NEGATE_RA_STATE, CFI_ARGS_SIZE, 0x80, 0x01, CFI_OFFSET + CFI_LINK,
            4, CFI_OFFSET + 5, 9, CFI_UNDEFINED, 7);
    static const struct {
        enum ash_prof_cfi_where where;
        int64_t offset;
    } expected[] = {
        {ASH_PROF_CFI_STACK, -8},  {ASH_PROF_CFI_REGISTER, 0}, {ASH_PROF_CFI_STACK, 16},
        {ASH_PROF_CFI_STACK, 24},  {ASH_PROF_CFI_UNKNOWN, 0},  {ASH_PROF_CFI_REGISTER, 0},
        {ASH_PROF_CFI_UNKNOWN, 0}, {ASH_PROF_CFI_UNKNOWN, 0},  {ASH_PROF_CFI_UNKNOWN, 0},
        {ASH_PROF_CFI_UNKNOWN, 0}, {ASH_PROF_CFI_UNKNOWN, 0},  {ASH_PROF_CFI_STACK, -32}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(expected); i++)
        check_answer(at(section, 0x4000 + 4 * i), expected[i].where, expected[i].offset,
                     ASH_PROF_CFI_REGISTER, 0);
}

TEST_CASE(prof_cfi, each_form_of_the_cfa_is_read_to_its_end) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x100, CFI_OFFSET + CFI_LINK, 1, CFI_DEF_CFA, CFI_SP, 0x90, 0x01,
            CFI_ADVANCE + 1, CFI_DEF_CFA_REGISTER, CFI_FP, CFI_ADVANCE + 1, CFI_DEF_CFA_OFFSET_SF,
            0x70 /* -16 */, CFI_ADVANCE + 1, CFI_DEF_CFA_SF, CFI_SP, 0x7e /* -2 */);
    check_answer(at(section, 0x4000), ASH_PROF_CFI_STACK, 136, ASH_PROF_CFI_REGISTER, 0);
    check_answer(at(section, 0x4004), ASH_PROF_CFI_FRAME, 136, ASH_PROF_CFI_REGISTER, 0);
    check_answer(at(section, 0x4008), ASH_PROF_CFI_FRAME, 120, ASH_PROF_CFI_REGISTER, 0);
    check_answer(at(section, 0x400c), ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_REGISTER, 0);
}

TEST_CASE(prof_cfi, each_form_of_an_advance_moves_by_units_of_code) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x100000, CFI_DEF_CFA_OFFSET, 8, CFI_OFFSET + CFI_LINK, 0,
            CFI_ADVANCE + 0, CFI_ADVANCE1, 200, CFI_DEF_CFA_OFFSET, 16, CFI_ADVANCE2, 0x00, 0x02,
            CFI_DEF_CFA_OFFSET, 24, CFI_ADVANCE4, 0x00, 0x10, 0, 0, CFI_DEF_CFA_OFFSET, 32,
            CFI_ADVANCE + 63, CFI_DEF_CFA_OFFSET, 40);
    static const uint64_t starts[] = {0x4000, 0x4320, 0x4b20, 0x8b20, 0x8c1c, 0x104000};
    for (uint32_t i = 0; i < 5; i++) {
        struct ash_prof_cfi_answer answer = at(section, starts[i + 1] - 1);
        check_answer(answer, ASH_PROF_CFI_STACK, 8 * (i + 1), ASH_PROF_CFI_REGISTER, 0);
        CHECK_EQ(answer.start, starts[i]);
        CHECK_EQ(answer.end, starts[i + 1]);
    }
}

TEST_CASE(prof_cfi, a_location_that_is_set_goes_forwards_alone) {
    struct cfi_section *section = make();
    /* Relative to its own place, as the pointers of this CIE are. */
    uint8_t program[] = {CFI_SET_LOC, 0, 0, 0, 0, CFI_UNDEFINED, CFI_LINK};
    for (uint32_t i = 0; i < 2; i++) {
        uint64_t place = CFI_SECTION_ADDRESS + section->len + 4 + 4 + 4 + 4 + 1 + 1;
        uint32_t value = (uint32_t)((i == 0 ? 0x4020 : 0x4fff) - place);
        memcpy(program + 1, &value, 4);
        cfi_section_fde(section, 0x4000 + 0x1000 * i, 0x40, program, sizeof(program));
    }
    check_answer(at(section, 0x401f), IN_REGISTERS);
    CHECK_EQ(at(section, 0x4020).where, ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(at(section, 0x4020).frame_where, ASH_PROF_CFI_REGISTER);
    check_answer(at(section, 0x5000), NOT_KNOWN);
}

TEST_CASE(prof_cfi, an_unknown_instruction_is_unknown_from_its_row_on) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_ADVANCE + 2, 0x3f, CFI_ADVANCE + 2, 0);
    check_answer(at(section, 0x4007), IN_REGISTERS);
    check_answer(at(section, 0x4008), NOT_KNOWN);
    check_answer(at(section, 0x4010), NOT_KNOWN);
}

TEST_CASE(prof_cfi, numbers_that_do_not_fit_are_unknown) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_DEF_CFA_OFFSET, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0xff, 0x01); /* 2^64 - 1 */
    CFI_FDE(section, 0x5000, 0x40, CFI_OFFSET + CFI_LINK, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0x7f); /* 2^63 - 1, times -8 */
    CFI_FDE(section, 0x6000, 0x40, CFI_DEF_CFA_OFFSET, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80,
            0x80, 0x80, 0x80, 0x80, 0);                             /* a 0 of twelve bytes */
    CFI_FDE(section, 0x7000, 0x40, CFI_DEF_CFA_OFFSET, 0x80, 0x80); /* cut off */
    CFI_FDE(section, 0x8000, 0x40, CFI_DEF_CFA_OFFSET, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
            0xff, 0x7f, CFI_OFFSET_EXTENDED_SF, CFI_LINK, 0x7f); /* 2^63 - 1 + 8 */
    for (uint64_t pc = 0x4000; pc <= 0x7000; pc += 0x1000)
        check_answer(at(section, pc), NOT_KNOWN);
    check_answer(at(section, 0x8000), ASH_PROF_CFI_UNKNOWN, 0, ASH_PROF_CFI_REGISTER, 0);
}

TEST_CASE(prof_cfi, rows_end_with_the_function) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_ADVANCE + 63, CFI_UNDEFINED, CFI_LINK);
    CFI_FDE(section, UINT64_C(0x4100), 0x8, CFI_ADVANCE4, 0xff, 0xff, 0xff, 0xff);
    CHECK_EQ(at(section, 0x403f).end, 0x4040);
    check_answer(at(section, 0x4100), IN_REGISTERS);
    CHECK_EQ(at(section, 0x4100).end, 0x4108);
}

/* Common entries */

static enum ash_prof_cfi_where with_cie(const uint8_t *body, size_t len) {
    struct cfi_section *section = test_alloc(sizeof(*section), 8);
    cfi_section_make(section);
    section->cie = cfi_section_entry(section, 0, body, len);
    CFI_FDE(section, 0x4000, 0x40, 0);
    return at(section, 0x4000).where;
}

#define WITH_CIE(...) \
    with_cie((const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

TEST_CASE(prof_cfi, augmentations_are_read_letter_by_letter) {
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 'S', 0, 4, 0x78, CFI_LINK, 1, 0x1b), ASH_PROF_CFI_REGISTER);
    CHECK_EQ(WITH_CIE(1, 'z', 'P', 'L', 'R', 0, 4, 0x78, CFI_LINK, 7, 0x03, 1, 2, 3, 4, 0x1b, 0x1b),
             ASH_PROF_CFI_REGISTER);
    CHECK_EQ(WITH_CIE(1, 'z', 'P', 'R', 0, 4, 0x78, CFI_LINK, 2, 0xff, 0x1b),
             ASH_PROF_CFI_REGISTER);
    CHECK_EQ(WITH_CIE(3, 'z', 'R', 'B', 0, 4, 0x78, CFI_LINK, 1, 0x1b), ASH_PROF_CFI_REGISTER);
    CHECK_EQ(WITH_CIE(1, 'z', 'X', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x1b), ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'e', 'h', 0, 4, 0x78, CFI_LINK, 1, 0x1b), ASH_PROF_CFI_UNKNOWN);
}

TEST_CASE(prof_cfi, a_common_entry_that_is_not_understood_makes_its_functions_unknown) {
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x1b), ASH_PROF_CFI_REGISTER);
    CHECK_EQ(WITH_CIE(2, 'z', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x1b), ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 0, 4, 0x78, 16, 1, 0x1b), ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x9b), ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x3b), ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 0, 4, 0x78, CFI_LINK, 9, 0x1b), ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'z', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x1b, CFI_ADVANCE + 1),
             ASH_PROF_CFI_UNKNOWN);
    CHECK_EQ(WITH_CIE(1, 'z', 'R'), ASH_PROF_CFI_UNKNOWN);
}

TEST_CASE(prof_cfi, a_common_entry_has_a_limit) {
    uint8_t body[ASH_PROF_CFI_CIE_MAX] = {1, 'z', 'R', 0, 4, 0x78, CFI_LINK, 1, 0x1b};
    CHECK_EQ(with_cie(body, ASH_PROF_CFI_CIE_MAX - 8), ASH_PROF_CFI_REGISTER);
    CHECK_EQ(with_cie(body, ASH_PROF_CFI_CIE_MAX - 7), ASH_PROF_CFI_UNKNOWN);
}

TEST_CASE(prof_cfi, plain_addresses_need_no_augmentation) {
    struct cfi_section *section = test_alloc(sizeof(*section), 8);
    cfi_section_make(section);
    static const uint8_t cie[] = {1, 0, 4, 0x78, CFI_LINK};
    static const uint64_t range[] = {UINT64_C(0xffff000040200000), 0x80};
    (void)cfi_section_entry(section, 0, cie, sizeof(cie));
    (void)cfi_section_entry(section, (uint32_t)section->len + 4, (const uint8_t *)range,
                            sizeof(range));
    CHECK_EQ(at(section, UINT64_C(0xffff00004020007f)).where, ASH_PROF_CFI_REGISTER);
    CHECK_EQ(at(section, UINT64_C(0xffff000040200080)).where, ASH_PROF_CFI_UNKNOWN);
}

TEST_CASE(prof_cfi, an_entry_of_wide_length_or_with_a_foreign_common_entry_is_passed_over) {
    struct cfi_section *section = make();
    static const uint8_t wide[] = {0xff, 0xff, 0xff, 0xff, 4, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4};
    memcpy(section->bytes + section->len, wide, sizeof(wide));
    section->len += sizeof(wide);
    (void)cfi_section_entry(section, 0x7fffffff, wide, sizeof(wide)); /* before the section */
    (void)cfi_section_entry(section, 8, wide, sizeof(wide));          /* in the middle of one */
    CFI_FDE(section, 0x4000, 0x40, 0);
    check_answer(at(section, 0x4000), IN_REGISTERS);
}

/* Walks */

struct rows {
    uint64_t functions, bytes, last_end;
};

static void count_row(void *context, const struct ash_prof_cfi_answer *answer) {
    struct rows *rows = context;
    CHECK(answer->start < answer->end);
    CHECK(answer->is_frame_callers == (answer->frame_where == ASH_PROF_CFI_REGISTER));
    rows->functions += answer->start != rows->last_end;
    rows->bytes += answer->end - answer->start;
    rows->last_end = answer->end;
}

TEST_CASE(prof_cfi, each_tells_every_row_and_the_section_ends_at_an_empty_entry) {
    struct cfi_section *section = make();
    CFI_FDE(section, 0x4000, 0x40, CFI_ADVANCE + 1, CFI_ADVANCE + 2, CFI_ADVANCE + 3);
    CFI_FDE(section, 0x6000, 0x60, CFI_ADVANCE + 1, 0x3f);
    CFI_FDE(section, 0x5000, 0, 0);
    memset(section->bytes + section->len, 0, 4);
    section->len += 4;
    CFI_FDE(section, 0x7000, 0x40, 0);
    struct rows rows = {0, 0, 0};
    ash_prof_cfi_each(&section->cfi, count_row, &rows);
    CHECK_EQ(rows.functions, 2);
    CHECK_EQ(rows.bytes, 0xa0);
}

TEST_CASE(prof_cfi, an_index_gives_the_answers_of_the_section) {
    struct cfi_section *section = make();
    for (uint64_t i = 0; i < 40; i++)
        CFI_FDE(section, 0x4000 + 0x100 * (i * 7 % 40), 0x80, CFI_ADVANCE + 8, CFI_DEF_CFA_OFFSET,
                (uint8_t)i, CFI_OFFSET + CFI_LINK, 0);
    struct ash_prof_cfi_function functions[48];
    memset(functions, 0xa5, sizeof(functions));
    CHECK_EQ(ash_prof_cfi_index(&section->cfi, NULL, 0), 40);
    CHECK_EQ(ash_prof_cfi_index(&section->cfi, functions, 48), 40);
    struct cfi_section *indexed = test_alloc(sizeof(*indexed), 8);
    *indexed = *section;
    indexed->cfi.functions = functions;
    indexed->cfi.functions_count = 40;
    for (uint64_t pc = 0x3f80; pc < 0x6900; pc += 0x10) {
        struct ash_prof_cfi_answer plain = at(section, pc), found = at(indexed, pc);
        check_answer(found, plain.where, plain.offset, plain.frame_where, plain.frame_offset);
        CHECK(found.start == plain.start && found.end == plain.end);
    }
}

TEST_CASE(prof_cfi, an_index_that_is_too_small_holds_what_it_can) {
    struct cfi_section *section = make();
    for (uint64_t i = 0; i < 5; i++)
        CFI_FDE(section, 0x8000 - 0x100 * i, 0x80, 0);
    struct ash_prof_cfi_function functions[4] = {{0, 0, 0}};
    CHECK_EQ(ash_prof_cfi_index(&section->cfi, functions, 3), 5);
    CHECK_EQ(functions[0].start, 0x7e00);
    CHECK_EQ(functions[2].start, 0x8000);
    CHECK_EQ(functions[3].bytes, 0);
}

/* Answers, applied */

static struct ash_prof_registers on_stack(uint64_t *stack, size_t words) {
    return (struct ash_prof_registers){.pc = 0x4000,
                                       .fp = (uintptr_t)&stack[2],
                                       .link = 0x1111,
                                       .is_link = ASH_PROF_LINK_RECORD,
                                       .low = (uintptr_t)stack,
                                       .high = (uintptr_t)(stack + words)};
}

TEST_CASE(prof_cfi, an_answer_applied_gives_the_callers_address_and_frame) {
    uint64_t stack[8] = {10, 11, 12, 13, 14, 15, 16, 17};
    struct ash_prof_registers registers = on_stack(stack, 8);
    struct ash_prof_cfi_answer answer = {
        ASH_PROF_CFI_STACK, 16, ASH_PROF_CFI_FRAME, 8, false, 0, 0};
    CHECK(ash_prof_cfi_apply(&answer, (uintptr_t)&stack[5], &registers));
    CHECK_EQ(registers.link, 17);
    CHECK_EQ(registers.fp, 13);
    CHECK_EQ(registers.is_link, ASH_PROF_LINK_LIVE);
}

TEST_CASE(prof_cfi, an_answer_in_registers_leaves_them) {
    uint64_t stack[4] = {0};
    struct ash_prof_registers registers = on_stack(stack, 4), before = registers;
    struct ash_prof_cfi_answer answer = {
        ASH_PROF_CFI_REGISTER, 0, ASH_PROF_CFI_REGISTER, 0, true, 0, 0};
    CHECK(ash_prof_cfi_apply(&answer, 0, &registers));
    CHECK(registers.link == before.link && registers.fp == before.fp);
    CHECK_EQ(registers.is_link, ASH_PROF_LINK_LIVE);
}

TEST_CASE(prof_cfi, an_answer_that_leads_out_of_the_stack_changes_nothing) {
    uint64_t stack[4] = {0};
    uint64_t sp = (uintptr_t)stack;
    static const int64_t offsets[] = {-8, 4, 32, INT64_MAX, INT64_MIN, -1};
    for (uint32_t i = 0; i < 2 * ASH_ARRAY_LEN(offsets); i++) {
        struct ash_prof_registers registers = on_stack(stack, 4), before = registers;
        struct ash_prof_cfi_answer answer = {
            ASH_PROF_CFI_STACK, 8, ASH_PROF_CFI_STACK, 8, false, 0, 0};
        *(i % 2 == 0 ? &answer.offset : &answer.frame_offset) = offsets[i / 2];
        CHECK(!ash_prof_cfi_apply(&answer, sp, &registers));
        CHECK_MEM_EQ(&registers, &before, sizeof(before));
    }
    struct ash_prof_registers registers = on_stack(stack, 4);
    struct ash_prof_cfi_answer unknown = {
        ASH_PROF_CFI_UNKNOWN, 0, ASH_PROF_CFI_REGISTER, 0, true, 0, 0};
    CHECK(!ash_prof_cfi_apply(&unknown, sp, &registers));
}

struct reader {
    const uint64_t *stack;
    uint32_t reads, refused; /* the number of the read that is refused; 0: none */
};

static bool read_two(void *context, uint64_t address, uint64_t words[2]) {
    struct reader *reader = context;
    if (++reader->reads == reader->refused)
        return false;
    CHECK(address >= 0x8000 && address <= 0x8000 + 16);
    memcpy(words, (const uint8_t *)reader->stack + (address - 0x8000), 16);
    return true;
}

TEST_CASE(prof_cfi, an_answer_is_applied_through_a_reader_and_a_refusal_changes_nothing) {
    static const uint64_t stack[4] = {10, 11, 12, 13};
    struct ash_prof_cfi_answer answer = {
        ASH_PROF_CFI_STACK, 24, ASH_PROF_CFI_STACK, 0, false, 0, 0};
    for (uint32_t refused = 0; refused < 3; refused++) {
        struct reader reader = {stack, 0, refused};
        struct ash_prof_registers registers = {
            .low = 0x8000, .high = 0x8020, .read = read_two, .context = &reader};
        CHECK_EQ(ash_prof_cfi_apply(&answer, 0x8000, &registers), refused == 0);
        CHECK_EQ(registers.link, refused == 0 ? 13 : 0);
        CHECK_EQ(registers.fp, refused == 0 ? 10 : 0);
    }
}
