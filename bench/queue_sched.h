/* SPDX-License-Identifier: MIT */
/* queue_sched.h: the scheduler's own. */
#ifndef ASHLAR_BENCH_QUEUE_SCHED_H
#define ASHLAR_BENCH_QUEUE_SCHED_H

extern "C" {
#include "queue.h"
}

#include <cstdlib>
#include <memory>
#include <vector>

class Queue {
  public:
    static constexpr const char *name = "sched";

    explicit Queue(uint32_t count) : tasks_(count) {
        size_t bytes = ash__sched_queue_bytes(count);
        storage_.reset(std::aligned_alloc(64, bytes));
        ash__sched_queue_init(&queue_, storage_.get(), count);
    }
    uint64_t key(uint32_t slot) const {
        return tasks_[slot].key;
    }
    uint32_t first() const {
        return ash__sched_queue_first(&queue_);
    }
    void insert(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        ash__sched_queue_insert(&queue_, slot, key);
    }
    void remove(uint32_t slot) {
        ash__sched_queue_remove(&queue_, slot);
    }
    void requeue_first(uint32_t slot, uint64_t key) {
        tasks_[slot].key = key;
        ash__sched_queue_requeue(&queue_, slot, key);
    }

  private:
    struct alignas(64) Task {
        uint64_t key;
    };
    struct Free {
        void operator()(void *memory) const {
            std::free(memory);
        }
    };
    std::vector<Task> tasks_;
    std::unique_ptr<void, Free> storage_;
    ash_sched_queue queue_;
};

#endif
