/* SPDX-License-Identifier: MIT */
/* vm_rig.c: see vm_rig.h. Frames, the TLB, which space is installed. */
#include "mmu/vm_rig.h"

#include "mmu/machine.h"

#include <stdarg.h>
#include <stdio.h>

#define FRAMES_BASE UINT64_C(0x44000000)
#define FIRST_FRAME (FRAMES_BASE >> 12)
#define EMPTY_ROOT  MMU_TEST_BASE
#define HIGH_BEGIN  UINT64_C(0xffff800000000000)
#define HIGH_END    UINT64_C(0xffffff8000000000) /* beyond it is the stub */

enum { ASID_BITS = 2 };

_Static_assert(FRAMES_BASE + RIG_FRAMES * UINT64_C(4096) <= MMU_RAM_BASE + MMU_RAM_BYTES,
               "the frames are in the machine's memory");

bool rig_is_right(struct rig *rig, bool holds, const char *format, ...) {
    if (holds || rig->broken[0] != '\0')
        return holds;
    va_list args;
    va_start(args, format);
    vsnprintf(rig->broken, sizeof(rig->broken), format, args);
    va_end(args);
    return false;
}

/* Around a border of 2 MiB, of 1 GiB, of 512 GiB; and two blocks of 2 MiB. */
ash_vaddr_t rig_address(const struct rig *rig, uint32_t page) {
    static const struct {
        ash_vaddr_t address;
        uint32_t pages;
    } areas[RIG_AREAS] = {{UINT64_C(0x00002040000000) - 0xc000, 24},
                          {UINT64_C(0x00008000000000) - 0x8000, 16},
                          {UINT64_C(0x00018000000000) - 0x8000, 16},
                          {UINT64_C(0x3fff40400000), RIG_HUGE_PAGES}};
    for (uint32_t area = 0;; area++) {
        if (page < areas[area].pages)
            return rig->base + areas[area].address + page * UINT64_C(4096);
        page -= areas[area].pages;
    }
}

/* Frames. */

uint32_t rig_frame_index(ash_pfn_t frame) {
    return (uint32_t)(frame - FIRST_FRAME);
}

static bool is_free_run(const struct rig *rig, uint32_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        if (rig->frame_used[first + i])
            return false;
    }
    return true;
}

bool rig_frames_take(struct rig *rig, uint32_t count, uint32_t align, ash_pfn_t *first) {
    for (uint32_t at = 0; at + count <= RIG_FRAMES; at += align) {
        if (!is_free_run(rig, at, count))
            continue;
        memset(&rig->frame_used[at], 1, count);
        *first = FIRST_FRAME + at;
        return true;
    }
    return false;
}

void rig_frames_give(struct rig *rig, ash_pfn_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t index = rig_frame_index(first + i);
        bool was_used = first >= FIRST_FRAME && index < RIG_FRAMES && rig->frame_used[index];
        if (!rig_is_right(rig, was_used, "frame 0x%llx is freed and was not used",
                          (unsigned long long)(first + i)))
            return;
        uint32_t *words = machine_memory((first + i) << 12);
        rig->frame_used[index] = 0;
        for (uint32_t word = 0; word < 1024; word++)
            words[word] = RIG_POISON;
    }
}

int rig_frames_alloc(void *context, uint32_t order, ash_pfn_t *first) {
    struct rig *rig = context;
    if (test_random_chance(&rig->random, rig->fail_percent))
        return -ASH_ENOMEM;
    return rig_frames_take(rig, 1u << order, 1u << order, first) ? 0 : -ASH_ENOMEM;
}

/* Nobody reads what has just been freed, its poison. A few looks a step are enough: the hot pages
 * begin with the first of the range. */
static void check_unread(struct rig *rig) {
    uint32_t first = 0;
    if (rig->installed == NULL || rig->free_looks == 0 || rig->hot_count == 0)
        return;
    rig->free_looks--;
    for (uint32_t i = 0; i < rig->hot_count; i++) {
        uint32_t ticket = machine_ask(MMU_KERNEL_LOAD, rig_address(rig, rig->hot[i]), 0);
        first = i == 0 ? ticket : first;
    }
    machine_wait();
    for (uint32_t i = 0; i < rig->hot_count; i++) {
        struct mmu_answer answer = machine_answer(first + i);
        rig_is_right(rig, answer.syndrome != 0 || answer.value != RIG_POISON,
                     "0x%llx: its frame is freed, and the CPU reads it still",
                     (unsigned long long)rig_address(rig, rig->hot[i]));
    }
}

