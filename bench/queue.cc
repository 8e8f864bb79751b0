/* SPDX-License-Identifier: MIT */
/*
 * queue.cc: tasks by key, the least first, equal keys in the order in which they came. QUEUE is a
 * header that defines `Queue`, over tasks of 64 bytes; one executable each. `ns` is the time of one
 * operation, with the read and the write of the task's key.
 *
 *   hold/N     the first of N is queued again, by a random distance later
 *   ties/N     hold/N with four distances only: many keys are equal
 *   turns/N    hold/N with one distance for all: round robin
 *   block/N    a random one of N goes, and comes back just behind the first one's key
 */
#include QUEUE

#include "measure.h"

#include <memory>

namespace {

constexpr uint32_t choices = 65536, ops = 16384;
constexpr uint64_t far = 1 << 20; /* ns: the longest distance */

/* Distances, drawn before the clock runs. */
struct Distances {
    std::vector<uint32_t> values;
    size_t at = 0;

    template <typename Draw> explicit Distances(Draw draw) : values(choices) {
        bench::Random random;
        for (auto &value : values)
            value = static_cast<uint32_t>(draw(random));
    }
    uint32_t next() {
        return values[at++ % choices];
    }
};

std::unique_ptr<Queue> filled(uint32_t count, Distances &distances) {
    auto queue = std::make_unique<Queue>(count);
    for (uint32_t slot = 0; slot < count; slot++)
        queue->insert(slot, distances.next());
    return queue;
}

template <typename Draw> void hold(benchmark::State &state, Draw draw) {
    auto count = static_cast<uint32_t>(state.range(0));
    Distances distances(draw);
    auto queue = filled(count, distances);
    auto some = [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            uint32_t slot = queue->first();
            queue->requeue_first(slot, queue->key(slot) + distances.next());
        }
    };
    some(size_t{4} * count); /* the keys are spread as they will be */
    bench::measure(state, ops, some);
}

void random_hold(benchmark::State &state) {
    hold(state, [](bench::Random &random) { return 1 + random.below(far); });
}

void ties(benchmark::State &state) {
    hold(state, [](bench::Random &random) { return (1 + random.below(4)) * far / 4; });
}

void turns(benchmark::State &state) {
    hold(state, [](bench::Random &) { return far / 2; });
}

void block(benchmark::State &state) {
    auto count = static_cast<uint32_t>(state.range(0));
    Distances distances([](bench::Random &random) { return 1 + random.below(far); });
    Distances slots([=](bench::Random &random) { return random.below(count); });
    auto queue = filled(count, distances);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++) {
            uint32_t slot = slots.next();
            queue->remove(slot);
            uint32_t first = queue->first();
            queue->insert(slot, queue->key(first) + distances.next());
        }
    });
}

void add_all() {
    using Workload = std::pair<const char *, void (*)(benchmark::State &)>;
    for (auto [name, workload] : {Workload{"hold", random_hold}, Workload{"ties", ties},
                                  Workload{"turns", turns}, Workload{"block", block}}) {
        for (int64_t count : {10, 100, 1000, 10000, 100000})
            benchmark::RegisterBenchmark(name, workload)->Iterations(1)->Arg(count);
    }
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "queues"}, {"peer", Queue::name}}, add_all);
}
