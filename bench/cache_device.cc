/* SPDX-License-Identifier: MIT */
/*
 * cache_device.cc: one reader, lib/cache and a disk, in the disk's time: nothing here depends on
 * this machine. The disk has 32 requests at work. Each waits 80 us for its first byte, all of them
 * at the same time; then 4 KiB take 4 us, one request after another. The reader takes no time, and
 * wants the next block as soon as it has one. A file of 16,384 blocks, a cache of 4,096.
 *
 *   disk         us a block, 32 single blocks always asked for in their order: what it can do
 *   sequential   us a block with read-ahead; `bare` without
 *   random       us a block in random order with read-ahead; `bare` without
 *   strided      every third block; read-ahead is of no use to it, and must not harm
 */
#include <ashlar/cache.h>
#include <ashlar/error.h>

#include "measure.h"

#include <algorithm>
#include <deque>
#include <memory>

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

namespace {

constexpr uint32_t block_bytes = 4096, cached = 4096, file_blocks = 16384, depth = 32;
constexpr double access_us = 80, block_us = 4;

/* Ends its requests in the order in which they came, as they all wait equally long. */
class Disk {
  public:
    double now_us = 0;

    bool take(struct ash_cache_io *io, uint32_t blocks) {
        if (at_work_.size() == depth)
            return false;
        double end_us = std::max(now_us + access_us, last_us_) + blocks * block_us;
        last_us_ = end_us;
        at_work_.push_back({io, end_us});
        return true;
    }
    /* Time goes on until the next one ends; NULL also for one that is nobody's. */
    struct ash_cache_io *wait() {
        if (at_work_.empty())
            std::abort();
        Request first = at_work_.front();
        at_work_.pop_front();
        now_us = first.end_us;
        return first.io;
    }

  private:
    struct Request {
        struct ash_cache_io *io;
        double end_us;
    };
    std::deque<Request> at_work_;
    double last_us_ = 0;
};

class File {
  public:
    explicit File(uint32_t window) {
        struct ash_cache_config config = {};
        config.blocks = cached;
        config.block_bytes = block_bytes;
        config.depth = depth;
        config.window_max = window;
        config.backend.submit = [](void *context, struct ash_cache_io *io) {
            auto *file = static_cast<File *>(context);
            return file->disk_.take(io, io->segment_count) ? 0 : -ASH_EAGAIN;
        };
        config.backend.context = this;
        size_t size = ash_cache_storage_size(&config);
        storage_.reset(std::aligned_alloc(ASH_PORT_CACHE_LINE, size));
        data_.reset(std::aligned_alloc(block_bytes, size_t{cached} * block_bytes));
        space_.blocks = file_blocks;
        waiter_.wake = [](struct ash_cache_waiter *waiter) {
            static_cast<Waiter *>(waiter)->woken = true;
        };
        if (ash_cache_init(&cache_, &config, storage_.get(), size, data_.get()) != 0 ||
            ash_cache_space_open(&cache_, &space_) != 0)
            std::abort();
    }
    void read(uint64_t index) {
        uint32_t frame;
        waiter_.woken = false;
        int error = ash_cache_get(&cache_, &space_, index, 0, &waiter_, &frame);
        if (error == ASH_CACHE_PENDING) {
            while (!waiter_.woken)
                ash_cache_complete(&cache_, disk_.wait(), 0);
            error = waiter_.status;
            frame = waiter_.frame;
        }
        if (error != 0)
            std::abort();
        ash_cache_put(&cache_, frame);
    }
    double now_us() const {
        return disk_.now_us;
    }

  private:
    struct Waiter : ash_cache_waiter {
        bool woken;
    };
    struct Free {
        void operator()(void *memory) const {
            std::free(memory);
        }
    };
    Disk disk_;
    std::unique_ptr<void, Free> storage_, data_;
    struct ash_cache cache_;
    struct ash_cache_space space_ = {};
    Waiter waiter_ = {};
};

double us_a_block(uint32_t window, const std::vector<uint64_t> &order) {
    auto file = std::make_unique<File>(window);
    for (uint64_t index : order)
        file->read(index);
    return file->now_us() / static_cast<double>(order.size());
}

void reads(benchmark::State &state, const std::vector<uint64_t> &order) {
    for (auto _ : state) {
        state.counters["us"] = us_a_block(ASH_CACHE_WINDOW_MAX, order);
        state.counters["bare"] = us_a_block(0, order);
    }
}

void disk(benchmark::State &state) {
    for (auto _ : state) {
        Disk device;
        uint32_t asked = 0;
        for (uint32_t ended = 0; ended < file_blocks; ended++) {
            while (asked < file_blocks && device.take(nullptr, 1))
                asked++;
            device.wait();
        }
        state.counters["us"] = device.now_us / file_blocks;
    }
}

void add_all() {
    bench::Random random;
    std::vector<uint64_t> sequential(file_blocks), strided, mixed;
    for (uint64_t i = 0; i < file_blocks; i++)
        sequential[i] = i;
    for (uint64_t i = 0; i < file_blocks; i += 3)
        strided.push_back(i);
    mixed = sequential;
    bench::shuffle(mixed, random);
    benchmark::RegisterBenchmark("disk", disk)->Iterations(1);
    benchmark::RegisterBenchmark("sequential", reads, sequential)->Iterations(1);
    benchmark::RegisterBenchmark("random", reads, mixed)->Iterations(1);
    benchmark::RegisterBenchmark("strided", reads, strided)->Iterations(1);
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "disk"}, {"peer", "cache"}}, add_all);
}
