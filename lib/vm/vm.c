/* SPDX-License-Identifier: MIT */
/* vm.c: the public functions: what can be refused without knowing the format is refused here. */
#include "vm_internal.h"

#include <ashlar/check.h>
#include <ashlar/checked.h>

ASH_EVENT_DEFINE(event_copy, "vm.copy", "address:x,access:x");

static const struct ash_vm_format *format_of(const struct ash_vm_space *space) {
    return space->vm->config.format;
}

const char *ash_vm_format_name(const struct ash_vm_format *format) {
    return format->name;
}

ash_vaddr_t ash_vm_format_end(const struct ash_vm_format *format) {
    return format->end;
}

/* The machine */

static bool config_is_good(const struct ash_vm_config *config) {
    const struct ash_vm_frames *frames = &config->frames;
    const struct ash_vm_tlb *tlb = &config->tlb;
    if (config->format == NULL || frames->alloc == NULL || frames->free == NULL ||
        tlb->publish == NULL || tlb->flush_range == NULL || tlb->flush_asid == NULL ||
        tlb->flush_all == NULL)
        return false;
    /* Indices of frames are links of dead tables, and addresses must not wrap. */
    return (config->flags & ~(ASH_VM_ALLOW_WX | ASH_VM_SPLIT_HUGE)) == 0 &&
           config->frame_count != 0 && config->frame_count < ASH_VM_SATURATED &&
           config->first_frame <= (UINT64_MAX >> ASH_PAGE_SHIFT) - config->frame_count;
}

size_t ash_vm_storage_size(const struct ash_vm_config *config) {
    if (!config_is_good(config))
        return 0;
    return (size_t)ash_align_up(config->frame_count * sizeof(uint32_t), 8);
}

int ash_vm_init(struct ash_vm *vm, const struct ash_vm_config *config, void *storage,
                size_t storage_bytes) {
    size_t wanted = ash_vm_storage_size(config);
    if (wanted == 0 || storage == NULL || storage_bytes < wanted ||
        !ash_is_aligned((uintptr_t)storage, 8))
        return -ASH_EINVAL;
    *vm = (struct ash_vm){.config = *config, .counts = storage};
    __builtin_memset(storage, 0, wanted);
    if (config->frames.alloc(config->frames.context, 0, &vm->zero_frame) != 0)
        return -ASH_ENOMEM;
    ASH_REQUIRE(vm->zero_frame - config->first_frame < config->frame_count,
                "vm: the frame source gave frame %#llx, which is not among the counted ones",
                (unsigned long long)vm->zero_frame);
    __builtin_memset((void *)(config->direct_map + (uintptr_t)(vm->zero_frame << ASH_PAGE_SHIFT)),
                     0, ASH_PAGE_SIZE);
    vm->counts[vm->zero_frame - config->first_frame] = ASH_VM_SATURATED;
    return 0;
}

void ash_vm_fini(struct ash_vm *vm) {
    vm->counts[vm->zero_frame - vm->config.first_frame] = 0;
    vm->config.frames.free(vm->config.frames.context, vm->zero_frame, 0);
    vm->counts = NULL;
}

void ash_vm_stats_add(struct ash_vm_stats *sum, const struct ash_vm_stats *other) {
    uint64_t *to = (uint64_t *)sum;
    const uint64_t *from = (const uint64_t *)other;
    for (size_t i = 0; i < sizeof(*sum) / sizeof(*to); i++)
        to[i] += from[i];
}
_Static_assert(sizeof(struct ash_vm_stats) % sizeof(uint64_t) == 0, "nothing but counters");

void ash_vm_hold(struct ash_vm *vm, ash_pfn_t frame) {
    vm->config.format->hold(vm, frame);
}

void ash_vm_release(struct ash_vm *vm, ash_pfn_t frame, uint32_t order) {
    vm->config.format->release(vm, frame, order);
}

uint32_t ash_vm_count(const struct ash_vm *vm, ash_pfn_t frame) {
    return vm->config.format->count(vm, frame);
}

/* Address spaces */

