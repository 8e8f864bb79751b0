/* SPDX-License-Identifier: MIT */
/* vm_steps.c: see vm_rig.h. The operations, on the library and on the model. */
#include "mmu/vm_rig.h"

#include "mmu/machine.h"

enum { BLOCK = 512, HUGE_BEGIN = RIG_SMALL_PAGES };

/* Pages that follow each other, of one area. */
struct range {
    uint32_t first, count;
};

static ash_vaddr_t range_address(const struct rig *rig, struct range range) {
    return rig_address(rig, range.first);
}

static uint64_t range_bytes(struct range range) {
    return range.count * UINT64_C(4096);
}

/* Choices. */

static uint32_t choose(struct rig *rig, uint32_t limit) {
    return (uint32_t)test_random_below(&rig->random, limit);
}

static bool chance(struct rig *rig, uint32_t percent) {
    return test_random_chance(&rig->random, percent);
}

static struct range random_range(struct rig *rig) {
    static const uint32_t begins[RIG_AREAS + 1] = {0, 24, 40, HUGE_BEGIN, RIG_PAGES};
    enum { LONG = 700, SHORT = 10 };
    uint32_t area = choose(rig, RIG_AREAS), pages = begins[area + 1] - begins[area];
    if (area == RIG_AREAS - 1 && chance(rig, 60)) /* a block, or both */
        return chance(rig, 30) ? (struct range){begins[area], pages}
                               : (struct range){begins[area] + choose(rig, 2) * BLOCK, BLOCK};
    uint32_t offset = choose(rig, pages);
    uint32_t count = 1 + choose(rig, area == RIG_AREAS - 1 && chance(rig, 20) ? LONG : SHORT);
    count = count < pages - offset ? count : pages - offset;
    return (struct range){begins[area] + offset, count};
}

static uint32_t random_rights(struct rig *rig) {
    static const uint32_t rights[] = {ASH_VM_READ, ASH_VM_READ | ASH_VM_WRITE,
                                      ASH_VM_READ | ASH_VM_WRITE, ASH_VM_READ | ASH_VM_EXECUTE,
                                      ASH_VM_READ | ASH_VM_WRITE | ASH_VM_EXECUTE};
    return rights[choose(rig, chance(rig, 95) ? 4 : 5)] | (chance(rig, 85) ? ASH_VM_USER : 0);
}

/* The result for such rights. */
static int for_rights(const struct rig *rig, uint32_t rights) {
    bool both = (rights & ASH_VM_WRITE) != 0 && (rights & ASH_VM_EXECUTE) != 0;
    return both && (rig->vm.config.flags & ASH_VM_ALLOW_WX) == 0 ? -ASH_EACCES : 0;
}

static struct rig_space *random_space(struct rig *rig) {
    struct rig_space *space;
    if (rig->installed != NULL && chance(rig, 60)) /* stays, with all that the TLB knows */
        return rig->installed;
    do
        space = &rig->spaces[choose(rig, RIG_SPACES)];
    while (!space->is_used);
    return space;
}

/* Ends and middle of the range, what is pinned, and pages anywhere. */
static void choose_hot(struct rig *rig, const struct rig_space *space, struct range range) {
    enum { OF_RANGE = 12, NEAR = 16 };
    rig->hot_count = 0;
    for (uint32_t i = 0; i < range.count && i < OF_RANGE; i++) {
        uint32_t page = range.count <= OF_RANGE ? i : choose(rig, range.count);
        page = i == 0 ? 0 : i == 1 ? range.count - 1 : page;
        rig->hot[rig->hot_count++] = range.first + page;
    }
    if (range.first > 0)
        rig->hot[rig->hot_count++] = range.first - 1;
    if (range.first + range.count < RIG_PAGES)
        rig->hot[rig->hot_count++] = range.first + range.count;
    for (uint32_t i = 0; i < RIG_PINS; i++) {
        if (rig->pins[i].is_used && rig->pins[i].owner == space)
            rig->hot[rig->hot_count++] = rig->pins[i].page;
    }
    while (rig->hot_count < NEAR)
        rig->hot[rig->hot_count++] = choose(rig, RIG_SMALL_PAGES);
    while (rig->hot_count < RIG_HOT - NEAR)
        rig->hot[rig->hot_count++] = RIG_SMALL_PAGES + choose(rig, RIG_HUGE_PAGES);
}

/* The result is 0, or one that the model knows a reason for. */
static bool is_result(struct rig *rig, const char *operation, int result, int reason,
                      int other_reason) {
    if (result == -ASH_ENOMEM) {
        rig->refusals++;
        return rig_is_right(rig, rig->fail_percent != 0, "%s found no memory", operation);
    }
    bool expected = reason == 0 && other_reason == 0
                        ? result == 0
                        : (result == reason || result == other_reason) && result != 0;
    return rig_is_right(rig, expected, "%s returns %d, the model says %d or %d", operation, result,
                        reason, other_reason);
}

