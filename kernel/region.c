/* SPDX-License-Identifier: MIT */
/* region.c: see region.h. */
#include "region.h"

#include <ashlar/check.h>
#include <ashlar/error.h>

static struct region *entry(struct ash_list *link) {
    return ASH_LIST_ENTRY(link, struct region, link);
}

void region_set_init(struct region_set *set, struct allocator *allocator) {
    *set = (struct region_set){.allocator = allocator};
    ash_list_init(&set->regions);
}

/* Regions */

static struct region *make(struct region_set *set) {
    return set->allocator->alloc(set->allocator->context, sizeof(struct region));
}

static void forget(struct region_set *set, struct region *region) {
    set->count--;
    set->bytes -= region->end - region->start;
    ash_list_remove(&region->link);
    set->allocator->free(set->allocator->context, region);
}

/* `room`, before what is at `place`. */
static struct region *insert(struct region_set *set, struct region *room, const struct region *like,
                             struct ash_list *place) {
    *room = *like;
    ash_list_push_back(place, &room->link); /* before `place`, as the list is a circle */
    set->count++;
    set->bytes += room->end - room->start;
    return room;
}

void region_set_clear(struct region_set *set) {
    while (!ash_list_is_empty(&set->regions))
        forget(set, entry(set->regions.next));
}

int region_set_copy(struct region_set *copy, const struct region_set *set) {
    for (struct region *region = NULL; (region = region_next(set, region)) != NULL;) {
        struct region *room = make(copy);
        if (room == NULL) {
            region_set_clear(copy);
            return -ASH_ENOMEM;
        }
        (void)insert(copy, room, region, &copy->regions);
    }
    return 0;
}

/* Looking */

struct region *region_next(const struct region_set *set, const struct region *region) {
    struct ash_list *next = region == NULL ? set->regions.next : region->link.next;
    return next == &set->regions ? NULL : entry(next);
}

struct region *region_find(const struct region_set *set, uint64_t address) {
    struct region *region = NULL;
    while ((region = region_next(set, region)) != NULL && region->end <= address) {}
    return region;
}

bool region_overlaps(const struct region_set *set, uint64_t start, uint64_t end) {
    const struct region *region = region_find(set, start);
    return region != NULL && region->start < end;
}

/* Neighbours */

static bool goes_on(const struct region *low, const struct region *high) {
    return low->end == high->start && low->rights == high->rights && low->flags == high->flags &&
           low->kind == high->kind && low->node == high->node &&
           (low->kind != REGION_FILE || low->offset + (low->end - low->start) == high->offset);
}

static void merge_with_next(struct region_set *set, struct region *region) {
    struct region *next = region_next(set, region);
    if (next == NULL || !goes_on(region, next))
        return;
    uint64_t end = next->end;
    forget(set, next);
    set->bytes += end - region->end;
    region->end = end;
}

static void merge_around(struct region_set *set, struct region *region) {
    merge_with_next(set, region);
    if (region->link.prev != &set->regions)
        merge_with_next(set, entry(region->link.prev));
}

/* `room` becomes what is from `at` on. */
static void split(struct region_set *set, struct region *region, uint64_t at, struct region *room) {
    struct region high = *region;
    high.start = at;
    high.offset += at - region->start;
    set->bytes -= region->end - at;
    region->end = at;
    (void)insert(set, room, &high, region->link.next);
}

/* Does a region begin before `at` and end behind it? */
static struct region *across(const struct region_set *set, uint64_t at) {
    struct region *region = region_find(set, at);
    return region != NULL && region->start < at ? region : NULL;
}

int region_cut(struct region_set *set, uint64_t start, uint64_t end) {
    struct region *rooms[2] = {NULL, NULL};
    uint64_t places[2] = {start, end};
    for (uint32_t i = 0; i < 2; i++) {
        if (across(set, places[i]) == NULL)
            continue;
        rooms[i] = set->count + i < REGIONS_MAX ? make(set) : NULL;
        if (rooms[i] == NULL) {
            if (i == 1)
                set->allocator->free(set->allocator->context, rooms[0]);
            return -ASH_ENOMEM;
        }
    }
    for (uint32_t i = 0; i < 2; i++) {
        if (rooms[i] != NULL)
            split(set, across(set, places[i]), places[i], rooms[i]);
    }
    return 0;
}

