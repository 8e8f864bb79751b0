/* SPDX-License-Identifier: MIT */
/* address_space.c: address spaces from their begin to their end, and what programs change in them;
 * address_space_fault.c is how pages come. See address_space.h. */
#include "address_space.h"

#include <ashlar/atomic.h>
#include <ashlar/check.h>
#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <string.h>

#include "address_space_internal.h"
#include "file_pages.h"
#include "user_frames.h"

struct address_spaces address_spaces;

/* All of them */

/* mov x8, #139 (rt_sigreturn); svc #0; and what is never reached: udf #0 */
static const uint32_t trampoline_code[] = {0xd2801168, 0xd4000001, 0};

int address_spaces_init(struct kernel_memory *memory) {
    mutex_init(&address_spaces.mutex);
    address_spaces.memory = memory;
    memset(address_spaces.asids, 0, sizeof(address_spaces.asids));
    address_spaces.ended = (struct ash_vm_stats){.forks = 0};
    address_spaces.asids[0] = 1;
    if (!user_frame_alloc(&address_spaces.trampoline))
        return -ASH_ENOMEM;
    uint8_t *page = user_frame_pointer(address_spaces.trampoline);
    memset(page, 0, ASH_PAGE_SIZE);
    memcpy(page, trampoline_code, sizeof(trampoline_code));
    platform_code_written(page, ASH_PAGE_SIZE);
    ash_vm_hold(user_frames_vm(), address_spaces.trampoline);
    return 0;
}

void address_spaces_fini(void) {
    ash_vm_release(user_frames_vm(), address_spaces.trampoline, 0);
}

/* 0: none is free. */
static uint32_t take_asid(void) {
    uint32_t found = 0;
    mutex_lock(&address_spaces.mutex);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(address_spaces.asids) && found == 0; i++) {
        uint64_t free = ~address_spaces.asids[i];
        if (free == 0)
            continue;
        found = i * 64 + (uint32_t)__builtin_ctzll(free);
        address_spaces.asids[i] |= free & -free;
    }
    mutex_unlock(&address_spaces.mutex);
    return found;
}

/* What it meant is in no TLB any more. */
static void give_asid_back(uint32_t asid) {
    platform_tlb_flush_asid(asid);
    mutex_lock(&address_spaces.mutex);
    address_spaces.asids[asid / 64] &= ~(UINT64_C(1) << asid % 64);
    mutex_unlock(&address_spaces.mutex);
}

/* One of them */