/* Operations: each returns false when broken, and leaves the model as the library must be. */

static bool is_anything_mapped(const struct rig_space *space, struct range range) {
    for (uint32_t i = 0; i < range.count; i++) {
        if (space->pages[range.first + i].rights != 0)
            return true;
    }
    return false;
}

static void fill_frames(struct rig *rig, ash_pfn_t first, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t *words = machine_memory((first + i) << 12);
        memset(words, 0, 4096);
        words[0] = rig_new_value(rig);
    }
}

static bool map_pages(struct rig *rig, struct rig_space *space, struct range range, uint32_t rights,
                      uint32_t flags) {
    ash_pfn_t first;
    if (!rig_frames_take(rig, range.count, range.count % BLOCK == 0 ? BLOCK : 1, &first))
        return true;
    fill_frames(rig, first, range.count);
    int result = ash_vm_map(&space->space, range_address(rig, range), first << 12,
                            range_bytes(range), rights, flags);
    if (result != 0) {
        rig_frames_give(rig, first, range.count);
        return is_result(rig, "map", result, is_anything_mapped(space, range) ? -ASH_EEXIST : 0,
                         for_rights(rig, rights));
    }
    if (!rig_is_right(rig, !is_anything_mapped(space, range) && for_rights(rig, rights) == 0,
                      "map of what must not be mapped succeeds"))
        return false;
    for (uint32_t i = 0; i < range.count; i++) {
        struct rig_page *page = &space->pages[range.first + i];
        uint32_t value = *(const uint32_t *)machine_memory((first + i) << 12);
        *page = (struct rig_page){.rights = rights, .value = value, .frame = first + i};
        *rig_value(rig, page) = value;
    }
    return true;
}

static bool do_map(struct rig *rig, struct rig_space *space, struct range range) {
    return map_pages(rig, space, range, random_rights(rig) | (chance(rig, 20) ? ASH_VM_SHARED : 0),
                     chance(rig, 40) ? ASH_VM_SMALL : 0);
}

static bool do_map_zero(struct rig *rig, struct rig_space *space, struct range range) {
    uint32_t rights = random_rights(rig);
    int exists = is_anything_mapped(space, range) ? -ASH_EEXIST : 0;
    int wx = for_rights(rig, rights);
    int result =
        ash_vm_map_zero(&space->space, range_address(rig, range), range_bytes(range), rights);
    for (uint32_t i = 0; result == 0 && i < range.count; i++)
        space->pages[range.first + i] = (struct rig_page){.rights = rights};
    return is_result(rig, "map_zero", result, exists, wx);
}

static bool do_unmap(struct rig *rig, struct rig_space *space, struct range range) {
    int result = ash_vm_unmap(&space->space, range_address(rig, range), range_bytes(range));
    if (result != 0)
        return is_result(rig, "unmap", result, 0, 0);
    memset(&space->pages[range.first], 0, range.count * sizeof(space->pages[0]));
    for (uint32_t i = 0; i < RIG_PINS; i++) {
        struct rig_pin *pin = &rig->pins[i];
        if (pin->owner == space && pin->page - range.first < range.count)
            pin->owner = NULL;
    }
    return true;
}

static bool do_protect(struct rig *rig, struct rig_space *space, struct range range) {
    uint32_t rights = random_rights(rig);
    int result =
        ash_vm_protect(&space->space, range_address(rig, range), range_bytes(range), rights);
    for (uint32_t i = 0; result == 0 && i < range.count; i++) {
        uint32_t *page_rights = &space->pages[range.first + i].rights;
        if (*page_rights != 0)
            *page_rights = (*page_rights & ~ASH_VM_RIGHTS) | rights;
    }
    return is_result(rig, "protect", result, for_rights(rig, rights), 0);
}

static bool do_fork(struct rig *rig, struct rig_space *parent, struct range range) {
    (void)range;
    uint32_t free_space = 0;
    while (free_space < RIG_SPACES && rig->spaces[free_space].is_used)
        free_space++;
    if (free_space == RIG_SPACES || rig->base != 0) /* the kernel's half is not forked */
        return true;
    struct rig_space *child = &rig->spaces[free_space];
    int result = ash_vm_fork(&child->space, &parent->space, chance(rig, 20) ? ASH_VM_EAGER : 0);
    if (result == 0) {
        child->is_used = true;
        memcpy(child->pages, parent->pages, sizeof(child->pages));
    }
    return is_result(rig, "fork", result, 0, 0);
}

