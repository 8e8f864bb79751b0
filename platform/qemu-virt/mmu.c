/* SPDX-License-Identifier: MIT */
/* mmu.c: see mmu.h. Descriptors: Arm ARM D8.3. */
#include "mmu.h"

#include <ashlar/check.h>

#include "direct_map.h"
#include "user.h"

enum {
    WINDOW_TABLES = 2 + (MMU_WINDOW_BYTES >> 21), /* 2 MiB each, and two above */
    TABLES_MAX = 50 + WINDOW_TABLES,
    ENTRIES = 512,
    LAST_LEVEL = 3,
};

#define DESC_VALID    (UINT64_C(1) << 0)
#define DESC_TABLE    (UINT64_C(1) << 1) /* in levels 0 to 2; in level 3 it says "page" */
#define DESC_NORMAL   (UINT64_C(1) << 2) /* MAIR attribute 1; 0 is Device-nGnRE */
#define DESC_READONLY (UINT64_C(2) << 6)
#define DESC_INNER    (UINT64_C(3) << 8) /* inner shareable */
#define DESC_ACCESSED (UINT64_C(1) << 10)
#define DESC_PXN      (UINT64_C(1) << 53)
#define DESC_UXN      (UINT64_C(1) << 54)
#define DESC_ADDRESS  UINT64_C(0x0000fffffffff000)

/* SCTLR_EL1: MMU, caches, stack alignment (SA, SA0), and what can be written is never executed
 * (WXN), by programs neither. These may use DC ZVA (DZE), CTR_EL0 (UCT), cache maintenance (UCI),
 * and wait (nTWI, nTWE): a WFI of theirs ends as the kernel's own does. */
#define SCTLR_KERNEL (0x30d00800u | 1u << 0 | 1u << 2 | 1u << 3 | 1u << 12 | 1u << 19)
#define SCTLR_USER   (1u << 4 | 1u << 14 | 1u << 15 | 1u << 16 | 1u << 18 | 1u << 26)
#define SCTLR_FINAL  (SCTLR_KERNEL | SCTLR_USER)
#define SCTLR_SPAN   (1u << 23)

static uint64_t tables[TABLES_MAX][ENTRIES] __attribute__((aligned(4096)));
static uint32_t tables_used = 1; /* the root */

/* What start.S hands to mmu_switch on the other CPUs; it reads this with their MMU still off. */
struct mmu_start {
    uint64_t root;
    uint64_t control;
} __attribute__((aligned(64)));

extern struct mmu_start mmu_start;
struct mmu_start mmu_start = {.control = SCTLR_FINAL};

void mmu_switch(uint64_t root, uint64_t sctlr);

static uint64_t attributes(enum mmu_kind kind) {
    const uint64_t normal = DESC_VALID | DESC_ACCESSED | DESC_INNER | DESC_NORMAL | DESC_UXN;
    switch (kind) {
    case MMU_TEXT:
        return normal | DESC_READONLY;
    case MMU_RODATA:
        return normal | DESC_READONLY | DESC_PXN;
    case MMU_DATA:
        return normal | DESC_PXN;
    case MMU_DEVICE:
        return DESC_VALID | DESC_ACCESSED | DESC_UXN | DESC_PXN;
    case MMU_NOTHING:
        break;
    }
    return 0;
}

static uint64_t level_bytes(uint32_t level) {
    return UINT64_C(1) << (12 + 9 * (LAST_LEVEL - level));
}

static bool is_table(uint64_t entry, uint32_t level) {
    return level < LAST_LEVEL && (entry & (DESC_VALID | DESC_TABLE)) == (DESC_VALID | DESC_TABLE);
}

/* The table below *entry; what was a block becomes a table that maps the same. */
static uint64_t *table_below(uint64_t *entry, uint32_t level) {
    if (!is_table(*entry, level)) {
        ASH_REQUIRE(tables_used < TABLES_MAX,
                    "mmu: all %d tables are in use: the machine's memory is in too many pieces",
                    TABLES_MAX);
        uint64_t *table = tables[tables_used++], block = *entry;
        uint64_t step = level_bytes(level + 1);
        for (uint64_t i = 0; i < ENTRIES; i++) {
            table[i] = block == 0 ? 0 : block + i * step;
            if (block != 0 && level + 1 == LAST_LEVEL)
                table[i] |= DESC_TABLE;
        }
        *entry = direct_map_physical(table) | DESC_VALID | DESC_TABLE;
    }
    return direct_map_pointer(*entry & DESC_ADDRESS);
}

