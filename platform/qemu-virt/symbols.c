/* SPDX-License-Identifier: MIT */
/* symbols.c: see symbols.h. */
#include "symbols.h"

#include "sample.h"

struct symbol {
    uint32_t start, end; /* offsets from the start of text; sorted, disjoint */
    uint32_t name;       /* offset from the start of the table */
};

/* kernel.ld: count, then the symbols, then the names; empty in the first link. */
extern const uint32_t __symbols_start[], __symbols_end[];
extern const char __text_start[], __text_end[];

/* A note (gABI, "Note Section"): the lengths of name and description, its type, both of them; none
 * where the linker was asked for none. */
extern const uint32_t __build_id_start[], __build_id_end[];

/* A bit an instruction, by tools/link-map; empty in the first link. */
extern const uint32_t __link_map_start[], __link_map_end[];

static uint32_t symbols_count(void) {
    return &__symbols_start[0] == &__symbols_end[0] ? 0 : __symbols_start[0];
}

static const struct symbol *symbols_first(void) {
    return (const struct symbol *)(__symbols_start + 1);
}

const char *symbols_lookup(uint64_t address, uint64_t *offset) {
    uint64_t text = (uint64_t)(uintptr_t)__text_start;
    if (address < text || address >= (uint64_t)(uintptr_t)__text_end)
        return NULL;
    uint32_t low = 0, high = symbols_count(), target = (uint32_t)(address - text);
    const struct symbol *symbols = symbols_first();
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbols[middle].end <= target)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == symbols_count() || target < symbols[low].start)
        return NULL;
    *offset = target - symbols[low].start;
    return (const char *)__symbols_start + symbols[low].name;
}

bool symbols_is_link_live(uint64_t address) {
    uint64_t instruction = (address - (uint64_t)(uintptr_t)__text_start) / 4;
    const uint32_t *word = __link_map_start + instruction / 32;
    return instruction / 32 < (uint64_t)(__link_map_end - __link_map_start) &&
           (*word >> instruction % 32 & 1) != 0;
}

void platform_code(uint64_t *start, uint64_t *end, const uint8_t **build_id, uint32_t *len) {
    enum { HEADER_WORDS = 3 };
    *start = (uint64_t)(uintptr_t)__text_start;
    *end = (uint64_t)(uintptr_t)__text_end;
    *build_id = NULL;
    *len = 0;
    if (&__build_id_end[0] - &__build_id_start[0] <= HEADER_WORDS)
        return;
    uint32_t name_words = (uint32_t)(ash_align_up(__build_id_start[0], 4) / 4);
    *build_id = (const uint8_t *)(__build_id_start + HEADER_WORDS + name_words);
    *len = __build_id_start[1];
}

bool platform_code_function(uint32_t i, uint64_t *start, uint64_t *end, const char **name) {
    if (i >= symbols_count())
        return false;
    const struct symbol *symbol = &symbols_first()[i];
    *start = (uint64_t)(uintptr_t)__text_start + symbol->start;
    *end = (uint64_t)(uintptr_t)__text_start + symbol->end;
    *name = (const char *)__symbols_start + symbol->name;
    return true;
}

bool platform_library(uint32_t i, struct platform_library *library) {
    (void)i, (void)library;
    return false;
}

bool platform_library_function(uint32_t i, uint32_t function, uint64_t *start, uint64_t *end,
                               const char **name) {
    (void)i, (void)function, (void)start, (void)end, (void)name;
    return false;
}

/* The link map has been made of it. */
bool platform_code_frames(uint32_t i, uint64_t *start, uint64_t *end, const uint8_t **frames,
                          size_t *len) {
    (void)i, (void)start, (void)end, (void)frames, (void)len;
    return false;
}
