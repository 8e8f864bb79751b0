/* SPDX-License-Identifier: MIT */
/*
 * Call frame information that is made up, or of a good kind and then damaged. Whatever it says, no
 * byte outside is read (the section ends where its memory does), rows are in order and without
 * gaps, and the three ways to ask agree: every row, the section, the index.
 */
#include "choices.h"
#include "prof/cfi_section.h"

enum { FUNCTIONS_MAX = 64, ROWS_MAX = 96 };

struct rows {
    struct ash_prof_cfi_answer row[ROWS_MAX]; /* the first ones */
    uint32_t count;
    uint64_t end;
};

static void add_row(void *context, const struct ash_prof_cfi_answer *row) {
    struct rows *rows = context;
    CHECK(row->start < row->end);
    CHECK(row->where <= ASH_PROF_CFI_FRAME && row->frame_where <= ASH_PROF_CFI_FRAME);
    if (rows->count < ROWS_MAX)
        rows->row[rows->count++] = *row;
}

/* As compilers write them, mostly. */
static size_t make_program(struct choices *choices, uint8_t *program, size_t most) {
    static const uint8_t words[] = {CFI_DEF_CFA_OFFSET,
                                    CFI_DEF_CFA,
                                    CFI_DEF_CFA_REGISTER,
                                    CFI_OFFSET + CFI_FP,
                                    CFI_OFFSET + CFI_LINK,
                                    CFI_RESTORE + CFI_LINK,
                                    CFI_RESTORE + CFI_FP,
                                    CFI_ADVANCE + 1,
                                    CFI_ADVANCE + 4,
                                    CFI_ADVANCE1,
                                    CFI_ADVANCE4,
                                    CFI_REMEMBER,
                                    CFI_RECALL,
                                    CFI_DEF_CFA_EXPRESSION,
                                    CFI_VAL_EXPRESSION,
                                    CFI_SET_LOC,
                                    CFI_OFFSET_EXTENDED_SF,
                                    CFI_NEGATE_RA_STATE,
                                    CFI_SP,
                                    CFI_FP,
                                    CFI_LINK,
                                    0,
                                    1,
                                    2,
                                    0x7f,
                                    0x80,
                                    0xff};
    size_t len = choose(choices, (uint32_t)most);
    for (size_t i = 0; i < len; i++)
        program[i] = choose_chance(choices, 5) ? (uint8_t)choose(choices, 256)
                                               : words[choose(choices, ASH_ARRAY_LEN(words))];
    return len;
}

static void make_entries(struct choices *choices, struct cfi_section *section) {
    uint8_t program[64];
    uint32_t count = 1 + choose(choices, 12);
    for (uint32_t i = 0; i < count; i++) {
        size_t len = make_program(choices, program, sizeof(program));
        if (choose_chance(choices, 10))
            (void)cfi_section_entry(section, choose(choices, 64), program, len);
        else
            cfi_section_fde(section, 0x4000 + 0x200 * i, choose(choices, 0x200), program, len);
    }
}

static void damage(struct choices *choices, struct cfi_section *section) {
    for (uint32_t times = choose(choices, 6); times != 0; times--) {
        size_t at = choose(choices, (uint32_t)section->len);
        section->bytes[at] =
            (uint8_t)(choose(choices, 2) == 0 ? choose(choices, 256)
                                              : section->bytes[at] ^ 1u << choose(choices, 8));
    }
    if (choose_chance(choices, 20))
        section->len = choose(choices, (uint32_t)section->len + 1);
}

static bool is_same(const struct ash_prof_cfi_answer *a, const struct ash_prof_cfi_answer *b) {
    return a->where == b->where && a->offset == b->offset && a->frame_where == b->frame_where &&
           a->frame_offset == b->frame_offset && a->start == b->start && a->end == b->end;
}

/* One of the rows that cover pc: functions that overlap may each be meant. */
static void check_found(const struct rows *rows, const struct ash_prof_cfi *cfi, uint64_t pc) {
    struct ash_prof_cfi_answer found;
    ash_prof_cfi_find(cfi, pc, &found);
    if (rows->count == ROWS_MAX) /* not all are known */
        return;
    bool is_known = found.start == 0 && found.end == 0 && found.where == ASH_PROF_CFI_UNKNOWN;
    bool is_covered = false;
    for (uint32_t i = 0; i < rows->count; i++) {
        const struct ash_prof_cfi_answer *row = &rows->row[i];
        is_covered |= row->start <= pc && pc < row->end;
        is_known |= is_same(row, &found) && row->start <= pc && pc < row->end;
    }
    CHECK(is_known);
    /* An index of functions that overlap sees the last that begins; the section misses none. */
    if (cfi->functions == NULL)
        CHECK_EQ(found.end != 0, is_covered);
}

static void check_section(struct choices *choices, const struct ash_prof_cfi *cfi) {
    struct rows *rows = test_alloc(sizeof(*rows), 8);
    struct ash_prof_cfi_function functions[FUNCTIONS_MAX];
    ash_prof_cfi_each(cfi, add_row, rows);
    struct ash_prof_cfi indexed = *cfi;
    size_t count = ash_prof_cfi_index(cfi, functions, FUNCTIONS_MAX);
    indexed.functions = functions;
    indexed.functions_count = count < FUNCTIONS_MAX ? count : FUNCTIONS_MAX;
    for (size_t i = 1; i < indexed.functions_count; i++)
        CHECK(functions[i - 1].start <= functions[i].start);
    for (uint32_t i = 0; i < 24; i++) {
        uint64_t pc = choose(choices, 8) != 0 || rows->count == 0
                          ? 0x4000 + choose(choices, 0x1800)
                          : rows->row[choose(choices, rows->count)].start;
        check_found(rows, cfi, pc);
        check_found(rows, &indexed, pc);
    }
}

void fuzz_cfi(struct choices *choices) {
    struct cfi_section *section = test_alloc(sizeof(*section), 8);
    cfi_section_make(section);
    cfi_section_cie(section);
    make_entries(choices, section);
    damage(choices, section);
    /* At the end of memory of its own, so that a sanitizer sees a step too far. */
    uint8_t *bytes = test_alloc(section->len + 1, 1);
    memcpy(bytes, section->bytes, section->len);
    struct ash_prof_cfi cfi = section->cfi;
    cfi.frames = bytes;
    cfi.bytes = section->len;
    check_section(choices, &cfi);
}

TEST_CASE(cfi_fuzz, what_is_said_of_damaged_sections_is_in_order) {
    for (uint64_t round = 0; round < 1500; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 1);
        fuzz_cfi(&choices);
    }
}
