/* SPDX-License-Identifier: MIT */
/*
 * buddy.cc: page frames, 262,144 of them (1 GiB). FRAMES is a header that defines `Frames`, the
 * allocator; one executable each. `ns` is the time of one allocation with its free.
 *
 *   frame/N     allocate and free a block of order N; all else is free
 *   unmovable   frame/0 of the other hint, as a kernel's own pages are
 *   batch64/H   allocate 64 frames and free them in that order; all else is free. H 0:
 *               movable ones, 1: unmovable ones
 *   ring1000    allocate a frame, free the oldest of 1000
 *   replace10k  free one of 10,000 live frames at random, allocate another
 *   apart       ring1000 on two CPUs at once, of one allocator; `alone` on one of them (wall time)
 *   fill        allocate every frame; `ns` of one allocation
 *   drain       free every frame, in random order; `ns` of one free
 *   orders/N    N blocks live; free one at random, allocate another of random order 0..9
 *   metadata    bytes per frame
 *
 * Fragmentation: the share of the free frames that can still be allocated as blocks of order 9,
 * found out by allocating them.
 *
 *   F1          fill 90 % with single frames, free a random half of them
 *   F3/K        F1, then K times as many single replacements as frames are live: free one at
 *               random, allocate one
 *   F3orders/K  the same with blocks of order 0..3
 *   F4/R        fill all, free a random half, then R rounds: free a random tenth of what is live,
 *               allocate as much again
 *   F4orders/R  F4 with blocks of order 0..3
 */
#include FRAMES

#include "measure.h"

#include <memory>

namespace {

constexpr uint32_t frames = 262144;
constexpr size_t ops = 51200;     /* of a sample; a multiple of 64 */
constexpr size_t choices = 65536; /* made before the clock runs; a power of two */

struct Block {
    uint64_t first;
    uint32_t order;
};

Block take(Frames &allocator, uint32_t order, bool movable = true) {
    Block block = {0, order};
    if (!allocator.alloc(order, &block.first, movable))
        std::abort();
    return block;
}

void give(Frames &allocator, const Block &block) {
    allocator.free(block.first, block.order);
}

void frame(benchmark::State &state) {
    Frames allocator(frames);
    auto order = static_cast<uint32_t>(state.range(0));
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            give(allocator, take(allocator, order));
    });
}

void unmovable(benchmark::State &state) {
    Frames allocator(frames);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            give(allocator, take(allocator, 0, false));
    });
}

void batch64(benchmark::State &state) {
    Frames allocator(frames);
    bool movable = state.range(0) == 0;
    Block batch[64];
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i += std::size(batch)) {
            for (auto &block : batch)
                block = take(allocator, 0, movable);
            for (auto &block : batch)
                give(allocator, block);
        }
    });
}

struct alignas(128) FrameRing {
    uint64_t ring[1000];
    size_t at = 0;

    void start(Frames &allocator) {
        for (auto &slot : ring)
            slot = take(allocator, 0).first;
    }
    void turn(Frames &allocator, size_t n) {
        for (size_t i = 0; i < n; i++) {
            uint64_t oldest = ring[at];
            ring[at] = take(allocator, 0).first;
            allocator.free(oldest, 0);
            at = at + 1 == std::size(ring) ? 0 : at + 1;
        }
    }
};

void ring1000(benchmark::State &state) {
    Frames allocator(frames);
    FrameRing ring;
    ring.start(allocator);
    bench::measure(state, ops, [&](size_t n) { ring.turn(allocator, n); });
}

void replace10k(benchmark::State &state) {
    Frames allocator(frames);
    bench::Random random;
    std::vector<Block> live(10000);
    for (auto &block : live)
        block = take(allocator, 0);
    std::vector<uint16_t> plan(choices);
    for (auto &slot : plan)
        slot = static_cast<uint16_t>(random.below(live.size()));
    size_t at = 0;
    auto steps = [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            Block &block = live[plan[at++ % choices]];
            give(allocator, block);
            block = take(allocator, 0);
        }
    };
    steps(choices);
    bench::measure(state, ops, steps);
}

void apart(benchmark::State &state) {
    Frames allocator(frames);
    auto own = std::make_unique<FrameRing[]>(2);
    bench::Couple couple(Frames::enter);
    auto turn = [&](FrameRing &mine) { mine.turn(allocator, ops); };
    couple.run([&] { own[0].start(allocator); }, [&] { own[1].start(allocator); });
    bench::side_by_side(
        state, ops, couple, [&] { turn(own[0]); }, [&] { turn(own[1]); });
}

void fill_or_drain(benchmark::State &state, bool timed_fill) {
    bench::Random random;
    std::vector<Block> live(frames);
    bench::Samples samples;
    for (auto _ : state) {
        for (size_t i = 0; i < 7; i++) {
            Frames allocator(frames);
            double fill = bench::once(frames, [&] {
                for (auto &block : live)
                    block = take(allocator, 0);
            });
            bench::shuffle(live, random);
            double drain = bench::once(frames, [&] {
                for (auto &block : live)
                    give(allocator, block);
            });
            samples.add(timed_fill ? fill : drain, false);
        }
    }
    samples.report(state, "ns");
}