/* Of the lower half, or of the upper one, whose last byte is the last there is. */
static bool limits_are_good(const struct ash_vm_format *format, ash_vaddr_t begin,
                            ash_vaddr_t end) {
    ash_vaddr_t last = end - 1;
    bool is_low = last < format->end, is_high = begin >= 0 - format->end;
    return begin <= last && (is_low || is_high) &&
           ash_is_aligned(begin | end, format->root_entry_bytes);
}

int ash_vm_space_init(struct ash_vm_space *space, struct ash_vm *vm, ash_vaddr_t begin,
                      ash_vaddr_t end) {
    const struct ash_vm_format *format = vm->config.format;
    if (begin == 0 && end == 0)
        end = format->end;
    if (!limits_are_good(format, begin, end))
        return -ASH_EINVAL;
    *space = (struct ash_vm_space){.vm = vm, .begin = begin, .end = end};
    return format->space_init(space);
}

void ash_vm_space_fini(struct ash_vm_space *space) {
    format_of(space)->space_fini(space);
}

bool ash_vm_reap(struct ash_vm_space *space, uint32_t tables) {
    return format_of(space)->reap(space, tables);
}

static bool space_has(const struct ash_vm_space *space, ash_vaddr_t va) {
    return va >= space->begin && va <= space->end - 1;
}

/* Whole pages, at least one, all of them the space's. */
static bool range_is_good(const struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes) {
    return bytes != 0 && ash_is_aligned(va | bytes, ASH_PAGE_SIZE) && space_has(space, va) &&
           bytes - 1 <= space->end - 1 - va;
}

static int check_rights(const struct ash_vm_space *space, uint32_t rights) {
    bool writes = (rights & ASH_VM_WRITE) != 0, executes = (rights & ASH_VM_EXECUTE) != 0;
    if ((writes || executes) && (rights & ASH_VM_READ) == 0)
        return -ASH_EACCES;
    if (executes && (rights & ASH_VM_DEVICE) != 0)
        return -ASH_EACCES;
    if (writes && executes && (space->vm->config.flags & ASH_VM_ALLOW_WX) == 0)
        return -ASH_EACCES;
    return 0;
}

int ash_vm_map(struct ash_vm_space *space, ash_vaddr_t va, ash_paddr_t address, uint64_t bytes,
               uint32_t rights, uint32_t flags) {
    const uint32_t all = ASH_VM_RIGHTS | ASH_VM_SHARED | ASH_VM_DEVICE | ASH_VM_GLOBAL;
    if (!range_is_good(space, va, bytes) || !ash_is_aligned(address, ASH_PAGE_SIZE) ||
        (rights & ~all) != 0 || (flags & ~ASH_VM_SMALL) != 0)
        return -ASH_EINVAL;
    int error = check_rights(space, rights);
    return error != 0 ? error : format_of(space)->map(space, va, address, bytes, rights, flags);
}

int ash_vm_map_zero(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint32_t rights) {
    if (!range_is_good(space, va, bytes) || (rights & ~(ASH_VM_RIGHTS | ASH_VM_GLOBAL)) != 0)
        return -ASH_EINVAL;
    int error = check_rights(space, rights);
    return error != 0 ? error : format_of(space)->map_zero(space, va, bytes, rights);
}

int ash_vm_unmap(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes) {
    if (!range_is_good(space, va, bytes))
        return -ASH_EINVAL;
    return format_of(space)->unmap(space, va, bytes);
}

int ash_vm_protect(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint32_t rights) {
    if (!range_is_good(space, va, bytes) || (rights & ~ASH_VM_RIGHTS) != 0)
        return -ASH_EINVAL;
    int error = check_rights(space, rights);
    return error != 0 ? error : format_of(space)->protect(space, va, bytes, rights);
}

int ash_vm_split(struct ash_vm_space *space, ash_vaddr_t va, uint32_t shift) {
    if (!space_has(space, va) || shift < ASH_PAGE_SHIFT)
        return -ASH_EINVAL;
    return format_of(space)->split(space, va, shift);
}

