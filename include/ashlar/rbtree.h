/* SPDX-License-Identifier: MIT */
/*
 * rbtree.h: a red-black tree whose nodes lie inside the caller's objects, and whose nodes may carry
 * a value about their subtree (the latest end of an interval, a sum of weights).
 *
 * Rules
 *  - The order is the caller's: less(a, b) on nodes, a strict weak order. Nodes that are equal keep
 *    the order in which they were inserted.
 *  - A subtree's value is the caller's too: update(node) computes the node's from its own data and
 *    its two children's. It must depend on nothing else. Pass the same function, or NULL for none,
 *    to every call on a tree. When a node's own data change, call ash_rbtree_update.
 *  - Insert and erase take O(log n): a path to the root, at most 2 rotations for an insert, 3 for
 *    an erase; height at most 2 log2(n + 1). No recursion, no allocation, no lock.
 *  - A node is erased before it dies and initialised before it is asked ash_rbtree_is_linked.
 *
 * Source: Guibas and Sedgewick 1978; Cormen, Leiserson, Rivest, Stein, chapters 13 and 14.
 *
 *   R1 the root is black    R2 a red node has no red child
 *   R3 every way from the root down to a missing child passes the same number of black nodes
 */
#ifndef ASHLAR_RBTREE_H
#define ASHLAR_RBTREE_H

#include <ashlar/base.h>

/* child[0] is the left one. The parent's address and, in its lowest bit, "this node is red". */
struct ash_rbtree_node {
    uintptr_t parent_red;
    struct ash_rbtree_node *child[2];
};

struct ash_rbtree {
    struct ash_rbtree_node *root;
};

/* A tree that knows its first node: ash_rbtree_cached_first is one load. Use its own insert and
 * erase, and everything else on &cached.tree. */
struct ash_rbtree_cached {
    struct ash_rbtree tree;
    struct ash_rbtree_node *first;
};

typedef bool ash_rbtree_less_fn(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b);
typedef void ash_rbtree_update_fn(struct ash_rbtree_node *node);

/* The object that holds `node` as its field `member`. */
#define ASH_RBTREE_ENTRY(node, type, member) ASH_CONTAINER_OF(node, type, member)

static inline void ash_rbtree_init(struct ash_rbtree *tree) {
    tree->root = NULL;
}

/* A node in no tree is its own parent. */
static inline void ash_rbtree_node_init(struct ash_rbtree_node *node) {
    node->parent_red = (uintptr_t)node;
    node->child[0] = NULL;
    node->child[1] = NULL;
}

static inline struct ash_rbtree_node *ash_rbtree_parent(const struct ash_rbtree_node *node) {
    return (struct ash_rbtree_node *)(node->parent_red & ~(uintptr_t)1);
}

static inline bool ash_rbtree_is_linked(const struct ash_rbtree_node *node) {
    return node->parent_red != (uintptr_t)node;
}

static inline bool ash_rbtree_is_empty(const struct ash_rbtree *tree) {
    return tree->root == NULL;
}

/* In order */

/* The last node of the subtree in the direction: 0 for its first, 1 for its last; NULL if empty. */
static inline struct ash_rbtree_node *ash__rbtree_end(struct ash_rbtree_node *node, uint32_t side) {
    while (node != NULL && node->child[side] != NULL)
        node = node->child[side];
    return node;
}

static inline struct ash_rbtree_node *ash__rbtree_step(const struct ash_rbtree_node *node,
                                                       uint32_t side) {
    if (node->child[side] != NULL)
        return ash__rbtree_end(node->child[side], side ^ 1u);
    struct ash_rbtree_node *parent = ash_rbtree_parent(node);
    while (parent != NULL && parent->child[side] == node) {
        node = parent;
        parent = ash_rbtree_parent(node);
    }
    return parent;
}

/* NULL for an empty tree. O(log n). */
static inline struct ash_rbtree_node *ash_rbtree_first(const struct ash_rbtree *tree) {
    return ash__rbtree_end(tree->root, 0);
}

static inline struct ash_rbtree_node *ash_rbtree_last(const struct ash_rbtree *tree) {
    return ash__rbtree_end(tree->root, 1);
}

