/* SPDX-License-Identifier: MIT */
#include "prof/cfi_section.h"

static void put(struct cfi_section *section, const void *bytes, size_t len) {
    CHECK(len <= CFI_SECTION_BYTES - section->len);
    if (len != 0)
        memcpy(section->bytes + section->len, bytes, len);
    section->len += len;
    section->cfi.bytes = section->len;
}

static void put_u32(struct cfi_section *section, uint32_t value) {
    put(section, &value, sizeof(value));
}

void cfi_section_make(struct cfi_section *section) {
    section->len = 0;
    section->cfi = (struct ash_prof_cfi){section->bytes,       0,    CFI_SECTION_ADDRESS,
                                         ASH_PROF_CFI_AARCH64, NULL, 0};
}

size_t cfi_section_entry(struct cfi_section *section, uint32_t identity, const uint8_t *body,
                         size_t len) {
    size_t offset = section->len;
    put_u32(section, (uint32_t)(sizeof(identity) + len));
    put_u32(section, identity);
    put(section, body, len);
    return offset;
}

void cfi_section_cie(struct cfi_section *section) {
    static const uint8_t body[] = {1,        'z', 'R',  0,           4,      0x78,
                                   CFI_LINK, 1,   0x1b, CFI_DEF_CFA, CFI_SP, 0};
    section->cie = cfi_section_entry(section, 0, body, sizeof(body));
}

void cfi_section_fde(struct cfi_section *section, uint64_t start, uint32_t bytes,
                     const uint8_t *program, size_t len) {
    size_t identity = section->len + 4;
    put_u32(section, (uint32_t)(13 + len));
    put_u32(section, (uint32_t)(identity - section->cie));
    put_u32(section, (uint32_t)(start - (CFI_SECTION_ADDRESS + section->len)));
    put_u32(section, bytes);
    put(section, "", 1); /* nothing in the augmentation */
    put(section, program, len);
}
