/* SPDX-License-Identifier: MIT */
/* queue_multimap.h: std::multimap, whose nodes are kept over a requeue. */
#ifndef ASHLAR_BENCH_QUEUE_MULTIMAP_H
#define ASHLAR_BENCH_QUEUE_MULTIMAP_H

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <vector>

class Queue {
  public:
    static constexpr const char *name = "multimap";

    explicit Queue(uint32_t count) : tasks_(count) {
    }
    uint64_t key(uint32_t slot) const {
        return tasks_[slot].key;
    }
    uint32_t first() const {
        return map_.begin()->second;
    }
    void insert(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        tasks_[slot].node = map_.emplace(key, slot);
    }
    void remove(uint32_t slot) {
        map_.erase(tasks_[slot].node);
    }
    void requeue_first(uint32_t slot, uint64_t key) {
        auto handle = map_.extract(tasks_[slot].node);
        tasks_[slot].key = handle.key() = key;
        tasks_[slot].node = map_.insert(std::move(handle));
    }

  private:
    using Map = std::multimap<uint64_t, uint32_t>;
    struct alignas(64) Task {
        uint64_t key;
        Map::iterator node;
    };
    std::vector<Task> tasks_;
    Map map_;
};

#endif
