/* SPDX-License-Identifier: MIT */
/* queue.c: see queue.h. An entry is named by its offset from the root in bytes: with that, the way
 * from a node to its children is one shift and one addition, which is what a replacement waits for.
 */
#include "queue_inline.h"

#define ENTRY         ((uint32_t)sizeof(struct ash_sched_queue_entry))
#define NONE          ASH__SCHED_NO_SLOT
#define EMPTY         ASH__QUEUE_EMPTY
#define FAR           ASH__QUEUE_FAR
#define BEFORE_ALL    ASH__QUEUE_BEFORE_ALL
#define DELTA_LIMIT   ASH__QUEUE_DELTA_LIMIT
#define LINE          64u
#define SEQUENCE_END  ASH__SCHED_SEQUENCE_END
#define SEQUENCE_MASK ((INT64_C(1) << ASH__SCHED_SEQUENCE_BITS) - 1)

_Static_assert(4 * sizeof(struct ash_sched_queue_entry) == LINE, "four children are a line");
_Static_assert(SEQUENCE_END == SEQUENCE_MASK, "the last far place is EMPTY's");
_Static_assert(FAR == (DELTA_LIMIT - 1) << ASH__SCHED_SEQUENCE_BITS, "far: the last delta");
_Static_assert((uint64_t)(ASH__SCHED_SLOTS_MAX + 1) * sizeof(struct ash_sched_queue_entry) <
                   ASH__SCHED_NOT_QUEUED,
               "offsets fit in 32 bits");

static inline struct ash_sched_queue_entry *at(const struct ash_sched_queue *queue,
                                               uint64_t offset) {
    return (struct ash_sched_queue_entry *)(void *)((char *)queue->root + offset);
}

static inline uint64_t parent_of(uint64_t offset) {
    return ((offset - ENTRY) >> 2) & ~(uint64_t)(ENTRY - 1);
}

/* Heap */

static inline void put(struct ash_sched_queue *queue, uint64_t offset, int64_t place,
                       uint64_t slot) {
    *at(queue, offset) = (struct ash_sched_queue_entry){place, slot};
    queue->where[slot] = (uint32_t)offset;
}

/* An entry is put at this offset or, as long as one of the children there comes first, below it.
 * Entries behind the last one are EMPTY, which is never first: no child needs a test of its own. */
static inline void sift_down(struct ash_sched_queue *queue, uint64_t offset, int64_t place,
                             uint64_t slot) {
    uint64_t bytes = queue->heap_bytes;
    for (uint64_t child; (child = 4 * offset + ENTRY) < bytes;) {
        const struct ash_sched_queue_entry *four = at(queue, child);
        int64_t a = four[0].place, b = four[1].place, c = four[2].place, d = four[3].place;
        uint64_t low = child, high = child + 2 * ENTRY;
        low = b < a ? child + ENTRY : low;
        a = b < a ? b : a;
        high = d < c ? child + 3 * ENTRY : high;
        c = d < c ? d : c;
        low = c < a ? high : low;
        a = c < a ? c : a;
        if (place < a)
            break;
        put(queue, offset, a, at(queue, low)->slot);
        offset = low;
    }
    put(queue, offset, place, slot);
}

static inline void sift_up(struct ash_sched_queue *queue, uint64_t offset, int64_t place,
                           uint64_t slot) {
    while (offset != 0) {
        uint64_t parent = parent_of(offset);
        const struct ash_sched_queue_entry *above = at(queue, parent);
        if (above->place < place)
            break;
        put(queue, offset, above->place, above->slot);
        offset = parent;
    }
    put(queue, offset, place, slot);
}

/* At this offset, whose entry is gone, or above or below it. */
ASH_HOT_ENTRY void ash__queue_heap_refill(struct ash_sched_queue *queue, uint64_t offset,
                                          int64_t place, uint64_t slot) {
    uint64_t parent = parent_of(offset);
    if (offset != 0 && place < at(queue, parent)->place)
        sift_up(queue, offset, place, slot);
    else
        sift_down(queue, offset, place, slot);
}

