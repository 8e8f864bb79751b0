/* SPDX-License-Identifier: MIT */
/*
 * fdt.h: a reader of flattened device trees that trusts no byte of them. Devicetree Specification
 * 0.4, chapter 5. Freestanding: its cases run on the host too.
 *
 * Rules
 *  - Every offset and length is checked against the blob before use; a malformed blob ends in a
 *    reason, a static string, never in a read outside it.
 *  - Nothing is copied: names and properties point into the blob, which must stay.
 *  - No recursion; FDT_DEPTH_MAX nested nodes.
 */
#ifndef QEMU_VIRT_FDT_H
#define QEMU_VIRT_FDT_H

#include <ashlar/base.h>

enum {
    FDT_DEPTH_MAX = 16,
    FDT_SIZE_MAX = 16 << 20, /* bytes; QEMU makes 1 MiB */
};

struct fdt {
    const uint8_t *blob;
    uint32_t size_bytes;
    uint32_t reservations;             /* offset of the memory reservation block */
    uint32_t structure, structure_end; /* offsets */
    uint32_t strings, strings_end;
};

struct fdt_node {
    const struct fdt *fdt;
    const struct fdt_node *parent;      /* NULL for the root */
    const char *name;                   /* "cpu@1"; "" for the root */
    uint32_t depth;                     /* 0 for the root */
    uint32_t properties;                /* offset of the first token after the name */
    uint32_t address_cells, size_cells; /* in the `reg` of its children */
};

/* NULL, or why the blob, of which `available` bytes may be read, is not a device tree. */
const char *fdt_open(struct fdt *fdt, const void *blob, size_t available);

/* Shows every node, parents first, to visit. NULL, or why it had to stop. */
const char *fdt_walk(const struct fdt *fdt,
                     void (*visit)(void *context, const struct fdt_node *node), void *context);

/* The index-th reserved range; false past the last, or where the block is cut short. */
bool fdt_reservation(const struct fdt *fdt, uint32_t index, uint64_t *base, uint64_t *size_bytes);

/* The property's bytes and length, or NULL. */
const uint8_t *fdt_property(const struct fdt_node *node, const char *name, uint32_t *len);

/* The property as a string that ends inside it, or NULL. */
const char *fdt_string(const struct fdt_node *node, const char *name);

/* Is `text` one of the strings of `compatible`? */
bool fdt_is_compatible(const struct fdt_node *node, const char *text);

/* The index-th 32-bit cell of a property; false if it is not there. */
bool fdt_cell(const struct fdt_node *node, const char *name, uint32_t index, uint32_t *value);

/* The index-th pair of `reg`, in the parent's cells (1 or 2 for the address, 0..2 for the size). */
bool fdt_reg(const struct fdt_node *node, uint32_t index, uint64_t *base, uint64_t *size_bytes);

#endif
