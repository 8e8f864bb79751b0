/* SPDX-License-Identifier: MIT */
/*
 * tarfs_index.h: the nodes of a tarfs. A directory holds its entries in a red-black tree in the
 * order of their names' bytes, so a hostile archive cannot make look-ups slow, and the listing is
 * sorted for nothing.
 */
#ifndef KERNEL_TARFS_INDEX_H
#define KERNEL_TARFS_INDEX_H

#include "tarfs.h"

#include <ashlar/rbtree.h>

enum { NODE_NAME_BYTES = 32 };

struct file_node {
    struct file_node *made_before; /* NULL: the first, the root */
    struct file_node *directory;   /* the root's is itself */
    struct ash_rbtree entries;     /* of a directory */
    struct ash_rbtree_node link;   /* in the directory's entries */
    uint64_t size_bytes;
    uint64_t offset; /* of the data in the archive */
    const char *target;
    const char *reason;
    enum file_type type;
    uint32_t number;  /* from 1 on, in the order in which they were made */
    const char *name; /* short_name, or owned */
    size_t name_len;
    char short_name[NODE_NAME_BYTES];
};

_Static_assert(sizeof(struct file_node) <= TARFS_NODE_BYTES, "tarfs.h");

/* Fills in the calls; the index is empty, without a root. */
void tarfs_init(struct tarfs *fs, const struct byte_source *source,
                const struct allocator *allocator, const struct allocator *nodes);

/* Memory until the unmount, or NULL. */
void *tarfs_alloc(struct tarfs *fs, size_t size);

struct file_node *tarfs_find(const struct file_node *directory, const char *name, size_t len);

/* Adds a name that is not there yet, as an empty directory; NULL: no memory. */
struct file_node *tarfs_add(struct tarfs *fs, struct file_node *directory, const char *name,
                            size_t len);

struct file_node *tarfs_first(const struct file_node *directory);
struct file_node *tarfs_after(const struct file_node *node);

/* The first broken invariant of the whole index, or NULL. */
const char *tarfs_index_check(const struct tarfs *fs);

#endif
