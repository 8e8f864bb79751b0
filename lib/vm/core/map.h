/* SPDX-License-Identifier: MIT */
/*
 * map.h: what is empty becomes valid. Nothing of it is in a TLB, so there is nothing to break or to
 * flush; tables are filled before the entry above points at them.
 *
 * A leaf is a block where the address and what it is mapped to are aligned to one and the flags
 * allow it, and the frames behind its first are nobody's: a block is one reference, to its first
 * frame. A page that may be written is writable at once where this is the only reference to it.
 *
 * Zeroes are one page, and a whole table of them is the same everywhere: so one of each level is
 * made, and referred to as often as it is wanted. It is a shared table like those of fork: a
 * gigabyte of zeroes takes as many tables as a page, until it is written to.
 */

struct map {
    struct own own;
    ash_vaddr_t va;
    ash_paddr_t address;
    uint32_t rights;
    bool is_zero; /* the zero page everywhere */
    bool is_small;
    uint32_t zero_counted;                 /* a bit a level: a whole table of zeroes is wanted */
    ash_paddr_t zero_table[FORMAT_LEVELS]; /* by level; 0: none as yet */
};

static ash_paddr_t map_address(const struct map *map, ash_vaddr_t va) {
    return map->is_zero ? map->address : map->address + (va - map->va);
}

static bool map_is_block(const struct map *map, struct range part, uint32_t level) {
    const struct ash_vm *vm = map->own.space->vm;
    ash_paddr_t address = map_address(map, part.va);
    if (level == 0 || level > FORMAT_LEAF_TOP || map->is_zero || map->is_small ||
        !part_is_whole(part, level) || !ash_is_aligned(address, level_bytes(level)))
        return false;
    return !is_counted(vm, address) ||
           counts_are(vm, frame_of(address) + 1, count_frames(level) - 1, 0);
}

/* Tables for a part whose entry at this level is empty. */
static uint64_t map_count_new(struct map *map, struct range part, uint32_t level) {
    if (level == 0 || map_is_block(map, part, level))
        return 0;
    if (map->is_zero && part_is_whole(part, level)) {
        if ((map->zero_counted >> level & 1) != 0)
            return 0;
        map->zero_counted |= 1u << level;
    }
    uint64_t count = 1;
    for (struct range below = part_first(part, level - 1); level > 1 && !part_is_none(below);
         below = part_next(below, part, level - 1))
        count += map_count_new(map, below, level - 1);
    return count;
}

/* Adds the tables to be made to *count, those that own_count counts aside. -ASH_EEXIST. */
static int map_count(struct map *map, ash_paddr_t table, uint32_t level, struct range range,
                     uint64_t *count) {
    const uint64_t *entries = table_at(map->own.space->vm, table);
    for (struct range part = part_first(range, level); !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t entry = entry_load(&entries[entry_index(part.va, level)]);
        if (entry == 0) {
            *count += map_count_new(map, part, level);
            continue;
        }
        if (!format_is_table(entry, level))
            return -ASH_EEXIST;
        int error = map_count(map, format_address(entry), level - 1, part, count);
        if (error != 0)
            return error;
    }
    return 0;
}

/* `count` entries of a table of pages; built: no walk sees it yet. */
static void map_pages(struct map *map, uint64_t *entries, ash_vaddr_t va, uint32_t count,
                      bool built) {
    struct ash_vm_space *space = map->own.space;
    ash_paddr_t address = map_address(map, va);
    uint64_t leaf = format_leaf(address, 0, map->rights), step = map->is_zero ? 0 : leaf_step(0);
    bool writes = (map->rights & ASH_VM_WRITE) != 0;
    bool is_own = !map->is_zero && (!is_counted(space->vm, address) ||
                                    counts_take(space->vm, frame_of(address), count));
    if (writes && (is_own || (map->rights & ASH_VM_SHARED) != 0)) {
        leaf = format_write_enable(leaf);
        is_own = true;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t entry = leaf + i * step;
        if (built)
            entries[i] = entry;
        else
            entry_store(space, 0, va + i * ASH_PAGE_SIZE, &entries[i], entry);
    }
}

