/* SPDX-License-Identifier: MIT */
/*
 * elf_names.h: what an ELF file says about its code for people: which build it is, what its
 * functions are called, and how its frames are unwound (.eh_frame). Of 64-bit little-endian files
 * whose header elf.h takes; a stripped one has fewer or none of these.
 *
 * Rules
 *  - Nothing in the file is trusted: what does not lie inside of it, or is none, is not there.
 *  - Pure: no memory but the caller's; it waits only where the source's read does.
 *
 * Formats: System V ABI, gABI draft of 2013, "Sections", "Symbol Table", "Note Section".
 */
#ifndef KERNEL_ELF_NAMES_H
#define KERNEL_ELF_NAMES_H

#include "file_system.h"

enum {
    ELF_BUILD_ID_BYTES = 32,   /* of it; a longer one is none */
    ELF_FUNCTIONS_MAX = 65536, /* of more, the first ones */
    ELF_SYMBOLS_MAX = 1 << 18, /* looked at, of all kinds */
    ELF_NAME_BYTES = 128,      /* a longer one is cut */
    ELF_FRAMES_BYTES_MAX = 1 << 22,
};

/* The build-id's length, 0: it has none; or an error of the source's read. */
int elf_build_id(const struct byte_source *file, uint8_t id[ELF_BUILD_ID_BYTES]) ASH_MUST_CHECK;

/* Bytes of the file; 0 of them: there is no such section. */
struct elf_section {
    uint64_t offset, bytes, address;
};

struct elf_names {
    struct elf_section symbols, strings; /* .symtab and its names */
    struct elf_section frames;           /* .eh_frame */
};

/* 0; -ASH_EINVAL: its table of sections is damaged; or an error of the source's read. */
int elf_names_find(const struct byte_source *file, struct elf_names *names) ASH_MUST_CHECK;

struct elf_function {
    uint64_t start, end;
    uint64_t name; /* its offset in the file */
};

/* As many functions as there may be. */
uint32_t elf_functions_max(const struct elf_names *names);

/* The functions, at most `max`, sorted and disjoint: of several names for one place, one is taken,
 * always the same. *count of them. An error of the source's read. O(n log n). */
int elf_functions(const struct byte_source *file, const struct elf_names *names,
                  struct elf_function *functions, uint32_t max, uint32_t *count) ASH_MUST_CHECK;

/* The function that has an address; none: `start` and `end` are 0. */
struct elf_place {
    uint64_t address;
    struct elf_function function;
};

/* Of each place, the function, the one that elf_functions would say; without memory. One that has
 * no size reaches to the next. An error of the source's read. O(symbols * count). */
int elf_functions_at(const struct byte_source *file, const struct elf_names *names,
                     struct elf_place *places, uint32_t count) ASH_MUST_CHECK;

/* Its name, "" where that is damaged. An error of the source's read. */
int elf_function_name(const struct byte_source *file, const struct elf_names *names,
                      const struct elf_function *function,
                      char name[ELF_NAME_BYTES]) ASH_MUST_CHECK;

#endif
