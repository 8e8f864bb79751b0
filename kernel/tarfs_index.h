/* SPDX-License-Identifier: MIT */
/*
 * tarfs_index.h: the nodes of a tarfs: directories hold their entries in a balanced tree in the
 * order of their names, so a hostile archive cannot make look-ups slow: O(log n) each, and the
 * listing is sorted for nothing.
 *
 * The tree is an AA tree (Andersson 1993): a node is on level 1 at the bottom; its left child is
 * one level lower, its right child one lower or on the same level, no right-right grandchild on the
 * same. Nodes are never removed.
 */
#ifndef KERNEL_TARFS_INDEX_H
#define KERNEL_TARFS_INDEX_H

#include "tarfs.h"

struct file_node {
    struct file_node *directory;       /* the root's is itself */
    struct file_node *entries;         /* of a directory: the root of its tree */
    struct file_node *left, *right, *up;
    uint64_t size_bytes;
    uint64_t offset; /* of the data in the archive */
    const char *target;
    const char *reason;
    enum file_type type;
    uint32_t level;
    size_t name_len;
    char name[];
};

/* Fills in the calls; the index is empty, without a root. */
void tarfs_init(struct tarfs *fs, const struct byte_source *source,
                const struct allocator *allocator);

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
