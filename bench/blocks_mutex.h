/* SPDX-License-Identifier: MIT */
/* The textbook's: chains, a list in order of use, one lock. */
#include "blocks.h"

#include <pthread.h>

#include <memory>

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = "mutex";
    static constexpr bool threads = true, sleeps = true;

    explicit Blocks(uint32_t blocks) : room_(blocks), nodes_(new Node[blocks]()) {
        while ((uint64_t{1} << bits_) < blocks)
            bits_++;
        chains_.reset(new Node *[size_t{1} << bits_]());
        head_.next = head_.prev = &head_;
    }

    uintptr_t find(uint64_t key) {
        pthread_mutex_lock(&lock_);
        Node *node = touch(key);
        pthread_mutex_unlock(&lock_);
        return reinterpret_cast<uintptr_t>(node);
    }
    uint64_t read(uint64_t key) {
        pthread_mutex_lock(&lock_);
        Node *node = touch(key);
        uint64_t word = node != nullptr ? node->word : 0;
        pthread_mutex_unlock(&lock_);
        return word;
    }
    bool access(uint64_t key) {
        pthread_mutex_lock(&lock_);
        bool hit = touch(key) != nullptr;
        if (!hit)
            insert(key);
        pthread_mutex_unlock(&lock_);
        return hit;
    }

  private:
    struct Node {
        uint64_t key, word;
        Node *chain, *prev, *next;
    };
    Node **chain_of(uint64_t key) {
        return &chains_[(key * 0x9e3779b97f4a7c15u) >> (64 - bits_)];
    }
    static void take_out(Node *node) {
        node->prev->next = node->next;
        node->next->prev = node->prev;
    }
    void put_first(Node *node) {
        node->prev = &head_;
        node->next = head_.next;
        head_.next = head_.next->prev = node;
    }
    Node *touch(uint64_t key) {
        Node *node = *chain_of(key);
        while (node != nullptr && node->key != key)
            node = node->chain;
        if (node != nullptr && node != head_.next) {
            take_out(node);
            put_first(node);
        }
        return node;
    }
    void insert(uint64_t key) {
        Node *node = &nodes_[used_];
        if (used_ < room_) {
            used_++;
        } else {
            node = head_.prev;
            take_out(node);
            Node **link = chain_of(node->key);
            while (*link != node)
                link = &(*link)->chain;
            *link = node->chain;
        }
        node->key = node->word = key;
        Node **chain = chain_of(key);
        node->chain = *chain;
        *chain = node;
        put_first(node);
    }

    pthread_mutex_t lock_ = PTHREAD_MUTEX_INITIALIZER;
    uint32_t room_, used_ = 0, bits_ = 1;
    Node head_{};
    std::unique_ptr<Node[]> nodes_;
    std::unique_ptr<Node *[]> chains_;
};
