/* SPDX-License-Identifier: MIT */
/*
 * sched.cc: the scheduler's decisions. FAIR is a header that defines `Fair`, entities with nice
 * values under EEVDF; one executable each, and the one of ours measures whole decisions too. `ns`
 * is the time of one decision: what runs is charged, and who is next is known.
 *
 *   random/N    N of mixed nice run for random times below a slice
 *   full/N      N of mixed nice run for their slice
 *   equal/N     N of nice 0 run for their slice
 *   block/N     a random one of N goes to sleep and wakes
 *
 * Ours, through ash_sched_decide, the next call's time included; of N entities a fifth are
 * real-time, a fifth interactive, the others fair:
 *
 *   decide/N    each call when the last one asked for it: timers, budgets, slices
 *   events/N    the same, and half of the calls come with a block or a wake, which is in the time;
 *               `ns` is that of a call of decide with what led to it
 *   direct/N    N fair entities, full slices, by the class's own functions
 *   unified/N   the same by ash_sched_decide
 */
#include FAIR

#include "measure.h"

#include <memory>

namespace {

using Workload = std::pair<const char *, void (*)(benchmark::State &)>;

constexpr uint32_t choices = 65536, ops = 16384;
constexpr uint64_t slice_ns = 3000000;

/* Drawn before the clock runs. */
struct Draws {
    std::vector<uint32_t> values;
    size_t at = 0;

    explicit Draws(uint64_t limit) : values(choices) {
        bench::Random random;
        for (auto &value : values)
            value = static_cast<uint32_t>(random.below(limit));
    }
    uint32_t next() {
        return values[at++ % choices];
    }
};

template <typename Step> void fair(benchmark::State &state, bool mixed, Step step) {
    auto count = static_cast<uint32_t>(state.range(0));
    bench::Random random;
    std::vector<int32_t> nices(count);
    for (auto &nice : nices)
        nice = mixed ? static_cast<int32_t>(random.below(20)) - 10 : 0;
    auto all = std::make_unique<Fair>(nices, slice_ns);
    auto some = [&](size_t n) {
        for (size_t i = 0; i < n; i++)
            step(*all);
    };
    some(size_t{8} * count);
    bench::measure(state, ops, some);
}

void random_runs(benchmark::State &state) {
    Draws runs(slice_ns);
    fair(state, true, [&](Fair &all) { all.run(1 + runs.next()); });
}

void full(benchmark::State &state) {
    fair(state, true, [](Fair &all) { all.run(all.left()); });
}

void equal(benchmark::State &state) {
    fair(state, false, [](Fair &all) { all.run(all.left()); });
}

/* Time goes on a little every eighth time: those who sleep are not all alike. */
void block(benchmark::State &state) {
    Draws slots(static_cast<uint64_t>(state.range(0))), runs(slice_ns);
    uint32_t turn = 0;
    fair(state, true, [&](Fair &all) {
        if (turn++ % 8 == 0)
            all.run(runs.next());
        all.sleep_and_wake(slots.next());
    });
}

} // namespace

#ifdef WHOLE
#include "sched_whole.h"
#endif

namespace {

void add_all() {
    for (auto [name, workload] : {Workload{"random", random_runs}, Workload{"full", full},
                                  Workload{"equal", equal}, Workload{"block", block}}) {
        for (int64_t count : {10, 100, 1000, 10000})
            benchmark::RegisterBenchmark(name, workload)->Iterations(1)->Arg(count);
    }
#ifdef WHOLE
    add_whole();
#endif
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "decisions"}, {"peer", Fair::name}}, add_all);
}