static uint64_t random_of(uint64_t *seed) { /* splitmix64: Steele, Lea, Flood, OOPSLA 2014 */
    uint64_t z = (*seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

uint64_t address_space_random(struct address_space *space, uint64_t limit) {
    return space->seed == 0 ? 0 : random_of(&space->seed) % limit;
}

/* Everything but the pages. NULL: no memory. */
static struct address_space *make(void) {
    struct address_space *space = ash_kzalloc(&address_spaces.memory->heap, sizeof(*space));
    if (space == NULL)
        return NULL;
    mutex_init(&space->mutex);
    space->references = 1;
    region_set_init(&space->regions, &address_spaces.memory->allocator);
    space->asid = take_asid();
    if (space->asid != 0)
        return space;
    ash_kfree(&address_spaces.memory->heap, space);
    return NULL;
}

static void unmake(struct address_space *space) {
    region_set_clear(&space->regions);
    give_asid_back(space->asid);
    ash_kfree(&address_spaces.memory->heap, space);
}

static void end_pages(struct address_space *space) {
    platform_user_forget(space->pages.root);
    ash_vm_space_fini(&space->pages);
    while (ash_vm_reap(&space->pages, 64)) {}
}

enum {
    TOP_GAP = 1 << 20,
    STACK_RANDOM_PAGES = 1 << 18, /* 1 GiB */
    MMAP_RANDOM_PAGES = 1 << 24,  /* 64 GiB */
};

/*
 * From the top: nothing, the trampoline, nothing, the stack, nothing, what mmap places. A page that
 * is never anybody's lies above and below the stack.
 */
static int lay_out(struct address_space *space) {
    uint64_t top = ADDRESS_SPACE_TOP - TOP_GAP -
                   address_space_random(space, STACK_RANDOM_PAGES) * ASH_PAGE_SIZE;
    const struct region page = {.start = top,
                                .end = top + ASH_PAGE_SIZE,
                                .rights = ASH_VM_READ | ASH_VM_EXECUTE,
                                .flags = REGION_FIXED};
    space->trampoline = top;
    space->stack_top = top - ASH_PAGE_SIZE;
    space->mmap_top = space->stack_top - ADDRESS_SPACE_STACK_BYTES - ADDRESS_SPACE_GUARD_BYTES -
                      address_space_random(space, MMAP_RANDOM_PAGES) * ASH_PAGE_SIZE;
    int error = region_add(&space->regions, &page);
    if (error != 0)
        return error;
    return ash_vm_map(&space->pages, top, (ash_paddr_t)address_spaces.trampoline << ASH_PAGE_SHIFT,
                      ASH_PAGE_SIZE, page.rights | ASH_VM_USER, ASH_VM_SMALL);
}

struct address_space *address_space_new(uint64_t seed) {
    struct address_space *space = make();
    if (space == NULL)
        return NULL;
    space->seed = seed;
    space->bytes_max = ADDRESS_SPACE_BYTES_MAX;
    if (ash_vm_space_init(&space->pages, user_frames_vm(), 0, 0) != 0) {
        unmake(space);
        return NULL;
    }
    space->pages.asid = space->asid;
    if (lay_out(space) == 0)
        return space;
    address_space_put(space);
    return NULL;
}

struct address_space *address_space_get(struct address_space *space) {
    ash_fetch_add(&space->references, 1);
    return space;
}

void address_space_put(struct address_space *space) {
    if (ash_fetch_add(&space->references, UINT32_MAX) != 1)
        return;
    end_pages(space);
    mutex_lock(&address_spaces.mutex);
    ash_vm_stats_add(&address_spaces.ended, &space->pages.stats);
    mutex_unlock(&address_spaces.mutex);
    unmake(space);
}

static int copy_into(struct address_space *child, struct address_space *parent) {
    int error = region_set_copy(&child->regions, &parent->regions);
    if (error != 0)
        return error;
    child->brk_start = parent->brk_start;
    child->brk = parent->brk;
    child->mmap_top = parent->mmap_top;
    child->stack_top = parent->stack_top;
    child->trampoline = parent->trampoline;
    child->bytes_max = parent->bytes_max;
    child->seed = parent->seed;
    return ash_vm_fork(&child->pages, &parent->pages, 0);
}

struct address_space *address_space_fork(struct address_space *parent) {
    struct address_space *child = make();
    if (child == NULL)
        return NULL;
    mutex_lock(&parent->mutex);
    int error = copy_into(child, parent);
    mutex_unlock(&parent->mutex);
    if (error != 0) {
        unmake(child);
        return NULL;
    }
    child->pages.asid = child->asid;
    return child;
}

struct platform_translation address_space_translation(struct address_space *space) {
    if (!ash_load_relaxed(&space->pages.is_live)) {
        mutex_lock(&space->mutex);
        space->pages.is_live = true;
        mutex_unlock(&space->mutex);
    }
    return (struct platform_translation){.root = space->pages.root, .asid = space->asid};
}

/* Ranges */

/* Whole pages that a program may have something in. */
static bool range_is_good(uint64_t start, uint64_t bytes) {
    return ash_is_aligned(start | bytes, ASH_PAGE_SIZE) && bytes != 0 &&
           start >= ADDRESS_SPACE_BOTTOM && start < ADDRESS_SPACE_TOP &&
           bytes <= ADDRESS_SPACE_TOP - start;
}

/* Is there something in it that no program changes? */
static bool touches_fixed(const struct address_space *space, uint64_t start, uint64_t bytes) {
    const struct region *region = region_find(&space->regions, start);
    for (; region != NULL && region->start < start + bytes;
         region = region_next(&space->regions, region)) {
        if ((region->flags & REGION_FIXED) != 0)
            return true;
    }
    return false;
}

static int unmap_locked(struct address_space *space, uint64_t start, uint64_t bytes) {
    if (touches_fixed(space, start, bytes))
        return -ASH_EINVAL;
    if (!region_overlaps(&space->regions, start, start + bytes))
        return 0;
    int error = region_cut(&space->regions, start, start + bytes);
    if (error != 0)
        return error;
    error = ash_vm_unmap(&space->pages, start, bytes);
    if (error != 0) {
        region_join(&space->regions, start, start + bytes);
        return error;
    }
    return region_remove(&space->regions, start, start + bytes);
}

int address_space_unmap(struct address_space *space, uint64_t start, uint64_t bytes) {
    uint64_t whole;
    if (!ash_align_up_checked(bytes, ASH_PAGE_SIZE, &whole) || !range_is_good(start, whole))
        return -ASH_EINVAL;
    mutex_lock(&space->mutex);
    int error = unmap_locked(space, start, whole);
    mutex_unlock(&space->mutex);
    return error;
}

/* map */

static bool rights_are_good(uint32_t rights) {
    return (rights & (ASH_VM_WRITE | ASH_VM_EXECUTE)) != (ASH_VM_WRITE | ASH_VM_EXECUTE);
}

/* Whoever may write or execute may read, as the tables have it. */
static uint32_t rights_of(uint32_t rights) {
    return rights == 0 ? 0 : rights | ASH_VM_READ;
}

/* The place, or an error; nothing is there afterwards. */
static int64_t find_place(struct address_space *space, const struct address_space_map *map,
                          uint64_t bytes) {
    uint64_t start = ash_align_down(map->start, ASH_PAGE_SIZE);
    if (map->is_fixed) {
        if (start != map->start || !range_is_good(start, bytes))
            return -ASH_EINVAL;
        if (map->is_not_replacing && region_overlaps(&space->regions, start, start + bytes))
            return -ASH_EEXIST;
        int error = unmap_locked(space, start, bytes);
        return error == 0 ? (int64_t)start : error;
    }
    if (start != 0 && range_is_good(start, bytes) &&
        !region_overlaps(&space->regions, start, start + bytes))
        return (int64_t)start;
    start = region_gap(&space->regions, ADDRESS_SPACE_BOTTOM, space->mmap_top, bytes);
    return start == 0 ? -ASH_ENOMEM : (int64_t)start;
}

/* A terabyte would else take all memory there is before it is refused. */
static bool has_frames_for(uint64_t bytes) {
    struct ash_buddy_stats stats;
    if (bytes <= USER_BLOCK_BYTES)
        return true;
    do {
        ash_buddy_get_stats(&address_spaces.memory->buddy, &stats);
        if (bytes >> ASH_PAGE_SHIFT <= stats.free_pages)
            return true;
    } while (file_pages_trim() != 0);
    return false;
}

/* What is shared and nobody's file exists from the begin: a child would else have its own. */
static int fill_shared(struct address_space *space, const struct region *region) {
    for (uint64_t va = region->start; va < region->end; va += ASH_PAGE_SIZE) {
        ash_pfn_t frame;
        if (!user_frame_alloc(&frame))
            return -ASH_ENOMEM;
        platform_page_zero(user_frame_pointer(frame));
        int error =
            ash_vm_map(&space->pages, va, (ash_paddr_t)frame << ASH_PAGE_SHIFT, ASH_PAGE_SIZE,
                       region->rights | ASH_VM_USER | ASH_VM_SHARED, ASH_VM_SMALL);
        if (error != 0) {
            user_frame_free(frame);
            return error;
        }
    }
    return 0;
}

static int map_locked(struct address_space *space, const struct address_space_map *map,
                      uint64_t bytes, uint64_t *start) {
    if (bytes > space->bytes_max || space->regions.bytes > space->bytes_max - bytes)
        return -ASH_ENOMEM;
    bool is_filled = map->node == NULL && (map->flags & REGION_SHARED) != 0;
    if (is_filled && !has_frames_for(bytes))
        return -ASH_ENOMEM;
    int64_t place = find_place(space, map, bytes);
    if (place < 0)
        return (int)place;
    struct region region = {.start = (uint64_t)place,
                            .end = (uint64_t)place + bytes,
                            .rights = rights_of(map->rights),
                            .flags = map->flags,
                            .kind = map->node == NULL ? REGION_ZEROES : REGION_FILE,
                            .node = map->node,
                            .offset = map->node == NULL ? 0 : map->offset};
    *start = region.start;
    int error = region_add(&space->regions, &region);
    if (error != 0 || !is_filled)
        return error;
    error = fill_shared(space, &region);
    if (error != 0 && unmap_locked(space, region.start, bytes) != 0)
        region.rights = 0; /* what is there stays mapped, and its process ends for want of memory */
    return error;
}

int address_space_map(struct address_space *space, const struct address_space_map *map,
                      uint64_t *start) {
    uint64_t bytes, end;
    if (!ash_align_up_checked(map->bytes, ASH_PAGE_SIZE, &bytes))
        return -ASH_ENOMEM;
    if (bytes == 0 || !ash_is_aligned(map->offset, ASH_PAGE_SIZE) ||
        !ash_add_u64(map->offset, bytes, &end))
        return -ASH_EINVAL;
    if (!rights_are_good(map->rights) ||
        (map->node != NULL && (map->flags & REGION_SHARED) != 0 &&
         (map->rights & ASH_VM_WRITE) != 0)) /* files are read-only */
        return -ASH_EACCES;
    mutex_lock(&space->mutex);
    int error = map_locked(space, map, bytes, start);
    mutex_unlock(&space->mutex);
    return error;
}

/* protect */

/* Bytes that were written are going to be executed. A run of zeroes is one page, and is not that
 * much memory. */
static void note_code(struct address_space *space, uint64_t start, uint64_t end) {
    struct ash_vm_mapping run = {.va = start};
    for (uint64_t va = start; ash_vm_query(&space->pages, va, &run) && run.va < end;
         va = run.va + run.bytes) {
        ash_pfn_t first = run.address >> ASH_PAGE_SHIFT;
        bool is_zeroes = first == user_frames_vm()->zero_frame;
        uint64_t bytes = is_zeroes ? ASH_PAGE_SIZE : ash_min_u64(run.bytes, end - run.va);
        platform_code_written(user_frame_pointer(first), (size_t)bytes);
    }
}

/* What a shared mapping of a file may not become. */
static bool would_write_files(const struct address_space *space, uint64_t start, uint64_t end) {
    const struct region *region = region_find(&space->regions, start);
    for (; region != NULL && region->start < end; region = region_next(&space->regions, region)) {
        if (region->kind == REGION_FILE && (region->flags & REGION_SHARED) != 0)
            return true;
    }
    return false;
}

static int protect_locked(struct address_space *space, uint64_t start, uint64_t bytes,
                          uint32_t rights) {
    uint64_t end = start + bytes;
    if (!region_covers(&space->regions, start, end))
        return -ASH_ENOMEM;
    if (touches_fixed(space, start, bytes) ||
        ((rights & ASH_VM_WRITE) != 0 && would_write_files(space, start, end)))
        return -ASH_EACCES;
    int error = region_cut(&space->regions, start, end);
    if (error != 0)
        return error;
    if ((rights & ASH_VM_EXECUTE) != 0)
        note_code(space, start, end);
    error = ash_vm_protect(&space->pages, start, bytes, rights == 0 ? 0 : rights | ASH_VM_USER);
    if (error != 0) {
        region_join(&space->regions, start, end);
        return error;
    }
    return region_protect(&space->regions, start, end, rights);
}

/* Of a call about [start, start + bytes): the end, in whole pages; start if there are none. */
static int end_of(uint64_t start, uint64_t bytes, uint64_t *end) {
    uint64_t whole;
    *end = start;
    if (!ash_is_aligned(start, ASH_PAGE_SIZE))
        return -ASH_EINVAL;
    if (bytes == 0)
        return 0;
    if (!ash_align_up_checked(bytes, ASH_PAGE_SIZE, &whole) || !range_is_good(start, whole))
        return -ASH_ENOMEM;
    *end = start + whole;
    return 0;
}

int address_space_protect(struct address_space *space, uint64_t start, uint64_t bytes,
                          uint32_t rights) {
    uint64_t end;
    int error = end_of(start, bytes, &end);
    if (error != 0 || end == start)
        return error;
    if (!rights_are_good(rights))
        return -ASH_EACCES;
    mutex_lock(&space->mutex);
    error = protect_locked(space, start, end - start, rights_of(rights));
    mutex_unlock(&space->mutex);
    return error;
}

int address_space_advise(struct address_space *space, uint64_t start, uint64_t bytes,
                         bool is_huge) {
    uint64_t end;
    int error = end_of(start, bytes, &end);
    if (error != 0 || end == start)
        return error;
    mutex_lock(&space->mutex);
    error = region_advise(&space->regions, start, end, is_huge);
    mutex_unlock(&space->mutex);
    return error;
}

/* brk */

void address_space_set_brk(struct address_space *space, uint64_t start) {
    space->brk_start = space->brk = start;
}

static bool grow_heap(struct address_space *space, uint64_t from, uint64_t to) {
    const struct region heap = {
        .start = from, .end = to, .rights = ASH_VM_READ | ASH_VM_WRITE, .flags = REGION_HEAP};
    if (to - from > space->bytes_max || space->regions.bytes > space->bytes_max - (to - from))
        return false;
    return !region_overlaps(&space->regions, from, to + ASH_PAGE_SIZE) &&
           region_add(&space->regions, &heap) == 0;
}

uint64_t address_space_brk(struct address_space *space, uint64_t end) {
    mutex_lock(&space->mutex);
    if (end >= space->brk_start && end < space->mmap_top) {
        uint64_t old_top = ash_align_up(space->brk, ASH_PAGE_SIZE);
        uint64_t new_top = ash_align_up(end, ASH_PAGE_SIZE);
        bool done = true;
        if (new_top > old_top)
            done = grow_heap(space, old_top, new_top);
        else if (new_top < old_top)
            done = unmap_locked(space, new_top, old_top - new_top) == 0;
        if (done)
            space->brk = end;
    }
    uint64_t now = space->brk;
    mutex_unlock(&space->mutex);
    return now;
}

/* Check */

uint32_t address_spaces_count(void) {
    uint32_t count = 0;
    mutex_lock(&address_spaces.mutex);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(address_spaces.asids); i++)
        count += ash_popcount64(address_spaces.asids[i]);
    mutex_unlock(&address_spaces.mutex);
    return count - 1; /* nobody's number */
}

const char *address_space_check_locked(struct address_space *space) {
    struct ash_vm_mapping mapping;
    const char *broken = region_check(&space->regions);
    if (broken == NULL)
        broken = ash_vm_check(&space->pages);
    for (uint64_t va = 0; broken == NULL && ash_vm_query(&space->pages, va, &mapping);
         va = mapping.va + mapping.bytes) {
        if (!region_covers(&space->regions, mapping.va, mapping.va + mapping.bytes))
            broken = "a page is mapped where there is no region";
    }
    return broken;
}
