/* SPDX-License-Identifier: MIT */
/* bed.c: see bed.h. */
#include "vm/bed.h"

#include <ashlar/port.h>

enum { FAULTS_MAX = 4 };

/* Physical memory begins here: no frame has number 0, and the arena need not be aligned. */
#define FIRST_FRAME (UINT64_C(1) << 19) /* 2 GiB */

/* Frames */

static bool is_free(const struct bed *bed, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++) {
        if (first + i >= bed->frames || bed->piece[first + i] != BED_FREE)
            return false;
    }
    return true;
}

static bool take(struct bed *bed, uint64_t count, uint64_t align, uint8_t piece, ash_pfn_t *first) {
    uint64_t from = ash_align_up(bed->next, align);
    for (uint64_t tried = 0; tried <= bed->frames; tried += align, from += align) {
        if (from + count > bed->frames)
            from = 0;
        if (!is_free(bed, from, count))
            continue;
        memset(bed->piece + from, piece, count);
        bed->used += count;
        bed->next = count == 1 ? from + 1 : bed->next;
        *first = FIRST_FRAME + from;
        return true;
    }
    return false;
}

static int source_alloc(void *context, uint32_t order, ash_pfn_t *first) {
    struct bed *bed = context;
    ash_spin_lock(&bed->lock);
    uint64_t call = ++bed->calls;
    bool fails =
        bed->fail_at != 0 && (call == bed->fail_at || (bed->fails_on && call > bed->fail_at));
    uint64_t count = UINT64_C(1) << order;
    bool taken = !fails && take(bed, count, count, (uint8_t)order, first);
    bed->refused += !taken;
    ash_spin_unlock(&bed->lock);
    return taken ? 0 : -ASH_ENOMEM;
}

static void source_free(void *context, ash_pfn_t first, uint32_t order) {
    struct bed *bed = context;
    uint64_t count = UINT64_C(1) << order, from = first - FIRST_FRAME;
    CHECK(first >= FIRST_FRAME && from + count <= bed->frames);
    CHECK((first & (count - 1)) == 0);
    if (bed->watch.freed != NULL)
        bed->watch.freed(bed->watch.context, first, count);
    memset(bed->memory + (from << 12), BED_POISON, count << 12);
    ash_spin_lock(&bed->lock);
    for (uint64_t i = from; i < from + count; i++) {
        CHECK(bed->piece[i] != BED_FREE); /* twice */
        CHECK(bed->piece[i] <= order);    /* a part of what was allocated whole */
        bed->piece[i] = BED_FREE;
    }
    bed->used -= count;
    ash_spin_unlock(&bed->lock);
}

static void source_split(void *context, ash_pfn_t first, uint32_t order, uint32_t into) {
    struct bed *bed = context;
    uint64_t count = UINT64_C(1) << order, from = first - FIRST_FRAME;
    ash_spin_lock(&bed->lock);
    for (uint64_t i = from; i < from + count; i++) {
        CHECK(bed->piece[i] != BED_FREE && bed->piece[i] <= order);
        bed->piece[i] = bed->piece[i] < into ? bed->piece[i] : (uint8_t)into;
    }
    ash_spin_unlock(&bed->lock);
}

static void source_join(void *context, ash_pfn_t first, uint32_t order, uint32_t from) {
    struct bed *bed = context;
    uint64_t count = UINT64_C(1) << order, at = first - FIRST_FRAME;
    ash_spin_lock(&bed->lock);
    for (uint64_t i = at; i < at + count; i++) {
        CHECK(bed->piece[i] == from);
        bed->piece[i] = (uint8_t)order;
    }
    ash_spin_unlock(&bed->lock);
}

bool bed_take(struct bed *bed, uint64_t count, uint64_t align, ash_pfn_t *first) {
    ash_spin_lock(&bed->lock);
    bool taken = take(bed, count, align, 0, first);
    ash_spin_unlock(&bed->lock);
    if (taken)
        memset(bed_at(bed, *first << 12), 0, count << 12);
    return taken;
}

