/* SPDX-License-Identifier: MIT */
/*
 * file_pages.c: see file_pages.h. The mutex is held for no read of a file: two may read the same
 * page then, and the second one takes the first one's.
 */
#include "file_pages.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <ashlar/list.h>
#include <string.h>

#include "mutex.h"
#include "platform/user.h"
#include "user_frames.h"

enum { CHAINS = 256 }; /* a power of two */

struct file_page_note {
    struct ash_list link;
    const struct file_node *node;
    uint64_t index;
    ash_pfn_t frame;
    bool is_code; /* the instruction cache knows it */
};

static struct {
    struct mutex mutex;
    struct kernel_memory *memory;
    struct file_system *fs;
    struct ash_list chains[CHAINS];
    uint32_t count;
    uint32_t given; /* references that callers of get have; one more only with the mutex */
} pages;

static struct ash_list *chain_of(const struct file_node *node, uint64_t index) {
    uint64_t hash = ((uintptr_t)node / 64 + index) * UINT64_C(0x9e3779b97f4a7c15); /* 2^64 / phi */
    return &pages.chains[hash >> 56];
}

/* The mutex is held. */
static struct file_page_note *find(const struct file_node *node, uint64_t index) {
    struct ash_list *chain = chain_of(node, index), *link;
    for (link = chain->next; link != chain; link = link->next) {
        struct file_page_note *note = ASH_LIST_ENTRY(link, struct file_page_note, link);
        if (note->node == node && note->index == index)
            return note;
    }
    return NULL;
}

static void give_out(struct file_page_note *note, bool is_code, ash_pfn_t *frame) {
    if (is_code && !note->is_code)
        platform_code_written(user_frame_pointer(note->frame), ASH_PAGE_SIZE);
    note->is_code = note->is_code || is_code;
    ash_vm_hold(user_frames_vm(), note->frame);
    ash_fetch_add(&pages.given, 1u);
    *frame = note->frame;
}

void file_pages_put(ash_pfn_t frame) {
    ash_vm_release(user_frames_vm(), frame, 0);
    ash_fetch_add(&pages.given, UINT32_MAX);
}

static int read_page(struct file_node *node, uint64_t index, ash_pfn_t *frame) {
    struct file_info info;
    uint64_t offset = index << ASH_PAGE_SHIFT;
    size_t got = 0;
    pages.fs->describe(pages.fs, node, &info);
    if (offset >= info.size_bytes)
        return -ASH_ERANGE;
    if (!user_frame_alloc(frame))
        return -ASH_ENOMEM;
    uint8_t *bytes = user_frame_pointer(*frame);
    size_t want = (size_t)ash_min_u64(ASH_PAGE_SIZE, info.size_bytes - offset);
    int error = pages.fs->read(pages.fs, node, offset, bytes, want, &got);
    if (error == 0 && got != want)
        error = -ASH_EIO;
    if (error == 0)
        memset(bytes + want, 0, ASH_PAGE_SIZE - want);
    else
        user_frame_free(*frame);
    return error;
}

/* The mutex is held, and the page is not there. */
static void enter(struct file_page_note *note, const struct file_node *node, uint64_t index,
                  ash_pfn_t frame) {
    *note = (struct file_page_note){.node = node, .index = index, .frame = frame};
    ash_vm_hold(user_frames_vm(), frame);
    ash_list_push_front(chain_of(node, index), &note->link);
    pages.count++;
}

static int read_and_enter(struct file_node *node, uint64_t index, bool is_code, ash_pfn_t *frame) {
    ash_pfn_t read;
    struct file_page_note *room = ash_kmalloc(&pages.memory->heap, sizeof(*room));
    int error = room == NULL ? -ASH_ENOMEM : read_page(node, index, &read);
    if (error != 0) {
        ash_kfree(&pages.memory->heap, room);
        return error;
    }
    mutex_lock(&pages.mutex);
    struct file_page_note *other = find(node, index);
    if (other == NULL) {
        enter(room, node, index, read);
        give_out(room, is_code, frame);
        room = NULL;
    } else {
        give_out(other, is_code, frame);
    }
    mutex_unlock(&pages.mutex);
    if (room != NULL) {
        user_frame_free(read);
        ash_kfree(&pages.memory->heap, room);
    }
    return 0;
}

int file_pages_get(struct file_node *node, uint64_t index, bool is_code, ash_pfn_t *frame) {
    mutex_lock(&pages.mutex);
    struct file_page_note *note = find(node, index);
    if (note != NULL)
        give_out(note, is_code, frame);
    mutex_unlock(&pages.mutex);
    return note != NULL ? 0 : read_and_enter(node, index, is_code, frame);
}

/* The mutex is held: where this one is the only reference nobody can make another without it. */
static uint32_t trim(void) {
    uint32_t given = 0;
    for (uint32_t i = 0; i < CHAINS; i++) {
        struct ash_list *chain = &pages.chains[i], *next;
        for (struct ash_list *link = chain->next; link != chain; link = next) {
            struct file_page_note *note = ASH_LIST_ENTRY(link, struct file_page_note, link);
            next = link->next;
            if (ash_vm_count(user_frames_vm(), note->frame) != 1)
                continue;
            ash_vm_release(user_frames_vm(), note->frame, 0);
            ash_list_remove(link);
            ash_kfree(&pages.memory->heap, note);
            given++;
        }
    }
    pages.count -= given;
    return given;
}

uint32_t file_pages_trim(void) {
    mutex_lock(&pages.mutex);
    uint32_t given = trim();
    mutex_unlock(&pages.mutex);
    return given;
}

/* From within an allocation: perhaps one that is made here. */
static uint32_t trim_if_free(void) {
    if (!mutex_trylock(&pages.mutex))
        return 0;
    uint32_t given = trim();
    mutex_unlock(&pages.mutex);
    return given;
}

void file_pages_init(struct kernel_memory *memory, struct file_system *fs) {
    mutex_init(&pages.mutex);
    pages.memory = memory;
    pages.fs = fs;
    pages.count = 0;
    for (uint32_t i = 0; i < CHAINS; i++)
        ash_list_init(&pages.chains[i]);
    memory->trim = trim_if_free;
}

void file_pages_fini(void) {
    pages.memory->trim = NULL;
    (void)file_pages_trim();
}

bool file_pages_recount(uint32_t *scratch, ash_pfn_t first_frame) {
    mutex_lock(&pages.mutex);
    for (uint32_t i = 0; i < CHAINS; i++) {
        struct ash_list *chain = &pages.chains[i];
        for (struct ash_list *link = chain->next; link != chain; link = link->next)
            scratch[ASH_LIST_ENTRY(link, struct file_page_note, link)->frame - first_frame]++;
    }
    return ash_load_acquire(&pages.given) == 0;
}

void file_pages_go_on(void) {
    mutex_unlock(&pages.mutex);
}
