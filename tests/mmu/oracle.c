/* SPDX-License-Identifier: MIT */
/*
 * oracle.c: the oracle itself: it keeps stale translations until the TLBI that they need, so that
 * one that is missing shows; it takes no request that it does not know, and its death is told.
 */
#include "harness/test.h"
#include "mmu/machine.h"
#include "mmu/walk.h"

#include <stdio.h>
#include <time.h>

enum {
    TABLE = 3,
    PAGE = 0x443, /* a page or table, EL0 too, AF: and so writable */
    READ_ONLY = 1 << 7,
    ASID = 7,
    PAGES = 8,
    BRANCH_TO_ITSELF = 0x14000000,
    FAULT_STATUS_LEVEL_3 = 3
};

#define APTABLE_READ_ONLY (UINT64_C(1) << 62)
#define ADDRESS           UINT64_C(0x0000123456789000) /* of the first of PAGES pages */
#define FRAME(i)          (MMU_TEST_BASE + (uint64_t)(i)*4096)

/* FRAME(1..4) are the tables on the way to ADDRESS, FRAME(5) another root; the pages follow. */
enum { ROOT = 1, LEVEL_3 = 4, OTHER_ROOT = 5, FIRST_PAGE = 8 };

static uint64_t *entry_of(uint32_t page) {
    uint64_t *table = machine_memory(FRAME(LEVEL_3));
    return &table[(ADDRESS >> 12 & 511) + page];
}

static void install(uint32_t root) {
    machine_ask(MMU_INSTALL_LOW, FRAME(root) | (uint64_t)ASID << 48, 0);
}

/* PAGES pages from ADDRESS, the i-th with the number i in it. */
static void begin(void) {
    machine_begin();
    for (uint32_t level = 0; level < 3; level++) {
        uint64_t *table = machine_memory(FRAME(ROOT + level));
        memset(table, 0, 4096);
        table[ADDRESS >> (39 - 9 * level) & 511] = FRAME(ROOT + level + 1) | TABLE;
    }
    memset(machine_memory(FRAME(LEVEL_3)), 0, 4096);
    memcpy(machine_memory(FRAME(OTHER_ROOT)), machine_memory(FRAME(ROOT)), 4096);
    for (uint32_t i = 0; i < PAGES; i++) {
        uint32_t *page = machine_memory(FRAME(FIRST_PAGE + i));
        page[0] = i;
        *entry_of(i) = FRAME(FIRST_PAGE + i) | PAGE;
    }
    install(ROOT);
    machine_ask(MMU_TLBI_ALL, 0, 0);
}

static struct mmu_answer load(uint32_t page) {
    return machine_tell(MMU_USER_LOAD, ADDRESS + page * 4096, 0);
}

static void check_loads(uint32_t page, uint32_t value) {
    struct mmu_answer answer = load(page);
    CHECK_EQ(answer.syndrome, 0);
    CHECK_EQ(answer.value, value);
}

static void check_fault(struct mmu_answer answer, enum walk_fault fault) {
    CHECK_EQ(ESR_CLASS(answer.syndrome), ESR_DATA_KERNEL);
    CHECK_EQ(ESR_FAULT_STATUS(answer.syndrome), fault + FAULT_STATUS_LEVEL_3);
}

/* The operand for ADDRESS. */
static const struct {
    enum mmu_operation operation;
    uint64_t operand;
    bool of_ranges;
} invalidations[] = {
    {MMU_TLBI_ALL, 0, false},
    {MMU_TLBI_ASID, (uint64_t)ASID << 48, false},
    {MMU_TLBI_VA, (uint64_t)ASID << 48 | ADDRESS >> 12, false},
    {MMU_TLBI_LEAF, (uint64_t)ASID << 48 | ADDRESS >> 12, false},
    {MMU_TLBI_VA_ANY, ADDRESS >> 12, false},
    /* TG 4 KiB, SCALE 0, NUM 0: two pages. */
    {MMU_TLBI_RANGE, (uint64_t)ASID << 48 | UINT64_C(1) << 46 | ADDRESS >> 12, true},
    {MMU_TLBI_LEAF_RANGE, (uint64_t)ASID << 48 | UINT64_C(1) << 46 | ADDRESS >> 12, true},
};

