/* SPDX-License-Identifier: MIT */
/*
 * fair_rbtree.h: EEVDF in one red-black tree by deadline, in which each node knows the least
 * vruntime below it: what Linux does. Mean and eligibility are by products, as there; 128 bits wide
 * where that has 64.
 */
#ifndef ASHLAR_BENCH_FAIR_RBTREE_H
#define ASHLAR_BENCH_FAIR_RBTREE_H

#include <ashlar/bits.h>
#include <ashlar/rbtree.h>

#include <cmath>
#include <vector>

class Fair {
  public:
    static constexpr const char *name = "rbtree";

    Fair(const std::vector<int32_t> &nices, uint64_t slice_ns) : all_(nices.size()) {
        ash_rbtree_init(&tree_);
        for (size_t i = 0; i < nices.size(); i++) {
            Entity &own = all_[i];
            own.weight = static_cast<uint32_t>(std::lround(1024 * std::pow(1.25, -nices[i])));
            own.inverse = (uint64_t{1} << 32) / own.weight;
            own.slice_ns = slice_ns;
            own.deadline = virtual_of(own, slice_ns);
            insert(own);
        }
        running_ = pick();
    }
    uint64_t left() const {
        return ((running_->deadline - running_->v) * running_->weight + 1023) >> 10;
    }
    void run(uint64_t ran_ns) {
        Entity &own = *running_;
        erase(own);
        own.v += virtual_of(own, ran_ns);
        if (static_cast<int64_t>(own.v - own.deadline) >= 0)
            own.deadline = own.v + virtual_of(own, own.slice_ns);
        insert(own);
        running_ = pick();
    }
    void sleep_and_wake(uint32_t which) {
        Entity &own = all_[which];
        int64_t lag = mean() - static_cast<int64_t>(own.v - zero_);
        erase(own);
        int64_t v = mean();
        if (weight_ != 0)
            lag = static_cast<int64_t>(lag * static_cast<int64_t>(weight_ + own.weight) /
                                       static_cast<int64_t>(weight_));
        own.v = zero_ + static_cast<uint64_t>(v - lag);
        own.deadline = own.v + virtual_of(own, own.slice_ns);
        insert(own);
        if (&own == running_)
            running_ = pick();
    }

  private:
    struct Entity {
        ash_rbtree_node node;
        uint64_t v = 0, deadline = 0, least = 0, slice_ns = 0, inverse = 0;
        uint32_t weight = 0;
    };
    __extension__ typedef __int128 Wide;

    static uint64_t virtual_of(const Entity &own, uint64_t ns) {
        return (ns * own.inverse) >> 22;
    }
    static Entity &of(const ash_rbtree_node *node) {
        return *reinterpret_cast<Entity *>(const_cast<ash_rbtree_node *>(node));
    }
    static bool less(const ash_rbtree_node *a, const ash_rbtree_node *b) {
        return static_cast<int64_t>(of(a).deadline - of(b).deadline) < 0;
    }
    static void update(ash_rbtree_node *node) {
        uint64_t least = of(node).v;
        for (const ash_rbtree_node *child : node->child) {
            if (child != nullptr && static_cast<int64_t>(of(child).least - least) < 0)
                least = of(child).least;
        }
        of(node).least = least;
    }
    void insert(Entity &own) {
        sum_ += static_cast<Wide>(static_cast<int64_t>(own.v - zero_)) * own.weight;
        weight_ += own.weight;
        own.least = own.v;
        ash_rbtree_insert(&tree_, &own.node, less, update);
    }
    void erase(Entity &own) {
        ash_rbtree_erase(&tree_, &own.node, update);
        sum_ -= static_cast<Wide>(static_cast<int64_t>(own.v - zero_)) * own.weight;
        weight_ -= own.weight;
    }
    int64_t mean() const {
        return weight_ == 0 ? 0 : static_cast<int64_t>(sum_ / static_cast<Wide>(weight_));
    }
    bool is_eligible(uint64_t v) const {
        return static_cast<Wide>(static_cast<int64_t>(v - zero_)) * static_cast<int64_t>(weight_) <=
               sum_;
    }
    Entity *pick() const {
        const ash_rbtree_node *node = tree_.root;
        Entity *best = nullptr;
        while (node != nullptr) { /* to the left as long as somebody there is eligible */
            const ash_rbtree_node *left = node->child[0];
            if (left != nullptr && is_eligible(of(left).least)) {
                node = left;
                continue;
            }
            if (is_eligible(of(node).v)) {
                best = &of(node);
                break;
            }
            node = node->child[1];
        }
        return best;
    }
    std::vector<Entity> all_;
    ash_rbtree tree_;
    Entity *running_;
    Wide sum_ = 0;
    uint64_t zero_ = 0, weight_ = 0;
};

#endif
