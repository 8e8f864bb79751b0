/* SPDX-License-Identifier: MIT */
/* queue_pb_ds.h: a heap of the compiler's policy-based data structures, QUEUE_TAG's; its own order
 * among equal keys is none, so each key is a pair with the number of the arrival. */
#ifndef ASHLAR_BENCH_QUEUE_PB_DS_H
#define ASHLAR_BENCH_QUEUE_PB_DS_H

#include <stddef.h>
#include <stdint.h>

#include <ext/pb_ds/priority_queue.hpp>
#include <vector>

class Queue {
  public:
    static constexpr const char *name = QUEUE_NAME;

    explicit Queue(uint32_t count) : tasks_(count) {
    }
    uint64_t key(uint32_t slot) const {
        return tasks_[slot].key;
    }
    uint32_t first() const {
        return heap_.top().slot;
    }
    void insert(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        tasks_[slot].place = heap_.push({key, arrivals_++, slot});
    }
    void remove(uint32_t slot) {
        heap_.erase(tasks_[slot].place);
    }
    void requeue_first(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        heap_.modify(tasks_[slot].place, {key, arrivals_++, slot});
    }

  private:
    struct Entry {
        uint64_t key;
        uint32_t arrival, slot;
    };
    struct After {
        bool operator()(const Entry &a, const Entry &b) const {
            return a.key != b.key ? a.key > b.key : a.arrival > b.arrival;
        }
    };
    using Heap = __gnu_pbds::priority_queue<Entry, After, __gnu_pbds::QUEUE_TAG>;
    struct alignas(64) Task {
        uint64_t key;
        Heap::point_iterator place;
    };
    std::vector<Task> tasks_;
    Heap heap_;
    uint32_t arrivals_ = 0;
};

#endif
