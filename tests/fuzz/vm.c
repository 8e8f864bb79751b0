/* SPDX-License-Identifier: MIT */
/*
 * Some address spaces over one machine, in every format, every call with good and bad arguments,
 * memory that runs out when it is told to; against a model that knows of no tables: of each page of
 * each space the object that it shows, and its rights. A private object is one page's and fork
 * copies it; a SHARED one is everybody's who maps it. The CPU of the bed reads the tables by
 * itself; what it and the library's calls see is compared with the objects after each step.
 */
#include "choices.h"
#include "vm/bed.h"

enum {
    SPACES = 10,
    SPACES_MANY_PAGES = 4,
    WINDOWS = 3,
    WINDOW_END_PAGES = 4,
    SLOTS = 2 * 512 + 2 * WINDOW_END_PAGES,
    OBJECTS = SPACES_MANY_PAGES * SLOTS + 64,
    FRAMES = 1700, /* three blocks of 512, and some */
    CACHED = 6,
    PINS = 6,
    WORD_LAST = 4088,
};

/* A page's memory, as programs see it: its first word and its last. */
struct object {
    uint64_t first, last;
    uint32_t refs; /* pages that show it, pins, and the cache */
    bool shared;
    ash_paddr_t device; /* it is not memory; 0: it is */
    ash_paddr_t pinned; /* where it has to stay; 0: anywhere */
    uint32_t pins;
    bool was_pinned; /* which its page may be marked with for some time */
};

struct slot {
    uint32_t object; /* 0: nothing is mapped */
    uint8_t rights;
    bool accessed, written; /* since it was last asked for: at least these are counted */
};

struct one {
    struct ash_vm_space space;
    bool used;  /* by a program */
    bool ended; /* and has something left to be reaped */
    struct slot slots[SLOTS];
};

/* A frame, or a block, that the test itself refers to, as a page cache would. */
struct cached {
    ash_pfn_t first; /* 0: free */
    uint32_t order, object;
    uint64_t word_first, word_last; /* where it has no object: nobody may change it */
};

struct pin {
    uint32_t object;
    ash_paddr_t address; /* 0: free */
};

struct window {
    ash_vaddr_t va;
    uint32_t slot, count;
};

struct world {
    struct choices *choices;
    struct bed *bed;
    struct window windows[WINDOWS];
    uint32_t window_count, slot_count, space_count, step;
    struct one ones[SPACES];
    struct object objects[OBJECTS];
    uint32_t object_next;
    struct cached cached[CACHED];
    struct pin pins[PINS];
    uint32_t held[FRAMES];
    uint64_t value, refused;
    struct ash_vm_pending *pending; /* a fault between its begin and its end */
};

static uint32_t pick(struct world *world, uint32_t limit) {
    return choose(world->choices, limit);
}

static uint64_t next_value(struct world *world) {
    world->value++;
    /* Some without a zero byte, for strings. */
    return pick(world, 3) == 0 ? world->value * 0x0101 | UINT64_C(0x0101010101010101)
                               : world->value;
}

/* The model */

static ash_vaddr_t va_of(const struct world *world, uint32_t slot) {
    const struct window *window = world->windows;
    while (slot >= window->slot + window->count)
        window++;
    return window->va + ((uint64_t)(slot - window->slot) << 12);
}

/* SLOTS: none. */
static uint32_t slot_of(const struct world *world, ash_vaddr_t va) {
    for (uint32_t i = 0; i < world->window_count; i++) {
        const struct window *window = &world->windows[i];
        if (va >= window->va && (va - window->va) >> 12 < window->count)
            return window->slot + (uint32_t)((va - window->va) >> 12);
    }
    return SLOTS;
}

static struct object *object_at(struct world *world, const struct one *one, uint32_t slot) {
    return &world->objects[one->slots[slot].object];
}

/* 0: there are none left; what they are for is left out then. */
static uint32_t object_new(struct world *world) {
    for (uint32_t tried = 1; tried < OBJECTS; tried++) {
        uint32_t at = world->object_next = world->object_next % (OBJECTS - 1) + 1;
        if (world->objects[at].refs != 0)
            continue;
        world->objects[at] = (struct object){.refs = 1};
        return at;
    }
    return 0;
}

static uint32_t objects_free(const struct world *world) {
    uint32_t count = 0;
    for (uint32_t i = 1; i < OBJECTS; i++)
        count += world->objects[i].refs == 0;
    return count;
}

static void slot_clear(struct world *world, struct slot *slot) {
    if (slot->object != 0)
        world->objects[slot->object].refs--;
    *slot = (struct slot){0};
}

static bool is_free(const struct one *one, uint32_t slot, uint32_t count) {
    for (uint32_t i = slot; i < slot + count; i++) {
        if (one->slots[i].object != 0)
            return false;
    }
    return true;
}

static bool allows(const struct slot *slot, uint32_t access) {
    return slot->object != 0 && (slot->rights & access) == access;
}

/* Choosing */

