/* SPDX-License-Identifier: MIT */
/*
 * watch.c: the worst TLBs that the manuals allow, and a reader of every store to a table. The
 * library is compiled with ASH_VM_HOOKS for it, and each case of this program runs under its eyes.
 *
 * A TLB keeps all that it ever read under an ASID, leaves and, for the walks to come, tables, until
 * it is flushed; and reads on through tables that it still has, whatever is in them now. Found are:
 *
 *  - an operation that is over, and a translation that gives more than the tables do, another frame
 *    or another memory type, or that stops an access for ever;
 *  - a frame that is freed, or has lost a reference of the space at work, and is in a TLB still;
 *  - a valid entry that becomes another valid one, but for rights (break-before-make: Arm ARM
 *    D8.14.1), or is made while what it was is in a TLB;
 *  - a store to a table that others refer to, too, which does more than to take rights away;
 *  - a table that can be reached and holds what the frame source left in it.
 */
#include "vm/watch.h"

#include "vm/bed.h"

enum { SPACES = 16, VAS = 64, KEPT = 12, COUNTS = 4096 };

struct kept {
    bool table;
    ash_paddr_t address; /* of the table; or of the page of that address, also within a block */
    uint32_t rights, memory;
};

/* What a TLB has of one address: by the level at which it was read. */
struct line {
    uint32_t count;
    struct kept kept[KEPT];
};

struct tlb {
    const struct ash_vm_space *space; /* NULL: free */
    uint64_t asid;
    struct line lines[VAS][ASH_VM_LEVELS_MAX];
};

static struct {
    struct bed *bed;
    const struct ash_vm_space *acting; /* the last that stored, and where */
    ash_vaddr_t acting_va;
    uint32_t acting_level;
    ash_vaddr_t vas[VAS]; /* that are looked at */
    uint32_t va_count;
    struct tlb tlbs[SPACES];
    uint32_t counts[COUNTS]; /* as they were at the last event */
    struct watch_totals totals;
} watch;

const struct watch_totals *watch_totals(void) {
    return &watch.totals;
}

static uint64_t size_of(uint32_t level) {
    return UINT64_C(1) << mmu_shift(watch.bed->shape, level);
}

static bool covers(ash_vaddr_t base, uint32_t level, ash_vaddr_t va) {
    return ((base ^ va) & ~(size_of(level) - 1)) == 0;
}

static struct tlb *tlb_of(const struct ash_vm_space *space) {
    struct tlb *unused = NULL;
    for (uint32_t i = 0; i < SPACES; i++) {
        struct tlb *tlb = &watch.tlbs[i];
        if (tlb->space == space && tlb->asid == space->asid)
            return tlb;
        if (tlb->space == NULL)
            unused = tlb;
    }
    if (unused == NULL)
        return NULL;
    memset(unused, 0, sizeof(*unused));
    unused->space = space;
    unused->asid = space->asid;
    return unused;
}

/* Reading */

static void keep(struct line *line, const struct kept *kept) {
    for (uint32_t i = 0; i < line->count; i++) {
        const struct kept *old = &line->kept[i];
        if (old->table == kept->table && old->address == kept->address &&
            old->rights == kept->rights && old->memory == kept->memory)
            return;
    }
    if (line->count < KEPT)
        line->kept[line->count++] = *kept;
}

/* All walks for one address: by the root, and by every table that is remembered. */
static void read_all(struct tlb *tlb, uint32_t at) {
    const struct bed *bed = watch.bed;
    const struct mmu_shape *shape = bed->shape;
    struct line from = {1, {{true, tlb->space->root, MMU_ALL, 0}}};
    for (uint32_t level = shape->levels; level-- > 0;) {
        struct line *line = &tlb->lines[at][level];
        for (uint32_t i = 0; i < from.count; i++) {
            if (!from.kept[i].table)
                continue;
            const uint64_t *table = bed_at(bed, from.kept[i].address);
            uint64_t value =
                __atomic_load_n(&table[mmu_index(shape, level, watch.vas[at])], __ATOMIC_ACQUIRE);
            struct mmu_entry entry = shape->decode(value, level);
            if (!entry.valid)
                continue;
            ash_vaddr_t within = entry.table ? 0 : watch.vas[at] & (size_of(level) - 1);
            keep(line, &(struct kept){entry.table, entry.address + within,
                                      from.kept[i].rights & entry.rights, entry.memory});
        }
        from = *line;
    }
}

