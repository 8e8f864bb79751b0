/* SPDX-License-Identifier: MIT */
/* symbols.c: see symbols.h. */
#include "symbols.h"

struct symbol {
    uint32_t start, end; /* offsets from the start of text; sorted, disjoint */
    uint32_t name;       /* offset from the start of the table */
};

/* kernel.ld: count, then the symbols, then the names; empty in the first link. */
extern const uint32_t __symbols_start[], __symbols_end[];
extern const char __text_start[], __text_end[];

const char *symbols_lookup(uint64_t address, uint64_t *offset) {
    uint64_t text = (uint64_t)(uintptr_t)__text_start;
    if (&__symbols_start[0] == &__symbols_end[0] || address < text ||
        address >= (uint64_t)(uintptr_t)__text_end)
        return NULL;
    uint32_t low = 0, high = __symbols_start[0], target = (uint32_t)(address - text);
    const struct symbol *symbols = (const struct symbol *)(__symbols_start + 1);
    while (low < high) {
        uint32_t middle = low + (high - low) / 2;
        if (symbols[middle].end <= target)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == __symbols_start[0] || target < symbols[low].start)
        return NULL;
    *offset = target - symbols[low].start;
    return (const char *)__symbols_start + symbols[low].name;
}
