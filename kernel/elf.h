/* SPDX-License-Identifier: MIT */
/*
 * elf.h: what an ELF file says about the memory that its program wants: for statically linked
 * programs of 64-bit little-endian ARM, linked at their addresses (ET_EXEC) or anywhere (ET_DYN,
 * "static PIE"). Reads the file's header and its program headers, and nothing else of it.
 *
 * Rules
 *  - Nothing in the file is trusted. An image that is given out is sound: its segments are whole
 *    pages, in order, apart from each other, inside the limits below, none of them both writable
 *    and executable, what they take from the file lies inside of it, and the entry in one that is
 *    executable.
 *  - Pure: no memory but the caller's; it waits only where the source's read does.
 *  - Program headers other than PT_LOAD, PT_INTERP, PT_PHDR and PT_GNU_STACK are the program's own
 *    business (its C library reads PT_TLS, PT_DYNAMIC and PT_GNU_RELRO itself).
 *
 * Formats: System V ABI, edition 4.1 with the gABI draft of 2013, "Object Files" and "Program
 * Loading"; ELF for the Arm 64-bit Architecture, 2022Q3.
 *
 *     the file                          memory (add a base of `alignment` for an ET_DYN)
 *     +-----------------+ 0             +------------------+ start = low
 *     | header          | ------------> | r-x              |
 *     | program headers |               |                  | headers, entry
 *     | code            |               +------------------+ end
 *     +-----------------+ offset        :  nothing         :
 *     | data            | ------------> +------------------+ start
 *     +- - - - - - - - -+               | rw-              |
 *     | symbols         |               |- - - - - - - - - | start + file_bytes
 *     +-----------------+               | zeros            |
 *                                       +------------------+ end = high
 */
#ifndef KERNEL_ELF_H
#define KERNEL_ELF_H

#include "file_system.h"

#include <ashlar/base.h>

enum {
    ELF_PAGE_BYTES = 4096,
    ELF_SEGMENTS_MAX = 16, /* that are loaded */
    ELF_HEADERS_MAX = 64,  /* in all */
};

#define ELF_ADDRESS_MIN   UINT64_C(0x10000)   /* of a program linked at its addresses */
#define ELF_ADDRESS_END   (UINT64_C(1) << 47) /* half of what a program has: a stack fits above */
#define ELF_ALIGNMENT_MAX (UINT64_C(1) << 30)

/* Whole pages. */
struct elf_segment {
    uint64_t start, end;
    uint64_t offset;     /* in the file, of `start` */
    uint64_t file_bytes; /* so many come from there; 0: all are zeros */
    /*
     * What follows them must be zeros. Else their last page is the end of the segment, and the rest
     * of it nobody's: it may be what follows in the file.
     */
    bool has_zeros;
    bool is_readable, is_writable, is_executable;
};

struct elf_image {
    bool is_anywhere;   /* ET_DYN: all addresses here are from a base, a multiple of: */
    uint64_t alignment; /* at least a page */
    uint64_t low, high; /* all segments: the first's start and the last's end */
    uint64_t entry;
    uint64_t headers;      /* for AT_PHDR; 0: the program has not got them in its memory */
    uint32_t header_count; /* for AT_PHNUM */
    uint32_t header_bytes; /* for AT_PHENT */
    uint32_t segment_count;
    struct elf_segment segments[ELF_SEGMENTS_MAX];
};

/*
 * Reads what the file wants. 0; or a negative error, and *reason is a phrase for people, whose
 * subject is the file:
 *   -ASH_ENOEXEC  no program for this system:
 *       "is not an ELF file"
 *       "is a script, and scripts are not run"
 *       "is a 32-bit program", "is a big-endian program", "is of an unknown version of ELF"
 *       "is for another operating system", "is for another processor than aarch64"
 *       "is an object file, to be linked first", "is a core dump", "is no program"
 *       "is linked dynamically, and there is no dynamic linker: link it with -static"
 *       "has no segment to load"
 *       "wants a stack that is executable (-z execstack)"
 *       "has a segment that is both writable and executable"
 *       "has its entry outside of executable memory"
 *   -ASH_ENOEXEC  the file is broken, or beyond the limits above:
 *       "ends inside of its header", "ends inside of its program headers"
 *       "has program headers of a strange size", "has too many program headers"
 *       "has too many segments to load"
 *       "has a segment with more bytes in the file than in memory"
 *       "has a segment whose bytes the file has not got"
 *       "has a segment at an address that its place in the file does not match"
 *       "has a segment whose alignment is no power of two up to 1 GiB"
 *       "has a segment outside of a program's addresses"
 *       "has segments that are out of order, or share a page"
 *       "has its program headers loaded elsewhere than PT_PHDR says"
 *   an error of the source's read: "cannot be read"
 */
ASH_MUST_CHECK int elf_read(const struct byte_source *file, struct elf_image *image,
                            const char **reason);

/* The first broken rule of the above, or NULL. */
const char *elf_image_check(const struct elf_image *image, uint64_t file_bytes);

#endif