ASH_HOT_ENTRY void ash__queue_heap_insert(struct ash_sched_queue *queue, int64_t place,
                                          uint32_t slot) {
    uint64_t offset = queue->heap_bytes;
    queue->heap_bytes += ENTRY;
    sift_up(queue, offset, place, slot);
}

ASH_HOT_ENTRY void ash__queue_heap_remove(struct ash_sched_queue *queue, uint64_t offset) {
    queue->heap_bytes -= ENTRY;
    struct ash_sched_queue_entry *end = at(queue, queue->heap_bytes);
    struct ash_sched_queue_entry last = *end;
    *end = (struct ash_sched_queue_entry){EMPTY, NONE};
    if (offset != queue->heap_bytes)
        ash__queue_heap_refill(queue, offset, last.place, last.slot);
}

/* Any array becomes a heap: Floyd, Algorithm 245. */
static void heap_make(struct ash_sched_queue *queue) {
    for (uint64_t offset = queue->heap_bytes; offset != 0;) {
        offset -= ENTRY;
        struct ash_sched_queue_entry own = *at(queue, offset);
        sift_down(queue, offset, own.place, own.slot);
    }
}

/* Lane */

static void lane_clear(struct ash_sched_queue *queue) {
    queue->first = queue->last = NONE;
    queue->lane_first = EMPTY;
    queue->lane_last = BEFORE_ALL;
}

/* Keys and places */

static uint64_t heap_key(const struct ash_sched_queue *queue,
                         const struct ash_sched_queue_entry *own) {
    return own->place >= FAR ? queue->links[own->slot].at.key
                             : queue->base + (uint64_t)ash__queue_delta_of(own->place);
}

static uint64_t earlier(uint64_t a, uint64_t b) {
    return (int64_t)(a - b) < 0 ? a : b;
}

/* Of a queue that is not empty. The root is of those that are far the one that came first. */
static uint64_t least_key(const struct ash_sched_queue *queue) {
    if (queue->lane_first < queue->root->place)
        return queue->base + (uint64_t)ash__queue_delta_of(queue->lane_first);
    uint64_t key = heap_key(queue, queue->root);
    if (queue->root->place < FAR)
        return key;
    for (uint32_t offset = ENTRY; offset < queue->heap_bytes; offset += ENTRY)
        key = earlier(key, heap_key(queue, at(queue, offset)));
    return key;
}

/* The place of a key by a new base; the slot's key is kept if that is far. */
static int64_t moved_place(struct ash_sched_queue *queue, uint64_t slot, uint64_t key,
                           int64_t place, uint64_t base) {
    int64_t delta = (int64_t)(key - base);
    if (!ash__queue_is_near(delta)) {
        queue->links[slot].at.key = key;
        delta = DELTA_LIMIT - 1;
    }
    return ash__queue_place_of(delta, (uint32_t)(place & SEQUENCE_MASK));
}

/* base is not after the least key, so that no key is too early for it. */
static void rebase(struct ash_sched_queue *queue, uint64_t base) {
    for (uint32_t offset = 0; offset < queue->heap_bytes; offset += ENTRY) {
        struct ash_sched_queue_entry *own = at(queue, offset);
        own->place = moved_place(queue, own->slot, heap_key(queue, own), own->place, base);
    }
    uint32_t slot = queue->first;
    lane_clear(queue);
    while (slot != NONE) {
        uint32_t next = queue->links[slot].next;
        int64_t place = queue->links[slot].at.place;
        uint64_t key = queue->base + (uint64_t)ash__queue_delta_of(place);
        place = moved_place(queue, slot, key, place, base);
        if (place < FAR) {
            ash__queue_lane_append(queue, place, slot);
        } else { /* the lane is for those that have a place */
            *at(queue, queue->heap_bytes) = (struct ash_sched_queue_entry){place, slot};
            queue->heap_bytes += ENTRY;
        }
        slot = next;
    }
    queue->base = base;
    heap_make(queue);
    queue->rebases++;
}