static void read_range(ash_vaddr_t va, uint32_t level) {
    for (uint32_t i = 0; i < SPACES; i++) {
        struct tlb *tlb = &watch.tlbs[i];
        for (uint32_t at = 0; tlb->space != NULL && at < watch.va_count; at++) {
            if (covers(va, level, watch.vas[at]))
                read_all(tlb, at);
        }
    }
}

/* Judging */

/* What the tables say at this level of an address; false: nothing. */
static bool now_at(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t level,
                   struct kept *now) {
    const struct mmu_shape *shape = watch.bed->shape;
    *now = (struct kept){true, space->root, MMU_ALL, 0};
    for (uint32_t at = shape->levels; at-- > level;) {
        const uint64_t *table = bed_at(watch.bed, now->address);
        struct mmu_entry entry =
            shape->decode(__atomic_load_n(&table[mmu_index(shape, at, va)], __ATOMIC_ACQUIRE), at);
        if (!entry.valid || (!entry.table && at != level))
            return false;
        ash_vaddr_t within = entry.table ? 0 : va & (size_of(at) - 1);
        *now = (struct kept){entry.table, entry.address + within, now->rights & entry.rights,
                             entry.memory};
    }
    return true;
}

static bool is_same(const struct kept *kept, const struct kept *now) {
    return kept->table == now->table && kept->address == now->address &&
           kept->memory == now->memory;
}

typedef void (*judge_t)(const struct tlb *tlb, uint32_t at, uint32_t level, const struct kept *kept,
                        const void *context);

static void each_kept(const struct tlb *tlb, judge_t judge, const void *context) {
    for (uint32_t at = 0; at < watch.va_count; at++) {
        for (uint32_t level = 0; level < watch.bed->shape->levels; level++) {
            const struct line *line = &tlb->lines[at][level];
            for (uint32_t i = 0; i < line->count; i++)
                judge(tlb, at, level, &line->kept[i], context);
        }
    }
}

static void found(const char *what, const struct tlb *tlb, uint32_t at, uint32_t level,
                  const struct kept *kept) {
    test_fail(__FILE__, __LINE__, "%s: ASID %u, %#llx at level %u: %s %#llx, rights %u", what,
              (uint32_t)tlb->asid, (unsigned long long)watch.vas[at], level,
              kept->table ? "table" : "page", (unsigned long long)kept->address, kept->rights);
}

static void judge_over(const struct tlb *tlb, uint32_t at, uint32_t level, const struct kept *kept,
                       const void *context) {
    struct kept now;
    (void)context;
    watch.totals.judged++;
    if (!now_at(tlb->space, watch.vas[at], level, &now) || !is_same(kept, &now))
        found("still in a TLB", tlb, at, level, kept);
    if ((kept->rights & ~now.rights) != 0)
        found("more rights in a TLB than in the tables", tlb, at, level, kept);
}

struct frames {
    ash_pfn_t first;
    uint64_t count;
};

static void judge_freed(const struct tlb *tlb, uint32_t at, uint32_t level, const struct kept *kept,
                        const void *context) {
    const struct frames *frames = context;
    if ((kept->address >> 12) - frames->first < frames->count)
        found("freed, and in a TLB", tlb, at, level, kept);
}

/* A reference less, and this may have been it. */
static void judge_dropped(const struct tlb *tlb, uint32_t at, uint32_t level,
                          const struct kept *kept, const void *context) {
    struct kept now;
    ash_pfn_t frame = kept->address >> 12;
    uint64_t index = frame - watch.bed->config.first_frame;
    (void)context;
    if (index >= watch.bed->frames || watch.bed->vm.counts[index] >= watch.counts[index])
        return;
    if (!now_at(tlb->space, watch.vas[at], level, &now) || !is_same(kept, &now))
        found("given up, and in a TLB", tlb, at, level, kept);
}

/* Made, and what it was before is in a TLB. */
static void judge_made(const struct tlb *tlb, uint32_t at, uint32_t level, const struct kept *kept,
                       const void *context) {
    struct kept now;
    (void)context;
    if (!covers(watch.acting_va, watch.acting_level, watch.vas[at]))
        return;
    if (now_at(tlb->space, watch.vas[at], level, &now) && !is_same(kept, &now))
        found("made before the flush of what it was", tlb, at, level, kept);
}

