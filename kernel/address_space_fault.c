/* SPDX-License-Identifier: MIT */
/* address_space_fault.c: pages that come when they are touched, by a program or by the kernel. See
 * address_space.h. */
#include <ashlar/error.h>
#include <ashlar/event.h>
#include <ashlar/port.h>

#include "address_space_internal.h"
#include "file_pages.h"
#include "prof_regions.h"
#include "user_frames.h"

ASH_EVENT_DEFINE_KIND(event_begin, ASH_EVENT_BEGIN, "fault", "address:x,access:x");
ASH_EVENT_DEFINE_KIND(event_end, ASH_EVENT_END, "fault", "address:x,verdict");

enum { LOOKS_MAX = 64 }; /* at a page that others change meanwhile */

/* What is not said yet: look again. */
#define AGAIN 1

static enum address_space_fault fault_of(int error) {
    switch (error) {
    case 0:
        return ADDRESS_SPACE_GOOD;
    case -ASH_ENOMEM:
        return ADDRESS_SPACE_NOMEM;
    case -ASH_ERANGE:
        return ADDRESS_SPACE_BEYOND;
    case -ASH_EFAULT:
        return ADDRESS_SPACE_MAPERR;
    case -ASH_EACCES:
        return ADDRESS_SPACE_ACCERR;
    default:
        return ADDRESS_SPACE_IO;
    }
}

/* Locked: */

static int map_frame(struct address_space *space, const struct region *region, uint64_t page,
                     ash_pfn_t frame) {
    uint32_t shared = region->flags & REGION_SHARED ? ASH_VM_SHARED : 0;
    return ash_vm_map(&space->pages, page, (ash_paddr_t)frame << ASH_PAGE_SHIFT, ASH_PAGE_SIZE,
                      region->rights | ASH_VM_USER | shared, ASH_VM_SMALL);
}

/* [block, + 2 MiB) is in the region, and nothing is there yet. */
static bool has_room_for_block(const struct address_space *space, const struct region *region,
                               uint64_t block) {
    struct ash_vm_mapping next;
    if ((region->flags & (REGION_HUGE | REGION_SHARED)) != REGION_HUGE || block < region->start ||
        block + USER_BLOCK_BYTES > region->end)
        return false;
    return !ash_vm_query(&space->pages, block, &next) || next.va >= block + USER_BLOCK_BYTES;
}

/* False: pages will do. */
static bool bring_block(struct address_space *space, const struct region *region, uint64_t page) {
    uint64_t block = ash_align_down(page, USER_BLOCK_BYTES);
    ash_pfn_t first;
    if (!has_room_for_block(space, region, block) || !user_block_alloc(&first))
        return false;
    uint8_t *bytes = user_frame_pointer(first);
    for (size_t at = 0; at < USER_BLOCK_BYTES; at += ASH_PAGE_SIZE)
        platform_page_zero(bytes + at);
    if (ash_vm_map(&space->pages, block, (ash_paddr_t)first << ASH_PAGE_SHIFT, USER_BLOCK_BYTES,
                   region->rights | ASH_VM_USER, 0) == 0)
        return true;
    user_block_free(first);
    return false;
}

static int bring_zeroes(struct address_space *space, const struct region *region, uint64_t page,
                        uint32_t access) {
    ash_pfn_t frame;
    if (bring_block(space, region, page))
        return 0;
    if (access != ASH_VM_WRITE)
        return ash_vm_map_zero(&space->pages, page, ASH_PAGE_SIZE, region->rights | ASH_VM_USER);
    if (!user_frame_alloc(&frame))
        return -ASH_ENOMEM;
    platform_page_zero(user_frame_pointer(frame));
    int error = map_frame(space, region, page, frame);
    if (error != 0)
        user_frame_free(frame);
    return error;
}

/* A page of a file, and whether it is still what is wanted. */
struct wanted {
    struct file_node *node;
    uint64_t index;
    bool is_code;
};

static struct wanted wanted_of(const struct region *region, uint64_t page) {
    return (struct wanted){.node = region->node,
                           .index = (region->offset + (page - region->start)) >> ASH_PAGE_SHIFT,
                           .is_code = (region->rights & ASH_VM_EXECUTE) != 0};
}

/* The lock is dropped meanwhile; AGAIN: and what was there then may be something else. */
static int bring_file(struct address_space *space, const struct region *region, uint64_t page) {
    const struct wanted wanted = wanted_of(region, page);
    ash_pfn_t frame;
    ash_paddr_t unused;
    mutex_unlock(&space->mutex);
    int error = file_pages_get(wanted.node, wanted.index, wanted.is_code, &frame);
    mutex_lock(&space->mutex);
    if (error != 0)
        return error;
    region = region_find(&space->regions, page);
    if (region != NULL && region->start <= page && region->kind == REGION_FILE) {
        const struct wanted now = wanted_of(region, page);
        bool is_mapped = ash_vm_translate(&space->pages, page, ASH_VM_READ, &unused) == 0;
        if (now.node == wanted.node && now.index == wanted.index && now.is_code == wanted.is_code &&
            region->rights != 0 && !is_mapped)
            error = map_frame(space, region, page, frame);
    }
    file_pages_put(frame);
    return error == 0 ? AGAIN : error;
}

/* Once: what the tables say, what the regions say, what is to come. */
static int look(struct address_space *space, uint64_t address, uint32_t access) {
    uint64_t page = ash_align_down(address, ASH_PAGE_SIZE);
    const struct region *region = region_find(&space->regions, address);
    if (region == NULL || region->start > address)
        return -ASH_EFAULT;
    if ((region->rights & access) == 0)
        return -ASH_EACCES;
    switch (ash_vm_fault(&space->pages, address, access | ASH_VM_USER)) {
    case ASH_VM_SEGV:
        break;
    case ASH_VM_NOMEM:
        return -ASH_ENOMEM;
    default:
        return 0;
    }
    return region->kind == REGION_FILE ? bring_file(space, region, page)
                                       : bring_zeroes(space, region, page, access);
}

