/* SPDX-License-Identifier: MIT */
/*
 * ranges.c: holes are told by the range that ends them, so one tree knows both; each node knows the
 * largest gap below it, by which the lowest hole that is large enough is found.
 */
#include "vm_internal.h"

#include <ashlar/check.h>
#include <ashlar/checked.h>
#include <ashlar/vm_ranges.h>

#define GUARD ((uint64_t)ASH_PAGE_SIZE)

/* Notes: the head of a frame of them. */

struct notes {
    struct notes *next, *prev; /* those with room */
    ash_pfn_t frame;
    uint32_t used;
    struct ash_vm_range *free;
};

#define NOTES ((ASH_PAGE_SIZE - sizeof(struct notes)) / sizeof(struct ash_vm_range))
_Static_assert(NOTES == 72 || ASH_PAGE_SHIFT != 12, "as the header says");

static struct ash_vm_range *range_of_node(const struct ash_rbtree_node *node) {
    return ASH_RBTREE_ENTRY((uintptr_t)node, struct ash_vm_range, node);
}

static struct notes *notes_new(struct ash_vm_ranges *ranges) {
    const struct ash_vm_config *config = &ranges->space->vm->config;
    ash_pfn_t frame;
    if (config->frames.alloc(config->frames.context, 0, &frame) != 0)
        return NULL;
    struct notes *notes =
        (struct notes *)(config->direct_map + (uintptr_t)(frame << ASH_PAGE_SHIFT));
    *notes = (struct notes){.next = ranges->notes, .frame = frame};
    struct ash_vm_range *first = (struct ash_vm_range *)(notes + 1);
    for (size_t i = 0; i < NOTES; i++) {
        first[i].node.child[0] = notes->free == NULL ? NULL : &notes->free->node;
        notes->free = &first[i];
    }
    if (notes->next != NULL)
        notes->next->prev = notes;
    ranges->notes = notes;
    return notes;
}

static void notes_unlink(struct ash_vm_ranges *ranges, struct notes *notes) {
    if (notes->next != NULL)
        notes->next->prev = notes->prev;
    if (notes->prev != NULL)
        notes->prev->next = notes->next;
    else
        ranges->notes = notes->next;
    notes->next = notes->prev = NULL;
}

static struct ash_vm_range *note_new(struct ash_vm_ranges *ranges) {
    struct notes *notes = ranges->notes != NULL ? ranges->notes : notes_new(ranges);
    if (notes == NULL)
        return NULL;
    struct ash_vm_range *range = notes->free;
    struct ash_rbtree_node *next = range->node.child[0];
    notes->free = next == NULL ? NULL : range_of_node(next);
    if (++notes->used == NOTES)
        notes_unlink(ranges, notes);
    return range;
}

static void note_free(struct ash_vm_ranges *ranges, struct ash_vm_range *range) {
    const struct ash_vm_frames *frames = &ranges->space->vm->config.frames;
    struct notes *notes = (struct notes *)((uintptr_t)range & ~((uintptr_t)ASH_PAGE_SIZE - 1));
    range->node.child[0] = notes->free == NULL ? NULL : &notes->free->node;
    notes->free = range;
    if (notes->used-- == NOTES) {
        notes->next = ranges->notes;
        if (notes->next != NULL)
            notes->next->prev = notes;
        ranges->notes = notes;
    }
    if (notes->used == 0) {
        notes_unlink(ranges, notes);
        frames->free(frames->context, notes->frame, 0);
    }
}

/* The tree */

static bool is_before(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    /* The end is behind a range that begins where it does not: it has no bytes. */
    return range_of_node(a)->va < range_of_node(b)->va;
}

static uint64_t gap_below(const struct ash_rbtree_node *node) {
    return node == NULL ? 0 : range_of_node(node)->gap_most;
}

static uint64_t gap_most(const struct ash_rbtree_node *node) {
    uint64_t below = ash_max_u64(gap_below(node->child[0]), gap_below(node->child[1]));
    return ash_max_u64(range_of_node(node)->gap, below);
}

static void update(struct ash_rbtree_node *node) {
    range_of_node(node)->gap_most = gap_most(node);
}

static bool is_updated(const struct ash_rbtree_node *node) {
    return range_of_node(node)->gap_most == gap_most(node);
}

