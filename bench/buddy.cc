/* SPDX-License-Identifier: MIT */
/*
 * buddy.cc: page frames, over 1 GiB of them at an odd place. The frames do not exist: a buddy never
 * touches its pages. `per_op` is the time of one allocation with its free, in fill of one
 * allocation, in drain of one free.
 *
 *   pair/N     allocate and free a block of order N; all else is free, so each pair splits from
 *              the largest block and merges back to it
 *   fifo1000   allocate a frame, free the oldest of 1000
 *   fill       allocate every frame
 *   drain      free every frame, in random order
 *   mixed      free one of 1024 blocks at random, allocate another of random order 0..9
 */
#include <ashlar/buddy.h>

#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstdlib>
#include <utility>
#include <vector>

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

namespace {

constexpr uint64_t frames = 262144;
constexpr size_t choices = 65536; /* made before the clock runs */

class Buddy {
  public:
    Buddy() {
        struct ash_buddy_region region = {0x40000, frames};
        struct ash_buddy_config config = {&region, 1};
        storage_.resize(ash_buddy_storage_size(&config) / 8 + 1);
        if (ash_buddy_init(&buddy_, &config, storage_.data(), storage_.size() * 8) != 0)
            std::abort();
    }
    ash_pfn_t alloc(uint32_t order) {
        ash_pfn_t first;
        if (ash_buddy_alloc(&buddy_, order, 0, &first) != 0)
            std::abort();
        return first;
    }
    void free(ash_pfn_t first, uint32_t order) {
        ash_buddy_free(&buddy_, first, order);
    }

  private:
    struct ash_buddy buddy_;
    std::vector<uint64_t> storage_;
};

/* xorshift64, Marsaglia 2003. */
class Random {
  public:
    uint64_t below(uint64_t limit) {
        state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
        return (state_ >> 20) % limit;
    }

  private:
    uint64_t state_ = 88172645463325252u;
};

void report(benchmark::State &state, double ops_per_iteration) {
    using benchmark::Counter;
    state.counters["per_op"] =
        Counter(ops_per_iteration, Counter::kIsIterationInvariantRate | Counter::kInvert);
}

void pair(benchmark::State &state) {
    Buddy buddy;
    auto order = static_cast<uint32_t>(state.range(0));
    for (auto _ : state)
        buddy.free(buddy.alloc(order), order);
    report(state, 1);
}

void fifo1000(benchmark::State &state) {
    Buddy buddy;
    std::vector<ash_pfn_t> ring(1000);
    for (auto &frame : ring)
        frame = buddy.alloc(0);
    size_t at = 0;
    for (auto _ : state) {
        ash_pfn_t oldest = ring[at];
        ring[at] = buddy.alloc(0);
        buddy.free(oldest, 0);
        at = at + 1 == ring.size() ? 0 : at + 1;
    }
    report(state, 1);
}

void fill_and_drain(benchmark::State &state, bool timed_fill) {
    Buddy buddy;
    Random random;
    std::vector<ash_pfn_t> live(frames);
    auto fill = [&] {
        for (auto &frame : live)
            frame = buddy.alloc(0);
    };
    auto drain = [&] {
        for (auto frame : live)
            buddy.free(frame, 0);
    };
    for (auto _ : state) {
        if (!timed_fill)
            state.PauseTiming();
        fill();
        if (timed_fill)
            state.PauseTiming();
        for (size_t i = frames - 1; i > 0; i--)
            std::swap(live[i], live[random.below(i + 1)]);
        if (!timed_fill)
            state.ResumeTiming();
        drain();
        if (timed_fill)
            state.ResumeTiming();
    }
    report(state, frames);
}

void fill(benchmark::State &state) {
    fill_and_drain(state, true);
}

void drain(benchmark::State &state) {
    fill_and_drain(state, false);
}

void mixed(benchmark::State &state) {
    struct Block {
        ash_pfn_t first;
        uint32_t order;
    };
    Buddy buddy;
    Random random;
    std::vector<Block> live(1024);
    for (auto &block : live) {
        block.order = static_cast<uint32_t>(random.below(10));
        block.first = buddy.alloc(block.order);
    }
    std::vector<std::pair<uint16_t, uint8_t>> plan(choices);
    for (auto &step : plan)
        step = {static_cast<uint16_t>(random.below(live.size())),
                static_cast<uint8_t>(random.below(10))};
    size_t at = 0;
    for (auto _ : state) {
        Block &block = live[plan[at % choices].first];
        buddy.free(block.first, block.order);
        block.order = plan[at++ % choices].second;
        block.first = buddy.alloc(block.order);
    }
    report(state, 1);
}

BENCHMARK(pair)->Arg(0)->Arg(3)->Arg(9);
BENCHMARK(fifo1000);
BENCHMARK(fill)->Unit(benchmark::kMillisecond);
BENCHMARK(drain)->Unit(benchmark::kMillisecond);
BENCHMARK(mixed);

} // namespace

BENCHMARK_MAIN();