/* NULL past the end. O(log n), O(1) over a whole walk. */
static inline struct ash_rbtree_node *ash_rbtree_next(const struct ash_rbtree_node *node) {
    return ash__rbtree_step(node, 1);
}

static inline struct ash_rbtree_node *ash_rbtree_prev(const struct ash_rbtree_node *node) {
    return ash__rbtree_step(node, 0);
}

/* The first node that is not below the key, or NULL. below(node, key) agrees with the order. */
static inline struct ash_rbtree_node *ash_rbtree_lower_bound(
    const struct ash_rbtree *tree, const void *key,
    bool (*below)(const struct ash_rbtree_node *node, const void *key)) {
    struct ash_rbtree_node *node = tree->root, *found = NULL;
    while (node != NULL) {
        bool right = below(node, key);
        if (!right)
            found = node;
        node = node->child[right];
    }
    return found;
}

/* Links and colours (private) */

/* A missing child is black. */
static inline bool ash__rbtree_is_red(const struct ash_rbtree_node *node) {
    return node != NULL && (node->parent_red & 1) != 0;
}

static inline void ash__rbtree_set_red(struct ash_rbtree_node *node, bool red) {
    node->parent_red = (node->parent_red & ~(uintptr_t)1) | red;
}

static inline void ash__rbtree_set_parent(struct ash_rbtree_node *node,
                                          struct ash_rbtree_node *parent) {
    if (node != NULL)
        node->parent_red = (uintptr_t)parent | (node->parent_red & 1);
}

/* Which child of its parent is it? The parent is there. */
static inline uint32_t ash__rbtree_side(const struct ash_rbtree_node *node,
                                        const struct ash_rbtree_node *parent) {
    return parent->child[1] == node;
}

/* `in` (may be NULL) takes the place that `out` has under its parent. */
static inline void ash__rbtree_replace(struct ash_rbtree *tree, struct ash_rbtree_node *out,
                                       struct ash_rbtree_node *in) {
    struct ash_rbtree_node *parent = ash_rbtree_parent(out);
    if (parent == NULL)
        tree->root = in;
    else
        parent->child[ash__rbtree_side(out, parent)] = in;
    ash__rbtree_set_parent(in, parent);
}

/* Brings the values of `node` and of all above it up to date. */
static inline void ash_rbtree_update(struct ash_rbtree_node *node, ash_rbtree_update_fn *update) {
    for (; update != NULL && node != NULL; node = ash_rbtree_parent(node))
        update(node);
}

/*
 *      node            up           side 0: node goes down to the left. The subtree as a whole
 *      /  \           /  \          holds what it held, so no value above it changes.
 *     a    up   =>  node  c
 *         /  \      /  \
 *        b    c    a    b
 */
static inline void ash__rbtree_rotate(struct ash_rbtree *tree, struct ash_rbtree_node *node,
                                      uint32_t side, ash_rbtree_update_fn *update) {
    struct ash_rbtree_node *up = node->child[side ^ 1u];
    ash__rbtree_replace(tree, node, up);
    node->child[side ^ 1u] = up->child[side];
    ash__rbtree_set_parent(up->child[side], node);
    up->child[side] = node;
    ash__rbtree_set_parent(node, up);
    if (update != NULL) {
        update(node);
        update(up);
    }
}

/* Insert */

/* `node` is red and may have a red parent (R2); all else holds. */
static inline void ash__rbtree_fix_red(struct ash_rbtree *tree, struct ash_rbtree_node *node,
                                       ash_rbtree_update_fn *update) {
    struct ash_rbtree_node *parent = ash_rbtree_parent(node);
    while (ash__rbtree_is_red(parent)) {
        struct ash_rbtree_node *grand = ash_rbtree_parent(parent); /* there: parent is not root */
        uint32_t side = ash__rbtree_side(parent, grand);
        struct ash_rbtree_node *uncle = grand->child[side ^ 1u];
        ash__rbtree_set_red(grand, true);
        if (ash__rbtree_is_red(uncle)) { /* push the red up by two */
            ash__rbtree_set_red(parent, false);
            ash__rbtree_set_red(uncle, false);
            node = grand;
            parent = ash_rbtree_parent(node);
            continue;
        }
        if (ash__rbtree_side(node, parent) != side) { /* straighten the bend */
            ash__rbtree_rotate(tree, parent, side, update);
            parent = node;
        }
        ash__rbtree_set_red(parent, false);
        ash__rbtree_rotate(tree, grand, side ^ 1u, update);
        break;
    }
    ash__rbtree_set_red(tree->root, false);
}

