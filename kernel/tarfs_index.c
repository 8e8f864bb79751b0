/* SPDX-License-Identifier: MIT */
/* tarfs_index.c: see tarfs_index.h. */
#include "tarfs_index.h"

#include <ashlar/checked.h>
#include <string.h>

struct tarfs_owned {
    struct tarfs_owned *next;
    uint64_t padding; /* what follows is aligned to 16 */
};

void *tarfs_alloc(struct tarfs *fs, size_t size) {
    struct tarfs_owned *owned = fs->allocator.alloc(fs->allocator.context, sizeof(*owned) + size);
    if (owned == NULL)
        return NULL;
    owned->next = fs->owned;
    fs->owned = owned;
    return owned + 1;
}

void tarfs_unmount(struct tarfs *fs) {
    while (fs->owned != NULL) {
        struct tarfs_owned *next = fs->owned->next;
        fs->allocator.free(fs->allocator.context, fs->owned);
        fs->owned = next;
    }
    while (fs->last_node != NULL) {
        struct file_node *before = fs->last_node->made_before;
        fs->node_allocator.free(fs->node_allocator.context, fs->last_node);
        fs->last_node = before;
    }
    fs->root = NULL;
}

static struct file_node *node_of(struct ash_rbtree_node *link) {
    return link == NULL ? NULL : ASH_RBTREE_ENTRY(link, struct file_node, link);
}

static const struct file_node *const_node_of(const struct ash_rbtree_node *link) {
    return ASH_RBTREE_ENTRY(link, const struct file_node, link);
}

static int compare(const struct file_node *node, const char *name, size_t len) {
    size_t common = len < node->name_len ? len : node->name_len;
    int order = memcmp(node->name, name, common);
    if (order != 0)
        return order;
    return node->name_len == len ? 0 : node->name_len < len ? -1 : 1;
}

static bool less(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    const struct file_node *second = const_node_of(b);
    return compare(const_node_of(a), second->name, second->name_len) < 0;
}

struct component {
    const char *name;
    size_t len;
};

static bool below(const struct ash_rbtree_node *link, const void *key) {
    const struct component *component = key;
    return compare(const_node_of(link), component->name, component->len) < 0;
}

struct file_node *tarfs_find(const struct file_node *directory, const char *name, size_t len) {
    const struct component key = {name, len};
    struct file_node *node = node_of(ash_rbtree_lower_bound(&directory->entries, &key, below));
    return node != NULL && compare(node, name, len) == 0 ? node : NULL;
}

static struct file_node *make_node(struct tarfs *fs) {
    struct file_node *node = fs->node_allocator.alloc(fs->node_allocator.context, TARFS_NODE_BYTES);
    if (node == NULL)
        return NULL;
    memset(node, 0, sizeof(*node));
    node->made_before = fs->last_node;
    fs->last_node = node;
    return node;
}

struct file_node *tarfs_add(struct tarfs *fs, struct file_node *directory, const char *name,
                            size_t len) {
    char *long_name = len < NODE_NAME_BYTES ? NULL : tarfs_alloc(fs, len + 1);
    struct file_node *node = len >= NODE_NAME_BYTES && long_name == NULL ? NULL : make_node(fs);
    if (node == NULL)
        return NULL;
    char *kept = long_name != NULL ? long_name : node->short_name;
    memcpy(kept, name, len);
    kept[len] = '\0';
    node->name = kept;
    node->name_len = len;
    node->type = FILE_DIRECTORY;
    node->directory = directory == NULL ? node : directory;
    node->number = (uint32_t)++fs->nodes;
    if (directory != NULL)
        ash_rbtree_insert(&directory->entries, &node->link, less, NULL);
    return node;
}

struct file_node *tarfs_first(const struct file_node *directory) {
    return node_of(ash_rbtree_first(&directory->entries));
}

struct file_node *tarfs_after(const struct file_node *node) {
    return node_of(ash_rbtree_next(&node->link));
}

/* Checking */

static const char *node_check(const struct tarfs *fs, const struct file_node *node) {
    const struct byte_source *source = &fs->source;
    if (node->type == FILE_REGULAR &&
        !ash_range_fits(node->offset, node->size_bytes, source->size_bytes))
        return "tarfs: a file leaves the disk";
    if (node->type != FILE_DIRECTORY && !ash_rbtree_is_empty(&node->entries))
        return "tarfs: something that is no directory has entries";
    if (node->type == FILE_SYMLINK && node->target == NULL)
        return "tarfs: a symbolic link has no target";
    if (node->type == FILE_UNREADABLE && node->reason == NULL)
        return "tarfs: a file is unreadable for no reason";
    if (strlen(node->name) != node->name_len)
        return "tarfs: a name's length is wrong";
    return ash_rbtree_check(&node->entries, less, NULL);
}

/* The node after this one, a directory before its entries, without recursion; NULL at the end. */
static const struct file_node *walk(const struct file_node *node) {
    const struct file_node *next = tarfs_first(node);
    while (next == NULL && node->directory != node) {
        next = tarfs_after(node);
        node = node->directory;
    }
    return next;
}

const char *tarfs_index_check(const struct tarfs *fs) {
    uint64_t nodes = 0;
    for (const struct file_node *node = fs->root; node != NULL; node = walk(node)) {
        const char *broken = node_check(fs, node);
        if (broken != NULL)
            return broken;
        if (++nodes > fs->nodes)
            break;
    }
    return nodes == fs->nodes ? NULL : "tarfs: the number of nodes is not the number counted";
}
