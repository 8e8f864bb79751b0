/* SPDX-License-Identifier: MIT */
/*
 * user_space.h: address spaces of a few pages, made by hand, and programs of a few instructions in
 * them: for what the platform does with programs, with no part that makes page tables.
 *
 *     USER_CODE   the program, read-only and executable
 *     USER_DATA   pages that user_space_map adds
 */
#ifndef TESTS_QEMU_USER_SPACE_H
#define TESTS_QEMU_USER_SPACE_H

#include "harness/test.h"
#include "user.h"

#define USER_CODE UINT64_C(0x7fff00000000)
#define USER_DATA UINT64_C(0x7fff00001000) /* the page behind it, up to 511 of them */

enum user_rights { USER_READ, USER_WRITE, USER_EXECUTE, USER_NONE /* only the kernel's */ };

struct user_space {
    struct platform_translation translation;
    uint64_t *leaves; /* 512 entries from USER_CODE on */
    void *code;
};

/* [begin, end) is the program: what USER_PROGRAM makes. */
void user_space_init(struct user_space *space, uint32_t asid, const uint32_t *begin,
                     const uint32_t *end);

/* A page at USER_DATA + index pages. Not flushed: where none was. */
void user_space_map(struct user_space *space, uint32_t index, void *page, enum user_rights rights);
void user_space_unmap(struct user_space *space, uint32_t index);

/* No CPU has it any more. */
void user_space_fini(struct user_space *space);

/* At its first instruction, all else 0 but sp. */
struct platform_user *user_new(void);

/* platform_user_run until it is no interrupt that ends it. */
struct platform_user_event user_run(struct user_space *space, struct platform_user *user);

/* `instructions`, one string, as words between name and name_end. */
#define USER_PROGRAM(name, instructions)                                \
    __asm__(".pushsection .rodata.programs, \"a\"\n"                    \
            ".arch armv8-a+simd\n"                                      \
            ".balign 4\n" #name ":\n" instructions "\n" #name "_end:\n" \
            ".popsection");                                             \
    extern const uint32_t name[], name##_end[]

#endif