static struct one *pick_used(struct world *world) {
    uint32_t from = pick(world, world->space_count);
    for (uint32_t i = 0; i < world->space_count; i++) {
        struct one *one = &world->ones[(from + i) % world->space_count];
        if (one->used)
            return one;
    }
    return NULL;
}

static struct one *find_unused(struct world *world) {
    for (uint32_t i = 0; i < world->space_count; i++) {
        if (!world->ones[i].used && !world->ones[i].ended)
            return &world->ones[i];
    }
    return NULL;
}

/* Some pages in a row of one window. */
static uint32_t pick_run(struct world *world, uint32_t *count) {
    uint32_t block = (uint32_t)bed_block_pages(world->bed);
    const struct window *window = &world->windows[pick(world, world->window_count)];
    uint32_t at = pick(world, window->count);
    if (window->count >= block && pick(world, 3) == 0) {
        at -= at % block;
        *count = block * (pick(world, 4) == 0 ? 2 : 1);
    } else {
        *count = 1 + pick(world, pick(world, 4) == 0 ? block + 2 : 4);
    }
    if (*count > window->count - at)
        *count = window->count - at;
    return window->slot + at;
}

static uint32_t pick_rights(struct world *world) {
    static const uint32_t some[] = {BED_RW, BED_RW, BED_RW,
                                    BED_R,  BED_RX, ASH_VM_READ | ASH_VM_WRITE};
    return some[pick(world, ASH_ARRAY_LEN(some))];
}

/* A call came to `result`, where the model expects `expected`; or memory ran out, and it did. True:
 * it was done. */
static bool came_to(const struct world *world, int result, int expected) {
    if (result == -ASH_ENOMEM) {
        CHECK(world->bed->refused != world->refused);
        return false;
    }
    CHECK_EQ(result, expected);
    return result == 0;
}

/* Mapping */

static void show(struct one *one, uint32_t slot, uint32_t object, uint32_t rights) {
    one->slots[slot] = (struct slot){.object = object, .rights = (uint8_t)(rights & ASH_VM_RIGHTS)};
}

static void map_fresh(struct world *world, struct one *one, uint32_t slot, uint32_t count) {
    struct bed *bed = world->bed;
    uint32_t rights = pick_rights(world), block = (uint32_t)bed_block_pages(bed);
    uint32_t flags = pick(world, 3) == 0 ? ASH_VM_SMALL : 0;
    ash_pfn_t first;
    if (objects_free(world) < count ||
        !bed_take(bed, count, count % block == 0 ? block : 1, &first))
        return;
    int result = ash_vm_map(&one->space, va_of(world, slot), first << 12, (uint64_t)count << 12,
                            rights, flags);
    if (!came_to(world, result, is_free(one, slot, count) ? 0 : -ASH_EEXIST)) {
        bed_give(bed, first, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint32_t object = object_new(world);
        uint64_t *words = bed_at(bed, (first + i) << 12);
        words[0] = world->objects[object].first = next_value(world);
        words[WORD_LAST / 8] = world->objects[object].last = next_value(world);
        show(one, slot + i, object, rights);
    }
}

static void map_zero(struct world *world, struct one *one, uint32_t slot, uint32_t count) {
    uint32_t rights = pick_rights(world);
    if (objects_free(world) < count)
        return;
    int result = ash_vm_map_zero(&one->space, va_of(world, slot), (uint64_t)count << 12, rights);
    if (!came_to(world, result, is_free(one, slot, count) ? 0 : -ASH_EEXIST))
        return;
    for (uint32_t i = 0; i < count; i++)
        show(one, slot + i, object_new(world), rights);
}

static void map_device(struct world *world, struct one *one, uint32_t slot, uint32_t count) {
    ash_paddr_t address = UINT64_C(0x10000000) + ((uint64_t)pick(world, 64) << 12);
    uint32_t rights = ASH_VM_READ | ASH_VM_WRITE | ASH_VM_DEVICE;
    if (objects_free(world) < count)
        return;
    int result =
        ash_vm_map(&one->space, va_of(world, slot), address, (uint64_t)count << 12, rights, 0);
    if (!came_to(world, result, is_free(one, slot, count) ? 0 : -ASH_EEXIST))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t object = object_new(world);
        world->objects[object].device = address + ((uint64_t)i << 12);
        world->objects[object].shared = true;
        show(one, slot + i, object, rights);
    }
}

/* A page of the cache; or a whole block, at a place where it is one. With an object: SHARED; else
 * privately, and the first write copies it. */