void bed_give(struct bed *bed, ash_pfn_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        source_free(bed, first + i, 0);
}

void *bed_at(const struct bed *bed, ash_paddr_t address) {
    CHECK(address >= FIRST_FRAME << 12 && address < (FIRST_FRAME + bed->frames) << 12);
    return bed->memory + (address - (FIRST_FRAME << 12));
}

/* TLBs */

static void publish(void *context) {
    struct bed *bed = context;
    ash_fetch_add(&bed->publishes, UINT64_C(1));
}

static void flush_range(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                        uint32_t shift, bool leaf_only) {
    struct bed *bed = context;
    ash_fetch_add(&bed->range_flushes, UINT64_C(1));
    ash_fetch_add(&bed->flushed_pages, count);
    if (bed->watch.flush_range != NULL)
        bed->watch.flush_range(bed->watch.context, asid, va, count, shift, leaf_only);
}

static void flush_asid(void *context, uint32_t asid) {
    struct bed *bed = context;
    ash_fetch_add(&bed->asid_flushes, UINT64_C(1));
    if (bed->watch.flush_asid != NULL)
        bed->watch.flush_asid(bed->watch.context, asid);
}

static void flush_all(void *context) {
    struct bed *bed = context;
    ash_fetch_add(&bed->all_flushes, UINT64_C(1));
    if (bed->watch.flush_asid != NULL)
        bed->watch.flush_asid(bed->watch.context, UINT32_MAX);
}

/* The machine */

struct bed *bed_new(const struct mmu_shape *shape, uint64_t frames) {
    struct bed *bed = test_alloc(sizeof(*bed), 64);
    bed->shape = shape;
    bed->frames = frames;
    bed->memory = test_alloc(frames << 12, 4096);
    bed->piece = test_alloc(frames, 1);
    bed->config = (struct ash_vm_config){
        .format = shape->format,
        .direct_map = (uintptr_t)bed->memory - (uintptr_t)(FIRST_FRAME << 12),
        .first_frame = FIRST_FRAME,
        .frame_count = frames,
        .frames = {source_alloc, source_free, source_split, source_join, bed},
        .tlb = {publish, flush_range, flush_asid, flush_all, bed},
        .flush_pages_max = 64,
    };
    bed->storage = test_alloc(ash_vm_storage_size(&bed->config), 8);
    bed->scratch = test_alloc(ash_vm_storage_size(&bed->config), 8);
    return bed;
}

void (*bed_on_start)(struct bed *bed);

void bed_start(struct bed *bed) {
    memset(bed->memory, BED_POISON, bed->frames << 12);
    memset(bed->piece, BED_FREE, bed->frames);
    bed->used = bed->next = bed->calls = bed->refused = bed->fail_at = 0;
    bed->storage_bytes = ash_vm_storage_size(&bed->config);
    CHECK(bed->storage_bytes >= bed->frames * sizeof(uint32_t));
    CHECK_EQ(ash_vm_init(&bed->vm, &bed->config, bed->storage, bed->storage_bytes), 0);
    if (bed_on_start != NULL)
        bed_on_start(bed);
}

void bed_restart(struct bed *bed, const struct mmu_shape *shape, uint64_t frames) {
    bed->shape = shape;
    bed->frames = frames;
    bed->config.format = shape->format;
    bed->config.frame_count = frames;
    bed_start(bed);
}

struct bed *bed_started(const struct mmu_shape *shape, uint64_t frames) {
    struct bed *bed = bed_new(shape, frames);
    bed_start(bed);
    return bed;
}

void bed_end(struct bed *bed) {
    ash_vm_fini(&bed->vm);
    CHECK_EQ(bed->used, 0);
}

/* Spaces */

bool bed_space(struct bed *bed, struct ash_vm_space *space) {
    int result = ash_vm_space_init(space, &bed->vm, 0, 0);
    CHECK(result == 0 || result == -ASH_ENOMEM);
    if (result == 0)
        bed_live(bed, space);
    return result == 0;
}

