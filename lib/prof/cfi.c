/* SPDX-License-Identifier: MIT */
/*
 * cfi.c: see prof_cfi.h: functions are looked for, and their rows are asked.
 */
#include "cfi_internal.h"

#include <ashlar/checked.h>

/* The next function at or behind *offset, which is moved past it. */
static bool next_function(const struct ash_prof_cfi *cfi, uint64_t *offset,
                          struct cfi_function *function, uint64_t *where) {
    struct cfi_entry entry;
    uint64_t at = *offset;
    while (ash__cfi_entry(cfi, at, &entry, offset)) {
        *where = at;
        if (ash__cfi_function(cfi, &entry, function))
            return true;
        at = *offset;
    }
    return false;
}

void ash_prof_cfi_each(const struct ash_prof_cfi *cfi,
                       void (*each)(void *context, const struct ash_prof_cfi_answer *answer),
                       void *context) {
    struct cfi_function function;
    struct cfi_run run;
    uint64_t offset = 0, where;
    while (next_function(cfi, &offset, &function, &where)) {
        struct ash_prof_cfi_answer answer;
        ash__cfi_run_begin(&run, cfi, &function);
        while (ash__cfi_run_row(&run, &answer))
            each(context, &answer);
    }
}

/* The last one of the index that begins at pc or before. */
static bool find_indexed(const struct ash_prof_cfi *cfi, uint64_t pc,
                         struct cfi_function *function) {
    size_t low = 0, high = cfi->functions_count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (cfi->functions[middle].start <= pc)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == 0 || pc - cfi->functions[low - 1].start >= cfi->functions[low - 1].bytes)
        return false;
    struct cfi_entry entry;
    uint64_t next;
    return ash__cfi_entry(cfi, cfi->functions[low - 1].entry, &entry, &next) &&
           ash__cfi_function(cfi, &entry, function) && function->start <= pc && pc < function->end;
}

static bool find_plainly(const struct ash_prof_cfi *cfi, uint64_t pc,
                         struct cfi_function *function) {
    uint64_t offset = 0, where;
    while (next_function(cfi, &offset, function, &where)) {
        if (function->start <= pc && pc < function->end)
            return true;
    }
    return false;
}

void ash_prof_cfi_find(const struct ash_prof_cfi *cfi, uint64_t pc,
                       struct ash_prof_cfi_answer *answer) {
    struct cfi_function function;
    struct cfi_run run;
    bool is_found = cfi->functions != NULL ? find_indexed(cfi, pc, &function)
                                           : find_plainly(cfi, pc, &function);
    if (is_found) {
        ash__cfi_run_begin(&run, cfi, &function);
        while (ash__cfi_run_row(&run, answer)) {
            if (pc < answer->end)
                return;
        }
    }
    *answer = (struct ash_prof_cfi_answer){.where = ASH_PROF_CFI_UNKNOWN};
}

/* Index */

static bool is_before(const struct ash_prof_cfi_function *a,
                      const struct ash_prof_cfi_function *b) {
    return a->start != b->start ? a->start < b->start : a->entry < b->entry;
}

/* Lets functions[i] sink in a heap of `count`, whose greatest is the first. */
static void sink(struct ash_prof_cfi_function *functions, size_t i, size_t count) {
    struct ash_prof_cfi_function sinking = functions[i];
    for (size_t child = 2 * i + 1; child < count; child = 2 * i + 1) {
        if (child + 1 < count && is_before(&functions[child], &functions[child + 1]))
            child++;
        if (!is_before(&sinking, &functions[child]))
            break;
        functions[i] = functions[child];
        i = child;
    }
    functions[i] = sinking;
}

static void sort(struct ash_prof_cfi_function *functions, size_t count) {
    for (size_t i = count / 2; i-- > 0;)
        sink(functions, i, count);
    for (size_t last = count; last-- > 1;) {
        struct ash_prof_cfi_function greatest = functions[0];
        functions[0] = functions[last];
        functions[last] = greatest;
        sink(functions, 0, last);
    }
}

size_t ash_prof_cfi_index(const struct ash_prof_cfi *cfi, struct ash_prof_cfi_function *functions,
                          size_t capacity) {
    struct cfi_function function;
    size_t count = 0;
    uint64_t offset = 0, where;
    while (next_function(cfi, &offset, &function, &where) && where <= UINT32_MAX) {
        uint64_t bytes = function.end - function.start;
        if (count < capacity)
            functions[count] = (struct ash_prof_cfi_function){
                function.start, bytes > UINT32_MAX ? UINT32_MAX : (uint32_t)bytes, (uint32_t)where};
        count++;
    }
    sort(functions, count < capacity ? count : capacity);
    return count;
}

/* An answer, applied */

/* The word at base + offset, if it lies in the stack and can be read. */
static bool read_word(const struct ash_prof_registers *registers, uint64_t base, int64_t offset,
                      uint64_t *word) {
    uint64_t address = base + (uint64_t)offset;
    if (address % 8 != 0 || address < registers->low || address >= registers->high ||
        registers->high - address < 8)
        return false;
    if (registers->read == NULL) {
        *word = *(const uint64_t *)(uintptr_t)address;
        return true;
    }
    /* It reads two words: the last one of the stack is the second of these. */
    bool is_last = registers->high - address < 16;
    uint64_t words[2];
    if ((is_last && address - registers->low < 8) ||
        !registers->read(registers->context, is_last ? address - 8 : address, words))
        return false;
    *word = words[is_last ? 1 : 0];
    return true;
}

static bool apply_one(enum ash_prof_cfi_where where, int64_t offset, uint64_t sp,
                      const struct ash_prof_registers *registers, uint64_t own, uint64_t *value) {
    *value = own;
    switch (where) {
    case ASH_PROF_CFI_REGISTER:
        return true;
    case ASH_PROF_CFI_STACK:
        return read_word(registers, sp, offset, value);
    case ASH_PROF_CFI_FRAME:
        return read_word(registers, registers->fp, offset, value);
    default:
        return false;
    }
}

bool ash_prof_cfi_apply(const struct ash_prof_cfi_answer *answer, uint64_t sp,
                        struct ash_prof_registers *registers) {
    uint64_t link, fp;
    if (!apply_one(answer->where, answer->offset, sp, registers, registers->link, &link) ||
        !apply_one(answer->frame_where, answer->frame_offset, sp, registers, registers->fp, &fp))
        return false;
    registers->link = link;
    registers->fp = fp;
    registers->is_link = ASH_PROF_LINK_LIVE;
    return true;
}