static void map_cached(struct world *world, struct one *one, uint32_t slot) {
    struct cached *cached = &world->cached[pick(world, CACHED)];
    uint32_t rights = pick_rights(world), count = cached->first == 0 ? 0 : 1u << cached->order;
    const struct window *window = world->windows;
    while (slot >= window->slot + window->count)
        window++;
    slot -= count == 0 ? 0 : (slot - window->slot) % count;
    if (count == 0 || window->count < count || objects_free(world) < count)
        return;
    uint32_t shared = cached->object != 0 ? ASH_VM_SHARED : 0;
    int result = ash_vm_map(&one->space, va_of(world, slot), cached->first << 12,
                            (uint64_t)count << 12, rights | shared, 0);
    if (!came_to(world, result, is_free(one, slot, count) ? 0 : -ASH_EEXIST))
        return;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t object = cached->object != 0 ? cached->object : object_new(world);
        if (cached->object == 0 && i == 0) {
            world->objects[object].first = cached->word_first;
            world->objects[object].last = cached->word_last;
        }
        world->objects[object].refs += cached->object != 0;
        show(one, slot + i, object, rights);
    }
}

static void step_cache(struct world *world) {
    struct cached *cached = &world->cached[pick(world, CACHED)];
    struct bed *bed = world->bed;
    if (cached->first != 0) {
        uint64_t *words = bed_at(bed, cached->first << 12);
        if (cached->object == 0) { /* all who wrote to it have copies */
            CHECK_EQ(words[0], cached->word_first);
            CHECK_EQ(words[WORD_LAST / 8], cached->word_last);
        } else {
            CHECK_EQ(words[0], world->objects[cached->object].first);
            world->objects[cached->object].refs--;
        }
        world->held[cached->first - bed->config.first_frame]--;
        ash_vm_release(&bed->vm, cached->first, cached->order);
        cached->first = 0;
        return;
    }
    uint32_t order = pick(world, 3) == 0 ? bed->shape->bits : 0;
    ash_pfn_t first;
    if (!bed_take(bed, UINT64_C(1) << order, UINT64_C(1) << order, &first))
        return;
    *cached = (struct cached){.first = first, .order = order};
    uint64_t *words = bed_at(bed, first << 12);
    words[0] = cached->word_first = next_value(world);
    words[WORD_LAST / 8] = cached->word_last = next_value(world);
    if (order == 0 && pick(world, 2) == 0 && (cached->object = object_new(world)) != 0) {
        world->objects[cached->object].first = cached->word_first;
        world->objects[cached->object].last = cached->word_last;
        world->objects[cached->object].shared = true;
    }
    world->held[first - bed->config.first_frame]++;
    ash_vm_hold(&bed->vm, first);
}

static void step_map(struct world *world, struct one *one) {
    uint32_t count, slot = pick_run(world, &count), what = pick(world, 8);
    /* Mostly where nothing is. */
    for (uint32_t i = 0; i < 3 && !is_free(one, slot, count); i++)
        slot = pick_run(world, &count);
    if (what < 3)
        map_fresh(world, one, slot, count);
    else if (what < 5)
        map_zero(world, one, slot, count);
    else if (what < 6)
        map_device(world, one, slot, count);
    else
        map_cached(world, one, slot);
}

/* Changing */

/* All of the space, or a run of pages. */
static ash_vaddr_t pick_range(struct world *world, const struct one *one, uint64_t *bytes,
                              uint32_t *slot, uint32_t *count) {
    if (pick(world, 12) == 0) {
        *slot = 0;
        *count = world->slot_count;
        *bytes = one->space.end - one->space.begin;
        return one->space.begin;
    }
    *slot = pick_run(world, count);
    *bytes = (uint64_t)*count << 12;
    return va_of(world, *slot);
}

static void step_unmap(struct world *world, struct one *one) {
    uint64_t bytes;
    uint32_t slot, count;
    ash_vaddr_t va = pick_range(world, one, &bytes, &slot, &count);
    if (!came_to(world, ash_vm_unmap(&one->space, va, bytes), 0))
        return;
    for (uint32_t i = slot; i < slot + count; i++)
        slot_clear(world, &one->slots[i]);
}

static void step_protect(struct world *world, struct one *one) {
    uint64_t bytes;
    uint32_t slot, count, rights = pick_rights(world);
    ash_vaddr_t va = pick_range(world, one, &bytes, &slot, &count);
    bool device = false;
    for (uint32_t i = slot; i < slot + count; i++)
        device |= one->slots[i].object != 0 && object_at(world, one, i)->device != 0;
    if (device) /* never executed, and programs have it by no other right */
        rights = ASH_VM_READ | (rights & ASH_VM_WRITE);
    if (!came_to(world, ash_vm_protect(&one->space, va, bytes, rights), 0))
        return;
    for (uint32_t i = slot; i < slot + count; i++) {
        if (one->slots[i].object != 0)
            one->slots[i].rights = (uint8_t)rights;
    }
}

static void step_split(struct world *world, struct one *one) {
    uint32_t slot = pick(world, world->slot_count);
    uint32_t shift = mmu_shift(world->bed->shape, pick(world, 2));
    (void)came_to(world, ash_vm_split(&one->space, va_of(world, slot), shift), 0);
}