static bool do_exit(struct rig *rig, struct rig_space *space, struct range range) {
    (void)range;
    uint32_t used = 0;
    for (uint32_t i = 0; i < RIG_SPACES; i++)
        used += rig->spaces[i].is_used;
    if (used < 2)
        return true;
    rig_space_end(rig, space);
    return true;
}

/* Shapes change, nothing that a program could tell. */
static bool do_split(struct rig *rig, struct rig_space *space, struct range range) {
    int result = ash_vm_split(&space->space, range_address(rig, range), 12);
    return is_result(rig, "split", result, 0, 0);
}

static bool do_collapse(struct rig *rig, struct rig_space *space, struct range range) {
    int result = ash_vm_collapse(&space->space, range_address(rig, range));
    return result == -ASH_EBUSY || is_result(rig, "collapse", result, 0, 0);
}

static struct range block_of(struct range range) {
    uint32_t first = range.first < HUGE_BEGIN + BLOCK ? HUGE_BEGIN : HUGE_BEGIN + BLOCK;
    return (struct range){first, BLOCK};
}

/* A new block, of which something changes. */
static bool do_block(struct rig *rig, struct rig_space *space, struct range range) {
    struct range block = block_of(range);
    if (!do_unmap(rig, space, block) || !do_map(rig, space, block))
        return false;
    rig_touch(rig);
    struct range part = {block.first + choose(rig, BLOCK - 100), 1 + choose(rig, 100)};
    switch (choose(rig, 4)) {
    case 0:
        return do_split(rig, space, part);
    case 1:
        return do_protect(rig, space, part);
    case 2:
        return do_unmap(rig, space, part);
    default:
        return true;
    }
}

/* New pages, in one or two runs of frames, that become a block. */
static bool do_gather(struct rig *rig, struct rig_space *space, struct range range) {
    struct range block = block_of(range);
    uint32_t rights = random_rights(rig), half = chance(rig, 50) ? BLOCK / 2 : BLOCK;
    if (!do_unmap(rig, space, block))
        return false;
    for (uint32_t i = 0; i < BLOCK; i += half) {
        if (!map_pages(rig, space, (struct range){block.first + i, half}, rights, ASH_VM_SMALL))
            return false;
    }
    rig_touch(rig);
    return do_collapse(rig, space, block);
}

/* What has been forgotten is seen again: the next access, or write, faults. */
static bool check_aged(struct rig *rig, const struct rig_space *space, struct range range,
                       bool is_clean) {
    for (uint32_t i = 0; i < rig->hot_count; i++) {
        const struct rig_page *page = &space->pages[rig->hot[i]];
        if (rig->hot[i] - range.first >= range.count || page->rights == 0 || page->was_pinned)
            continue;
        ash_vaddr_t va = rig_address(rig, rig->hot[i]);
        struct mmu_answer answer =
            machine_tell(is_clean ? MMU_KERNEL_STORE : MMU_KERNEL_LOAD, va, RIG_POISON);
        if (!rig_is_right(rig, answer.syndrome != 0, "0x%llx: %s goes unseen after %s",
                          (unsigned long long)va, is_clean ? "a write" : "an access",
                          is_clean ? "clean" : "age"))
            return false;
    }
    return true;
}

static bool do_age(struct rig *rig, struct rig_space *space, struct range range) {
    uint64_t pages;
    bool is_clean = chance(rig, 50);
    ash_vaddr_t va = range_address(rig, range);
    rig->has_aged = true;
    int result = is_clean ? ash_vm_clean(&space->space, va, range_bytes(range), &pages)
                          : ash_vm_age(&space->space, va, range_bytes(range), &pages);
    if (result == 0 && !check_aged(rig, space, range, is_clean))
        return false;
    return is_result(rig, "age or clean", result, 0, 0);
}

/* Of some pages of the range the first that may be pinned. */
static uint32_t choose_pinnable(struct rig *rig, const struct rig_space *space,
                                struct range range) {
    enum { TRIES = 16 };
    for (uint32_t i = 0; i < TRIES; i++) {
        uint32_t page =
            chance(rig, 50) ? range.first + choose(rig, range.count) : choose(rig, RIG_SMALL_PAGES);
        if ((space->pages[page].rights & ASH_VM_WRITE) != 0)
            return page;
    }
    return range.first;
}

