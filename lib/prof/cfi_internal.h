/* SPDX-License-Identifier: MIT */
/*
 * cfi_internal.h: what the files of prof_cfi.h share: bytes that are read with care, the entries of
 * the section, and the rows that a function's program makes.
 */
#ifndef ASHLAR_PROF_CFI_INTERNAL_H
#define ASHLAR_PROF_CFI_INTERNAL_H

#include <ashlar/prof_cfi.h>

/* Bytes that are left. A read past them gives 0, and is_bad stays. */
struct cfi_bytes {
    const uint8_t *at, *end;
    bool is_bad;
};

uint64_t ash__cfi_fixed(struct cfi_bytes *bytes, uint32_t width); /* 1, 2, 4, 8; little-endian */
uint64_t ash__cfi_uleb(struct cfi_bytes *bytes);                  /* bad past 64 bits */
int64_t ash__cfi_sleb(struct cfi_bytes *bytes);
void ash__cfi_skip(struct cfi_bytes *bytes, uint64_t count);

/* How pointers are written: LSB Core 5.0, 10.5.1. */
enum {
    CFI_POINTER_FORMAT = 0x0f,
    CFI_POINTER_BASE = 0x70,
    CFI_POINTER_TO_POSITION = 0x10,
};
/* Its value; cfi: where `bytes` lie, for one that is relative to its own place. */
uint64_t ash__cfi_pointer(const struct ash_prof_cfi *cfi, struct cfi_bytes *bytes,
                          uint8_t encoding);

/* An entry of the section. */
struct cfi_entry {
    uint64_t offset;        /* of its length */
    struct cfi_bytes bytes; /* behind its identity */
    uint64_t cie;           /* the offset of its CIE; of itself: it is one */
};

/* The entry at `offset`, and the offset of the next one; false: it is the end. One of more than
 * 4 GiB, or with damage in its head, is passed over: `entry->cie` is then UINT64_MAX. */
bool ash__cfi_entry(const struct ash_prof_cfi *cfi, uint64_t offset, struct cfi_entry *entry,
                    uint64_t *next);

/* A function. */
struct cfi_function {
    uint64_t start, end;
    uint64_t code_align;
    int64_t data_align;
    uint8_t encoding; /* of its pointers */
    bool is_known;    /* its rows are understood, to begin with */
    struct cfi_bytes initial, program;
};

/* false: not an FDE whose addresses are understood, or of no addresses. */
bool ash__cfi_function(const struct ash_prof_cfi *cfi, const struct cfi_entry *entry,
                       struct cfi_function *function);

/* How a register of the caller is found. */
struct cfi_rule {
    enum { CFI_SAME, CFI_AT, CFI_OTHER } kind; /* in the register; at the CFA + offset */
    int64_t offset;
};

/* A row, of what is asked about. */
struct cfi_row {
    bool is_cfa_known; /* register + offset */
    uint32_t cfa_register;
    int64_t cfa_offset;
    struct cfi_rule link, frame;
};

/* A program that is being run. */
struct cfi_run {
    const struct ash_prof_cfi *cfi;
    const struct cfi_function *function;
    struct cfi_bytes program;
    uint64_t location, next; /* the row's address; that of the one after it */
    bool is_broken;
    uint32_t depth;
    struct cfi_row row, initial, remembered[ASH_PROF_CFI_NEST_MAX];
};

void ash__cfi_run_begin(struct cfi_run *run, const struct ash_prof_cfi *cfi,
                        const struct cfi_function *function);
/* The next row; false: there is none more. */
bool ash__cfi_run_row(struct cfi_run *run, struct ash_prof_cfi_answer *answer);

#endif
