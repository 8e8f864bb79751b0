/* SPDX-License-Identifier: MIT */
/*
 * alloc.cc: three workloads against one allocator. PEER is a header that defines peer_name,
 * peer_version(), peer_prepare(size), peer_alloc(size) and peer_free(pointer); one executable per
 * peer, so that no two mallocs share a process. Every allocation and every free is a call into the
 * peer's own library.
 *
 * One iteration is one allocation and one free; the object's first word is stored to.
 *
 *   lifo         allocate, store, free
 *   fifo1000     allocate, store, free the oldest of 1000
 *   random10000  free one of 10,000 live objects at random, allocate another in its place
 *
 * (A ring that frees slot i % n right after filling it is a LIFO pair in disguise: here the slot's
 * former object is freed, which is the oldest.)
 */
#include PEER

#include <benchmark/benchmark.h>

#include <cstdint>
#include <string>
#include <vector>

namespace {

constexpr size_t fifo_depth = 1000;
constexpr size_t live_objects = 10000;
constexpr size_t choices = 65536; /* of random10000, made before the clock runs */

void *fresh(size_t size, uint64_t word) {
    void *object = peer_alloc(size);
    *static_cast<volatile uint64_t *>(object) = word;
    return object;
}

void lifo(benchmark::State &state) {
    auto size = static_cast<size_t>(state.range(0));
    peer_prepare(size);
    peer_free(fresh(size, 0));
    for (auto _ : state)
        peer_free(fresh(size, 1));
}

void fifo1000(benchmark::State &state) {
    auto size = static_cast<size_t>(state.range(0));
    peer_prepare(size);
    std::vector<void *> ring(fifo_depth);
    for (auto &slot : ring)
        slot = fresh(size, 0);
    size_t at = 0;
    auto step = [&] {
        void *oldest = ring[at];
        ring[at] = fresh(size, at);
        peer_free(oldest);
        at = at + 1 == fifo_depth ? 0 : at + 1;
    };
    for (size_t i = 0; i < 10 * fifo_depth; i++)
        step();
    for (auto _ : state)
        step();
    for (auto *object : ring)
        peer_free(object);
}

void random10000(benchmark::State &state) {
    auto size = static_cast<size_t>(state.range(0));
    peer_prepare(size);
    std::vector<uint16_t> order(choices);
    uint64_t random = 88172645463325252u; /* xorshift64, Marsaglia 2003 */
    for (auto &choice : order) {
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        choice = static_cast<uint16_t>((random >> 32) % live_objects);
    }
    std::vector<void *> live(live_objects);
    for (auto &slot : live)
        slot = fresh(size, 0);
    size_t at = 0;
    auto step = [&] {
        void **slot = &live[order[at++ % choices]];
        peer_free(*slot);
        *slot = fresh(size, at);
    };
    for (size_t i = 0; i < choices; i++)
        step();
    for (auto _ : state)
        step();
    for (auto *object : live)
        peer_free(object);
}

} // namespace

int main(int argc, char **argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    benchmark::AddCustomContext("peer", peer_name);
    benchmark::AddCustomContext("peer_version", peer_version());
    struct {
        const char *name;
        void (*run)(benchmark::State &);
        int64_t iterations;
    } workloads[] = {{"lifo", lifo, 2000000},
                     {"fifo1000", fifo1000, 2000000},
                     {"random10000", random10000, 1000000}};
    for (auto &workload : workloads)
        benchmark::RegisterBenchmark(workload.name, workload.run)
            ->RangeMultiplier(2)
            ->Range(16, 512)
            ->Iterations(workload.iterations);
    return benchmark::RunSpecifiedBenchmarks() == 0;
}