/* Inserts a node that is in no tree, after all that it is not less than. */
static inline void ash_rbtree_insert(struct ash_rbtree *tree, struct ash_rbtree_node *node,
                                     ash_rbtree_less_fn *less, ash_rbtree_update_fn *update) {
    struct ash_rbtree_node *parent = NULL, **slot = &tree->root;
    while (*slot != NULL) {
        parent = *slot;
        slot = &parent->child[!less(node, parent)];
    }
    *slot = node;
    node->child[0] = NULL;
    node->child[1] = NULL;
    node->parent_red = (uintptr_t)parent | 1;
    ash_rbtree_update(node, update);
    ash__rbtree_fix_red(tree, node, update);
}

/* Erase */

/*
 * The ways through `node` (NULL: a missing child of `parent`) have one black less than the others
 * (R3). Its sibling is there: it has at least that one black more.
 */
static inline void ash__rbtree_fix_black(struct ash_rbtree *tree, struct ash_rbtree_node *node,
                                         struct ash_rbtree_node *parent,
                                         ash_rbtree_update_fn *update) {
    while (parent != NULL) {
        uint32_t side = ash__rbtree_side(node, parent);
        struct ash_rbtree_node *sibling = parent->child[side ^ 1u];
        if (ash__rbtree_is_red(sibling)) { /* get a black sibling */
            ash__rbtree_set_red(sibling, false);
            ash__rbtree_set_red(parent, true);
            ash__rbtree_rotate(tree, parent, side, update);
            sibling = parent->child[side ^ 1u];
        }
        struct ash_rbtree_node *near = sibling->child[side], *far = sibling->child[side ^ 1u];
        if (!ash__rbtree_is_red(near) && !ash__rbtree_is_red(far)) { /* take one from it as well */
            ash__rbtree_set_red(sibling, true);
            node = parent;
            parent = ash_rbtree_parent(node);
            if (!ash__rbtree_is_red(node))
                continue;
            ash__rbtree_set_red(node, false);
            return;
        }
        if (!ash__rbtree_is_red(far)) { /* get a red far nephew */
            ash__rbtree_set_red(near, false);
            ash__rbtree_set_red(sibling, true);
            ash__rbtree_rotate(tree, sibling, side ^ 1u, update);
            far = sibling;
            sibling = near;
        }
        ash__rbtree_set_red(sibling, ash__rbtree_is_red(parent));
        ash__rbtree_set_red(parent, false);
        ash__rbtree_set_red(far, false);
        ash__rbtree_rotate(tree, parent, side, update);
        return;
    }
}

/* Erases a node of this tree; it is left as ash_rbtree_node_init leaves it. */
static inline void ash_rbtree_erase(struct ash_rbtree *tree, struct ash_rbtree_node *node,
                                    ash_rbtree_update_fn *update) {
    struct ash_rbtree_node *hole = node; /* whose place in the tree goes away */
    if (node->child[0] != NULL && node->child[1] != NULL)
        hole = ash__rbtree_end(node->child[1], 0);
    struct ash_rbtree_node *child = hole->child[hole->child[0] == NULL];
    struct ash_rbtree_node *parent = ash_rbtree_parent(hole);
    bool black_lost = !ash__rbtree_is_red(hole);
    ash__rbtree_replace(tree, hole, child);
    if (hole != node) { /* the successor takes the node's place, links and colour */
        if (parent == node)
            parent = hole;
        ash__rbtree_replace(tree, node, hole);
        *hole = *node;
        ash__rbtree_set_parent(hole->child[0], hole);
        ash__rbtree_set_parent(hole->child[1], hole);
    }
    ash_rbtree_update(parent, update);
    if (ash__rbtree_is_red(child))
        ash__rbtree_set_red(child, false);
    else if (black_lost)
        ash__rbtree_fix_black(tree, child, parent, update);
    ash_rbtree_node_init(node);
}