/* Where it must work, it does; where a page is missing or differs, it must not. */
static void step_collapse(struct world *world, struct one *one) {
    uint32_t block = (uint32_t)bed_block_pages(world->bed), slot = pick(world, world->slot_count);
    ash_vaddr_t va = va_of(world, slot);
    uint32_t first = slot_of(world, ash_align_down(va, (uint64_t)block << 12));
    bool whole = first != SLOTS && va_of(world, first + block - 1) ==
                                       va_of(world, first) + (((uint64_t)block - 1) << 12);
    bool same = whole, easy = whole;
    for (uint32_t i = first; whole && i < first + block; i++) {
        same &= one->slots[i].object != 0 && one->slots[i].rights == one->slots[first].rights;
        easy &= one->slots[i].object != 0 && !object_at(world, one, i)->shared &&
                !object_at(world, one, i)->was_pinned;
    }
    int result = ash_vm_collapse(&one->space, va);
    if (result == -ASH_EBUSY)
        CHECK(!same || !easy);
    else if (came_to(world, result, 0))
        CHECK(same);
}

/* A block forgets as a whole: its other pages, too. */
static void forget(struct world *world, struct one *one, uint32_t slot, bool clean, bool first) {
    ash_vaddr_t va = va_of(world, slot);
    uint32_t level = bed_walk(world->bed, &one->space, va).level;
    uint64_t bytes = UINT64_C(1) << mmu_shift(world->bed->shape, level);
    if (!first && !ash_is_aligned(va, bytes))
        return;
    for (uint64_t at = 0; at < bytes && level <= world->bed->shape->leaf_top; at += 4096) {
        uint32_t of = slot_of(world, ash_align_down(va, bytes) + at);
        if (of != SLOTS)
            *(clean ? &one->slots[of].written : &one->slots[of].accessed) = false;
    }
}

static void step_age(struct world *world, struct one *one) {
    uint64_t bytes, counted = UINT64_MAX, at_least = 0, at_most = 0;
    uint32_t slot, count;
    bool clean = pick(world, 2) == 0;
    ash_vaddr_t va = pick_range(world, one, &bytes, &slot, &count);
    int result = clean ? ash_vm_clean(&one->space, va, bytes, &counted)
                       : ash_vm_age(&one->space, va, bytes, &counted);
    if (!came_to(world, result, 0))
        return;
    for (uint32_t i = slot; i < slot + count; i++) {
        const struct slot *of = &one->slots[i];
        at_least += clean ? of->written : of->accessed;
        at_most += of->object != 0;
    }
    for (uint32_t i = slot; i < slot + count; i++) {
        if (one->slots[i].object != 0)
            forget(world, one, i, clean, i == slot);
    }
    CHECK(counted >= at_least);
    CHECK(counted <= at_most);
}

/* fork and its end */

static void step_fork(struct world *world, struct one *one) {
    struct one *child = find_unused(world);
    uint32_t mapped = 0;
    for (uint32_t i = 0; i < world->slot_count; i++)
        mapped += one->slots[i].object != 0;
    if (child == NULL || objects_free(world) < mapped)
        return;
    uint32_t flags = pick(world, 6) == 0 ? ASH_VM_EAGER : 0;
    if (!came_to(world, ash_vm_fork(&child->space, &one->space, flags), 0))
        return;
    child->used = true;
    if (pick(world, 4) != 0)
        bed_live(world->bed, &child->space);
    for (uint32_t i = 0; i < world->slot_count; i++) {
        struct slot *of = &child->slots[i];
        *of = one->slots[i];
        of->accessed = of->written = false;
        struct object *parents = object_at(world, one, i);
        if (of->object == 0)
            continue;
        parents->refs += parents->shared;
        if (parents->shared)
            continue;
        of->object = object_new(world);
        world->objects[of->object].first = parents->first;
        world->objects[of->object].last = parents->last;
    }
}

static void step_exit(struct world *world, struct one *one) {
    for (uint32_t i = 0; i < world->slot_count; i++)
        slot_clear(world, &one->slots[i]);
    bed_space_fini(world->bed, &one->space);
    one->used = false;
    one->ended = true;
}

static void step_reap(struct world *world) {
    struct one *one = &world->ones[pick(world, world->space_count)];
    if (one->ended)
        one->ended = ash_vm_reap(&one->space, 1 + pick(world, 8));
}

static void step_begin(struct world *world) {
    struct one *one = find_unused(world);
    if (one == NULL)
        return;
    int result = ash_vm_space_init(&one->space, &world->bed->vm, 0, 0);
    if (!came_to(world, result, 0))
        return;
    memset(one->slots, 0, sizeof(one->slots));
    one->used = true;
    if (pick(world, 4) != 0)
        bed_live(world->bed, &one->space);
}

/* Accesses */

static uint32_t pick_access(struct world *world) {
    static const uint32_t some[] = {ASH_VM_READ, ASH_VM_WRITE, ASH_VM_WRITE, ASH_VM_EXECUTE};
    uint32_t access = some[pick(world, ASH_ARRAY_LEN(some))];
    /* What programs have, the kernel does not execute: that is not asked. */
    return access | (access == ASH_VM_EXECUTE || pick(world, 4) != 0 ? ASH_VM_USER : 0);
}