/* The first range with a hole of `bytes` before it. */
static struct ash_vm_range *find_gap(const struct ash_vm_ranges *ranges, uint64_t bytes) {
    struct ash_rbtree_node *node = ranges->tree.root;
    if (gap_below(node) < bytes)
        return NULL;
    for (;;) {
        if (gap_below(node->child[0]) >= bytes)
            node = node->child[0];
        else if (range_of_node(node)->gap >= bytes)
            return range_of_node(node);
        else
            node = node->child[1];
    }
}

static void link_range(struct ash_vm_ranges *ranges, struct ash_vm_range *range,
                       struct ash_vm_range *next, ash_vaddr_t va, uint64_t bytes) {
    ash_vaddr_t hole = next->va - next->gap;
    *range = (struct ash_vm_range){.va = va, .bytes = bytes, .gap = va - hole};
    ash_rbtree_node_init(&range->node);
    next->gap = next->va - (va + bytes);
    /* Right before next, so below it: that one is updated, too. */
    ash_rbtree_insert(&ranges->tree, &range->node, is_before, update);
    ranges->count++;
    ranges->bytes += bytes;
}

static void unlink_range(struct ash_vm_ranges *ranges, struct ash_vm_range *range) {
    struct ash_vm_range *next = range_of_node(ash_rbtree_next(&range->node));
    next->gap += range->bytes + range->gap;
    ranges->count--;
    ranges->bytes -= range->bytes;
    ash_rbtree_erase(&ranges->tree, &range->node, update);
    ash_rbtree_update(&next->node, update);
}

/* The memory */

static uint32_t block_order(const struct ash_vm_ranges *ranges) {
    return ranges->space->vm->config.format->bits;
}

/* Maps what comes next of [va, va + bytes): a block if it can be. Returns its bytes; 0: *error. */
static uint64_t fill_next(struct ash_vm_ranges *ranges, ash_vaddr_t va, uint64_t bytes,
                          uint32_t rights, int *error) {
    const struct ash_vm_frames *frames = &ranges->space->vm->config.frames;
    uint32_t order = block_order(ranges);
    uint64_t block = (uint64_t)ASH_PAGE_SIZE << order;
    ash_pfn_t first;
    if (!ash_is_aligned(va, block) || bytes < block ||
        frames->alloc(frames->context, order, &first) != 0) {
        order = 0;
        *error = frames->alloc(frames->context, 0, &first);
        if (*error != 0)
            return 0;
    }
    uint64_t size = (uint64_t)ASH_PAGE_SIZE << order;
    *error = ash_vm_map(ranges->space, va, first << ASH_PAGE_SHIFT, size, rights, 0);
    if (*error != 0) {
        frames->free(frames->context, first, order);
        return 0;
    }
    ranges->blocks += order != 0;
    return size;
}

static void empty(struct ash_vm_ranges *ranges, ash_vaddr_t va, uint64_t bytes) {
    int error = bytes == 0 ? 0 : ash_vm_unmap(ranges->space, va, bytes);
    ASH_REQUIRE(error == 0,
                "vm: range at %#llx is not unmapped (error %d): is its space forked, or did "
                "somebody else map a block around it?",
                (unsigned long long)va, error);
}

static int fill(struct ash_vm_ranges *ranges, ash_vaddr_t va, uint64_t bytes, uint32_t rights) {
    const uint64_t blocks = ranges->blocks;
    for (uint64_t done = 0; done < bytes;) {
        int error;
        uint64_t more = fill_next(ranges, va + done, bytes - done, rights, &error);
        if (more == 0) {
            empty(ranges, va, done);
            ranges->blocks = blocks;
            return error;
        }
        done += more;
    }
    return 0;
}

int ash_vm_ranges_init(struct ash_vm_ranges *ranges, struct ash_vm_space *space, ash_vaddr_t begin,
                       ash_vaddr_t end) {
    if (!ash_is_aligned(begin | end, ASH_PAGE_SIZE) || begin < space->begin || begin >= end ||
        end - 1 > space->end - 1)
        return -ASH_EINVAL;
    *ranges = (struct ash_vm_ranges){.space = space, .begin = begin};
    ranges->end = (struct ash_vm_range){.va = end, .gap = end - begin};
    ash_rbtree_init(&ranges->tree);
    ash_rbtree_node_init(&ranges->end.node);
    ash_rbtree_insert(&ranges->tree, &ranges->end.node, is_before, update);
    return 0;
}

