/* SPDX-License-Identifier: MIT */
/* tarfs_index.c: see tarfs_index.h. */
#include "tarfs_index.h"

#include <string.h>

struct tarfs_owned {
    struct tarfs_owned *next;
    uint64_t padding; /* what follows is aligned to 16 */
};

void *tarfs_alloc(struct tarfs *fs, size_t size) {
    struct tarfs_owned *owned =
        fs->allocator.alloc(fs->allocator.context, sizeof(*owned) + size);
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
    fs->root = NULL;
}

static int compare(const struct file_node *node, const char *name, size_t len) {
    size_t common = len < node->name_len ? len : node->name_len;
    int order = memcmp(name, node->name, common);
    if (order != 0)
        return order;
    return len == node->name_len ? 0 : len < node->name_len ? -1 : 1;
}

struct file_node *tarfs_find(const struct file_node *directory, const char *name, size_t len) {
    struct file_node *node = directory->entries;
    while (node != NULL) {
        int order = compare(node, name, len);
        if (order == 0)
            return node;
        node = order < 0 ? node->left : node->right;
    }
    return NULL;
}

/* Puts `child`, one of node's two children, into node's place. */
static void lift(struct file_node *node, struct file_node *child) {
    struct file_node *up = node->up;
    child->up = up;
    if (up == NULL)
        node->directory->entries = child;
    else if (up->left == node)
        up->left = child;
    else
        up->right = child;
    node->up = child;
}

/* A left child on the same level becomes the parent. */
static struct file_node *skew(struct file_node *node) {
    struct file_node *left = node->left;
    if (left == NULL || left->level != node->level)
        return node;
    lift(node, left);
    node->left = left->right;
    if (node->left != NULL)
        node->left->up = node;
    left->right = node;
    return left;
}

/* Three on one level, to the right: the middle one goes up a level. */
static struct file_node *split(struct file_node *node) {
    struct file_node *right = node->right;
    if (right == NULL || right->right == NULL || right->right->level != node->level)
        return node;
    lift(node, right);
    node->right = right->left;
    if (node->right != NULL)
        node->right->up = node;
    right->left = node;
    right->level++;
    return right;
}

struct file_node *tarfs_add(struct tarfs *fs, struct file_node *directory, const char *name,
                            size_t len) {
    struct file_node *node = tarfs_alloc(fs, sizeof(*node) + len + 1);
    if (node == NULL)
        return NULL;
    memset(node, 0, sizeof(*node));
    memcpy(node->name, name, len);
    node->name[len] = '\0';
    node->name_len = len;
    node->type = FILE_DIRECTORY;
    node->directory = directory == NULL ? node : directory;
    node->level = 1;
    fs->nodes++;
    if (directory == NULL)
        return node;
    struct file_node **place = &directory->entries;
    while (*place != NULL) {
        node->up = *place;
        place = compare(*place, name, len) < 0 ? &(*place)->left : &(*place)->right;
    }
    *place = node;
    for (struct file_node *at = node->up; at != NULL; at = at->up)
        at = split(skew(at));
    return node;
}

struct file_node *tarfs_first(const struct file_node *directory) {
    struct file_node *node = directory->entries;
    while (node != NULL && node->left != NULL)
        node = node->left;
    return node;
}

struct file_node *tarfs_after(const struct file_node *node) {
    if (node->right != NULL) {
        struct file_node *next = node->right;
        while (next->left != NULL)
            next = next->left;
        return next;
    }
    while (node->up != NULL && node->up->right == node)
        node = node->up;
    return node->up;
}

/* Checking */

static const char *node_check(const struct tarfs *fs, const struct file_node *node) {
    const struct file_node *left = node->left, *right = node->right;
    if ((left != NULL && left->up != node) || (right != NULL && right->up != node))
        return "tarfs: a tree link has no link back";
    if (left != NULL ? left->level + 1 != node->level : node->level != 1)
        return "tarfs: a left child is not one level lower";
    if (right != NULL && right->level != node->level && right->level + 1 != node->level)
        return "tarfs: a right child is on a wrong level";
    if (right != NULL && right->right != NULL && right->right->level == node->level)
        return "tarfs: three nodes in a row on one level";
    if (node->type == FILE_REGULAR &&
        (node->offset > fs->source.size_bytes ||
         node->size_bytes > fs->source.size_bytes - node->offset))
        return "tarfs: a file leaves the disk";
    if (node->type != FILE_DIRECTORY && node->entries != NULL)
        return "tarfs: something that is no directory has entries";
    return NULL;
}

const char *tarfs_index_check(const struct tarfs *fs) {
    uint64_t nodes = 1;
    const struct file_node *node = tarfs_first(fs->root);
    while (node != NULL) {
        const char *broken = node_check(fs, node);
        if (broken != NULL)
            return broken;
        const struct file_node *next = tarfs_after(node);
        if (next != NULL && strcmp(node->name, next->name) >= 0)
            return "tarfs: names are out of order";
        nodes++;
        /* Depth first without recursion: down into a directory, else on, else back up. */
        if (node->entries != NULL)
            next = tarfs_first(node);
        while (next == NULL && node->directory != node) {
            node = node->directory;
            next = node->directory == node ? NULL : tarfs_after(node);
        }
        node = next;
    }
    return nodes == fs->nodes ? NULL : "tarfs: the number of nodes is not the number counted";
}