/* Of all that have a place. Whoever is first goes to the end of a lane that begins anew. */
static uint32_t renumber_near(struct ash_sched_queue *queue) {
    uint32_t slot = queue->first, sequence = 0, longest = 0;
    int64_t lane = queue->lane_first, delta = DELTA_LIMIT;
    lane_clear(queue);
    for (;;) {
        int64_t place = queue->root->place;
        uint32_t next = (uint32_t)queue->root->slot;
        if (lane < place) {
            place = lane;
            next = slot;
            slot = queue->links[slot].next;
            lane = slot == NONE ? EMPTY : queue->links[slot].at.place;
        } else if (place >= FAR) {
            return longest;
        } else {
            ash__queue_heap_remove(queue, 0);
        }
        sequence = ash__queue_delta_of(place) == delta ? sequence + 1 : 0;
        delta = ash__queue_delta_of(place);
        ash__queue_lane_append(queue, ash__queue_place_of(delta, sequence), next);
        longest = sequence >= longest ? sequence + 1 : longest;
    }
}

/* Of those that are far, which are the heap now: taken out, each is chained to the last. */
static uint32_t renumber_far(struct ash_sched_queue *queue) {
    uint32_t first = NONE, *end = &first, sequence = 0;
    while (queue->heap_bytes != 0) {
        uint32_t slot = (uint32_t)queue->root->slot;
        ash__queue_heap_remove(queue, 0);
        *end = slot;
        end = &queue->links[slot].next;
    }
    *end = NONE;
    for (uint32_t slot = first; slot != NONE; slot = queue->links[slot].next)
        ash__queue_heap_insert(queue, FAR + sequence++, slot);
    return sequence;
}

static void renumber(struct ash_sched_queue *queue) {
    uint32_t near = renumber_near(queue), far = renumber_far(queue);
    queue->sequence = near > far ? near : far;
    queue->renumbers++;
}

void ash__queue_bring_near(struct ash_sched_queue *queue) {
    rebase(queue, least_key(queue));
}

/* The slot is not queued. */
void ash__queue_insert_rarely(struct ash_sched_queue *queue, uint32_t slot, uint64_t key) {
    if (queue->sequence == SEQUENCE_END)
        renumber(queue);
    if (!ash__queue_is_near((int64_t)(key - queue->base))) {
        if (queue->heap_bytes == 0 && queue->first == NONE)
            queue->base = key;
        else if (earlier(key, least_key(queue)) != queue->base)
            rebase(queue, earlier(key, least_key(queue)));
    }
    int64_t delta = (int64_t)(key - queue->base);
    if (!ash__queue_is_near(delta)) {
        queue->links[slot].at.key = key;
        ash__queue_heap_insert(queue, FAR + queue->sequence++, slot);
        return;
    }
    ash__queue_enter(queue, slot, ash__queue_take_place(queue, key));
}

/* Operations */

size_t ash__sched_queue_bytes(uint32_t slots) {
    if (slots == 0 || slots > ASH__SCHED_SLOTS_MAX)
        return 0;
    /* Three entries before the root, and three that a node's four children may lie behind the
     * last. */
    size_t size = ((size_t)slots + 6) * ENTRY;
    size += slots * (sizeof(struct ash_sched_queue_link) + sizeof(uint32_t));
    return ash_align_up(size, LINE);
}

void ash__sched_queue_init(struct ash_sched_queue *queue, void *storage, uint32_t slots) {
    *queue = (struct ash_sched_queue){.slots = slots};
    queue->root = (struct ash_sched_queue_entry *)storage + 3;
    struct ash_sched_queue_entry *end = queue->root + slots + 3;
    queue->links = (void *)end;
    queue->where = (void *)(queue->links + slots);
    for (struct ash_sched_queue_entry *own = queue->root; own < end; own++)
        *own = (struct ash_sched_queue_entry){EMPTY, NONE};
    for (uint32_t slot = 0; slot < slots; slot++)
        queue->where[slot] = ASH__SCHED_NOT_QUEUED;
    lane_clear(queue);
}

