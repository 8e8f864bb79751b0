/* SPDX-License-Identifier: MIT */
/* An LRU cache of GLib's parts: its hash table of 64-bit keys, its queue. */
#include "blocks.h"

#include <glib.h>

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = "glib";

    explicit Blocks(uint32_t blocks) : room_(blocks), nodes_(new Node[blocks]()) {
        g_queue_init(&order_);
    }
    ~Blocks() {
        g_hash_table_destroy(table_);
        delete[] nodes_;
    }
    Blocks(const Blocks &) = delete;

    uintptr_t find(uint64_t key) {
        auto *node = static_cast<Node *>(g_hash_table_lookup(table_, &key));
        if (node == nullptr)
            return 0;
        g_queue_unlink(&order_, &node->link);
        g_queue_push_head_link(&order_, &node->link);
        return reinterpret_cast<uintptr_t>(node);
    }
    bool access(uint64_t key) {
        if (find(key) != 0)
            return true;
        Node *node;
        if (used_ < room_) {
            node = &nodes_[used_++];
            node->link.data = node;
        } else {
            node = static_cast<Node *>(g_queue_pop_tail_link(&order_)->data);
            g_hash_table_remove(table_, &node->key);
        }
        node->key = key;
        g_hash_table_insert(table_, &node->key, node);
        g_queue_push_head_link(&order_, &node->link);
        return false;
    }

  private:
    struct Node {
        uint64_t key;
        GList link;
    };
    uint32_t room_, used_ = 0;
    Node *nodes_;
    GQueue order_;
    GHashTable *table_ = g_hash_table_new(g_int64_hash, g_int64_equal);
};