static void frames_free(void *context, ash_pfn_t first, uint32_t order) {
    rig_frames_give(context, first, 1u << order);
    check_unread(context);
}

/* Split or joined: frames have no order here. */
static void frames_regroup(void *context, ash_pfn_t first, uint32_t order, uint32_t other) {
    (void)context, (void)first, (void)order, (void)other;
}

/* The TLB. */

/* The CPU reads what it can of the hot pages: what it may remember of them, it does now. */
void rig_touch(struct rig *rig) {
    if (rig->installed == NULL)
        return;
    for (uint32_t i = 0; i < rig->hot_count; i++) {
        machine_ask(MMU_USER_LOAD, rig_address(rig, rig->hot[i]), 0);
        machine_ask(MMU_KERNEL_LOAD, rig_address(rig, rig->hot[i]), 0);
    }
    machine_wait();
}

/* QEMU invalidates a page of every ASID, whichever is asked for: this one is looked at here. */
static void check_asid(struct rig *rig, uint32_t asid) {
    uint64_t expected = rig->installed->space.asid & ASH_VM_ASID_NUMBER;
    rig_is_right(rig, asid == expected, "ASID %u is flushed, the space has %llu", asid,
                 (unsigned long long)expected);
}

static uint64_t operand(uint32_t asid, ash_vaddr_t va) {
    return (uint64_t)asid << 48 | (va >> 12 & ((UINT64_C(1) << 44) - 1));
}

/* TLBI RVAE1IS (Arm ARM C5.5): (NUM + 1) * 2^(5 * SCALE + 1) pages of 4 KiB. */
static void flush_pages(uint32_t asid, ash_vaddr_t va, uint64_t pages, bool leaf_only) {
    while (pages != 0) {
        uint32_t scale = 3;
        while (scale > 0 && pages >> (5 * scale + 1) == 0)
            scale--;
        uint64_t num = pages >> (5 * scale + 1);
        if (num == 0 || !machine_mailbox()->has_ranges) {
            machine_ask(leaf_only ? MMU_TLBI_LEAF : MMU_TLBI_VA, operand(asid, va), 0);
            va += 4096;
            pages--;
            continue;
        }
        num = num > 32 ? 32 : num;
        uint64_t base = (uint64_t)asid << 48 | UINT64_C(1) << 46 | (uint64_t)scale << 44 |
                        (num - 1) << 39 | (va >> 12 & ((UINT64_C(1) << 37) - 1));
        machine_ask(leaf_only ? MMU_TLBI_LEAF_RANGE : MMU_TLBI_RANGE, base, 0);
        va += num << (5 * scale + 1) << 12;
        pages -= num << (5 * scale + 1);
    }
}

/*
 * An invalidation of any address in a block is one of all of it. For loads and stores QEMU has it
 * so, but code that it has translated for the other pages of the block it runs on without another
 * walk (seen with 7.2). So here it is one of each page.
 */
static void flush_range(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                        uint32_t shift, bool leaf_only) {
    struct rig *rig = context;
    rig->tlb_operations++;
    check_asid(rig, asid);
    if (rig->fault == RIG_DROPS_RANGES || rig->fault == RIG_DEFERS_FLUSHES)
        return;
    if (rig->fault == RIG_DROPS_LAST_PAGE)
        count--;
    flush_pages(asid, va, count << (shift - 12), leaf_only);
    rig_touch(rig);
}

static void flush_asid(void *context, uint32_t asid) {
    struct rig *rig = context;
    rig->tlb_operations++;
    check_asid(rig, asid);
    if (rig->fault == RIG_DROPS_ASIDS || rig->fault == RIG_DEFERS_FLUSHES)
        return;
    machine_ask(MMU_TLBI_ASID, (uint64_t)asid << 48, 0);
    rig_touch(rig);
}

static void flush_all(void *context) {
    struct rig *rig = context;
    rig->tlb_operations++;
    machine_ask(MMU_TLBI_ALL, 0, 0);
    rig_touch(rig);
}