void ash_vm_ranges_fini(struct ash_vm_ranges *ranges) {
    ASH_REQUIRE(ranges->count == 0, "vm: %llu ranges are left at the end",
                (unsigned long long)ranges->count);
}

/* Where in the hole before `next`, behind a guard: at a block's beginning if that is asked for. */
static ash_vaddr_t place(const struct ash_vm_range *next, uint64_t align) {
    return ash_align_up(next->va - next->gap + GUARD, align);
}

int ash_vm_ranges_alloc(struct ash_vm_ranges *ranges, uint64_t bytes, uint32_t rights,
                        ash_vaddr_t *va) {
    const uint64_t block = (uint64_t)ASH_PAGE_SIZE << block_order(ranges);
    uint64_t size, hole, align = GUARD;
    if (bytes == 0 || !ash_align_up_checked(bytes, ASH_PAGE_SIZE, &size) ||
        !ash_add_u64(size, 2 * GUARD + block, &hole))
        return -ASH_EINVAL;
    struct ash_vm_range *next = size >= block ? find_gap(ranges, hole - GUARD) : NULL;
    if (next != NULL)
        align = block;
    else
        next = find_gap(ranges, size + 2 * GUARD);
    if (next == NULL)
        return -ASH_ENOSPC;
    struct ash_vm_range *range = note_new(ranges);
    if (range == NULL)
        return -ASH_ENOMEM;
    int error = fill(ranges, place(next, align), size, rights);
    if (error != 0) {
        note_free(ranges, range);
        return error;
    }
    link_range(ranges, range, next, place(next, align), size);
    *va = range->va;
    return 0;
}

static bool is_below(const struct ash_rbtree_node *node, const void *key) {
    const struct ash_vm_range *range = range_of_node(node);
    return range->va + range->bytes <= *(const ash_vaddr_t *)key;
}

static struct ash_vm_range *find(const struct ash_vm_ranges *ranges, ash_vaddr_t va) {
    if (va < ranges->begin || va >= ranges->end.va)
        return NULL;
    /* There is one: the end is not below. */
    struct ash_vm_range *range =
        range_of_node(ash_rbtree_lower_bound(&ranges->tree, &va, is_below));
    return range != &ranges->end && va >= range->va ? range : NULL;
}

const struct ash_vm_range *ash_vm_ranges_find(const struct ash_vm_ranges *ranges, ash_vaddr_t va) {
    return find(ranges, va);
}

void ash_vm_ranges_free(struct ash_vm_ranges *ranges, ash_vaddr_t va) {
    struct ash_vm_range *range = find(ranges, va);
    ASH_REQUIRE(range != NULL && range->va == va, "vm: free of %#llx, where no range begins",
                (unsigned long long)va);
    empty(ranges, va, range->bytes);
    unlink_range(ranges, range);
    note_free(ranges, range);
}

/* All of it is mapped, and nothing in the gap before it. */
static const char *check_range(const struct ash_vm_ranges *ranges,
                               const struct ash_vm_range *range) {
    struct ash_vm_mapping mapping;
    ash_vaddr_t hole = range->va - range->gap, at = range->va;
    if (range->gap != 0 && ash_vm_query(ranges->space, hole, &mapping) && mapping.va < range->va)
        return "G3: something is mapped between ranges";
    for (; at - range->va < range->bytes; at += mapping.bytes)
        if (!ash_vm_query(ranges->space, at, &mapping) || mapping.va != at)
            return "G3: a page of a range is not mapped";
    return at - range->va == range->bytes ? NULL : "G3: a mapping goes on behind a range";
}

const char *ash_vm_ranges_check(const struct ash_vm_ranges *ranges) {
    const char *broken = ash_rbtree_check(&ranges->tree, is_before, is_updated);
    ash_vaddr_t at = ranges->begin;
    const struct ash_rbtree_node *node = ash_rbtree_first(&ranges->tree);
    for (; node != NULL && broken == NULL; node = ash_rbtree_next(node)) {
        const struct ash_vm_range *range = range_of_node(node);
        bool is_end = range == &ranges->end;
        if (range->va - range->gap != at)
            broken = "G1: a gap is not what lies between two ranges";
        else if (range->gap < GUARD && !(is_end && ranges->count == 0))
            broken = "G2: a range without a guard";
        else
            broken = check_range(ranges, range);
        at = range->va + range->bytes;
    }
    return broken;
}
