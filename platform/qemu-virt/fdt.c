/* SPDX-License-Identifier: MIT */
/* fdt.c: see fdt.h. Section numbers are of the Devicetree Specification 0.4. */
#include "qemu-virt/fdt.h"

#include <ashlar/checked.h>
#include <string.h>

enum {
    MAGIC = (int)0xd00dfeed,
    HEADER_BYTES = 40, /* 5.2 */
    VERSION = 17,
    BEGIN_NODE = 1, /* 5.4.1 */
    END_NODE = 2,
    PROP = 3,
    NOP = 4,
    END = 9,
};

static uint32_t read_be32(const uint8_t *bytes) {
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint64_t read_be64(const uint8_t *bytes) {
    return (uint64_t)read_be32(bytes) << 32 | read_be32(bytes + 4);
}

const char *fdt_open(struct fdt *fdt, const void *blob, size_t available) {
    const uint8_t *header = blob;
    if (available < HEADER_BYTES)
        return "the blob is shorter than its header";
    if (read_be32(header) != (uint32_t)MAGIC)
        return "the magic number is not 0xd00dfeed";
    uint32_t size = read_be32(header + 4), structure = read_be32(header + 8),
             strings = read_be32(header + 12), reservations = read_be32(header + 16),
             last_compatible = read_be32(header + 24), strings_size = read_be32(header + 32),
             structure_size = read_be32(header + 36);
    if (size < HEADER_BYTES || size > available || size > FDT_SIZE_MAX)
        return "its size does not fit the memory it lies in";
    if (last_compatible > VERSION)
        return "its version is newer than 17";
    if (!ash_range_fits(structure, structure_size, size) || structure % 4 != 0)
        return "the structure block lies outside the blob";
    if (!ash_range_fits(strings, strings_size, size))
        return "the strings block lies outside the blob";
    if (reservations > size || reservations % 8 != 0)
        return "the memory reservation block lies outside the blob";
    *fdt = (struct fdt){.blob = blob,
                        .size_bytes = size,
                        .reservations = reservations,
                        .structure = structure,
                        .structure_end = structure + structure_size,
                        .strings = strings,
                        .strings_end = strings + strings_size};
    return NULL;
}

bool fdt_reservation(const struct fdt *fdt, uint32_t index, uint64_t *base, uint64_t *size_bytes) {
    uint64_t offset = fdt->reservations + UINT64_C(16) * index;
    if (!ash_range_fits(offset, 16, fdt->size_bytes))
        return false;
    *base = read_be64(fdt->blob + offset);
    *size_bytes = read_be64(fdt->blob + offset + 8);
    return *base != 0 || *size_bytes != 0;
}

/* A token of the structure block, checked. */
struct token {
    uint32_t kind;
    const char *name;     /* BEGIN_NODE, PROP */
    const uint8_t *value; /* PROP */
    uint32_t len;
    uint32_t next; /* offset of the token after it */
};

/* A string that ends before `end`, or NULL. */
static const char *bounded_string(const struct fdt *fdt, uint32_t offset, uint32_t end,
                                  uint32_t *len) {
    for (uint32_t i = offset; i < end; i++) {
        if (fdt->blob[i] == '\0') {
            *len = i - offset;
            return (const char *)fdt->blob + offset;
        }
    }
    return NULL;
}

static const char *read_property(const struct fdt *fdt, uint32_t offset, struct token *token) {
    if (!ash_range_fits(offset, 8, fdt->structure_end))
        return "a property is cut short";
    uint32_t len = read_be32(fdt->blob + offset), name = read_be32(fdt->blob + offset + 4);
    if (!ash_range_fits(offset + 8, len, fdt->structure_end))
        return "a property is longer than the structure block";
    uint32_t name_len;
    if (name >= fdt->strings_end - fdt->strings ||
        (token->name = bounded_string(fdt, fdt->strings + name, fdt->strings_end, &name_len)) ==
            NULL)
        return "a property's name lies outside the strings block";
    token->value = fdt->blob + offset + 8;
    token->len = len;
    token->next = offset + 8 + len;
    return NULL;
}

/* NULL, or what is wrong. Tokens lie on multiples of 4. */
static const char *read_token(const struct fdt *fdt, uint32_t offset, struct token *token) {
    const char *wrong = NULL;
    if (!ash_range_fits(offset, 4, fdt->structure_end))
        return "the structure block has no end token";
    *token = (struct token){.kind = read_be32(fdt->blob + offset), .next = offset + 4};
    switch (token->kind) {
    case BEGIN_NODE: {
        uint32_t len;
        token->name = bounded_string(fdt, offset + 4, fdt->structure_end, &len);
        if (token->name == NULL)
            return "a node's name does not end";
        token->next = offset + 4 + len + 1;
        break;
    }
    case PROP:
        wrong = read_property(fdt, offset + 4, token);
        break;
    case END_NODE:
    case NOP:
    case END:
        break;
    default:
        return "an unknown token in the structure block";
    }
    /* Cannot wrap: FDT_SIZE_MAX. */
    token->next = (uint32_t)ash_align_up(token->next, 4);
    return wrong;
}

/* Fills in a node whose name was just read: its cell sizes default to 2 and 1 (2.3.5). */
static void begin_node(struct fdt_node *node, const struct fdt *fdt, const struct fdt_node *parent,
                       const struct token *token) {
    *node = (struct fdt_node){.fdt = fdt,
                              .parent = parent,
                              .name = token->name,
                              .depth = parent == NULL ? 0 : parent->depth + 1,
                              .properties = token->next,
                              .address_cells = 2,
                              .size_cells = 1};
    (void)fdt_cell(node, "#address-cells", 0, &node->address_cells);
    (void)fdt_cell(node, "#size-cells", 0, &node->size_cells);
}

const char *fdt_walk(const struct fdt *fdt,
                     void (*visit)(void *context, const struct fdt_node *node), void *context) {
    struct fdt_node nodes[FDT_DEPTH_MAX];
    uint32_t open = 0; /* nodes[0..open-1] */
    struct token token;
    for (uint32_t offset = fdt->structure;; offset = token.next) {
        const char *wrong = read_token(fdt, offset, &token);
        if (wrong != NULL)
            return wrong;
        if (token.kind == BEGIN_NODE) {
            if (open == FDT_DEPTH_MAX)
                return "nodes are nested too deeply";
            begin_node(&nodes[open], fdt, open == 0 ? NULL : &nodes[open - 1], &token);
            visit(context, &nodes[open]);
            open++;
        } else if (token.kind == END_NODE) {
            if (open == 0)
                return "a node ends that did not begin";
            open--;
        } else if (token.kind == END) {
            return open == 0 ? NULL : "the structure block ends inside a node";
        }
    }
}

const uint8_t *fdt_property(const struct fdt_node *node, const char *name, uint32_t *len) {
    struct token token = {0}; /* gcc 12 at -O3 does not see that read_token fills it in */
    /* Properties come before the node's children (5.4.2), so any other token ends the search. */
    for (uint32_t offset = node->properties; read_token(node->fdt, offset, &token) == NULL;
         offset = token.next) {
        if (token.kind == PROP && strcmp(token.name, name) == 0) {
            *len = token.len;
            return token.value;
        }
        if (token.kind != PROP && token.kind != NOP)
            break;
    }
    return NULL;
}

const char *fdt_string(const struct fdt_node *node, const char *name) {
    uint32_t len;
    const uint8_t *value = fdt_property(node, name, &len);
    if (value == NULL || len == 0 || value[len - 1] != '\0')
        return NULL;
    return (const char *)value;
}

bool fdt_is_compatible(const struct fdt_node *node, const char *text) {
    uint32_t len;
    const char *list = (const char *)fdt_property(node, "compatible", &len);
    if (list == NULL || len == 0 || list[len - 1] != '\0')
        return false;
    for (const char *end = list + len; list < end; list += strlen(list) + 1) {
        if (strcmp(list, text) == 0)
            return true;
    }
    return false;
}

bool fdt_cell(const struct fdt_node *node, const char *name, uint32_t index, uint32_t *value) {
    uint32_t len;
    const uint8_t *cells = fdt_property(node, name, &len);
    if (cells == NULL || !ash_range_fits(UINT64_C(4) * index, 4, len))
        return false;
    *value = read_be32(cells + (size_t)4 * index);
    return true;
}

static uint64_t read_cells(const uint8_t *bytes, uint32_t cells) {
    return cells == 0 ? 0 : cells == 1 ? read_be32(bytes) : read_be64(bytes);
}

bool fdt_reg(const struct fdt_node *node, uint32_t index, uint64_t *base, uint64_t *size_bytes) {
    uint32_t len, address_cells = 2, size_cells = 1;
    const uint8_t *reg = fdt_property(node, "reg", &len);
    if (node->parent != NULL) {
        address_cells = node->parent->address_cells;
        size_cells = node->parent->size_cells;
    }
    if (reg == NULL || address_cells == 0 || address_cells > 2 || size_cells > 2)
        return false;
    uint64_t pair_bytes = UINT64_C(4) * (address_cells + size_cells);
    if (!ash_range_fits(index * pair_bytes, pair_bytes, len))
        return false;
    reg += index * pair_bytes;
    *base = read_cells(reg, address_cells);
    *size_bytes = read_cells(reg + (size_t)4 * address_cells, size_cells);
    return true;
}
