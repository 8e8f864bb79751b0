/* SPDX-License-Identifier: MIT */
/*
 * blob.h: writes a device tree blob, well-formed unless a case spoils it. The strings block comes
 * first, so that the structure block's end is the blob's end: what is read past it is past both.
 */
#ifndef TESTS_QEMU_BLOB_H
#define TESTS_QEMU_BLOB_H

#include "harness/test.h"

enum { BLOB_BYTES = 16384, BLOB_STRINGS = 64, BLOB_STRUCTURE = 1024 };

struct blob {
    uint8_t *bytes;
    uint32_t strings_end, end;
};

static inline void blob_poke32(struct blob *blob, uint32_t offset, uint32_t value) {
    CHECK(offset <= BLOB_BYTES - 4);
    for (uint32_t i = 0; i < 4; i++)
        blob->bytes[offset + i] = (uint8_t)(value >> (24 - 8 * i));
}

static inline void blob_word(struct blob *blob, uint32_t value) {
    blob_poke32(blob, blob->end, value);
    blob->end += 4;
}

static inline void blob_start(struct blob *blob) {
    blob->bytes = test_alloc(BLOB_BYTES, 8);
    blob->strings_end = BLOB_STRINGS;
    blob->end = BLOB_STRUCTURE;
}

/* The offset of a property's name; the same text is written once. */
static inline uint32_t blob_string(struct blob *blob, const char *text) {
    uint32_t offset = BLOB_STRINGS, len = (uint32_t)strlen(text) + 1;
    while (offset < blob->strings_end) {
        if (strcmp((const char *)blob->bytes + offset, text) == 0)
            return offset - BLOB_STRINGS;
        offset += (uint32_t)strlen((const char *)blob->bytes + offset) + 1;
    }
    CHECK(offset + len <= BLOB_STRUCTURE);
    memcpy(blob->bytes + offset, text, len);
    blob->strings_end = offset + len;
    return offset - BLOB_STRINGS;
}

static inline void blob_bytes(struct blob *blob, const void *bytes, uint32_t len) {
    CHECK(len <= BLOB_BYTES - blob->end);
    memcpy(blob->bytes + blob->end, bytes, len);
    blob->end += (len + 3) / 4 * 4;
}

static inline void blob_begin(struct blob *blob, const char *name) {
    blob_word(blob, 1);
    blob_bytes(blob, name, (uint32_t)strlen(name) + 1);
}

static inline void blob_end(struct blob *blob) {
    blob_word(blob, 2);
}

static inline void blob_property(struct blob *blob, const char *name, const void *value,
                                 uint32_t len) {
    blob_word(blob, 3);
    blob_word(blob, len);
    blob_word(blob, blob_string(blob, name));
    blob_bytes(blob, value, len);
}

static inline void blob_text(struct blob *blob, const char *name, const char *value) {
    blob_property(blob, name, value, (uint32_t)strlen(value) + 1);
}

static inline void blob_cells(struct blob *blob, const char *name, const uint32_t *cells,
                              uint32_t count) {
    blob_word(blob, 3);
    blob_word(blob, 4 * count);
    blob_word(blob, blob_string(blob, name));
    for (uint32_t i = 0; i < count; i++)
        blob_word(blob, cells[i]);
}

#define BLOB_CELLS(blob, name, ...)                             \
    blob_cells((blob), (name), (const uint32_t[]){__VA_ARGS__}, \
               sizeof((const uint32_t[]){__VA_ARGS__}) / 4)

/* The end token and the header; no memory reservation but the closing one, at offset 40. */
static inline void blob_finish(struct blob *blob) {
    blob_word(blob, 9);
    const uint32_t header[10] = {0xd00dfeed,
                                 blob->end,
                                 BLOB_STRUCTURE,
                                 BLOB_STRINGS,
                                 40,
                                 17,
                                 16,
                                 0,
                                 blob->strings_end - BLOB_STRINGS,
                                 blob->end - BLOB_STRUCTURE};
    for (uint32_t i = 0; i < 10; i++)
        blob_poke32(blob, 4 * i, header[i]);
}

#endif