static void map_block(struct map *map, uint64_t *entry, ash_vaddr_t va, uint32_t level,
                      bool built) {
    struct ash_vm_space *space = map->own.space;
    ash_paddr_t address = map_address(map, va);
    uint64_t leaf = format_leaf(address, level, map->rights);
    bool is_own = true;
    if (is_counted(space->vm, address)) {
        ash_pfn_t head = count_head(space->vm, frame_of(address));
        count_add(space->vm, head, 1);
        is_own = count_is_one(space->vm, head);
    }
    if ((map->rights & ASH_VM_WRITE) != 0 && (is_own || (map->rights & ASH_VM_SHARED) != 0))
        leaf = format_write_enable(leaf);
    own_put(&map->own, built, level, va, entry, leaf);
}

static void map_make(struct map *map, ash_paddr_t table, uint32_t level, struct range range,
                     bool built);

/* The entry of a new table for what `part` maps, one level lower. */
static uint64_t map_table(struct map *map, struct range part, uint32_t level) {
    bool is_zero = map->is_zero && part_is_whole(part, level);
    ash_paddr_t table = map->zero_table[level];
    if (is_zero && table != 0) {
        count_add(map->own.space->vm, frame_of(table), 1);
        return mark_shared(format_table(table));
    }
    table = table_new(&map->own.reserve);
    map_make(map, table, level - 1, part, true);
    if (!is_zero)
        return format_table(table);
    map->zero_table[level] = table;
    return mark_shared(format_table(table));
}

static void map_make(struct map *map, ash_paddr_t table, uint32_t level, struct range range,
                     bool built) {
    uint64_t *entries = table_at(map->own.space->vm, table);
    if (level == 0) {
        map_pages(map, &entries[entry_index(range.va, 0)], range.va, range_pages(range), built);
        return;
    }
    for (struct range part = part_first(range, level); !part_is_none(part);
         part = part_next(part, range, level)) {
        uint64_t *entry = &entries[entry_index(part.va, level)], value = entry_load(entry);
        if (value != 0)
            map_make(map, format_address(value), level - 1, part, built);
        else if (map_is_block(map, part, level))
            map_block(map, entry, part.va, level, built);
        else
            own_put(&map->own, built, level, ash_align_down(part.va, level_bytes(level)), entry,
                    map_table(map, part, level));
    }
}

static int map_range(struct map *map, struct range range) {
    struct ash_vm_space *space = map->own.space;
    uint64_t tables = 0;
    int error = map_count(map, space->root, ROOT_LEVEL, range, &tables);
    if (error == 0)
        error = own_range(&map->own, range, tables);
    if (error != 0)
        return error;
    map_make(map, space->root, ROOT_LEVEL, range, false);
    reserve_drain(&map->own.reserve);
    space->has_global |= (map->rights & ASH_VM_GLOBAL) != 0;
    publish(space);
    reap_all(space);
    return 0;
}

/* Frames are counted, all or none; none are DEVICE's alone. */
static bool map_frames_are_right(const struct ash_vm *vm, ash_paddr_t address, uint64_t bytes,
                                 uint32_t rights) {
    ash_pfn_t first = frame_of(address), last = frame_of(address + (bytes - 1));
    uint64_t leaf = format_leaf(address + (bytes - ASH_PAGE_SIZE), 0, rights);
    if (address + (bytes - 1) < address || format_address(leaf) != frame_address(last))
        return false;
    if (count_has(vm, first) || count_has(vm, last))
        return count_has(vm, first) && count_has(vm, last);
    return (rights & ASH_VM_DEVICE) != 0 &&
           (vm->config.frame_count == 0 || first > vm->config.first_frame ||
            last < vm->config.first_frame);
}

static int format_map(struct ash_vm_space *space, ash_vaddr_t va, ash_paddr_t address,
                      uint64_t bytes, uint32_t rights, uint32_t flags) {
    if (!map_frames_are_right(space->vm, address, bytes, rights))
        return -ASH_EINVAL;
    struct map map = {.own = {.space = space},
                      .va = va,
                      .address = address,
                      .rights = rights,
                      .is_small = (flags & ASH_VM_SMALL) != 0};
    return map_range(&map, range_of(va, bytes));
}

static int format_map_zero(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes,
                           uint32_t rights) {
    struct map map = {.own = {.space = space},
                      .va = va,
                      .address = frame_address(space->vm->zero_frame),
                      .rights = rights,
                      .is_zero = true};
    return map_range(&map, range_of(va, bytes));
}
