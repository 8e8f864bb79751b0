/* SPDX-License-Identifier: MIT */
/*
 * cfi_entry.c: the entries of .eh_frame: CIEs, what functions have in common, and FDEs, one a
 * function. LSB Core 5.0, 10.6.1.
 */
#include "cfi_internal.h"

#include <ashlar/checked.h>

enum {
    LENGTH_BYTES = 4,
    IDENTITY_BYTES = 4,
    ENCODING_OMIT = 0xff,
    ENCODING_INDIRECT = 0x80,
};

#define LENGTH_WIDE UINT32_C(0xffffffff) /* the length follows, in 8 bytes */
#define NO_CIE      UINT64_MAX

bool ash__cfi_entry(const struct ash_prof_cfi *cfi, uint64_t offset, struct cfi_entry *entry,
                    uint64_t *next) {
    if (!ash_range_fits(offset, LENGTH_BYTES, cfi->bytes))
        return false;
    struct cfi_bytes bytes = {cfi->frames + offset, cfi->frames + cfi->bytes, false};
    uint64_t len = ash__cfi_fixed(&bytes, LENGTH_BYTES);
    bool is_wide = len == LENGTH_WIDE;
    if (is_wide)
        len = ash__cfi_fixed(&bytes, 8);
    uint64_t body = (uint64_t)(bytes.at - cfi->frames);
    if (bytes.is_bad || len == 0 || !ash_range_fits(body, len, cfi->bytes))
        return false; /* nothing behind it can be found */
    bytes.end = bytes.at + len;
    *next = body + len;
    uint64_t identity = ash__cfi_fixed(&bytes, IDENTITY_BYTES);
    *entry = (struct cfi_entry){.offset = offset, .bytes = bytes, .cie = NO_CIE};
    if (identity == 0)
        entry->cie = offset;
    else if (!is_wide && !bytes.is_bad && identity <= body)
        entry->cie = body - identity; /* counted back from itself */
    return true;
}

/* What is behind a 'z', letter by letter; false: a letter whose meaning is not known, and so where
 * the rest of them begins. */
static bool read_augmentation(const struct ash_prof_cfi *cfi, const uint8_t *letters,
                              struct cfi_bytes *bytes, uint8_t *encoding) {
    for (; *letters != '\0'; letters++) {
        uint8_t of_pointer;
        switch (*letters) {
        case 'R': /* how FDEs write addresses */
            *encoding = (uint8_t)ash__cfi_fixed(bytes, 1);
            break;
        case 'L': /* ... and where exceptions are handled */
            ash__cfi_skip(bytes, 1);
            break;
        case 'P': /* who handles them */
            of_pointer = (uint8_t)ash__cfi_fixed(bytes, 1);
            if (of_pointer != ENCODING_OMIT)
                (void)ash__cfi_pointer(cfi, bytes, of_pointer);
            break;
        case 'S': /* of a signal's trampoline */
        case 'B': /* return addresses are signed with the second key */
        case 'G': /* stacks are tagged */
            break;
        default:
            return false;
        }
    }
    return !bytes->is_bad;
}

/* The CIE's part of a function; *is_sized: its FDEs have an augmentation, of a length. */
static bool read_cie(const struct ash_prof_cfi *cfi, uint64_t offset, struct cfi_function *function,
                     bool *is_sized) {
    struct cfi_entry entry;
    uint64_t next;
    if (!ash__cfi_entry(cfi, offset, &entry, &next) || entry.cie != offset ||
        next - offset > ASH_PROF_CFI_CIE_MAX)
        return false;
    struct cfi_bytes *bytes = &entry.bytes;
    uint64_t version = ash__cfi_fixed(bytes, 1);
    const uint8_t *letters = bytes->at;
    while (ash__cfi_fixed(bytes, 1) != 0)
        continue;
    *is_sized = letters[0] == 'z';
    if (bytes->is_bad || (version != 1 && version != 3) || (!*is_sized && letters[0] != '\0'))
        return false;
    function->code_align = ash__cfi_uleb(bytes);
    function->data_align = ash__cfi_sleb(bytes);
    uint64_t column = version == 1 ? ash__cfi_fixed(bytes, 1) : ash__cfi_uleb(bytes);
    function->is_known = column == cfi->return_register;
    if (*is_sized) {
        struct cfi_bytes data = *bytes;
        uint64_t len = ash__cfi_uleb(bytes);
        data.at = bytes->at;
        ash__cfi_skip(bytes, len);
        data.end = bytes->at;
        if (bytes->is_bad || !read_augmentation(cfi, letters + 1, &data, &function->encoding))
            return false;
    }
    function->initial = *bytes;
    uint8_t base = function->encoding & CFI_POINTER_BASE;
    return !bytes->is_bad && (function->encoding & ENCODING_INDIRECT) == 0 &&
           (base == 0 || base == CFI_POINTER_TO_POSITION);
}

bool ash__cfi_function(const struct ash_prof_cfi *cfi, const struct cfi_entry *entry,
                       struct cfi_function *function) {
    *function = (struct cfi_function){.code_align = 1};
    bool is_sized = false;
    if (entry->cie == NO_CIE || entry->cie == entry->offset ||
        !read_cie(cfi, entry->cie, function, &is_sized))
        return false;
    struct cfi_bytes bytes = entry->bytes;
    function->start = ash__cfi_pointer(cfi, &bytes, function->encoding);
    uint64_t len = ash__cfi_pointer(cfi, &bytes, function->encoding & CFI_POINTER_FORMAT);
    if (is_sized)
        ash__cfi_skip(&bytes, ash__cfi_uleb(&bytes));
    function->program = bytes;
    return !bytes.is_bad && len != 0 && ash_add_u64(function->start, len, &function->end);
}