static void publish(void *context) {
    rig_touch(context);
}

/* A root of the upper half is lent the stub's entry, outside of what its space maps. */
static void lend_entry(const struct rig *rig, const struct rig_space *space, uint64_t entry) {
    if (rig->base != 0 && space != NULL)
        ((uint64_t *)machine_memory(space->space.root))[MMU_STUB_INDEX] = entry;
}

/* The ASID is TTBR0's for both halves. */
void rig_install(struct rig *rig, struct rig_space *space) {
    if (rig->installed == space)
        return;
    uint64_t low = EMPTY_ROOT, high = machine_mailbox()->stub_root;
    if (space != NULL) {
        if (!ash_vm_asid_try(&rig->asids, &space->space, 0))
            ash_vm_asid_take(&rig->asids, &space->space, 0);
        *(rig->base == 0 ? &low : &high) = space->space.root;
        low |= (space->space.asid & ASH_VM_ASID_NUMBER) << 48;
    }
    lend_entry(rig, space, machine_mailbox()->stub_entry);
    machine_tell(MMU_INSTALL_HIGH, high, 0);
    machine_tell(MMU_INSTALL_LOW, low, 0);
    lend_entry(rig, rig->installed, 0);
    rig->installed = space;
}

/* Begin and end. */

void rig_init(struct rig *rig, uint64_t seed, const struct ash_vm_config *policy, bool is_high,
              enum rig_fault fault) {
    memset(rig, 0, sizeof(*rig));
    rig->random = test_random_from(seed);
    rig->fault = fault;
    rig->base = is_high ? HIGH_BEGIN : 0;
    rig->next_value = 1;
    rig->spaces = test_alloc(RIG_SPACES * sizeof(*rig->spaces), 8);
    machine_begin();
    struct ash_vm_config config = *policy;
    config.direct_map = (uintptr_t)machine_memory(FRAMES_BASE) - FRAMES_BASE;
    config.first_frame = FIRST_FRAME;
    config.frame_count = RIG_FRAMES;
    config.frames =
        (struct ash_vm_frames){rig_frames_alloc, frames_free, frames_regroup, frames_regroup, rig};
    config.tlb = (struct ash_vm_tlb){publish, flush_range, flush_asid, flush_all, rig};
    size_t bytes = ash_vm_storage_size(&config);
    CHECK(bytes != 0);
    rig->counts = test_alloc(bytes, 8);
    rig->scratch = test_alloc(bytes, 8);
    CHECK_EQ(ash_vm_init(&rig->vm, &config, rig->counts, bytes), 0);
    CHECK_EQ(ash_vm_asid_init(&rig->asids, ASID_BITS, 1, &rig->vm.config.tlb), 0);
    struct rig_space *first = &rig->spaces[0];
    CHECK_EQ(ash_vm_space_init(&first->space, &rig->vm, rig->base, is_high ? HIGH_END : 0), 0);
    first->is_used = true;
}

void rig_space_end(struct rig *rig, struct rig_space *space) {
    rig_install(rig, NULL);
    ash_vm_stats_add(&rig->ended, &space->space.stats);
    ash_vm_asid_retire(&rig->asids, &space->space);
    ash_vm_space_fini(&space->space);
    while (ash_vm_reap(&space->space, 1))
        continue;
    space->is_used = false;
    memset(space->pages, 0, sizeof(space->pages));
    for (uint32_t i = 0; i < RIG_PINS; i++) {
        if (rig->pins[i].owner == space)
            rig->pins[i].owner = NULL;
    }
}

void rig_fini(struct rig *rig) {
    for (uint32_t i = 0; i < RIG_SPACES; i++) {
        if (rig->spaces[i].is_used)
            rig_space_end(rig, &rig->spaces[i]);
    }
    for (uint32_t i = 0; i < RIG_PINS; i++) {
        if (rig->pins[i].is_used)
            ash_vm_unpin(&rig->vm, rig->pins[i].address);
    }
    ash_vm_fini(&rig->vm);
    uint32_t used = 0;
    for (uint32_t i = 0; i < RIG_FRAMES; i++)
        used += rig->frame_used[i];
    rig_is_right(rig, used == 0, "%u frames are still used at the end", used);
}