static bool do_pin(struct rig *rig, struct rig_space *space, struct range range) {
    struct rig_pin *pin = &rig->pins[choose(rig, RIG_PINS)];
    uint32_t index = choose_pinnable(rig, space, range);
    const struct rig_page *page = &space->pages[index];
    if (pin->is_used) {
        ash_vm_unpin(&rig->vm, pin->address);
        pin->is_used = false;
        return true;
    }
    ash_paddr_t address = 0;
    int result = ash_vm_pin(&space->space, rig_address(rig, index),
                            chance(rig, 50) ? ASH_VM_READ : ASH_VM_WRITE, &address);
    if (result == 0)
        *pin = (struct rig_pin){true, address, space, index};
    space->pages[index].was_pinned |= result == 0;
    if (result == 0 || result == -ASH_ENOTSUP)
        return rig_is_right(rig, page->rights != 0, "pin of an unmapped page: %d", result);
    bool may = (page->rights & (ASH_VM_WRITE | ASH_VM_SHARED)) != 0;
    int reason = page->rights == 0 ? -ASH_EFAULT : may ? 0 : -ASH_EACCES;
    /* A write to a SHARED page that is read-only now. */
    bool read_only = page->rights != 0 && (page->rights & ASH_VM_WRITE) == 0;
    return is_result(rig, "pin", result, reason, read_only ? -ASH_EACCES : 0);
}

/* A device writes to a pinned page, at any time: who pinned it sees that, and nobody else. */
static bool device_writes(struct rig *rig) {
    struct rig_pin *pin = &rig->pins[choose(rig, RIG_PINS)];
    if (!pin->is_used)
        return true;
    uint32_t value = rig_new_value(rig);
    *(uint32_t *)machine_memory(pin->address) = value;
    if (pin->owner == NULL) {
        rig->shared_values[rig_frame_index(pin->address >> 12)] = value;
        return true;
    }
    *rig_value(rig, &pin->owner->pages[pin->page]) = value;
    return rig_check_content(rig, pin->owner, pin->page);
}

static bool do_copy(struct rig *rig, struct rig_space *space, struct range range) {
    struct rig_page *page = &space->pages[range.first];
    uint32_t value = rig_new_value(rig);
    size_t done = 0;
    bool out = chance(rig, 50);
    int result = out ? ash_vm_copy_out(&space->space, range_address(rig, range), &value, 4, &done)
                     : ash_vm_copy_in(&space->space, &value, range_address(rig, range), 4, &done);
    uint32_t wanted = ASH_VM_USER | (out ? ASH_VM_WRITE : ASH_VM_READ);
    if (result == 0 && out)
        *rig_value(rig, page) = value;
    if (result == 0 &&
        !rig_is_right(rig, value == *rig_value(rig, page), "copy_in reads 0x%x, the model has 0x%x",
                      value, *rig_value(rig, page)))
        return false;
    return is_result(rig, "copy", result, (wanted & ~page->rights) != 0 ? -ASH_EFAULT : 0, 0);
}

/* Every other page, and then all of it changes: more ranges than one flush takes. */
static bool do_scatter(struct rig *rig, struct rig_space *space, struct range range) {
    enum { PAGES_MAX = 48 };
    for (uint32_t i = 0; i < range.count && i < PAGES_MAX; i += 2) {
        if (!do_map(rig, space, (struct range){range.first + i, 1}))
            return false;
    }
    rig_touch(rig);
    return chance(rig, 50) ? do_unmap(rig, space, range) : do_protect(rig, space, range);
}

/* A step. */

static const struct {
    const char *name;
    bool (*run)(struct rig *rig, struct rig_space *space, struct range range);
    uint32_t percent;
} operations[] = {
    {"map", do_map, 17},
    {"map_zero", do_map_zero, 6},
    {"map and change a block", do_block, 4},
    {"map and collapse", do_gather, 4},
    {"map scattered, and change", do_scatter, 3},
    {"unmap", do_unmap, 9},
    {"protect", do_protect, 13},
    {"fork", do_fork, 12},
    {"exit", do_exit, 7},
    {"split", do_split, 2},
    {"collapse", do_collapse, 3},
    {"age or clean", do_age, 4},
    {"pin or unpin", do_pin, 9},
    {"copy in or out", do_copy, 7},
};

bool rig_step(struct rig *rig) {
    enum { CHECK_EACH = 32, FREE_LOOKS = 4, DEVICE_PERCENT = 30 };
    struct rig_space *space = random_space(rig);
    struct range range = random_range(rig);
    uint32_t dice = choose(rig, 100), operation = 0;
    while (dice >= operations[operation].percent)
        dice -= operations[operation++].percent;
    choose_hot(rig, space, range);
    rig_install(rig, space);
    rig_touch(rig);
    rig->free_looks = FREE_LOOKS;
    rig->steps++;
    rig->last_operation = operations[operation].name;
    if (!operations[operation].run(rig, space, range) || rig->broken[0] != '\0')
        return false;
    if (chance(rig, DEVICE_PERCENT) && !device_writes(rig))
        return false;
    if (rig->fault == RIG_DEFERS_FLUSHES)
        machine_ask(MMU_TLBI_ALL, 0, 0);
    if (rig->installed != NULL && !rig_probe(rig))
        return false;
    if (!rig_check_contents(rig))
        return false;
    return rig->steps % CHECK_EACH != 0 || rig_check_counts(rig);
}