void bed_live(struct bed *bed, struct ash_vm_space *space) {
    space->asid = ash_fetch_add(&bed->next_asid, 1u) + 1;
    space->is_live = true;
}

void bed_space_fini(struct bed *bed, struct ash_vm_space *space) {
    if (bed->watch.ended != NULL)
        bed->watch.ended(bed->watch.context, space);
    ash_vm_space_fini(space);
}

void bed_space_end(struct bed *bed, struct ash_vm_space *space) {
    bed_space_fini(bed, space);
    while (ash_vm_reap(space, 16))
        ;
}

/* The CPU */

struct mmu_translation bed_walk(const struct bed *bed, const struct ash_vm_space *space,
                                ash_vaddr_t va) {
    return mmu_walk(bed->shape, bed->config.direct_map, space->root, va);
}

void *bed_access(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                 enum ash_vm_verdict *verdict) {
    const struct bed_watch *watch = &bed->watch;
    for (uint32_t faults = 0;; faults++) {
        struct mmu_translation to = bed_walk(bed, space, va);
        bool allowed = to.valid && mmu_allows(to.rights, access);
        bool stopped =
            allowed && watch->stops != NULL && watch->stops(watch->context, space, va, access);
        if (allowed && !stopped) {
            mmu_note(bed->shape, &to, access);
            return bed_at(bed, to.address);
        }
        CHECK(faults < FAULTS_MAX);
        enum ash_vm_verdict said = ash_vm_fault(space, va, access);
        CHECK_EQ(said == ASH_VM_SPURIOUS, stopped);
        if (verdict != NULL)
            *verdict = said;
        if (said == ASH_VM_SEGV || said == ASH_VM_NOMEM)
            return NULL;
    }
}

void bed_write(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va, uint64_t value) {
    uint64_t *word = bed_access(bed, space, va, ASH_VM_WRITE | ASH_VM_USER, NULL);
    CHECK(word != NULL);
    *word = value;
}

uint64_t bed_read(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va) {
    const uint64_t *word = bed_access(bed, space, va, ASH_VM_READ | ASH_VM_USER, NULL);
    CHECK(word != NULL);
    return *word;
}

void bed_map(struct bed *bed, struct ash_vm_space *space, ash_vaddr_t va, uint64_t pages,
             uint32_t rights, uint32_t flags, uint64_t value) {
    ash_pfn_t first;
    uint64_t block = bed_block_pages(bed);
    uint64_t align = pages >= block && (flags & ASH_VM_SMALL) == 0 ? block : 1;
    CHECK(bed_take(bed, pages, align, &first));
    for (uint64_t i = 0; i < pages; i++)
        *(uint64_t *)bed_at(bed, (first + i) << 12) = value + i;
    CHECK_EQ(ash_vm_map(space, va, first << 12, pages << 12, rights, flags), 0);
}

void bed_settled(struct bed *bed, const struct ash_vm_space *const *spaces, uint32_t count) {
    if (bed->watch.checked != NULL)
        bed->watch.checked(bed->watch.context, spaces, count);
}

void bed_check(struct bed *bed, const struct ash_vm_space *const *spaces, uint32_t count,
               const uint32_t *held) {
    static const char nothing[] = "";
    for (uint32_t i = 0; i < count; i++) {
        /* One that has ended has but tables to be reaped. */
        const char *broken = spaces[i]->root != 0 ? ash_vm_check(spaces[i]) : NULL;
        CHECK_STR_EQ(broken == NULL ? nothing : broken, nothing);
    }
    memset(bed->scratch, 0, bed->storage_bytes);
    for (uint64_t i = 0; held != NULL && i < bed->frames; i++)
        bed->scratch[i] = held[i];
    const char *broken = ash_vm_recount(&bed->vm, spaces, count, bed->scratch);
    CHECK_STR_EQ(broken == NULL ? nothing : broken, nothing);
    bed_settled(bed, spaces, count);
}