static void note_access(struct slot *slot, uint32_t access) {
    slot->accessed = true;
    slot->written |= (access & ASH_VM_WRITE) != 0;
}

static void step_access(struct world *world, struct one *one) {
    uint32_t at = pick(world, world->slot_count), access = pick_access(world);
    struct slot *slot = &one->slots[at];
    struct object *object = object_at(world, one, at);
    bool last = pick(world, 2) == 0;
    ash_vaddr_t va = va_of(world, at) + (last ? WORD_LAST : 0);
    enum ash_vm_verdict verdict = ASH_VM_SPURIOUS;
    if (slot->object != 0 && object->device != 0) {
        verdict = ash_vm_fault(&one->space, va, access);
        CHECK(verdict == ASH_VM_NOMEM || (verdict == ASH_VM_SEGV) == !allows(slot, access));
        return;
    }
    uint64_t *word = bed_access(world->bed, &one->space, va, access, &verdict);
    if (word == NULL && verdict == ASH_VM_NOMEM) {
        CHECK(world->bed->refused != world->refused);
        return;
    }
    CHECK((word != NULL) == allows(slot, access));
    if (word == NULL)
        return;
    note_access(slot, access);
    CHECK_EQ(*word, last ? object->last : object->first);
    if ((access & ASH_VM_WRITE) != 0)
        *word = *(last ? &object->last : &object->first) = next_value(world);
}

static void step_any(struct world *world, struct one *one);

/* In steps, and something else happens between them. */
static void step_fault(struct world *world, struct one *one) {
    uint32_t at = pick(world, world->slot_count);
    struct ash_vm_pending fault;
    if (world->pending != NULL)
        return;
    enum ash_vm_verdict verdict =
        ash_vm_fault_begin(&one->space, va_of(world, at) + 8, ASH_VM_WRITE | ASH_VM_USER, &fault);
    if (fault.bytes == 0) {
        CHECK(verdict != ASH_VM_NOMEM || world->bed->refused != world->refused);
        CHECK(verdict == ASH_VM_NOMEM ||
              (verdict == ASH_VM_SEGV) == !allows(&one->slots[at], ASH_VM_WRITE | ASH_VM_USER));
        return;
    }
    world->pending = &fault;
    bool early = pick(world, 2) == 0;
    if (early)
        ash_vm_fault_copy(&fault);
    struct one *other = pick_used(world);
    if (other != NULL)
        step_any(world, other);
    if (!early)
        ash_vm_fault_copy(&fault);
    world->refused = world->bed->refused;
    (void)ash_vm_fault_end(&fault);
    world->pending = NULL;
}

/* The kernel's accesses */

/* Bytes of [va, va + bytes) that the model allows, from its beginning; UINT64_MAX: a device's. */
static uint64_t reach(struct world *world, const struct one *one, ash_vaddr_t va, uint64_t bytes,
                      uint32_t access) {
    uint64_t done = 0;
    while (done < bytes) {
        uint32_t slot = va + done < va ? SLOTS : slot_of(world, va + done);
        if (slot != SLOTS && one->slots[slot].object != 0 &&
            object_at(world, one, slot)->device != 0)
            return UINT64_MAX;
        if (slot == SLOTS || !allows(&one->slots[slot], access))
            break;
        done += ash_min_u64(bytes - done, 4096 - ((va + done) & 4095));
    }
    return done;
}

/* The word of the model that [va, va + 8) is; NULL: none that it knows. */
static uint64_t *word_at(struct world *world, const struct one *one, ash_vaddr_t va) {
    uint32_t slot = slot_of(world, va), offset = (uint32_t)va & 4095;
    if (slot == SLOTS || (offset != 0 && offset != WORD_LAST))
        return NULL;
    struct object *object = object_at(world, one, slot);
    return offset == 0 ? &object->first : &object->last;
}

static ash_vaddr_t pick_copy(struct world *world, size_t *bytes) {
    static const uint16_t offsets[] = {0, WORD_LAST, 64, 4096 - 64};
    static const uint16_t sizes[] = {8, 16, 128, 4096, 4096 + 16, 2 * 4096 + 64};
    *bytes = sizes[pick(world, ASH_ARRAY_LEN(sizes))];
    if (pick(world, 12) == 0) { /* a hostile pointer */
        uint64_t end = world->ones[0].space.end;
        const uint64_t hostile[] = {
            UINT64_MAX - 7,   UINT64_MAX - 4095, end, end - 8, UINT64_C(0xffff000000000000),
            UINT64_C(1) << 63};
        return hostile[pick(world, ASH_ARRAY_LEN(hostile))];
    }
    return va_of(world, pick(world, world->slot_count)) +
           offsets[pick(world, ASH_ARRAY_LEN(offsets))];
}

