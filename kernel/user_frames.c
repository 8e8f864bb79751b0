/* SPDX-License-Identifier: MIT */
/* user_frames.c: see user_frames.h. */
#include "user_frames.h"

#include <ashlar/error.h>

#include "platform/user.h"

static struct {
    struct ash_vm vm;
    struct kernel_memory *memory;
    void *storage;
    uint32_t storage_order;
} frames;

struct ash_vm *user_frames_vm(void) {
    return &frames.vm;
}

void *user_frame_pointer(ash_pfn_t frame) {
    return frames.memory->view.pointer((ash_paddr_t)frame << ASH_PAGE_SHIFT);
}

/* The source of lib/vm. The buddy takes parts of a block back as they come. */

static int frame_alloc(void *context, uint32_t order, ash_pfn_t *first) {
    (void)context;
    void *page = memory_pages_alloc(frames.memory, order);
    if (page == NULL)
        return -ASH_ENOMEM;
    *first = frames.memory->view.address(page) >> ASH_PAGE_SHIFT;
    return 0;
}

static void frame_free(void *context, ash_pfn_t first, uint32_t order) {
    (void)context;
    memory_pages_free(frames.memory, user_frame_pointer(first), order);
}

bool user_frame_alloc(ash_pfn_t *frame) {
    return frame_alloc(NULL, 0, frame) == 0;
}

void user_frame_free(ash_pfn_t frame) {
    frame_free(NULL, frame, 0);
}

bool user_block_alloc(ash_pfn_t *first) {
    return frame_alloc(NULL, USER_BLOCK_ORDER, first) == 0;
}

void user_block_free(ash_pfn_t first) {
    frame_free(NULL, first, USER_BLOCK_ORDER);
}

/* TLBs */

static void publish(void *context) {
    (void)context;
    platform_tlb_publish();
}

static void flush_range(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                        uint32_t shift, bool leaf_only) {
    (void)context;
    platform_tlb_flush_range(asid, va, count, shift, leaf_only);
}

static void flush_asid(void *context, uint32_t asid) {
    (void)context;
    platform_tlb_flush_asid(asid);
}

static void flush_all(void *context) {
    (void)context;
    platform_tlb_flush_all();
}

static void page_copy(void *to, const void *from) {
    platform_page_copy(to, from);
}

/* Start */

enum { FLUSH_PAGES_MAX = 512 }; /* more cost more, one by one, than the misses after all of them */

static struct ash_vm_config config_of(const struct kernel_memory *memory) {
    const struct platform_range *first = &memory->ranges[0];
    const struct platform_range *last = &memory->ranges[memory->range_count - 1];
    return (struct ash_vm_config){
        .format = &ash_vm_vmsa4k,
        .direct_map = (uintptr_t)memory->view.pointer(first->base) - (uintptr_t)first->base,
        .first_frame = first->base >> ASH_PAGE_SHIFT,
        .frame_count = (last->base + last->size_bytes - first->base) >> ASH_PAGE_SHIFT,
        .frames = {.alloc = frame_alloc, .free = frame_free},
        .tlb = {publish, flush_range, flush_asid, flush_all, NULL},
        .flush_pages_max = FLUSH_PAGES_MAX,
        .page_copy = page_copy,
        .page_zero = platform_page_zero,
    };
}

int user_frames_init(struct kernel_memory *memory) {
    const struct ash_vm_config config = config_of(memory);
    size_t bytes = ash_vm_storage_size(&config);
    frames.memory = memory;
    frames.storage_order = memory_order_of(bytes);
    frames.storage = memory_pages_alloc(memory, frames.storage_order);
    if (frames.storage == NULL)
        return -ASH_ENOMEM;
    int error = ash_vm_init(&frames.vm, &config, frames.storage, bytes);
    if (error != 0)
        memory_pages_free(memory, frames.storage, frames.storage_order);
    return error;
}

void user_frames_fini(void) {
    ash_vm_fini(&frames.vm);
    memory_pages_free(frames.memory, frames.storage, frames.storage_order);
}
