/* SPDX-License-Identifier: MIT */
/* queue_binary.h: the binary heap of textbooks, with keys, arrivals and places in arrays. */
#ifndef ASHLAR_BENCH_QUEUE_BINARY_H
#define ASHLAR_BENCH_QUEUE_BINARY_H

#include <stddef.h>
#include <stdint.h>

#include <vector>

class Queue {
  public:
    static constexpr const char *name = "binary";

    explicit Queue(uint32_t count) : tasks_(count), places_(count) {
        heap_.reserve(count);
    }
    uint64_t key(uint32_t slot) const {
        return tasks_[slot].key;
    }
    uint32_t first() const {
        return heap_[0].slot;
    }
    void insert(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        heap_.push_back({});
        up(heap_.size() - 1, {key, arrivals_++, slot});
    }
    void remove(uint32_t slot) {
        size_t at = places_[slot];
        Entry last = heap_.back();
        heap_.pop_back();
        if (at != heap_.size())
            refill(at, last);
    }
    void requeue_first(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        refill(0, {key, arrivals_++, slot});
    }

  private:
    struct Entry {
        uint64_t key;
        uint32_t arrival, slot;
        bool before(const Entry &other) const {
            return key != other.key ? key < other.key : arrival < other.arrival;
        }
    };
    struct alignas(64) Task {
        uint64_t key;
    };
    void put(size_t at, const Entry &entry) {
        heap_[at] = entry;
        places_[entry.slot] = static_cast<uint32_t>(at);
    }
    void up(size_t at, const Entry &entry) {
        for (; at != 0 && entry.before(heap_[(at - 1) / 2]); at = (at - 1) / 2)
            put(at, heap_[(at - 1) / 2]);
        put(at, entry);
    }
    void refill(size_t at, const Entry &entry) {
        if (at != 0 && entry.before(heap_[(at - 1) / 2])) {
            up(at, entry);
            return;
        }
        for (size_t child; (child = 2 * at + 1) < heap_.size(); at = child) {
            if (child + 1 < heap_.size() && heap_[child + 1].before(heap_[child]))
                child++;
            if (entry.before(heap_[child]))
                break;
            put(at, heap_[child]);
        }
        put(at, entry);
    }
    std::vector<Task> tasks_;
    std::vector<uint32_t> places_;
    std::vector<Entry> heap_;
    uint32_t arrivals_ = 0;
};

#endif