/* One entry as large as alignment and size allow, of physical addresses in the direct map; returns
 * the bytes that it covers. There is no block in level 0. */
static uint64_t map_one(uint64_t base, uint64_t size_bytes, uint64_t attribute_bits) {
    uint64_t *table = tables[0];
    for (uint32_t level = 0;; level++) {
        uint64_t bytes = level_bytes(level);
        uint64_t *entry = &table[base / bytes % ENTRIES];
        if (level != 0 && ash_is_aligned(base, bytes) && size_bytes >= bytes &&
            !is_table(*entry, level)) {
            *entry = attribute_bits == 0 ? 0 : base | attribute_bits;
            if (*entry != 0 && level == LAST_LEVEL)
                *entry |= DESC_TABLE;
            return bytes;
        }
        table = table_below(entry, level);
    }
}

void mmu_map(uint64_t base, uint64_t size_bytes, enum mmu_kind kind) {
    uint64_t end = ash_align_up(base + size_bytes, ASH_PAGE_SIZE);
    base = ash_align_down(base, ASH_PAGE_SIZE);
    ASH_REQUIRE(end >= base && end <= DIRECT_MAP_BYTES,
                "mmu: 0x%llx, %llu bytes: only addresses below 0x%llx are mapped",
                (unsigned long long)base, (unsigned long long)size_bytes,
                (unsigned long long)DIRECT_MAP_BYTES);
    while (base < end)
        base += map_one(base, end - base, attributes(kind));
}

/* The entry of a page, below tables that are there or are made. */
static uint64_t *page_entry(uint64_t address) {
    uint64_t *table = tables[0];
    for (uint32_t level = 0; level < LAST_LEVEL; level++)
        table = table_below(&table[address / level_bytes(level) % ENTRIES], level);
    return &table[address / ASH_PAGE_SIZE % ENTRIES];
}

void mmu_prepare_window(void) {
    for (uint64_t offset = 0; offset < MMU_WINDOW_BYTES; offset += level_bytes(LAST_LEVEL - 1))
        (void)page_entry(MMU_WINDOW + offset);
}

/* An entry that was invalid is in no TLB (Arm ARM D8.14). */
void mmu_map_page(uint64_t address, uint64_t frame) {
    __atomic_store_n(page_entry(address), frame | attributes(MMU_DATA) | DESC_TABLE,
                     __ATOMIC_RELAXED);
    __asm__ volatile("dsb ishst\n\tisb" ::: "memory");
}

void mmu_unmap_pages(uint64_t address, uint64_t size_bytes) {
    for (uint64_t offset = 0; offset < size_bytes; offset += ASH_PAGE_SIZE)
        __atomic_store_n(page_entry(address + offset), 0, __ATOMIC_RELAXED);
    __asm__ volatile("dsb ishst" ::: "memory");
    for (uint64_t offset = 0; offset < size_bytes; offset += ASH_PAGE_SIZE)
        __asm__ volatile("tlbi vaae1is, %0" ::"r"((address + offset) >> ASH_PAGE_SHIFT) : "memory");
    __asm__ volatile("dsb ish\n\tisb" ::: "memory");
}

void mmu_enable(void) {
    uint64_t features;
    __asm__ volatile("mrs %0, id_aa64mmfr1_el1" : "=r"(features));
    if ((features >> 20 & 15) !=
        0) /* an exception sets PAN: the kernel has no access by EL0's maps */
        mmu_start.control &= ~(uint64_t)SCTLR_SPAN;
    mmu_start.root = direct_map_physical(tables[0]);
    __asm__ volatile("dc cvac, %0\n\tdsb sy" ::"r"(&mmu_start) : "memory");
    mmu_switch(mmu_start.root, mmu_start.control);
}

uint64_t platform_kernel_root(void) {
    return direct_map_physical(tables[0]);
}

bool mmu_is_readable(uint64_t address) {
    uint64_t result;
    __asm__ volatile("at s1e1r, %1\n\tisb\n\tmrs %0, par_el1"
                     : "=r"(result)
                     : "r"(address)
                     : "memory");
    return (result & 1) == 0;
}
