/* SPDX-License-Identifier: MIT */
/*
 * stack.c: who called, by the chain of frame records {the caller's record, return address}
 * (AAPCS64 6.4.6). Only records in stacks are followed, and only upwards.
 */
#include "cpu.h"
#include "platform.h"
#include "stack_map.h"
#include "symbols.h"

static bool is_record(uint64_t fp) {
    uint64_t base = (uint64_t)(uintptr_t)cpu_stacks;
    return ash_is_aligned(fp, 16) && (fp - base < sizeof(cpu_stacks) || stack_map_holds(fp));
}

uint32_t platform_stack(uintptr_t *sites, uint32_t max) {
    uint64_t fp = (uint64_t)(uintptr_t)__builtin_frame_address(0);
    uint32_t count = 0;
    while (count < max && is_record(fp)) {
        const uint64_t *record = (const uint64_t *)(uintptr_t)fp;
        if (record[1] == 0)
            break;
        sites[count++] = record[1];
        fp = record[0] > fp ? record[0] : 0;
    }
    return count;
}

/* One instruction back, as in panic.c: a call may be the last of its function. */
const char *platform_function(uintptr_t address, uint64_t *offset) {
    const char *name = symbols_lookup(address - 4, offset);
    if (name != NULL)
        *offset += 4;
    return name;
}