static void step_copy(struct world *world, struct one *one) {
    static uint64_t buffer[3 * 512];
    size_t bytes, done = SIZE_MAX;
    bool out = pick(world, 3) != 0;
    ash_vaddr_t va = pick_copy(world, &bytes);
    uint64_t allowed =
        reach(world, one, va, bytes, ASH_VM_USER | (out ? ASH_VM_WRITE : ASH_VM_READ));
    if (allowed == UINT64_MAX)
        return;
    for (size_t i = 0; i < bytes / 8; i++)
        buffer[i] = out ? next_value(world) : 0;
    int result = out ? ash_vm_copy_out(&one->space, va, buffer, bytes, &done)
                     : ash_vm_copy_in(&one->space, buffer, va, bytes, &done);
    if (came_to(world, result, allowed == bytes ? 0 : -ASH_EFAULT) || result == -ASH_EFAULT)
        CHECK_EQ(done, allowed);
    CHECK(done <= allowed);
    for (size_t i = 0; i + 8 <= done; i += 8) {
        uint64_t *word = word_at(world, one, va + i);
        if (word == NULL)
            continue;
        note_access(&one->slots[slot_of(world, va + i)], out ? ASH_VM_WRITE : ASH_VM_READ);
        if (out)
            *word = buffer[i / 8];
        else
            CHECK_EQ(buffer[i / 8], *word);
    }
}

static void step_string(struct world *world, struct one *one) {
    char got[16];
    uint64_t words[2] = {0, 0};
    size_t length = SIZE_MAX, bytes = 1 + pick(world, 16);
    uint32_t slot = pick(world, world->slot_count);
    ash_vaddr_t va = va_of(world, slot) + WORD_LAST;
    uint64_t allowed = reach(world, one, va, bytes, ASH_VM_USER | ASH_VM_READ);
    if (allowed == UINT64_MAX)
        return;
    for (uint32_t i = 0; i < 2 && i * 8 < allowed; i++)
        words[i] = *word_at(world, one, va + i * 8);
    size_t wanted = 0;
    while (wanted < allowed && ((const char *)words)[wanted] != 0)
        wanted++;
    int expected = wanted < allowed ? 0 : allowed < bytes ? -ASH_EFAULT : -ASH_ENAMETOOLONG;
    int result = ash_vm_copy_string(&one->space, got, va, bytes, &length);
    if (!came_to(world, result, expected))
        return;
    CHECK_EQ(length, wanted);
    CHECK_MEM_EQ(got, words, wanted + 1);
}

static void step_pin(struct world *world, struct one *one) {
    struct pin *pin = &world->pins[pick(world, PINS)];
    struct bed *bed = world->bed;
    if (pin->address != 0) {
        struct object *object = &world->objects[pin->object];
        uint64_t *words = bed_at(bed, pin->address);
        CHECK_EQ(words[0], object->first); /* the device sees what programs wrote */
        CHECK_EQ(words[WORD_LAST / 8], object->last);
        words[0] = object->first = next_value(world); /* and they what it writes */
        if (pick(world, 2) == 0)
            return;
        world->held[(pin->address >> 12) - bed->config.first_frame]--;
        ash_vm_unpin(&bed->vm, pin->address);
        pin->address = 0;
        object->refs--;
        if (--object->pins == 0)
            object->pinned = 0;
        return;
    }
    uint32_t at = pick(world, world->slot_count);
    struct slot *slot = &one->slots[at];
    struct object *object = object_at(world, one, at);
    if (slot->object != 0 &&
        (object->device != 0 || object->shared || (slot->rights & ASH_VM_USER) == 0))
        return;
    ash_paddr_t address;
    int result = ash_vm_pin(&one->space, va_of(world, at),
                            pick(world, 2) == 0 ? ASH_VM_READ : ASH_VM_WRITE, &address);
    if (result == -ASH_ENOTSUP) {
        CHECK(bed_walk(bed, &one->space, va_of(world, at)).level != 0);
        return;
    }
    int expected = slot->object == 0                    ? -ASH_EFAULT
                   : (slot->rights & ASH_VM_WRITE) == 0 ? -ASH_EACCES
                                                        : 0;
    if (!came_to(world, result, expected))
        return;
    CHECK(object->pins == 0 || object->pinned == address);
    *pin = (struct pin){slot->object, address};
    object->pins++;
    object->was_pinned = true;
    object->refs++;
    object->pinned = address;
    world->held[(address >> 12) - bed->config.first_frame]++;
}