/* Between two stores, or before a flush: of the space at work. */
static void event(void) {
    const struct ash_vm_space *space = watch.acting;
    size_t bytes = watch.bed->frames * sizeof(uint32_t);
    if (space != NULL && space->is_live) {
        struct tlb *tlb = tlb_of(space);
        if (tlb != NULL) {
            if (memcmp(watch.counts, watch.bed->vm.counts, bytes) != 0)
                each_kept(tlb, judge_dropped, NULL);
            each_kept(tlb, judge_made, NULL);
        }
    }
    memcpy(watch.counts, watch.bed->vm.counts, bytes);
}

/* Stores */

static uint32_t count_of(ash_paddr_t address) {
    return ash_vm_count(&watch.bed->vm, address >> 12);
}

/* Whether another space may read the table, too: it or one above it has several references. */
static bool is_shared(const struct ash_vm_space *space, uint32_t level, ash_vaddr_t va,
                      ash_paddr_t table) {
    struct kept above = {true, space->root, MMU_ALL, 0};
    for (uint32_t at = watch.bed->shape->levels - 1; at > level; at--) {
        if (count_of(above.address) > 1)
            return true;
        if (!now_at(space, va, at, &above))
            break; /* broken above: it is not seen yet */
    }
    return count_of(table) > 1;
}

static void check_new_table(const struct mmu_entry *entry) {
    const uint64_t *words = bed_at(watch.bed, entry->address);
    uint64_t poison;
    memset(&poison, BED_POISON, sizeof(poison));
    for (uint32_t i = 0; i < 1u << watch.bed->shape->bits; i++)
        CHECK(words[i] != poison);
}

static void check_store(const struct ash_vm_space *space, uint32_t level, ash_vaddr_t va,
                        const uint64_t *at, uint64_t before, uint64_t after) {
    const struct mmu_shape *shape = watch.bed->shape;
    ash_paddr_t table = ((uintptr_t)at - watch.bed->config.direct_map) & ~UINT64_C(4095);
    struct mmu_entry old = shape->decode(before, level), new = shape->decode(after, level);
    bool same = old.valid && new.valid &&old.table == new.table &&old.address ==
                                 new.address &&old.memory == new.memory &&old.global == new.global;
    uint32_t gained = new.rights & ~old.rights;
    watch.totals.stores++;
    CHECK(!(old.valid && new.valid) || same || !space->is_live); /* break before make */
    if (is_shared(space, level, va, table)) {
        watch.totals.shared_stores++;
        CHECK((old.valid == new.valid &&before == after) || (same && gained == 0));
    }
    if (new.valid &&new.table && !same)
        check_new_table(&new);
}

void ash__vm_on_store(struct ash_vm_space *space, uint32_t level, ash_vaddr_t va, uint64_t *entry,
                      uint64_t before, uint64_t after);
void ash__vm_on_store(struct ash_vm_space *space, uint32_t level, ash_vaddr_t va, uint64_t *entry,
                      uint64_t before, uint64_t after) {
    event();
    watch.acting = space;
    watch.acting_va = va;
    watch.acting_level = level;
    check_store(space, level, va, entry, before, after);
    /* It may be read as it was to the last, and as it is from the first on. */
    read_range(va, level);
    __atomic_store_n(entry, after, __ATOMIC_RELEASE);
    read_range(va, level);
}

/* What the bed tells */

static void on_freed(void *context, ash_pfn_t first, uint64_t count) {
    const struct frames frames = {first, count};
    (void)context;
    for (uint32_t i = 0; i < SPACES; i++) {
        if (watch.tlbs[i].space != NULL)
            each_kept(&watch.tlbs[i], judge_freed, &frames);
    }
}

static void on_flush_asid(void *context, uint32_t asid) {
    (void)context;
    event();
    for (uint32_t i = 0; i < SPACES; i++) {
        struct tlb *tlb = &watch.tlbs[i];
        if (tlb->space != NULL && (asid == UINT32_MAX || (uint32_t)tlb->asid == asid))
            memset(tlb->lines, 0, sizeof(tlb->lines));
    }
}

/* Whether the flush of [va, + count << shift), address by address, meets [base, + bytes). */
static bool meets(ash_vaddr_t va, uint64_t count, uint32_t shift, ash_vaddr_t base,
                  uint64_t bytes) {
    uint64_t k = base <= va ? 0 : (base - va + (UINT64_C(1) << shift) - 1) >> shift;
    ash_vaddr_t first = va + (k << shift);
    return k < count && first >= base && first - base < bytes;
}

