/* SPDX-License-Identifier: MIT */
/*
 * gather.h: what an operation has to flush, noted on its stack while it breaks entries, and flushed
 * once. Only then are references dropped: to the frames, and to the tables, which walks may have
 * cached.
 */

#define GATHER_RANGES 16u

struct gather_range {
    ash_vaddr_t va;
    uint64_t count; /* of 1 << shift bytes */
    uint32_t shift;
    bool leaf_only;
};

struct gather {
    struct ash_vm_space *space;
    uint32_t used;
    bool is_whole; /* too much to say: the address space */
    uint64_t count;
    struct gather_range ranges[GATHER_RANGES];
};

static void gather_init(struct gather *gather, struct ash_vm_space *space) {
    gather->space = space;
    gather->used = 0;
    gather->is_whole = false;
    gather->count = 0;
}

/* The last range grows over [va, + count << shift) if that begins in it or right behind it. */
static bool gather_merge(struct gather *gather, const struct gather_range *more) {
    if (gather->used == 0)
        return false;
    struct gather_range *range = &gather->ranges[gather->used - 1];
    uint64_t offset = (more->va - range->va) >> range->shift;
    if (range->shift != more->shift || offset > range->count)
        return false;
    uint64_t count = ash_max_u64(range->count, offset + more->count);
    gather->count += count - range->count;
    range->count = count;
    range->leaf_only &= more->leaf_only;
    return true;
}

/* leaf_only: no table's entry in it has changed; a table's needs one address below it, no more. */
static void gather_add(struct gather *gather, ash_vaddr_t va, uint64_t count, uint32_t shift,
                       bool leaf_only) {
    if (!gather->space->is_live || gather->is_whole)
        return;
    struct gather_range more = {va, count, shift, leaf_only};
    if (!gather_merge(gather, &more)) {
        if (gather->used == GATHER_RANGES) {
            gather->is_whole = true;
            return;
        }
        gather->ranges[gather->used++] = more;
        gather->count += count;
    }
    gather->is_whole = gather->count > gather->space->vm->config.flush_pages_max;
}

/* What the CPU knows it by: the low bits, whatever their generation. Another CPU may just give it a
 * new one: who reads it has stored its entries before, so that CPU's walks see them. */
static inline uint32_t asid_number(const struct ash_vm_space *space) {
    ash_fence();
    return (uint32_t)(ash_load_relaxed(&space->asid) & ASH_VM_ASID_NUMBER);
}

/* Global translations have no ASID: those of a space that has some go only with all. */
static void flush_space(struct ash_vm_space *space) {
    const struct ash_vm_tlb *tlb = &space->vm->config.tlb;
    space->stats.flushes_asid++;
    if (space->has_global)
        tlb->flush_all(tlb->context);
    else
        tlb->flush_asid(tlb->context, asid_number(space));
}

static void gather_flush(struct gather *gather) {
    struct ash_vm_space *space = gather->space;
    const struct ash_vm_tlb *tlb = &space->vm->config.tlb;
    if (gather->is_whole) {
        flush_space(space);
    } else {
        for (uint32_t i = 0; i < gather->used; i++) {
            const struct gather_range *range = &gather->ranges[i];
            tlb->flush_range(tlb->context, asid_number(space), range->va, range->count,
                             range->shift, range->leaf_only);
        }
        space->stats.flushes_range += gather->used;
    }
    gather_init(gather, space);
}

/* What was empty is mapped: walks see it from here on. */
static void publish(struct ash_vm_space *space) {
    const struct ash_vm_tlb *tlb = &space->vm->config.tlb;
    if (space->is_live)
        tlb->publish(tlb->context);
}
