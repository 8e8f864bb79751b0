/* SPDX-License-Identifier: MIT */
/*
 * prof.cc: the body of a sample: what the handler of a sampling interrupt does. STACKS is a header
 * that defines `Stacks`; one executable each, for libunwind has a backtrace of its own. `ns` is the
 * time of one.
 *
 *   clock/1       the clock read that a sample needs, and nothing else
 *   same/FRAMES   the same stack each time
 *   known/FRAMES  one of a thousand stacks that it knows, at random
 *   new/FRAMES    a stack that is not known, which is kept
 *   full/FRAMES   a stack that is not known while the table of stacks is full
 *
 * The last three of those that keep stacks. Peers look at the stack that they are on, as deep.
 */
#include STACKS

#include <ashlar/port.h>

#include "measure.h"

namespace {

constexpr size_t ops = Stacks::keeps ? 10000 : 500, known_stacks = 1000;

void clock(benchmark::State &state) {
    bench::measure(state, 10000, [](size_t n) {
        for (size_t i = 0; i < n; i++) {
            uint64_t now = ash_port_cycles();
            __asm__ volatile("" ::"r"(now));
        }
    });
}

/* Some frames of this program's on the stack, whoever calls. */
template <typename Work> __attribute__((noinline)) void below(size_t frames, const Work &work) {
    if (frames == 0)
        work();
    else
        below(frames - 1, work);
    __asm__ volatile("");
}

size_t frames_of(const benchmark::State &state) {
    return static_cast<size_t>(state.range(0));
}

void same(benchmark::State &state) {
    Stacks stacks(frames_of(state));
    below(frames_of(state), [&] {
        bench::measure(state, ops, [&](size_t n) {
            for (size_t i = 0; i < n; i++)
                stacks.take(0);
        });
    });
}

template <typename Ours> void known(benchmark::State &state) {
    Ours stacks(frames_of(state));
    bench::Random random;
    std::vector<size_t> places(ops);
    for (size_t &place : places)
        place = random.below(known_stacks);
    for (size_t i = 0; i < known_stacks; i++)
        stacks.take(i);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            stacks.take(places[i]);
    });
    if (stacks.counts().stacks != known_stacks)
        state.SkipWithError("stacks were kept twice, or not at all");
}

template <typename Ours> void fresh(benchmark::State &state) {
    constexpr size_t fitting = 1000;
    Ours stacks(frames_of(state));
    bench::Samples samples;
    for (auto _ : state) {
        while (!samples.enough()) {
            stacks.forget();
            auto lost = bench::interruptions();
            double ns = bench::once(fitting, [&] {
                for (size_t i = 0; i < fitting; i++)
                    stacks.take(i);
            });
            samples.add(ns, bench::interruptions() != lost);
            if (stacks.counts().stacks != fitting || stacks.counts().leaves != 0)
                state.SkipWithError("a stack was known, or did not fit");
        }
    }
    samples.report(state, "ns");
}

/* The place is kept alone, in words that are there for that. */
template <typename Ours> void full(benchmark::State &state) {
    Ours stacks(frames_of(state));
    size_t place = 0;
    while (stacks.counts().leaves == 0)
        stacks.take(place++);
    bench::measure(state, ops, [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            stacks.take(place + i % known_stacks);
    });
    if (stacks.counts().leaves < ops)
        state.SkipWithError("the table is not full");
}

template <typename Tested> void add_kept() {
    if constexpr (Tested::keeps) {
        for (int frames : {4, 16}) {
            benchmark::RegisterBenchmark("known", known<Tested>)->Iterations(1)->Arg(frames);
            benchmark::RegisterBenchmark("new", fresh<Tested>)->Iterations(1)->Arg(frames);
            benchmark::RegisterBenchmark("full", full<Tested>)->Iterations(1)->Arg(frames);
        }
    }
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "samples"}, {"peer", Stacks::name}}, [] {
        benchmark::RegisterBenchmark("clock", clock)->Iterations(1)->Arg(1);
        for (int frames : {4, 16})
            benchmark::RegisterBenchmark("same", same)->Iterations(1)->Arg(frames);
        add_kept<Stacks>();
    });
}