int ash_vm_collapse(struct ash_vm_space *space, ash_vaddr_t va) {
    if (!space_has(space, va))
        return -ASH_EINVAL;
    return format_of(space)->collapse(space, va);
}

/* Looking */

int ash_vm_translate(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                     ash_paddr_t *address) {
    return format_of(space)->translate(space, va, access, address);
}

bool ash_vm_query(const struct ash_vm_space *space, ash_vaddr_t va,
                  struct ash_vm_mapping *mapping) {
    return format_of(space)->query(space, va, mapping);
}

uint32_t ash_vm_walk(const struct ash_vm_space *space, ash_vaddr_t va,
                     struct ash_vm_step steps[ASH_VM_LEVELS_MAX]) {
    return format_of(space)->walk(space, va, steps);
}

void ash_vm_get_usage(const struct ash_vm_space *space, struct ash_vm_usage *usage) {
    format_of(space)->usage(space, usage);
}

int ash_vm_age(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint64_t *accessed) {
    if (!range_is_good(space, va, bytes))
        return -ASH_EINVAL;
    return format_of(space)->age(space, va, bytes, accessed);
}

int ash_vm_clean(struct ash_vm_space *space, ash_vaddr_t va, uint64_t bytes, uint64_t *dirty) {
    if (!range_is_good(space, va, bytes))
        return -ASH_EINVAL;
    return format_of(space)->clean(space, va, bytes, dirty);
}

/* fork, faults, access by the kernel */

int ash_vm_fork(struct ash_vm_space *child, struct ash_vm_space *parent, uint32_t flags) {
    if ((flags & ~ASH_VM_EAGER) != 0)
        return -ASH_EINVAL;
    return format_of(parent)->fork(child, parent, flags);
}

enum ash_vm_verdict ash_vm_fault(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access) {
    enum ash_vm_verdict verdict = format_of(space)->fault(space, va, access);
    if (verdict == ASH_VM_COPY)
        ASH_EVENT(event_copy, va, access);
    return verdict;
}

enum ash_vm_verdict ash_vm_fault_begin(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access,
                                       struct ash_vm_pending *pending) {
    return format_of(space)->fault_begin(space, va, access, pending);
}

void ash_vm_fault_copy(const struct ash_vm_pending *pending) {
    format_of(pending->space)->fault_copy(pending);
}

enum ash_vm_verdict ash_vm_fault_end(struct ash_vm_pending *pending) {
    ASH_REQUIRE(pending->bytes != 0, "vm: the end of a fault at %#llx that was answered before",
                (unsigned long long)pending->va);
    ash_vaddr_t va = pending->va;
    enum ash_vm_verdict verdict = format_of(pending->space)->fault_end(pending);
    if (verdict == ASH_VM_COPY)
        ASH_EVENT(event_copy, va, pending->access);
    return verdict;
}

int ash_vm_pin(struct ash_vm_space *space, ash_vaddr_t va, uint32_t access, ash_paddr_t *address) {
    return format_of(space)->pin(space, va, access, address);
}

void ash_vm_unpin(struct ash_vm *vm, ash_paddr_t address) {
    vm->config.format->unpin(vm, address);
}

int ash_vm_copy_in(struct ash_vm_space *space, void *to, ash_vaddr_t va, size_t bytes,
                   size_t *done) {
    return format_of(space)->copy_in(space, to, va, bytes, done);
}

int ash_vm_copy_out(struct ash_vm_space *space, ash_vaddr_t va, const void *from, size_t bytes,
                    size_t *done) {
    return format_of(space)->copy_out(space, va, from, bytes, done);
}

int ash_vm_copy_string(struct ash_vm_space *space, char *to, ash_vaddr_t va, size_t bytes,
                       size_t *length) {
    return format_of(space)->copy_string(space, to, va, bytes, length);
}

/* Checker */

const char *ash_vm_check(const struct ash_vm_space *space) {
    return format_of(space)->check(space);
}

const char *ash_vm_recount(const struct ash_vm *vm, const struct ash_vm_space *const *spaces,
                           uint32_t count, uint32_t *scratch) {
    return vm->config.format->recount(vm, spaces, count, scratch);
}