static void on_flush_range(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                           uint32_t shift, bool leaf_only) {
    (void)context;
    event();
    for (uint32_t i = 0; i < SPACES * VAS * ASH_VM_LEVELS_MAX; i++) {
        struct tlb *tlb = &watch.tlbs[i / (VAS * ASH_VM_LEVELS_MAX)];
        uint32_t at = i / ASH_VM_LEVELS_MAX % VAS, level = i % ASH_VM_LEVELS_MAX;
        struct line *line = &tlb->lines[at][level];
        if (tlb->space == NULL || (uint32_t)tlb->asid != asid || line->count == 0)
            continue;
        ash_vaddr_t base = watch.vas[at] & ~(size_of(level) - 1);
        if (!meets(va, count, shift, base, size_of(level)))
            continue;
        uint32_t left = 0;
        for (uint32_t j = 0; j < line->count; j++) {
            /* By its size a leaf of another is not found; nor is a table by leaves. */
            bool stays =
                leaf_only && (line->kept[j].table || mmu_shift(watch.bed->shape, level) != shift);
            if (stays)
                line->kept[left++] = line->kept[j];
        }
        line->count = left;
    }
}

/* Has it a page for the address that lacks a right? */
static bool has_less(const struct tlb *tlb, uint32_t at, uint32_t access) {
    for (uint32_t level = 0; level < watch.bed->shape->levels; level++) {
        const struct line *line = &tlb->lines[at][level];
        for (uint32_t i = 0; i < line->count; i++) {
            if (!line->kept[i].table && !mmu_allows(line->kept[i].rights, access))
                return true;
        }
    }
    return false;
}

static bool on_access(void *context, const struct ash_vm_space *space, ash_vaddr_t va,
                      uint32_t access) {
    (void)context;
    if (!space->is_live)
        return false;
    struct tlb *tlb = tlb_of(space);
    for (uint32_t at = 0; tlb != NULL && at < watch.va_count; at++) {
        if (!covers(va, 0, watch.vas[at]))
            continue;
        read_all(tlb, at); /* also by tables that it remembers */
        if (has_less(tlb, at, access)) {
            watch.totals.stops++;
            return true;
        }
    }
    return false;
}

static void on_checked(void *context, const struct ash_vm_space *const *spaces, uint32_t count) {
    (void)context;
    event();
    watch.acting = NULL;
    for (uint32_t i = 0; i < SPACES; i++) {
        if (watch.tlbs[i].space != NULL)
            each_kept(&watch.tlbs[i], judge_over, NULL);
    }
    for (uint32_t i = 0; i < count; i++) {
        struct tlb *tlb = spaces[i]->is_live && spaces[i]->root != 0 ? tlb_of(spaces[i]) : NULL;
        for (uint32_t at = 0; tlb != NULL && at < watch.va_count; at++)
            read_all(tlb, at);
    }
}

static void on_ended(void *context, const struct ash_vm_space *space) {
    (void)context;
    for (uint32_t i = 0; i < SPACES; i++) {
        if (watch.tlbs[i].space == space)
            watch.tlbs[i].space = NULL;
    }
    watch.acting = watch.acting == space ? NULL : watch.acting;
}

/* All pages of the toys; of the others the ends of the space and both sides of each border of a
 * table around 1 GiB. */
static void choose_addresses(const struct mmu_shape *shape) {
    static const int16_t middle[] = {-512, -511, -256, -2, -1, 0, 1, 2, 255, 510, 511};
    uint64_t end = ash_vm_format_end(shape->format);
    watch.va_count = 0;
    if (end >> 12 <= VAS) {
        for (; watch.va_count < end >> 12; watch.va_count++)
            watch.vas[watch.va_count] = (ash_vaddr_t)watch.va_count << 12;
        return;
    }
    for (uint32_t i = 0; i < 4; i++) {
        watch.vas[watch.va_count++] = (ash_vaddr_t)i << 12;
        watch.vas[watch.va_count++] = end - ((ash_vaddr_t)(i + 1) << 12);
    }
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(middle); i++)
        watch.vas[watch.va_count++] = (UINT64_C(1) << 30) + (uint64_t)((int64_t)middle[i] * 4096);
}

static void on_start(struct bed *bed) {
    struct watch_totals totals = watch.totals;
    CHECK(bed->frames <= COUNTS);
    memset(&watch, 0, sizeof(watch));
    watch.totals = totals;
    watch.bed = bed;
    memcpy(watch.counts, bed->vm.counts, bed->frames * sizeof(uint32_t));
    choose_addresses(bed->shape);
    bed->watch = (struct bed_watch){on_freed,  on_flush_range, on_flush_asid, on_checked,
                                    on_access, on_ended,       NULL};
}

void watch_install(void) {
    bed_on_start = on_start;
}