ASH_HOT_ENTRY void ash__sched_queue_insert(struct ash_sched_queue *queue, uint32_t slot,
                                           uint64_t key) {
    ash__queue_insert(queue, slot, key);
}

ASH_HOT_ENTRY void ash__sched_queue_remove(struct ash_sched_queue *queue, uint32_t slot) {
    ash__queue_remove(queue, slot);
}

ASH_HOT_ENTRY void ash__sched_queue_replace(struct ash_sched_queue *queue, uint32_t old,
                                            uint32_t slot, uint64_t key) {
    ash__queue_replace(queue, old, slot, key);
}

/* Of one that is queued. */
uint64_t ash__sched_queue_key(const struct ash_sched_queue *queue, uint32_t slot) {
    if (queue->where[slot] == ASH__SCHED_IN_LANE)
        return queue->base + (uint64_t)ash__queue_delta_of(queue->links[slot].at.place);
    return heap_key(queue, at(queue, queue->where[slot]));
}

/* Checker */

static const char *check_heap(const struct ash_sched_queue *queue) {
    for (uint64_t offset = 0; offset < queue->heap_bytes; offset += ENTRY) {
        const struct ash_sched_queue_entry *own = at(queue, offset);
        uint64_t parent = parent_of(offset);
        if (own->slot >= queue->slots || queue->where[own->slot] != offset)
            return "Q1: an entry of the heap is not where its slot says";
        if (offset != 0 && own->place < at(queue, parent)->place + (own->place < FAR))
            return "Q2: an entry of the heap is before its parent, or has the same place";
        if ((own->place & SEQUENCE_MASK) >= queue->sequence)
            return "Q3: a sequence number is still to be given";
        if (own->place >= FAR && ash__queue_is_near((int64_t)(heap_key(queue, own) - queue->base)))
            return "Q4: a key is far that is near";
    }
    for (uint32_t i = 0; i < 3; i++) {
        if (at(queue, queue->heap_bytes)[i].place != EMPTY)
            return "Q5: an entry behind the last one is not empty";
    }
    return NULL;
}

static const char *check_lane(const struct ash_sched_queue *queue, uint32_t *count) {
    uint32_t prev = NONE;
    int64_t place = BEFORE_ALL;
    for (uint32_t slot = queue->first; slot != NONE; slot = queue->links[slot].next) {
        if (slot >= queue->slots || ++*count > queue->slots)
            return "Q6: the lane goes astray";
        const struct ash_sched_queue_link *link = &queue->links[slot];
        if (queue->where[slot] != ASH__SCHED_IN_LANE || link->prev != prev)
            return "Q6: the lane goes astray";
        if (link->at.place <= place || link->at.place >= FAR)
            return "Q7: the lane is not sorted, or has one that is far";
        if ((link->at.place & SEQUENCE_MASK) >= queue->sequence)
            return "Q3: a sequence number is still to be given";
        prev = slot;
        place = link->at.place;
    }
    int64_t first = queue->first == NONE ? EMPTY : queue->links[queue->first].at.place;
    if (queue->last != prev || queue->lane_last != place || queue->lane_first != first)
        return "Q8: the lane's ends are not those noted";
    return NULL;
}

const char *ash__sched_queue_check(const struct ash_sched_queue *queue) {
    uint32_t count = queue->heap_bytes / ENTRY, queued = 0;
    if (count > queue->slots)
        return "Q9: the heap is longer than there are slots";
    const char *broken = check_heap(queue);
    if (broken == NULL)
        broken = check_lane(queue, &count);
    for (uint32_t slot = 0; slot < queue->slots; slot++)
        queued += ash__sched_queue_has(queue, slot);
    if (broken == NULL && (count != queue->length || queued != count))
        broken = "Q10: as many as are queued are not in the heap or in the lane";
    return broken;
}
