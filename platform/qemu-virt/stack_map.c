/* SPDX-License-Identifier: MIT */
/*
 * stack_map.c: stacks in the MMU's window, each at the top of a slot of its own:
 *
 *     slot:  nothing, 64 KiB at least | stack
 *
 * The kernel's own map has blocks of 2 MiB and larger, of which no single page can be taken away
 * while other CPUs use the rest: so a stack is seen at a second address.
 */
#include "stack_map.h"

#include <ashlar/check.h>
#include <ashlar/port.h>

#include "direct_map.h"
#include "mmu.h"
#include "platform.h"

#define SLOT_BYTES (MMU_WINDOW_BYTES / PLATFORM_STACKS_MAX)
_Static_assert(SLOT_BYTES >= PLATFORM_STACK_BYTES_MAX + (64 << 10), "guards");

/* size_bytes is 0 in a free slot. The lock, taken with interrupts masked, is for who makes and
 * frees stacks; a fault looks without it, for the CPU that faulted may hold it. */
static struct ash_spinlock lock;
static struct slot {
    uint64_t size_bytes;
    const char *name;
} slots[PLATFORM_STACKS_MAX];

static uint64_t end_of(uint32_t slot) {
    return MMU_WINDOW + (slot + UINT64_C(1)) * SLOT_BYTES;
}

void *platform_stack_map(void *pages, size_t size_bytes, const char *name) {
    uint64_t frame = direct_map_physical(pages);
    ASH_REQUIRE(ash_is_aligned(frame, ASH_PAGE_SIZE) && size_bytes != 0 &&
                    ash_is_aligned(size_bytes, ASH_PAGE_SIZE) &&
                    size_bytes <= PLATFORM_STACK_BYTES_MAX,
                "platform_stack_map: %p, %zu bytes: whole pages, at most %d bytes", pages,
                size_bytes, PLATFORM_STACK_BYTES_MAX);
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&lock);
    uint32_t i = 0;
    while (i < PLATFORM_STACKS_MAX && slots[i].size_bytes != 0)
        i++;
    uint64_t base = end_of(i) - size_bytes;
    if (i < PLATFORM_STACKS_MAX) {
        for (uint64_t offset = 0; offset < size_bytes; offset += ASH_PAGE_SIZE)
            mmu_map_page(base + offset, frame + offset);
        slots[i].name = name;
        ash_store_release(&slots[i].size_bytes, (uint64_t)size_bytes);
    }
    ash_spin_unlock(&lock);
    ash_port_irq_restore(state);
    return i < PLATFORM_STACKS_MAX ? (void *)(uintptr_t)base : NULL;
}

/* PLATFORM_STACKS_MAX: in none. */
static uint32_t slot_of(uint64_t address) {
    return address - MMU_WINDOW < MMU_WINDOW_BYTES ? (uint32_t)((address - MMU_WINDOW) / SLOT_BYTES)
                                                   : PLATFORM_STACKS_MAX;
}

void platform_stack_unmap(void *stack) {
    uint64_t base = (uint64_t)(uintptr_t)stack;
    uint32_t i = slot_of(base);
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&lock);
    bool is_one = i < PLATFORM_STACKS_MAX && slots[i].size_bytes == end_of(i) - base;
    if (is_one) {
        mmu_unmap_pages(base, slots[i].size_bytes);
        ash_store_release(&slots[i].size_bytes, UINT64_C(0));
    }
    ash_spin_unlock(&lock);
    ash_port_irq_restore(state);
    ASH_REQUIRE(is_one, "platform_stack_unmap: %p is no stack", stack);
}

bool stack_map_holds(uint64_t address) {
    uint32_t i = slot_of(address);
    return i < PLATFORM_STACKS_MAX && end_of(i) - address <= ash_load_acquire(&slots[i].size_bytes);
}

bool stack_map_bounds(uint64_t address, uint64_t *low, uint64_t *high) {
    if (!stack_map_holds(address))
        return false;
    uint32_t i = slot_of(address);
    *high = end_of(i);
    *low = *high - slots[i].size_bytes;
    return true;
}

const char *stack_map_of_guard(uint64_t address) {
    uint32_t i = slot_of(address);
    if (i == PLATFORM_STACKS_MAX)
        return NULL;
    uint64_t size_bytes = ash_load_acquire(&slots[i].size_bytes);
    return size_bytes != 0 && end_of(i) - address > size_bytes ? slots[i].name : NULL;
}