/* Arguments that nobody may take. */
static void step_wrong(struct world *world, struct one *one) {
    static const uint64_t sizes[] = {1, 4095, 4097, UINT64_MAX, UINT64_MAX - 4095};
    ash_vaddr_t va = va_of(world, pick(world, world->slot_count));
    uint64_t end = one->space.end, bytes = 4096, counted;
    switch (pick(world, 4)) {
    case 0:
        va += 1 + pick(world, 4095);
        break;
    case 1:
        bytes = sizes[pick(world, ASH_ARRAY_LEN(sizes))];
        break;
    case 2:
        va = end - 4096;
        bytes = 8192;
        break;
    default:
        va = pick(world, 2) == 0 ? end : UINT64_MAX - 4095;
    }
    struct ash_vm_space *space = &one->space;
    ash_paddr_t address = bed_at(world->bed, world->bed->config.first_frame << 12) == NULL
                              ? 0
                              : world->bed->config.first_frame << 12;
    CHECK_EQ(ash_vm_map(space, va, address, bytes, BED_R, 0), -ASH_EINVAL);
    CHECK_EQ(ash_vm_map_zero(space, va, bytes, BED_R), -ASH_EINVAL);
    CHECK_EQ(ash_vm_unmap(space, va, bytes), -ASH_EINVAL);
    CHECK_EQ(ash_vm_protect(space, va, bytes, BED_R), -ASH_EINVAL);
    CHECK_EQ(ash_vm_age(space, va, bytes, &counted), -ASH_EINVAL);
    CHECK_EQ(ash_vm_clean(space, va, bytes, &counted), -ASH_EINVAL);
}

/* Comparing */

static void check_slot(struct world *world, const struct one *one, uint32_t at) {
    static const uint32_t accesses[] = {ASH_VM_READ, ASH_VM_READ | ASH_VM_USER, ASH_VM_WRITE,
                                        ASH_VM_WRITE | ASH_VM_USER, ASH_VM_EXECUTE | ASH_VM_USER};
    const struct bed *bed = world->bed;
    const struct slot *slot = &one->slots[at];
    const struct object *object = &world->objects[slot->object];
    ash_vaddr_t va = va_of(world, at);
    ash_paddr_t address = 0;
    struct mmu_translation seen = bed_walk(bed, &one->space, va);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(accesses); i++) {
        int result = ash_vm_translate(&one->space, va, accesses[i], &address);
        bool allowed = allows(slot, accesses[i]);
        CHECK_EQ(result, slot->object == 0 ? -ASH_EFAULT : allowed ? 0 : -ASH_EACCES);
        CHECK(allowed || !seen.valid || !mmu_allows(seen.rights, accesses[i]));
    }
    if (slot->object == 0)
        return;
    CHECK(allows(slot, ASH_VM_READ));
    CHECK_EQ(ash_vm_translate(&one->space, va, ASH_VM_READ, &address), 0);
    CHECK(!seen.valid || seen.address == address);
    if (object->device != 0) {
        CHECK_EQ(address, object->device);
        return;
    }
    const uint64_t *words = bed_at(bed, address);
    CHECK_EQ(words[0], object->first);
    CHECK_EQ(words[WORD_LAST / 8], object->last);
    CHECK(object->pinned == 0 || object->pinned == address);
}

/* Runs of pages, from one end to the other: each page once, as the model has it. */
static void check_query(struct world *world, const struct one *one) {
    struct ash_vm_mapping run;
    struct ash_vm_usage usage;
    uint64_t pages = 0, mapped = 0;
    ash_paddr_t zero = world->bed->vm.zero_frame << 12;
    for (ash_vaddr_t va = one->space.begin;
         va < one->space.end && ash_vm_query(&one->space, va, &run); va = run.va + run.bytes) {
        CHECK(run.va >= va && run.bytes != 0 && run.bytes % 4096 == 0);
        pages += run.bytes >> 12;
        for (uint64_t i = 0; i < run.bytes; i += 4096) {
            uint32_t slot = slot_of(world, run.va + i);
            CHECK(slot != SLOTS && one->slots[slot].object != 0);
            CHECK_EQ(run.rights & ASH_VM_RIGHTS, one->slots[slot].rights);
            ash_paddr_t address;
            CHECK_EQ(ash_vm_translate(&one->space, run.va + i, ASH_VM_READ, &address), 0);
            CHECK_EQ(address, run.address == zero ? zero : run.address + i); /* all the same */
        }
    }
    for (uint32_t i = 0; i < world->slot_count; i++)
        mapped += one->slots[i].object != 0;
    CHECK_EQ(pages, mapped);
    ash_vm_get_usage(&one->space, &usage);
    CHECK_EQ(usage.resident_bytes, mapped << 12);
    CHECK(usage.own_bytes <= usage.resident_bytes && usage.own_tables <= usage.tables);
}

static void check_world(struct world *world, bool whole) {
    const struct ash_vm_space *spaces[SPACES];
    uint32_t count = 0, stride = whole || world->slot_count <= 64 ? 1 : 31;
    for (uint32_t i = 0; i < world->space_count; i++) {
        const struct one *one = &world->ones[i];
        if (one->used || one->ended)
            spaces[count++] = &one->space;
        for (uint32_t at = world->step % stride; one->used && at < world->slot_count; at += stride)
            check_slot(world, one, at);
        if (one->used && (whole || world->step % 16 == i))
            check_query(world, one);
    }
    if (world->pending == NULL && (whole || stride == 1 || world->step % 8 == 0))
        bed_check(world->bed, spaces, count, world->held);
    else
        bed_settled(world->bed, spaces, count);
}