/* The cached variant */

static inline void ash_rbtree_cached_init(struct ash_rbtree_cached *cached) {
    cached->tree.root = NULL;
    cached->first = NULL;
}

static inline struct ash_rbtree_node *ash_rbtree_cached_first(
    const struct ash_rbtree_cached *cached) {
    return cached->first;
}

static inline void ash_rbtree_cached_insert(struct ash_rbtree_cached *cached,
                                            struct ash_rbtree_node *node, ash_rbtree_less_fn *less,
                                            ash_rbtree_update_fn *update) {
    if (cached->first == NULL || less(node, cached->first))
        cached->first = node;
    ash_rbtree_insert(&cached->tree, node, less, update);
}

static inline void ash_rbtree_cached_erase(struct ash_rbtree_cached *cached,
                                           struct ash_rbtree_node *node,
                                           ash_rbtree_update_fn *update) {
    if (cached->first == node)
        cached->first = ash_rbtree_next(node);
    ash_rbtree_erase(&cached->tree, node, update);
}

/* Checker */

/* Black nodes from `node` up to the root. */
static inline uint32_t ash__rbtree_black_depth(const struct ash_rbtree_node *node) {
    uint32_t depth = 0;
    for (; node != NULL; node = ash_rbtree_parent(node))
        depth += !ash__rbtree_is_red(node);
    return depth;
}

/* What is wrong with a node's own links and colour. *depth is what its ways should count; 0 until
 * the first way's end is met. */
static inline const char *ash__rbtree_check_node(const struct ash_rbtree_node *node,
                                                 uint32_t *depth) {
    for (uint32_t side = 0; side < 2; side++) {
        const struct ash_rbtree_node *child = node->child[side];
        if (child == NULL) {
            uint32_t here = ash__rbtree_black_depth(node);
            if (*depth == 0)
                *depth = here;
            if (here != *depth)
                return "R3: two ways down pass different numbers of black nodes";
        } else if (ash_rbtree_parent(child) != node || child == node->child[side ^ 1u]) {
            return "a child does not point back to its parent";
        } else if (ash__rbtree_is_red(node) && ash__rbtree_is_red(child)) {
            return "R2: a red node has a red child";
        }
    }
    return NULL;
}

/* The next node in pre-order: itself before its children. */
static inline const struct ash_rbtree_node *ash__rbtree_preorder_next(
    const struct ash_rbtree_node *node) {
    if (node->child[0] != NULL)
        return node->child[0];
    if (node->child[1] != NULL)
        return node->child[1];
    const struct ash_rbtree_node *parent = ash_rbtree_parent(node);
    while (parent != NULL && (parent->child[1] == node || parent->child[1] == NULL)) {
        node = parent;
        parent = ash_rbtree_parent(node);
    }
    return parent == NULL ? NULL : parent->child[1];
}

/*
 * NULL, or what is wrong. is_updated (may be NULL) says whether a node's value is what its children
 * make it. Ends also on broken links: a node is walked into only once it points back. O(n log n).
 */
static inline const char *ash_rbtree_check(const struct ash_rbtree *tree, ash_rbtree_less_fn *less,
                                           bool (*is_updated)(const struct ash_rbtree_node *node)) {
    const struct ash_rbtree_node *node = tree->root;
    if (node == NULL)
        return NULL;
    if (ash__rbtree_is_red(node) || ash_rbtree_parent(node) != NULL)
        return "R1: the root is red, or has a parent";
    uint32_t depth = 0;
    for (; node != NULL; node = ash__rbtree_preorder_next(node)) {
        const char *broken = ash__rbtree_check_node(node, &depth);
        if (broken != NULL)
            return broken;
        if (is_updated != NULL && !is_updated(node))
            return "a node's value is not what its children make it";
    }
    node = ash_rbtree_first(tree);
    for (const struct ash_rbtree_node *next; (next = ash_rbtree_next(node)) != NULL; node = next) {
        if (less(next, node))
            return "two neighbours are out of order";
    }
    return NULL;
}

#endif
