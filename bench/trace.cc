/* SPDX-License-Identifier: MIT */
/*
 * trace.cc: an event of two arguments, told to a tracer. EVENTS is a header that defines `Events`;
 * one executable each. `ns` is the time of one.
 *
 *   clock/1    the clock read that a record needs, and nothing else
 *   event/1    enabled
 *   off/1      disabled; `ns` is what it adds to a loop
 *   two/2      two CPUs trace at once; `alone` is one of them while the other waits
 */
#include EVENTS

#include "measure.h"

namespace {

constexpr size_t ops = 100000;

void clock(benchmark::State &state) {
    bench::measure(state, ops, [](size_t n) {
        for (size_t i = 0; i < n; i++) {
            uint64_t now = ash_port_cycles();
            __asm__ volatile("" ::"r"(now));
        }
    });
}

void event(benchmark::State &state) {
    Events events(true);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            events.emit(i, n);
    });
}

/* Four in a row, beside a loop of four nothings: a loop's own cycle hides a single one. */
template <bool With> double loop_ns(Events &events, size_t n) {
    return bench::once(n, [&] {
        for (size_t i = 0; i < n; i += 4) {
            for (size_t j = 0; j < 4; j++) {
                if (With)
                    events.emit(i, j);
                __asm__ volatile("" ::: "memory");
            }
        }
    });
}

void off(benchmark::State &state) {
    Events events(false);
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            auto lost = bench::interruptions();
            double bare = loop_ns<false>(events, 4 * ops), with = loop_ns<true>(events, 4 * ops);
            samples.add(with - bare, bench::interruptions() != lost);
        }
    }
    samples.report(state, "ns");
}

void two(benchmark::State &state) {
    Events events(true);
    bench::Couple couple([](size_t cpu) {
        if (cpu != 0)
            Events::enter(static_cast<uint32_t>(cpu));
    });
    auto work = [&] {
        for (size_t i = 0; i < ops; i++)
            events.emit(i, ops);
    };
    bench::side_by_side(state, ops, couple, work, work);
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "events"}, {"peer", Events::name}}, [] {
        Events::enter(0);
        benchmark::RegisterBenchmark("clock", clock)->Iterations(1)->Arg(1);
        benchmark::RegisterBenchmark("event", event)->Iterations(1)->Arg(1);
        benchmark::RegisterBenchmark("off", off)->Iterations(1)->Arg(1);
        if (bench::cpus().size() > 1)
            benchmark::RegisterBenchmark("two", two)->Iterations(1)->Arg(2);
    });
}
