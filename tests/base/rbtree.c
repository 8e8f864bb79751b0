/* SPDX-License-Identifier: MIT */
/* Cases of <ashlar/rbtree.h>: a tree of intervals against a sorted array. */
#include "harness/test.h"

#include <ashlar/rbtree.h>

/* An interval, ordered by its start; a subtree knows its latest end and the sum of its lengths. */
struct interval {
    struct ash_rbtree_node node;
    uint64_t start, end;
    uint64_t max_end, sum_len;
};

enum { INTERVALS = 400 };

static struct interval *interval_of(const struct ash_rbtree_node *node) {
    return ASH_RBTREE_ENTRY(node, struct interval, node);
}

static bool starts_before(const struct ash_rbtree_node *a, const struct ash_rbtree_node *b) {
    return interval_of(a)->start < interval_of(b)->start;
}

static bool starts_below(const struct ash_rbtree_node *node, const void *key) {
    return interval_of(node)->start < *(const uint64_t *)key;
}

static void values_of(const struct interval *interval, uint64_t *max_end, uint64_t *sum_len) {
    *max_end = interval->end;
    *sum_len = interval->end - interval->start;
    for (uint32_t side = 0; side < 2; side++) {
        const struct ash_rbtree_node *child = interval->node.child[side];
        if (child != NULL) {
            *max_end = ash_max_u64(*max_end, interval_of(child)->max_end);
            *sum_len += interval_of(child)->sum_len;
        }
    }
}

static void update(struct ash_rbtree_node *node) {
    struct interval *interval = interval_of(node);
    values_of(interval, &interval->max_end, &interval->sum_len);
}

static bool is_updated(const struct ash_rbtree_node *node) {
    uint64_t max_end, sum_len;
    values_of(interval_of(node), &max_end, &sum_len);
    return interval_of(node)->max_end == max_end && interval_of(node)->sum_len == sum_len;
}

static const char *check(const struct ash_rbtree *tree) {
    return ash_rbtree_check(tree, starts_before, is_updated);
}

/* The model: pointers, sorted by start, equal ones by time of insertion. */
struct model {
    struct interval *sorted[INTERVALS];
    uint32_t count;
};

static void model_insert(struct model *model, struct interval *interval) {
    uint32_t at = model->count++;
    for (; at > 0 && model->sorted[at - 1]->start > interval->start; at--)
        model->sorted[at] = model->sorted[at - 1];
    model->sorted[at] = interval;
}

static void model_erase(struct model *model, const struct interval *interval) {
    uint32_t at = 0;
    while (model->sorted[at] != interval)
        at++;
    for (model->count--; at < model->count; at++)
        model->sorted[at] = model->sorted[at + 1];
}

static void compare(const struct ash_rbtree *tree, const struct model *model) {
    uint64_t max_end = 0, sum_len = 0;
    const struct ash_rbtree_node *node = ash_rbtree_first(tree), *previous = NULL;
    for (uint32_t i = 0; i < model->count; i++) {
        const struct interval *expected = model->sorted[i];
        CHECK(node == &expected->node);
        CHECK(ash_rbtree_prev(node) == previous);
        max_end = ash_max_u64(max_end, expected->end);
        sum_len += expected->end - expected->start;
        previous = node;
        node = ash_rbtree_next(node);
    }
    CHECK(node == NULL);
    CHECK(ash_rbtree_last(tree) == previous);
    if (tree->root != NULL) {
        CHECK_EQ(interval_of(tree->root)->max_end, max_end);
        CHECK_EQ(interval_of(tree->root)->sum_len, sum_len);
    }
}

/* The lowest start in the model that is not below the key. */
static const struct ash_rbtree_node *model_lower_bound(const struct model *model, uint64_t key) {
    for (uint32_t i = 0; i < model->count; i++) {
        if (model->sorted[i]->start >= key)
            return &model->sorted[i]->node;
    }
    return NULL;
}

/* Keys from `keys` different starts: few give many equal ones. */
static void storm(struct test_random *random, uint32_t intervals, uint64_t keys, uint32_t steps) {
    struct interval *pool = test_alloc(intervals * sizeof(*pool), 8);
    struct model *model = test_alloc(sizeof(*model), 8);
    struct ash_rbtree_cached cached;
    ash_rbtree_cached_init(&cached);
    for (uint32_t i = 0; i < intervals; i++)
        ash_rbtree_node_init(&pool[i].node);
    for (uint32_t step = 0; step < steps; step++) {
        struct interval *interval = &pool[test_random_below(random, intervals)];
        if (ash_rbtree_is_linked(&interval->node)) {
            ash_rbtree_cached_erase(&cached, &interval->node, update);
            model_erase(model, interval);
            CHECK(!ash_rbtree_is_linked(&interval->node));
        } else {
            interval->start = test_random_below(random, keys);
            interval->end = interval->start + test_random_below(random, 1000);
            ash_rbtree_cached_insert(&cached, &interval->node, starts_before, update);
            model_insert(model, interval);
        }
        CHECK(ash_rbtree_cached_first(&cached) == ash_rbtree_first(&cached.tree));
        uint64_t key = test_random_below(random, keys + 1);
        CHECK(ash_rbtree_lower_bound(&cached.tree, &key, starts_below) ==
              model_lower_bound(model, key));
        if (step % 8 == 0) {
            CHECK(check(&cached.tree) == NULL);
            compare(&cached.tree, model);
        }
    }
}