TEST_CASE(mmu, unmapped_page_is_read_until_invalidated) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(invalidations); i++) {
        begin();
        if (invalidations[i].of_ranges && !machine_mailbox()->has_ranges)
            continue;
        check_loads(0, 0);
        *entry_of(0) = 0;
        check_loads(0, 0);
        machine_ask(invalidations[i].operation, invalidations[i].operand, 0);
        check_fault(load(0), WALK_FAULT_TRANSLATION);
    }
}

TEST_CASE(mmu, invalidation_of_another_page_is_not_enough) {
    begin();
    check_loads(0, 0);
    *entry_of(0) = 0;
    machine_ask(MMU_TLBI_VA, (uint64_t)ASID << 48 | (ADDRESS + 4096) >> 12, 0);
    check_loads(0, 0);
}

/* QEMU empties its TLB whole for a range that is long against the TLB's size, and doubles that at
 * an invalidation that finds it nearly full. */
static void enlarge_tlb(void) {
    enum { ROUNDS = 6, ENTRIES = 512 }; /* from 64 entries, the least, to 1024 */
    uint64_t *table = machine_memory(FRAME(LEVEL_3));
    for (uint32_t i = 0; i < ENTRIES; i++)
        table[i] = table[i] == 0 ? FRAME(FIRST_PAGE) | PAGE : table[i];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        for (uint32_t i = 0; i < ENTRIES; i++)
            machine_ask(MMU_USER_LOAD, (ADDRESS & ~UINT64_C(0x1fffff)) + i * 4096, 0);
        machine_tell(MMU_TLBI_ALL, 0, 0);
    }
}

TEST_CASE(mmu, range_invalidation_ends_where_it_says) {
    begin();
    if (!machine_mailbox()->has_ranges) {
        CHECK(machine_tell(MMU_TLBI_RANGE, 0, 0).syndrome == MMU_REFUSED);
        return;
    }
    enlarge_tlb();
    for (uint32_t i = 0; i < PAGES; i++)
        check_loads(i, i);
    for (uint32_t i = 0; i < PAGES; i++)
        *entry_of(i) = 0;
    /* NUM 1: four pages, from the second on. */
    machine_ask(
        MMU_TLBI_RANGE,
        (uint64_t)ASID << 48 | UINT64_C(1) << 46 | UINT64_C(1) << 39 | (ADDRESS + 4096) >> 12, 0);
    for (uint32_t i = 0; i < PAGES; i++) {
        if (i >= 1 && i <= 4)
            check_fault(load(i), WALK_FAULT_TRANSLATION);
        else
            check_loads(i, i);
    }
}

TEST_CASE(mmu, remapped_page_is_the_old_one_until_invalidated) {
    begin();
    check_loads(0, 0);
    *entry_of(0) = FRAME(FIRST_PAGE + 3) | PAGE;
    check_loads(0, 0);
    machine_ask(MMU_TLBI_VA, (uint64_t)ASID << 48 | ADDRESS >> 12, 0);
    check_loads(0, 3);
}

TEST_CASE(mmu, new_page_needs_no_invalidation) {
    begin();
    *entry_of(0) = 0;
    check_fault(load(0), WALK_FAULT_TRANSLATION);
    *entry_of(0) = FRAME(FIRST_PAGE) | PAGE;
    check_loads(0, 0);
}

TEST_CASE(mmu, page_made_read_only_is_written_until_invalidated) {
    begin();
    CHECK_EQ(machine_tell(MMU_USER_STORE, ADDRESS, 1).syndrome, 0);
    *entry_of(0) |= READ_ONLY;
    CHECK_EQ(machine_tell(MMU_USER_STORE, ADDRESS, 2).syndrome, 0);
    machine_ask(MMU_TLBI_VA, (uint64_t)ASID << 48 | ADDRESS >> 12, 0);
    check_fault(machine_tell(MMU_USER_STORE, ADDRESS, 3), WALK_FAULT_PERMISSION);
    check_loads(0, 2);
}