/* The world */

static void make_windows(struct world *world) {
    const struct mmu_shape *shape = world->bed->shape;
    uint64_t block = UINT64_C(1) << shape->bits, end = ash_vm_format_end(shape->format);
    if (end >> 12 <= SLOTS) {
        world->windows[0] = (struct window){0, 0, (uint32_t)(end >> 12)};
        world->window_count = 1;
        world->slot_count = world->windows[0].count;
        return;
    }
    uint32_t middle = (uint32_t)(2 * block), ends = WINDOW_END_PAGES;
    ash_vaddr_t border = UINT64_C(1) << mmu_shift(shape, 2);
    world->windows[0] = (struct window){0, 0, ends};
    world->windows[1] = (struct window){border - (block << 12), ends, middle};
    world->windows[2] = (struct window){end - (ends << 12), ends + middle, ends};
    world->window_count = 3;
    world->slot_count = 2 * ends + middle;
}

static void make_world(struct world *world) {
    static const uint64_t flush_limits[] = {0, 1, 3, 64, 512};
    struct bed *bed = world->bed;
    const struct mmu_shape *shape = &mmu_shapes[pick(world, MMU_SHAPES)];
    bool small = shape->bits == 2;
    bed->config.flags = pick(world, 2) == 0 ? ASH_VM_SPLIT_HUGE : 0;
    bed->config.flush_pages_max = flush_limits[pick(world, ASH_ARRAY_LEN(flush_limits))];
    bed_restart(bed, shape, small ? 60 + pick(world, 340) : FRAMES - pick(world, 300));
    world->space_count =
        small ? 2 + pick(world, SPACES - 1) : 2 + pick(world, SPACES_MANY_PAGES - 1);
    make_windows(world);
}

static void step_any(struct world *world, struct one *one) {
    uint32_t what = pick(world, 64);
    world->refused = world->bed->refused;
    if (pick(world, 8) == 0) {
        world->bed->fail_at = world->bed->calls + 1 + pick(world, 8);
        world->bed->fails_on = pick(world, 2) == 0;
    }
    if (what < 12)
        step_map(world, one);
    else if (what < 16)
        step_unmap(world, one);
    else if (what < 20)
        step_protect(world, one);
    else if (what < 25)
        step_fork(world, one);
    else if (what < 42)
        step_access(world, one);
    else if (what < 45)
        step_fault(world, one);
    else if (what < 48)
        step_copy(world, one);
    else if (what < 49)
        step_string(world, one);
    else if (what < 52)
        step_pin(world, one);
    else if (what < 54)
        step_split(world, one);
    else if (what < 56)
        step_collapse(world, one);
    else if (what < 58)
        step_age(world, one);
    else if (what < 60)
        step_cache(world);
    else if (what < 61)
        step_wrong(world, one);
    else if (what < 63 && world->pending == NULL)
        step_exit(world, one);
    else
        step_reap(world);
    world->bed->fail_at = 0;
}

static void end_world(struct world *world) {
    struct bed *bed = world->bed;
    check_world(world, true);
    for (uint32_t i = 0; i < PINS; i++) {
        if (world->pins[i].address != 0)
            ash_vm_unpin(&bed->vm, world->pins[i].address);
    }
    for (uint32_t i = 0; i < world->space_count; i++) {
        struct one *one = &world->ones[i];
        if (one->used)
            step_exit(world, one);
        while (one->ended && ash_vm_reap(&one->space, 16))
            ;
    }
    for (uint32_t i = 0; i < CACHED; i++) {
        if (world->cached[i].first != 0)
            ash_vm_release(&bed->vm, world->cached[i].first, world->cached[i].order);
    }
    bed_end(bed);
}

static void run_world(struct world *world, struct bed *bed, struct choices *choices) {
    memset(world, 0, sizeof(*world));
    world->choices = choices;
    world->bed = bed;
    make_world(world);
    for (; choices_go_on(choices); world->step++) {
        struct one *one = pick_used(world);
        world->refused = world->bed->refused;
        if (one == NULL || pick(world, 24) == 0)
            step_begin(world);
        else
            step_any(world, one);
        check_world(world, false);
    }
    end_world(world);
}

void fuzz_vm(struct choices *choices) {
    struct bed *bed = bed_new(&mmu_shapes[0], FRAMES);
    run_world(test_alloc(sizeof(struct world), 64), bed, choices);
}

TEST_CASE(vm_fuzz, random_calls_in_every_format_match_a_model_without_tables) {
    enum { WORLDS = __STDC_HOSTED__ ? 60 : 8, STEPS = __STDC_HOSTED__ ? 250 : 80 };
    struct world *world = test_alloc(sizeof(*world), 64);
    struct bed *bed = bed_new(&mmu_shapes[0], FRAMES);
    for (uint32_t i = 0; i < WORLDS; i++) {
        struct choices choices = choices_of_seed(test_seed() * 1000 + i, STEPS);
        run_world(world, bed, &choices);
    }
}
