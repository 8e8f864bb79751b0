/* SPDX-License-Identifier: MIT */
/* queue_rbtree.h: a red-black tree of nodes inside the tasks that knows its first node: what Linux
 * has its tasks in. */
#ifndef ASHLAR_BENCH_QUEUE_RBTREE_H
#define ASHLAR_BENCH_QUEUE_RBTREE_H

#include <ashlar/rbtree.h>

#include <vector>

class Queue {
  public:
    static constexpr const char *name = "rbtree";

    explicit Queue(uint32_t count) : tasks_(count) {
        ash_rbtree_cached_init(&tree_);
    }
    uint64_t key(uint32_t slot) const {
        return tasks_[slot].key;
    }
    uint32_t first() const {
        const void *node = ash_rbtree_cached_first(&tree_);
        return static_cast<uint32_t>(static_cast<const Task *>(node) - tasks_.data());
    }
    void insert(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        ash_rbtree_cached_insert(&tree_, &tasks_[slot].node, less, nullptr);
    }
    void remove(uint32_t slot) {
        ash_rbtree_cached_erase(&tree_, &tasks_[slot].node, nullptr);
    }
    void requeue_first(uint32_t slot, uint64_t key) {
        remove(slot);
        insert(slot, key);
    }

  private:
    struct alignas(64) Task {
        ash_rbtree_node node;
        uint64_t key;
    };
    static bool less(const ash_rbtree_node *a, const ash_rbtree_node *b) {
        auto key_of = [](const void *node) { return static_cast<const Task *>(node)->key; };
        return static_cast<int64_t>(key_of(a) - key_of(b)) < 0;
    }
    std::vector<Task> tasks_;
    ash_rbtree_cached tree_;
};

#endif