/* What a fork that shares sub-trees does. */
TEST_CASE(mmu, mark_above_three_tables_protects_once_invalidated) {
    begin();
    uint64_t *root = machine_memory(FRAME(ROOT));
    CHECK_EQ(machine_tell(MMU_USER_STORE, ADDRESS, 1).syndrome, 0);
    root[ADDRESS >> 39] |= APTABLE_READ_ONLY;
    CHECK_EQ(machine_tell(MMU_USER_STORE, ADDRESS, 2).syndrome, 0);
    machine_ask(MMU_TLBI_ASID, (uint64_t)ASID << 48, 0);
    check_fault(machine_tell(MMU_USER_STORE, ADDRESS, 3), WALK_FAULT_PERMISSION);
    check_fault(machine_tell(MMU_KERNEL_STORE, ADDRESS, 3), WALK_FAULT_PERMISSION);
    check_loads(0, 2);
}

TEST_CASE(mmu, other_root_of_the_same_asid_has_its_translations) {
    begin();
    check_loads(0, 0);
    memset(machine_memory(FRAME(OTHER_ROOT)), 0, 4096);
    install(OTHER_ROOT);
    check_loads(0, 0);
    machine_ask(MMU_TLBI_ASID, (uint64_t)ASID << 48, 0);
    CHECK_EQ(ESR_FAULT_STATUS(load(0).syndrome), WALK_FAULT_TRANSLATION);
}

TEST_CASE(mmu, word_that_is_no_instruction_counts_as_fetched) {
    begin();
    uint32_t *page = machine_memory(FRAME(FIRST_PAGE));
    page[0] = 0;
    struct mmu_answer answer = machine_tell(MMU_USER_FETCH, ADDRESS, 0);
    CHECK_EQ(ESR_CLASS(answer.syndrome), ESR_UNKNOWN);
}

TEST_CASE(mmu, unknown_request_is_refused) {
    begin();
    CHECK(machine_tell(MMU_OPERATIONS, 0, 0).syndrome == MMU_REFUSED);
    CHECK(machine_tell((enum mmu_operation)77777, 0, 0).syndrome == MMU_REFUSED);
    /* A root in which the stub would be gone. */
    CHECK(machine_tell(MMU_INSTALL_HIGH, FRAME(ROOT), 0).syndrome == MMU_REFUSED);
    check_loads(1, 1);
}

TEST_CASE(mmu, program_that_does_not_end_is_ended_and_told) {
    char report[480];
    begin();
    uint32_t *page = machine_memory(FRAME(FIRST_PAGE + 1)); /* nothing was fetched from it yet */
    page[0] = BRANCH_TO_ITSELF;
    machine_wait();
    machine_ask(MMU_USER_FETCH, ADDRESS + 4096, 0);
    CHECK(!machine_try_wait(0.2, report, sizeof(report)));
    CHECK(strstr(report, "no progress") != NULL);
    CHECK(strstr(report, "0x12345678a000") != NULL);
    begin(); /* another machine */
    check_loads(1, 1);
}

TEST_CASE(mmu, host_of_another_protocol_is_refused) {
    struct mmu_figures figures = MMU_FIGURES;
    figures.version++;
    machine_start(&figures);
    time_t until = time(NULL) + MACHINE_PATIENCE_S;
    while (strstr(machine_console(), "build stub and test together") == NULL &&
           time(NULL) < until) {
        const struct timespec moment = {0, 1000000};
        nanosleep(&moment, NULL);
    }
    CHECK(strstr(machine_console(), "speaks another protocol") != NULL);
    CHECK(machine_mailbox()->ready != MMU_MAGIC);
    machine_end();
}
