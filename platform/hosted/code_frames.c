/* SPDX-License-Identifier: MIT */
/*
 * code_frames.c: platform_code_frames of sample.h: .eh_frame of the executable and of the libraries
 * in its process, as their program headers tell (Linux Standard Base Core 5.0, 10.6).
 */
#include <link.h>
#include <string.h>

#include "sample.h"

/* Of .eh_frame_hdr, 10.6.2: how it writes the address of .eh_frame; as all linkers do. */
enum { HEADER_VERSION = 1, POINTER_TO_POSITION_4 = 0x1b, HEADER_POINTER = 4 };

struct asked {
    uint32_t left; /* images with frames before the one that is asked for */
    uint64_t start, end;
    const uint8_t *frames;
    size_t len;
};

static const ElfW(Phdr) * find_header(const struct dl_phdr_info *image, uint32_t type) {
    for (uint32_t i = 0; i < image->dlpi_phnum; i++) {
        if (image->dlpi_phdr[i].p_type == type)
            return &image->dlpi_phdr[i];
    }
    return NULL;
}

/* The loaded segment with this address: its end; 0: there is none. */
static uint64_t segment_end(const struct dl_phdr_info *image, uint64_t address) {
    for (uint32_t i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &image->dlpi_phdr[i];
        uint64_t start = image->dlpi_addr + header->p_vaddr;
        if (header->p_type == PT_LOAD && address >= start && address - start < header->p_memsz)
            return start + header->p_memsz;
    }
    return 0;
}

static bool find_frames(const struct dl_phdr_info *image, struct asked *asked) {
    const ElfW(Phdr) *header = find_header(image, PT_GNU_EH_FRAME);
    int32_t offset;
    if (header == NULL || header->p_memsz < HEADER_POINTER + sizeof(offset))
        return false;
    uint64_t at = image->dlpi_addr + header->p_vaddr;
    const uint8_t *bytes = (const uint8_t *)(uintptr_t)at;
    if (bytes[0] != HEADER_VERSION || bytes[1] != POINTER_TO_POSITION_4)
        return false;
    memcpy(&offset, bytes + HEADER_POINTER, sizeof(offset));
    uint64_t frames = at + HEADER_POINTER + (uint64_t)(int64_t)offset;
    uint64_t end = segment_end(image, frames);
    asked->frames = (const uint8_t *)(uintptr_t)frames;
    asked->len = end == 0 ? 0 : (size_t)(end - frames);
    return end != 0;
}

static void find_code(const struct dl_phdr_info *image, struct asked *asked) {
    asked->start = UINT64_MAX;
    asked->end = 0;
    for (uint32_t i = 0; i < image->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &image->dlpi_phdr[i];
        uint64_t start = image->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || (header->p_flags & PF_X) == 0)
            continue;
        asked->start = ash_min_u64(asked->start, start);
        asked->end = ash_max_u64(asked->end, start + header->p_memsz);
    }
}

/* The executable is the first one that it is called with. */
static int look(struct dl_phdr_info *image, size_t size, void *context) {
    struct asked *asked = context;
    (void)size;
    if (!find_frames(image, asked) || asked->left-- != 0)
        return 0;
    find_code(image, asked);
    return 1;
}

bool platform_code_frames(uint32_t i, uint64_t *start, uint64_t *end, const uint8_t **frames,
                          size_t *len) {
    struct asked asked = {.left = i};
    if (dl_iterate_phdr(look, &asked) == 0)
        return false;
    *start = asked.start;
    *end = asked.end;
    *frames = asked.frames;
    *len = asked.len;
    return true;
}
