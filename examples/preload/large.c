/* SPDX-License-Identifier: MIT */
/* large.c: see large.h. The table is open addressing by page number, at most half full. */
#include "large.h"

#include <ashlar/checked.h>
#include <ashlar/port.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>

#include "arena.h"

struct block {
    uintptr_t base; /* 0: free entry */
    size_t size_bytes;
};

static struct ash_spinlock lock; /* protects what follows it */
static struct block first_table[64];
static struct block *table = first_table;
static size_t capacity = ASH_ARRAY_LEN(first_table); /* a power of two */
static size_t count;

static size_t home_of(uintptr_t base) {
    return (size_t)((base >> ASH_PAGE_SHIFT) * UINT64_C(0x9e3779b97f4a7c15) >> 32) & (capacity - 1);
}

/* Where it is, or the free entry where it would be. */
static size_t entry_of(uintptr_t base) {
    size_t i = home_of(base);
    while (table[i].base != 0 && table[i].base != base)
        i = (i + 1) & (capacity - 1);
    return i;
}

static bool double_table(void) {
    struct block *old = table;
    size_t old_capacity = capacity;
    struct block *larger = arena_map_notes(2 * capacity * sizeof(struct block));
    if (larger == NULL)
        return false;
    table = larger;
    capacity *= 2;
    for (size_t i = 0; i < old_capacity; i++) {
        if (old[i].base != 0)
            table[entry_of(old[i].base)] = old[i];
    }
    if (old != first_table)
        munmap(old, old_capacity * sizeof(struct block));
    return true;
}

/* Lock held, as for the two below. */
static bool insert(void *base, size_t size_bytes) {
    if ((count + 1) * 2 > capacity && !double_table())
        return false;
    table[entry_of((uintptr_t)base)] = (struct block){(uintptr_t)base, size_bytes};
    count++;
    return true;
}

/* The entries behind the one that goes move up where they can. */
static void take_out(size_t hole) {
    count--;
    for (size_t i = (hole + 1) & (capacity - 1); table[i].base != 0; i = (i + 1) & (capacity - 1)) {
        size_t from_home = (i - home_of(table[i].base)) & (capacity - 1);
        if (from_home >= ((i - hole) & (capacity - 1))) {
            table[hole] = table[i];
            hole = i;
        }
    }
    table[hole] = (struct block){0, 0};
}

/* A mapping aligned to more than a page: one that is longer, cut at both ends. */
static void *map(size_t size_bytes, size_t align_bytes) {
    size_t extra = align_bytes > ASH_PAGE_SIZE ? align_bytes - ASH_PAGE_SIZE : 0, total;
    if (!ash_add_size(size_bytes, extra, &total))
        return NULL;
    char *mapping = mmap(NULL, total, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapping == MAP_FAILED)
        return NULL;
    size_t before = (size_t)(ash_align_up((uintptr_t)mapping, align_bytes) - (uintptr_t)mapping);
    if (extra == 0)
        return mapping;
    if (before != 0)
        munmap(mapping, before);
    if (extra != before)
        munmap(mapping + before + size_bytes, extra - before);
    return mapping + before;
}

static bool round_up(size_t size_bytes, uint64_t *rounded) {
    return ash_align_up_checked(size_bytes, ASH_PAGE_SIZE, rounded) && *rounded <= PTRDIFF_MAX;
}

void *large_alloc(size_t size_bytes, size_t align_bytes) {
    uint64_t rounded;
    void *block = round_up(size_bytes, &rounded) ? map(rounded, align_bytes) : NULL;
    if (block == NULL)
        return NULL;
    ash_spin_lock(&lock);
    bool kept = insert(block, rounded);
    ash_spin_unlock(&lock);
    if (kept)
        return block;
    munmap(block, rounded);
    return NULL;
}

size_t large_size(const void *pointer) {
    ash_spin_lock(&lock);
    size_t size_bytes = table[entry_of((uintptr_t)pointer)].size_bytes;
    ash_spin_unlock(&lock);
    return size_bytes;
}

/* Under the lock all the way: the old address may be somebody else's as soon as it is left. */
void *large_resize(void *pointer, size_t size_bytes) {
    uint64_t rounded;
    if (!round_up(size_bytes, &rounded))
        return NULL;
    ash_spin_lock(&lock);
    size_t entry = entry_of((uintptr_t)pointer);
    void *moved = mremap(pointer, table[entry].size_bytes, rounded, MREMAP_MAYMOVE);
    if (moved != MAP_FAILED) {
        take_out(entry);
        bool kept = insert(moved, rounded); /* into the room that has just been made */
        (void)kept;
    }
    ash_spin_unlock(&lock);
    return moved == MAP_FAILED ? NULL : moved;
}

bool large_free(void *pointer) {
    ash_spin_lock(&lock);
    size_t entry = entry_of((uintptr_t)pointer), size_bytes = table[entry].size_bytes;
    if (size_bytes != 0)
        take_out(entry);
    ash_spin_unlock(&lock);
    if (size_bytes != 0)
        munmap(pointer, size_bytes);
    return size_bytes != 0;
}
