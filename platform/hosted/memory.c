/* SPDX-License-Identifier: MIT */
/*
 * memory.c: RAM, one range of zeroed pages that Linux hands out as they are touched. Physical
 * addresses start at 1 GiB, so none of them is by chance a pointer that works.
 */
#include <ashlar/check.h>
#include <sys/mman.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

/* Huge pages fit, and what runs over either end meets unmapped memory. */
#define ALIGN_BYTES ((uintptr_t)2 << 20)

static char *memory; /* written once, before a second CPU runs */
static uint64_t memory_bytes;

/* Not by ASH_REQUIRE: Linux refuses also where contract checks are compiled out. */
static void require_memory(bool got, uint64_t bytes, const char *what) {
    if (!got)
        ash_panic(__FILE__, __LINE__,
                  "hosted: Linux gives no %llu MiB of %s; start with a smaller --mem",
                  (unsigned long long)(bytes >> 20), what);
}

static void map(void) {
    uint64_t bytes = hosted_configuration()->memory_bytes;
    char *window = mmap(NULL, bytes + 2 * ALIGN_BYTES, PROT_NONE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    require_memory(window != MAP_FAILED, bytes, "address space for the RAM");
    char *start = (char *)ash_align_up((uintptr_t)window + 1, ALIGN_BYTES);
    require_memory(mprotect(start, bytes, PROT_READ | PROT_WRITE) == 0, bytes, "RAM");
    memory_bytes = bytes;
    memory = start;
}

/* Masked: two contexts of one CPU may want it first. */
static void map_memory(void) {
    ash_irq_t state = ash_port_irq_save();
    if (memory == NULL)
        map();
    ash_port_irq_restore(state);
}

bool hosted_memory_is_mapped(void) {
    return memory != NULL;
}

uint32_t platform_memory(struct platform_range *ranges, uint32_t max) {
    if (memory == NULL)
        map_memory();
    if (max != 0)
        ranges[0] = (struct platform_range){HOSTED_MEMORY_BASE, memory_bytes};
    return max != 0;
}

/* One past the end converts too: it is what a loop's bound looks like. */
void *platform_pointer(ash_paddr_t address) {
    if (memory == NULL)
        map_memory();
    ASH_REQUIRE(address - HOSTED_MEMORY_BASE <= memory_bytes,
                "platform_pointer: %#llx is no address of RAM (%#llx, %llu bytes)",
                (unsigned long long)address, (unsigned long long)HOSTED_MEMORY_BASE,
                (unsigned long long)memory_bytes);
    return memory + (address - HOSTED_MEMORY_BASE);
}

ash_paddr_t platform_address(const void *pointer) {
    uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)memory);
    ASH_REQUIRE(memory != NULL && offset <= memory_bytes,
                "platform_address: %p does not point into RAM", pointer);
    return HOSTED_MEMORY_BASE + offset;
}
