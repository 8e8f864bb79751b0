/* SPDX-License-Identifier: MIT */
/*
 * list_buddy.h: the buddy system as textbooks have it (Knuth, TAOCP 1, 2.5), to compare with: a
 * list of free blocks per order, last in first out; a byte per frame says where a block starts and
 * whether it is free; a free merges with its buddy as far as it can. Links are kept out of line.
 * One thread, no lock, no check.
 */
#ifndef ASHLAR_BENCH_LIST_BUDDY_H
#define ASHLAR_BENCH_LIST_BUDDY_H

#include <cstddef>
#include <cstdint>
#include <vector>

class ListBuddy {
  public:
    static constexpr uint32_t orders = 11; /* as Linux has them */

    explicit ListBuddy(uint32_t frames)
        : state_(frames, inside), next_(frames), previous_(frames), free_frames_(0) {
        for (auto &head : head_)
            head = none;
        for (uint32_t first = 0, order = orders - 1; first < frames; first += 1u << order) {
            while (first % (1u << order) != 0 || frames - first < 1u << order)
                order--;
            push(first, order);
            free_frames_ += uint64_t{1} << order;
        }
    }
    bool alloc(uint32_t order, uint32_t *first) {
        uint32_t from = order;
        while (from < orders && head_[from] == none)
            from++;
        if (from == orders)
            return false;
        *first = head_[from];
        unlink(*first, from);
        while (from > order) {
            from--;
            push(*first + (1u << from), from);
        }
        state_[*first] = static_cast<uint8_t>(order);
        free_frames_ -= uint64_t{1} << order;
        return true;
    }
    void free(uint32_t first, uint32_t order) {
        free_frames_ += uint64_t{1} << order;
        while (order < orders - 1) {
            uint32_t buddy = first ^ 1u << order;
            if (buddy >= state_.size() || state_[buddy] != (order | is_free))
                break;
            unlink(buddy, order);
            state_[first > buddy ? first : buddy] = inside;
            first &= ~(1u << order);
            order++;
        }
        push(first, order);
    }
    uint64_t free_frames() const {
        return free_frames_;
    }
    size_t bytes() const {
        return state_.size() * (1 + 2 * sizeof(uint32_t));
    }

  private:
    static constexpr uint32_t none = UINT32_MAX;
    static constexpr uint8_t is_free = 0x80, inside = 0x7f;

    void push(uint32_t first, uint32_t order) {
        state_[first] = static_cast<uint8_t>(order | is_free);
        next_[first] = head_[order];
        previous_[first] = none;
        if (head_[order] != none)
            previous_[head_[order]] = first;
        head_[order] = first;
    }
    void unlink(uint32_t first, uint32_t order) {
        if (previous_[first] == none)
            head_[order] = next_[first];
        else
            next_[previous_[first]] = next_[first];
        if (next_[first] != none)
            previous_[next_[first]] = previous_[first];
        state_[first] = inside;
    }

    std::vector<uint8_t> state_; /* of a block's first frame: its order, is_free; else inside */
    std::vector<uint32_t> next_, previous_;
    uint32_t head_[orders];
    uint64_t free_frames_;
};

#endif
