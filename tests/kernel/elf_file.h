/* SPDX-License-Identifier: MIT */
/* elf_file.h: ELF files made byte by byte for tests: headers, and zeros behind them. */
#ifndef ASHLAR_TEST_ELF_FILE_H
#define ASHLAR_TEST_ELF_FILE_H

#include "kernel/elf.h"

#include "harness/test.h"

#include <ashlar/error.h>

enum { ELF_FILE_BYTES = 0x4000, ELF_FILE_MADE_BYTES = 0x1000, ELF_FILE_HEADERS = 64 };
enum { PT_LOAD = 1, PT_DYNAMIC = 2, PT_INTERP = 3 };
enum { PT_PHDR = 6, PT_TLS = 7, PF_X = 1, PF_W = 2, PF_R = 4 };
#define PT_GNU_STACK UINT32_C(0x6474e551)

struct elf_file {
    uint8_t bytes[ELF_FILE_MADE_BYTES]; /* the others are zeros */
    uint32_t headers;
    uint64_t fails_at; /* the offset whose read fails; UINT64_MAX: none */
    struct byte_source source;
};

struct elf_file_load {
    uint32_t kind, flags;
    uint64_t offset, address, file_bytes, bytes, alignment;
};

static inline void elf_put(uint8_t *at, uint32_t width, uint64_t value) {
    for (uint32_t i = 0; i < width; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static inline int elf_file_read(void *context, uint64_t offset, void *buffer, size_t len) {
    struct elf_file *file = context;
    CHECK(offset <= file->source.size_bytes && len <= file->source.size_bytes - offset);
    if (offset == file->fails_at)
        return -ASH_EIO;
    memset(buffer, 0, len);
    if (offset < ELF_FILE_MADE_BYTES)
        memcpy(buffer, file->bytes + offset, ash_min_u64(len, ELF_FILE_MADE_BYTES - offset));
    return 0;
}

/* A header: an aarch64 ET_EXEC (2) or ET_DYN (3) without program headers. */
static inline void elf_file_begin(struct elf_file *file, uint32_t type, uint64_t entry) {
    memset(file->bytes, 0, sizeof(file->bytes));
    file->headers = 0;
    file->fails_at = UINT64_MAX;
    file->source = (struct byte_source){elf_file_read, file, ELF_FILE_BYTES};
    memcpy(file->bytes, "\177ELF\2\1\1", 7);
    elf_put(file->bytes + 16, 2, type);
    elf_put(file->bytes + 18, 2, 183);
    elf_put(file->bytes + 20, 4, 1);
    elf_put(file->bytes + 24, 8, entry);
    elf_put(file->bytes + 32, 8, ELF_FILE_HEADERS);
    elf_put(file->bytes + 52, 2, 64);
    elf_put(file->bytes + 54, 2, 56);
}

static inline uint8_t *elf_file_add(struct elf_file *file, struct elf_file_load load) {
    uint8_t *header = file->bytes + ELF_FILE_HEADERS + 56 * file->headers++;
    elf_put(header, 4, load.kind);
    elf_put(header + 4, 4, load.flags);
    elf_put(header + 8, 8, load.offset);
    elf_put(header + 16, 8, load.address);
    elf_put(header + 24, 8, load.address);
    elf_put(header + 32, 8, load.file_bytes);
    elf_put(header + 40, 8, load.bytes);
    elf_put(header + 48, 8, load.alignment);
    elf_put(file->bytes + 56, 2, file->headers);
    return header;
}

/* A program as linkers make them: code at `base` with the headers, data a page and a bit behind. */
static inline void elf_file_make(struct elf_file *file, uint32_t type, uint64_t base) {
    elf_file_begin(file, type, base + 0x200);
    elf_file_add(file,
                 (struct elf_file_load){PT_LOAD, PF_R | PF_X, 0, base, 0x1234, 0x1234, 65536});
    elf_file_add(file, (struct elf_file_load){PT_LOAD, PF_R | PF_W, 0x1808, base + 0x11808, 0x100,
                                              0x2000, 65536});
}

#endif
