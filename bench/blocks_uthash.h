/* SPDX-License-Identifier: MIT */
/* An LRU cache of uthash and utlist. */
#include "blocks.h"

#include <uthash.h>
#include <utlist.h>

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = "uthash";

    explicit Blocks(uint32_t blocks) : room_(blocks), nodes_(new Node[blocks]()) {
    }
    ~Blocks() {
        HASH_CLEAR(hh, table_);
        delete[] nodes_;
    }
    Blocks(const Blocks &) = delete;

    uintptr_t find(uint64_t key) {
        Node *node;
        HASH_FIND(hh, table_, &key, sizeof(key), node);
        if (node == nullptr)
            return 0;
        DL_DELETE(order_, node);
        DL_PREPEND(order_, node);
        return reinterpret_cast<uintptr_t>(node);
    }
    bool access(uint64_t key) {
        if (find(key) != 0)
            return true;
        Node *node;
        if (used_ < room_) {
            node = &nodes_[used_++];
        } else {
            node = order_->prev; /* the head's: the tail */
            DL_DELETE(order_, node);
            HASH_DELETE(hh, table_, node);
        }
        node->key = key;
        HASH_ADD(hh, table_, key, sizeof(node->key), node);
        DL_PREPEND(order_, node);
        return false;
    }

  private:
    struct Node {
        uint64_t key;
        Node *prev, *next;
        UT_hash_handle hh;
    };
    uint32_t room_, used_ = 0;
    Node *nodes_, *table_ = nullptr, *order_ = nullptr;
};
