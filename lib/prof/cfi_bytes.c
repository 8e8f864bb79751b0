/* SPDX-License-Identifier: MIT */
/*
 * cfi_bytes.c: numbers and pointers out of bytes that nobody vouches for.
 */
#include "cfi_internal.h"

#include <ashlar/checked.h>

uint64_t ash__cfi_fixed(struct cfi_bytes *bytes, uint32_t width) {
    if ((size_t)(bytes->end - bytes->at) < width) {
        bytes->at = bytes->end;
        bytes->is_bad = true;
        return 0;
    }
    uint64_t value = 0;
    for (uint32_t i = 0; i < width; i++)
        value |= (uint64_t)bytes->at[i] << (8 * i);
    bytes->at += width;
    return value;
}

void ash__cfi_skip(struct cfi_bytes *bytes, uint64_t count) {
    bool is_there = count <= (uint64_t)(bytes->end - bytes->at);
    bytes->is_bad |= !is_there;
    bytes->at = is_there ? bytes->at + count : bytes->end;
}

/* The groups of 7 bits, how many bits these are (ten groups at most), and the last group, whose
 * sign and whose bits past the 64th are the caller's matter. */
static uint64_t leb(struct cfi_bytes *bytes, uint32_t *bits, uint8_t *last) {
    uint64_t value = 0;
    *bits = 0;
    do {
        *last = (uint8_t)ash__cfi_fixed(bytes, 1);
        uint64_t group = *last & 0x7f;
        if (*bits < 64)
            value |= group << *bits;
        else
            bytes->is_bad = true;
        *bits += 7;
    } while ((*last & 0x80) != 0 && !bytes->is_bad);
    return value;
}

uint64_t ash__cfi_uleb(struct cfi_bytes *bytes) {
    uint32_t bits;
    uint8_t last;
    uint64_t value = leb(bytes, &bits, &last);
    if (bits > 64 && last > 1)
        bytes->is_bad = true;
    return bytes->is_bad ? 0 : value;
}

int64_t ash__cfi_sleb(struct cfi_bytes *bytes) {
    uint32_t bits;
    uint8_t last;
    uint64_t value = leb(bytes, &bits, &last);
    if (bits > 64 && last != 0 && last != 0x7f)
        bytes->is_bad = true;
    if (bits < 64 && (last & 0x40) != 0)
        value |= UINT64_MAX << bits;
    return bytes->is_bad ? 0 : (int64_t)value;
}

static int64_t extended(uint64_t value, uint32_t width) {
    uint64_t sign = UINT64_C(1) << (8 * width - 1);
    return (int64_t)((value ^ sign) - sign);
}

uint64_t ash__cfi_pointer(const struct ash_prof_cfi *cfi, struct cfi_bytes *bytes,
                          uint8_t encoding) {
    uint64_t position = cfi->address + (uint64_t)(bytes->at - cfi->frames);
    uint64_t value = 0;
    switch (encoding & CFI_POINTER_FORMAT) {
    case 0x0: /* as wide as an address */
    case 0x4:
    case 0xc:
        value = ash__cfi_fixed(bytes, 8);
        break;
    case 0x1:
        value = ash__cfi_uleb(bytes);
        break;
    case 0x2:
        value = ash__cfi_fixed(bytes, 2);
        break;
    case 0x3:
        value = ash__cfi_fixed(bytes, 4);
        break;
    case 0x9:
        value = (uint64_t)ash__cfi_sleb(bytes);
        break;
    case 0xa:
        value = (uint64_t)extended(ash__cfi_fixed(bytes, 2), 2);
        break;
    case 0xb:
        value = (uint64_t)extended(ash__cfi_fixed(bytes, 4), 4);
        break;
    default:
        bytes->is_bad = true;
    }
    return (encoding & CFI_POINTER_BASE) == CFI_POINTER_TO_POSITION ? position + value : value;
}