static int bring(struct address_space *space, uint64_t address, uint32_t access) {
    int result = AGAIN;
    bool has_trimmed = false;
    mutex_lock(&space->mutex);
    for (uint32_t i = 0; i < LOOKS_MAX && result == AGAIN; i++) {
        result = look(space, address, access);
        if (result == -ASH_ENOMEM && !has_trimmed) {
            has_trimmed = true;
            mutex_unlock(&space->mutex);
            if (file_pages_trim() != 0)
                result = AGAIN;
            mutex_lock(&space->mutex);
        }
    }
    mutex_unlock(&space->mutex);
    return result;
}

enum address_space_fault address_space_fault(struct address_space *space, uint64_t address,
                                             uint32_t access) {
    int result = AGAIN;
    ASH_EVENT(event_begin, address, access);
    PROF_REGION("page fault") {
        result = bring(space, address, access);
    }
    enum address_space_fault verdict = result == AGAIN ? ADDRESS_SPACE_NOMEM : fault_of(result);
    ASH_EVENT(event_end, address, verdict);
    return verdict;
}

/* The kernel's access */

/* Between [buffer, buffer + bytes) and the program's: false: not the whole way; *done: how far. */
struct transfer {
    void *to;
    const void *from; /* NULL: out of the program's memory */
    uint64_t va;
    size_t bytes;
};

static int transfer_some(struct address_space *space, const struct transfer *transfer,
                         size_t *done) {
    mutex_lock(&space->mutex);
    int error =
        transfer->from == NULL
            ? ash_vm_copy_in(&space->pages, transfer->to, transfer->va, transfer->bytes, done)
            : ash_vm_copy_out(&space->pages, transfer->va, transfer->from, transfer->bytes, done);
    mutex_unlock(&space->mutex);
    return error;
}

static void go_on(struct transfer *transfer, size_t done) {
    if (transfer->from == NULL)
        transfer->to = (uint8_t *)transfer->to + done;
    else
        transfer->from = (const uint8_t *)transfer->from + done;
    transfer->va += done;
    transfer->bytes -= done;
}

/* A page came for the access at va: then it is there, or something changes it without end. */
static int bring_for_kernel(struct address_space *space, uint64_t va, uint32_t access) {
    switch (address_space_fault(space, va, access)) {
    case ADDRESS_SPACE_GOOD:
        return 0;
    case ADDRESS_SPACE_NOMEM:
        return -ASH_ENOMEM;
    default:
        return -ASH_EFAULT;
    }
}

static int transfer_all(struct address_space *space, struct transfer *transfer) {
    uint32_t access = transfer->from == NULL ? ASH_VM_READ : ASH_VM_WRITE;
    if (transfer->va >= ADDRESS_SPACE_TOP || transfer->bytes > ADDRESS_SPACE_TOP - transfer->va)
        return transfer->bytes == 0 ? 0 : -ASH_EFAULT;
    for (uint32_t stuck = 0; stuck < LOOKS_MAX; stuck++) {
        size_t done = 0;
        int error = transfer_some(space, transfer, &done);
        if (error == 0)
            return 0;
        if (done != 0)
            stuck = 0;
        go_on(transfer, done);
        error = bring_for_kernel(space, transfer->va, access);
        if (error != 0)
            return error;
    }
    return -ASH_EFAULT;
}

int user_read(struct address_space *space, void *to, uint64_t from, size_t bytes) {
    struct transfer transfer = {.to = to, .va = from, .bytes = bytes};
    return transfer_all(space, &transfer);
}

int user_write(struct address_space *space, uint64_t to, const void *from, size_t bytes) {
    struct transfer transfer = {.from = from, .va = to, .bytes = bytes};
    return transfer_all(space, &transfer);
}

size_t user_ready(struct address_space *space, uint64_t to, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        uint64_t address = to + at;
        ash_paddr_t unused;
        mutex_lock(&space->mutex);
        int error =
            address >= ADDRESS_SPACE_TOP
                ? -ASH_EFAULT
                : ash_vm_translate(&space->pages, address, ASH_VM_WRITE | ASH_VM_USER, &unused);
        mutex_unlock(&space->mutex);
        if (error != 0 && address_space_fault(space, address, ASH_VM_WRITE) != ADDRESS_SPACE_GOOD)
            return at;
        at += (size_t)ash_min_u64(ASH_PAGE_SIZE - (address & (ASH_PAGE_SIZE - 1)), bytes - at);
    }
    return bytes;
}

void user_write_if(struct address_space *space, uint64_t to, const void *from, size_t bytes) {
    int error = user_write(space, to, from, bytes);
    (void)error;
}

/* Page by page: what is behind the NUL need not be there. */
int64_t user_string(struct address_space *space, char *to, uint64_t from, size_t bytes) {
    for (size_t at = 0; at < bytes;) {
        size_t page = ASH_PAGE_SIZE - ((from + at) & (ASH_PAGE_SIZE - 1));
        size_t len = (size_t)ash_min_u64(page, bytes - at);
        int error = user_read(space, to + at, from + at, len);
        if (error != 0)
            return error;
        for (size_t end = at + len; at < end; at++) {
            if (to[at] == '\0')
                return (int64_t)at;
        }
    }
    return -ASH_ENAMETOOLONG;
}