void region_join(struct region_set *set, uint64_t start, uint64_t end) {
    const uint64_t places[2] = {end, start};
    for (uint32_t i = 0; i < 2; i++) {
        struct region *region = region_find(set, places[i]);
        if (region != NULL && region->start == places[i] && region->link.prev != &set->regions)
            merge_with_next(set, entry(region->link.prev));
    }
}

/* Changes */

int region_add(struct region_set *set, const struct region *like) {
    ASH_REQUIRE(like->start < like->end && !region_overlaps(set, like->start, like->end),
                "region_add: [0x%llx, 0x%llx) is empty, or something is there",
                (unsigned long long)like->start, (unsigned long long)like->end);
    struct region *next = region_find(set, like->end);
    struct region *room = set->count < REGIONS_MAX ? make(set) : NULL;
    if (room == NULL)
        return -ASH_ENOMEM;
    merge_around(set, insert(set, room, like, next == NULL ? &set->regions : &next->link));
    return 0;
}

int region_remove(struct region_set *set, uint64_t start, uint64_t end) {
    int error = region_cut(set, start, end);
    if (error != 0)
        return error;
    for (struct region *region; (region = region_find(set, start)) != NULL && region->start < end;)
        forget(set, region);
    return 0;
}

bool region_covers(const struct region_set *set, uint64_t start, uint64_t end) {
    const struct region *region = region_find(set, start);
    while (region != NULL && region->start <= start && region->end < end) {
        start = region->end;
        region = region_next(set, region);
    }
    return region != NULL && region->start <= start;
}

/* Neighbours that are alike now become one. From the end: a merge forgets the one behind. */
static void merge_all(struct region_set *set, uint64_t start, uint64_t end) {
    for (struct region *region = region_find(set, end - 1);; region = entry(region->link.prev)) {
        merge_with_next(set, region);
        if (region->end < start || region->link.prev == &set->regions)
            return;
    }
}

static int cut_covered(struct region_set *set, uint64_t start, uint64_t end) {
    return region_covers(set, start, end) ? region_cut(set, start, end) : -ASH_ENOMEM;
}

int region_protect(struct region_set *set, uint64_t start, uint64_t end, uint32_t rights) {
    int error = cut_covered(set, start, end);
    if (error != 0)
        return error;
    struct region *region = region_find(set, start);
    for (; region != NULL && region->start < end; region = region_next(set, region))
        region->rights = rights;
    merge_all(set, start, end);
    return 0;
}

int region_advise(struct region_set *set, uint64_t start, uint64_t end, bool is_huge) {
    int error = cut_covered(set, start, end);
    if (error != 0)
        return error;
    struct region *region = region_find(set, start);
    for (; region != NULL && region->start < end; region = region_next(set, region))
        region->flags = is_huge ? region->flags | REGION_HUGE : region->flags & ~REGION_HUGE;
    merge_all(set, start, end);
    return 0;
}

uint64_t region_gap(const struct region_set *set, uint64_t bottom, uint64_t top, uint64_t bytes) {
    uint64_t end = top;
    for (struct ash_list *link = set->regions.prev; link != &set->regions; link = link->prev) {
        const struct region *region = entry(link);
        if (region->start >= end)
            continue;
        if (region->end <= end && end - region->end >= bytes)
            break;
        end = region->start;
    }
    return end >= bottom && end - bottom >= bytes ? end - bytes : 0;
}

/* Checks */

const char *region_check(const struct region_set *set) {
    const struct region *previous = NULL;
    uint64_t bytes = 0;
    uint32_t count = 0;
    for (struct region *region = NULL; (region = region_next(set, region)) != NULL; count++) {
        if (region->start >= region->end)
            return "a region is empty";
        if ((region->start | region->end) & (ASH_PAGE_SIZE - 1))
            return "a region is no whole pages";
        if (previous != NULL && previous->end > region->start)
            return "regions overlap, or are not in order";
        if (previous != NULL && goes_on(previous, region))
            return "a region goes on where another ends";
        bytes += region->end - region->start;
        previous = region;
    }
    if (bytes != set->bytes || count != set->count)
        return "regions are counted wrong";
    return NULL;
}
