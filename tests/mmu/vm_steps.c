/* SPDX-License-Identifier: MIT */
/* vm_steps.c: see vm_rig.h. The operations, on the library and on the model. */
#include "mmu/vm_rig.h"

#include "mmu/machine.h"

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
    static const uint32_t begins[RIG_AREAS + 1] = {0, 24, 40, RIG_SMALL_PAGES, RIG_PAGES};
    enum { BLOCK = 512, LONG = 700, SHORT = 10 };
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

/* Ends and middle of the range, and pages anywhere. */
static void choose_hot(struct rig *rig, struct range range) {
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

static bool do_map(struct rig *rig, struct rig_space *space, struct range range) {
    uint32_t rights = random_rights(rig) | (chance(rig, 20) ? ASH_VM_SHARED : 0);
    uint32_t flags = chance(rig, 40) ? ASH_VM_SMALL : 0;
    ash_pfn_t first;
    if (!rig_frames_take(rig, range.count, range.count % 512 == 0 ? 512 : 1, &first))
        return true;
    fill_frames(rig, first, range.count);
    int result = ash_vm_map(&space->space, range_address(rig, range), first << 12,
                            range_bytes(range), rights, flags);
    if (result == 0) {
        for (uint32_t i = 0; i < range.count; i++) {
            struct rig_page *page = &space->pages[range.first + i];
            uint32_t value = *(const uint32_t *)machine_memory((first + i) << 12);
            bool was_mapped = page->rights != 0;
            *page = (struct rig_page){rights, value, first + i};
            *rig_value(rig, page) = value;
            if (!rig_is_right(rig, !was_mapped && for_rights(rig, rights) == 0,
                              "map of what must not be mapped succeeds"))
                return false;
        }
        return true;
    }
    rig_frames_give(rig, first, range.count);
    return is_result(rig, "map", result, is_anything_mapped(space, range) ? -ASH_EEXIST : 0,
                     for_rights(rig, rights));
}

static bool do_map_zero(struct rig *rig, struct rig_space *space, struct range range) {
    uint32_t rights = random_rights(rig);
    int exists = is_anything_mapped(space, range) ? -ASH_EEXIST : 0;
    int wx = for_rights(rig, rights);
    int result =
        ash_vm_map_zero(&space->space, range_address(rig, range), range_bytes(range), rights);
    for (uint32_t i = 0; result == 0 && i < range.count; i++)
        space->pages[range.first + i] = (struct rig_page){rights, 0, 0};
    return is_result(rig, "map_zero", result, exists, wx);
}

static bool do_unmap(struct rig *rig, struct rig_space *space, struct range range) {
    int result = ash_vm_unmap(&space->space, range_address(rig, range), range_bytes(range));
    if (result != 0)
        return is_result(rig, "unmap", result, 0, 0);
    memset(&space->pages[range.first], 0, range.count * sizeof(space->pages[0]));
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

/* The shape changes, and nothing that a program could tell. */
static bool do_split(struct rig *rig, struct rig_space *space, struct range range) {
    int result = ash_vm_split(&space->space, range_address(rig, range), 12);
    return is_result(rig, "split", result, 0, 0);
}

/* A step. */

static const struct {
    const char *name;
    bool (*run)(struct rig *rig, struct rig_space *space, struct range range);
    uint32_t percent;
} operations[] = {
    {"map", do_map, 30},         {"map_zero", do_map_zero, 10}, {"unmap", do_unmap, 20},
    {"protect", do_protect, 34}, {"split", do_split, 6},
};

bool rig_step(struct rig *rig) {
    enum { CHECK_EACH = 32 };
    struct rig_space *space = &rig->spaces[choose(rig, RIG_SPACES)];
    struct range range = random_range(rig);
    uint32_t dice = choose(rig, 100), operation = 0;
    while (dice >= operations[operation].percent)
        dice -= operations[operation++].percent;
    choose_hot(rig, range);
    rig_install(rig, space);
    rig_touch(rig);
    rig->steps++;
    rig->last_operation = operations[operation].name;
    if (!operations[operation].run(rig, space, range) || rig->broken[0] != '\0')
        return false;
    if (rig->installed != NULL && !rig_probe(rig))
        return false;
    if (!rig_check_contents(rig))
        return false;
    return rig->steps % CHECK_EACH != 0 || rig_check_counts(rig);
}
