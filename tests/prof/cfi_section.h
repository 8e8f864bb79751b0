/* SPDX-License-Identifier: MIT */
/*
 * cfi_section.h: an .eh_frame written by hand: CIEs and FDEs with programs of a few bytes.
 */
#ifndef ASHLAR_TEST_CFI_SECTION_H
#define ASHLAR_TEST_CFI_SECTION_H

#include "harness/test.h"

#include <ashlar/prof_cfi.h>

#define CFI_SECTION_ADDRESS UINT64_C(0x10000)

enum { CFI_SECTION_BYTES = 4096 };

struct cfi_section {
    uint8_t bytes[CFI_SECTION_BYTES];
    size_t len;
    size_t cie; /* the offset of the newest */
    struct ash_prof_cfi cfi;
};

/* For aarch64: the return address is register 30, the stack pointer 31, the frame pointer 29. */
void cfi_section_make(struct cfi_section *section);

/* An entry of any contents; identity: 0 for a CIE, else what it refers to is that far back. */
size_t cfi_section_entry(struct cfi_section *section, uint32_t identity, const uint8_t *body,
                         size_t len);

/* A CIE with "zR", pointers as 4 bytes relative to their place, code in units of 4 bytes, data of
 * -8, and a CFA of the stack pointer + 0. */
void cfi_section_cie(struct cfi_section *section);

/* A function of the newest such CIE, with a program. */
void cfi_section_fde(struct cfi_section *section, uint64_t start, uint32_t bytes,
                     const uint8_t *program, size_t len);

#define CFI_FDE(section, start, bytes, ...)                                      \
    cfi_section_fde((section), (start), (bytes), (const uint8_t[]){__VA_ARGS__}, \
                    sizeof((const uint8_t[]){__VA_ARGS__}))

/* DWARF 5, 7.24. */
enum {
    CFI_ADVANCE = 0x40, /* + units */
    CFI_OFFSET = 0x80,  /* + register, offset */
    CFI_RESTORE = 0xc0, /* + register */
    CFI_SET_LOC = 0x01,
    CFI_ADVANCE1 = 0x02,
    CFI_ADVANCE2 = 0x03,
    CFI_ADVANCE4 = 0x04,
    CFI_OFFSET_EXTENDED = 0x05,
    CFI_RESTORE_EXTENDED = 0x06,
    CFI_UNDEFINED = 0x07,
    CFI_SAME_VALUE = 0x08,
    CFI_REGISTER = 0x09,
    CFI_REMEMBER = 0x0a,
    CFI_RECALL = 0x0b,
    CFI_DEF_CFA = 0x0c,
    CFI_DEF_CFA_REGISTER = 0x0d,
    CFI_DEF_CFA_OFFSET = 0x0e,
    CFI_DEF_CFA_EXPRESSION = 0x0f,
    CFI_EXPRESSION = 0x10,
    CFI_OFFSET_EXTENDED_SF = 0x11,
    CFI_DEF_CFA_SF = 0x12,
    CFI_DEF_CFA_OFFSET_SF = 0x13,
    CFI_VAL_OFFSET = 0x14,
    CFI_VAL_OFFSET_SF = 0x15,
    CFI_VAL_EXPRESSION = 0x16,
    CFI_NEGATE_RA_STATE = 0x2d,
    CFI_ARGS_SIZE = 0x2e,
    CFI_NEGATIVE_OFFSET = 0x2f,
    CFI_LINK = 30,
    CFI_SP = 31,
    CFI_FP = 29,
};

#endif