TEST_CASE(rbtree, empty_tree_has_no_first_node) {
    struct ash_rbtree tree;
    ash_rbtree_init(&tree);
    CHECK(ash_rbtree_is_empty(&tree));
    CHECK(ash_rbtree_first(&tree) == NULL);
    CHECK(ash_rbtree_last(&tree) == NULL);
    CHECK(check(&tree) == NULL);
}

TEST_CASE(rbtree, equal_nodes_keep_the_order_of_insertion) {
    struct interval nodes[20];
    struct ash_rbtree tree;
    ash_rbtree_init(&tree);
    for (uint32_t i = 0; i < 20; i++) {
        nodes[i] = (struct interval){.start = i % 2, .end = 9};
        ash_rbtree_insert(&tree, &nodes[i].node, starts_before, update);
    }
    const struct ash_rbtree_node *node = ash_rbtree_first(&tree);
    for (uint32_t i = 0; i < 20; i++) {
        CHECK(node == &nodes[i < 10 ? 2 * i : 2 * (i - 10) + 1].node);
        node = ash_rbtree_next(node);
    }
}

TEST_CASE(rbtree, height_is_at_most_twice_the_logarithm) {
    struct interval *nodes = test_alloc(1023 * sizeof(*nodes), 8);
    struct ash_rbtree tree;
    ash_rbtree_init(&tree);
    for (uint32_t i = 0; i < 1023; i++) {
        nodes[i].start = i; /* ascending: the worst order for a tree that does not balance */
        nodes[i].end = i;
        ash_rbtree_insert(&tree, &nodes[i].node, starts_before, NULL);
    }
    uint32_t height = 0;
    for (uint32_t i = 0; i < 1023; i++) {
        uint32_t depth = 0;
        for (const struct ash_rbtree_node *node = &nodes[i].node; node != NULL;
             node = ash_rbtree_parent(node))
            depth++;
        height = depth > height ? depth : height;
    }
    CHECK(height <= 20);
    CHECK(ash_rbtree_check(&tree, starts_before, NULL) == NULL);
}

TEST_CASE(rbtree, random_intervals_match_a_sorted_array) {
    for (uint64_t round = 0; round < 20; round++) {
        struct test_random random = test_random_from(test_seed() + round);
        storm(&random, 40, round % 2 == 0 ? 1000000 : 6, 300);
    }
    struct test_random random = test_random_from(test_seed());
    storm(&random, INTERVALS, 5000, 1200);
}

TEST_CASE(rbtree, update_carries_a_changed_node_to_the_root) {
    struct interval nodes[31];
    struct ash_rbtree tree;
    ash_rbtree_init(&tree);
    for (uint32_t i = 0; i < 31; i++) {
        nodes[i] = (struct interval){.start = i, .end = i + 1};
        ash_rbtree_insert(&tree, &nodes[i].node, starts_before, update);
    }
    nodes[17].end = 900;
    CHECK(check(&tree) != NULL);
    ash_rbtree_update(&nodes[17].node, update);
    CHECK(check(&tree) == NULL);
    CHECK_EQ(interval_of(tree.root)->max_end, 900);
}

/* One fault at a time in a sound tree: each must be found. */
TEST_CASE(rbtree, checker_finds_broken_trees) {
    struct interval nodes[31];
    struct ash_rbtree tree;
    ash_rbtree_init(&tree);
    for (uint32_t i = 0; i < 31; i++) {
        nodes[i] = (struct interval){.start = 2 * i, .end = 2 * i};
        ash_rbtree_insert(&tree, &nodes[i].node, starts_before, update);
    }
    for (uint32_t i = 0; i < 31; i++) {
        struct interval saved = nodes[i];
        nodes[i].node.parent_red ^= 1;
        CHECK(check(&tree) != NULL);
        nodes[i] = saved;
        nodes[i].node.parent_red = (uintptr_t)&nodes[(i + 7) % 31].node;
        CHECK(check(&tree) != NULL);
        nodes[i] = saved;
        nodes[i].max_end += 1000;
        CHECK(check(&tree) != NULL);
        nodes[i] = saved;
        nodes[i].start = i < 16 ? 100 : 0;
        CHECK(ash_rbtree_check(&tree, starts_before, NULL) != NULL);
        nodes[i] = saved;
        nodes[i].node.child[0] = tree.root; /* a cycle */
        CHECK(check(&tree) != NULL);
        nodes[i] = saved;
        CHECK(check(&tree) == NULL);
    }
}
