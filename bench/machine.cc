/* SPDX-License-Identifier: MIT */
/*
 * machine.cc: what the figures of the other benchmarks stand on.
 *
 *   cycle     one dependent addition: a cycle of this CPU, in ns
 * *   clock     reading the clock once: what a span costs and how short it can be
 *   drift     the clock's 100 ms, divided by those of the raw one that no time server corrects
 */
#include "measure.h"

namespace {

void cycle(benchmark::State &state) {
    uint64_t sum = 0;
    bench::measure(state, 1 << 20, [&](size_t n) {
        for (size_t i = 0; i < n; i += 16) {
            for (int j = 0; j < 16; j++) {
                sum += i;
                __asm__ volatile("" : "+r"(sum));
            }
        }
    });
}

void clock(benchmark::State &state) {
    bench::measure(state, 10000, [](size_t n) {
        for (size_t i = 0; i < n; i++)
            benchmark::DoNotOptimize(bench::clock_ns(CLOCK_MONOTONIC));
    });
}

void drift(benchmark::State &state) {
    for (auto _ : state) {
        int64_t begin = bench::clock_ns(CLOCK_MONOTONIC);
        int64_t raw_begin = bench::clock_ns(CLOCK_MONOTONIC_RAW), end;
        do
            end = bench::clock_ns(CLOCK_MONOTONIC);
        while (end - begin < 100000000);
        int64_t raw = bench::clock_ns(CLOCK_MONOTONIC_RAW) - raw_begin;
        state.counters["ratio"] = static_cast<double>(end - begin) / static_cast<double>(raw);
    }
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "machine"}, {"peer", "machine"}}, [] {
        benchmark::RegisterBenchmark("cycle", cycle)->Iterations(1);
        benchmark::RegisterBenchmark("clock", clock)->Iterations(1);
        benchmark::RegisterBenchmark("drift", drift)->Iterations(1);
    });
}