void fill(benchmark::State &state) {
    fill_or_drain(state, true);
}

void drain(benchmark::State &state) {
    fill_or_drain(state, false);
}

void orders(benchmark::State &state) {
    Frames allocator(frames);
    bench::Random random;
    std::vector<Block> live(static_cast<size_t>(state.range(0)));
    for (auto &block : live)
        block = take(allocator, static_cast<uint32_t>(random.below(10)));
    std::vector<std::pair<uint16_t, uint16_t>> plan(choices);
    for (auto &step : plan)
        step = {static_cast<uint16_t>(random.below(live.size())),
                static_cast<uint16_t>(random.below(10))};
    size_t at = 0;
    auto steps = [&](size_t n) {
        for (size_t i = 0; i < n; i++, at++) {
            Block &block = live[plan[at % choices].first];
            give(allocator, block);
            block = take(allocator, plan[at % choices].second);
        }
    };
    steps(choices);
    bench::measure(state, ops, steps);
}

void metadata(benchmark::State &state) {
    Frames allocator(frames);
    for (auto _ : state)
        state.counters["bytes"] = static_cast<double>(allocator.bytes()) / frames;
}

/* Frames that are out, and how they come to lie. */
class Fragmentation {
  public:
    explicit Fragmentation(uint32_t order_max) : allocator_(frames), order_max_(order_max) {
    }
    void fill(uint64_t target) {
        for (Block block; held_ < target; held_ += uint64_t{1} << block.order) {
            block = {0, static_cast<uint32_t>(random_.below(order_max_ + 1))};
            while (!allocator_.alloc(block.order, &block.first)) {
                if (block.order-- == 0)
                    return;
            }
            live_.push_back(block);
        }
    }
    /* Frees blocks at random until at most `target` frames are out. */
    void drop(uint64_t target) {
        while (held_ > target) {
            std::swap(live_[random_.below(live_.size())], live_.back());
            give(allocator_, live_.back());
            held_ -= uint64_t{1} << live_.back().order;
            live_.pop_back();
        }
    }
    void churn(uint64_t times) {
        for (uint64_t i = 0; i < times; i++) {
            Block &block = live_[random_.below(live_.size())];
            give(allocator_, block);
            held_ -= uint64_t{1} << block.order;
            block = live_.back();
            live_.pop_back();
            fill(held_ + 1);
        }
    }
    uint64_t blocks() const {
        return live_.size();
    }
    uint64_t held() const {
        return held_;
    }
    double usable() {
        uint64_t free = allocator_.free_frames(), blocks = 0, first;
        while (allocator_.alloc(9, &first))
            blocks++;
        return static_cast<double>(blocks << 9) / static_cast<double>(free);
    }

  private:
    Frames allocator_;
    bench::Random random_;
    std::vector<Block> live_;
    uint64_t held_ = 0;
    uint32_t order_max_;
};

template <uint32_t order_max> void f1(benchmark::State &state) {
    for (auto _ : state) {
        Fragmentation memory(order_max);
        memory.fill(frames / 10 * 9);
        memory.drop(memory.held() / 2);
        memory.churn(static_cast<uint64_t>(state.range(0)) * memory.blocks());
        state.counters["usable"] = memory.usable();
    }
}

template <uint32_t order_max> void f4(benchmark::State &state) {
    for (auto _ : state) {
        Fragmentation memory(order_max);
        memory.fill(frames);
        memory.drop(frames / 2);
        for (int64_t round = 0; round < state.range(0); round++) {
            uint64_t held = memory.held();
            memory.drop(held - held / 10);
            memory.fill(held);
        }
        state.counters["usable"] = memory.usable();
    }
}

void add_all() {
    auto add = [](const char *name, void (*workload)(benchmark::State &)) {
        return benchmark::RegisterBenchmark(name, workload)->Iterations(1);
    };
    add("frame", frame)->Arg(0)->Arg(1)->Arg(3)->Arg(6)->Arg(9)->Arg(10);
    add("unmovable", unmovable);
    add("batch64", batch64)->Arg(0)->Arg(1);
    add("ring1000", ring1000);
    add("replace10k", replace10k);
    if (Frames::threads && bench::cpus().size() > 1)
        add("apart", apart);
    add("fill", fill);
    add("drain", drain);
    add("orders", orders)->Arg(1024)->Arg(2048);
    add("metadata", metadata);
    add("F1", f1<0>)->Arg(0);
    add("F3", f1<0>)->Arg(1)->Arg(4)->Arg(8);
    add("F3orders", f1<3>)->Arg(8);
    add("F4", f4<0>)->Arg(20)->Arg(100);
    add("F4orders", f4<3>)->Arg(100);
}

} // namespace

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "frames"}, {"peer", Frames::name}}, add_all);
}
