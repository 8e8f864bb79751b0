/* SPDX-License-Identifier: MIT */
/*
 * prof_whole.cc: a whole sample on this host, Linux's part of it included: what a loop takes longer
 * under a timer's signal, for each signal that came. Rounds of: the loop alone; with a handler that
 * does nothing, on a timer like the sampler's; with the platform's sampler and lib/prof.
 *
 *   whole/HZ   `empty`: that handler, `ns`: the sampler; `ratio`: of the two in a round
 */
#include <ashlar/port.h>
#include <ashlar/prof.h>
#include <signal.h>
#include <unistd.h>

#include "measure.h"
#include "platform.h"
#include "sample.h"

namespace {

constexpr uint64_t ns_per_s = 1000000000;
constexpr size_t rounds_wanted = 31;
constexpr uint32_t turns = 8000000; /* each waits for the one before: some 10 ms */

volatile uint64_t result;

__attribute__((noinline)) void work() {
    uint64_t x = result;
    for (uint32_t i = 0; i < turns; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        __asm__ volatile("" : "+r"(x));
    }
    result = x;
}

/* This thread's own time. Linux counts interrupts in it, unless it has been built to count these
 * apart (IRQ_TIME_ACCOUNTING): then both handlers seem cheaper, and their ratio grows. */
double work_ns() {
    return bench::once(1, work);
}

/* A handler that does nothing but to count. */
volatile uint32_t empty_taken;

void do_nothing(int) {
    empty_taken = empty_taken + 1;
}

/* As platform/hosted/sampler.c makes it. */
timer_t start_empty(uint64_t period_ns) {
    struct sigaction action = {};
    struct sigevent event = {};
    timer_t timer;
    action.sa_handler = do_nothing;
    action.sa_flags = SA_RESTART;
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = SIGRTMAX;
    event._sigev_un._tid = gettid();
    struct itimerspec when = {};
    when.it_value.tv_nsec = when.it_interval.tv_nsec = static_cast<long>(period_ns);
    if (sigaction(SIGRTMAX, &action, nullptr) != 0 ||
        timer_create(CLOCK_MONOTONIC, &event, &timer) != 0 ||
        timer_settime(timer, 0, &when, nullptr) != 0)
        std::abort();
    return timer;
}

/* The sampler's. */
ash_prof *profile;

void take(void *, const platform_sample *sample) {
    ash_prof_registers registers = {};
    registers.pc = sample->pc;
    registers.fp = sample->fp;
    registers.link = sample->link;
    registers.is_link = sample->is_link_live ? ASH_PROF_LINK_LIVE : ASH_PROF_LINK_RECORD;
    registers.low = sample->stack_low;
    registers.high = sample->stack_high;
    ash_prof_take(profile, sample->clock, 1, sample->missed + 1,
                  sample->missed == 0 ? 0u : uint32_t{ASH_PROF_LATE}, &registers, nullptr);
}

uint64_t taken() {
    ash_prof_counts counts;
    ash_prof_count(profile, &counts);
    return counts.taken;
}

struct Round {
    double empty_ns, ours_ns; /* more than alone */
    uint32_t empty, ours;     /* signals */
};

Round round_at(uint64_t hz) {
    Round round = {};
    double alone_ns = work_ns();
    empty_taken = 0;
    timer_t timer = start_empty(ns_per_s / hz);
    round.empty_ns = work_ns() - alone_ns;
    timer_delete(timer);
    round.empty = empty_taken;
    uint64_t before = taken();
    if (platform_sample_start(PLATFORM_TRIGGER_TIMER, ns_per_s / hz, take, nullptr) != 0)
        std::abort();
    round.ours_ns = work_ns() - alone_ns;
    platform_sample_stop();
    round.ours = static_cast<uint32_t>(taken() - before);
    return round;
}

void whole(benchmark::State &state) {
    bench::Samples empty(rounds_wanted), ours(rounds_wanted), ratio(rounds_wanted);
    auto hz = static_cast<uint64_t>(state.range(0));
    for (auto _ : state) {
        while (!ours.enough()) {
            auto lost = bench::interruptions();
            Round round = round_at(hz);
            bool disturbed = bench::interruptions() != lost || round.empty == 0 || round.ours == 0;
            double empty_ns = round.empty_ns / std::max(round.empty, 1u);
            double ours_ns = round.ours_ns / std::max(round.ours, 1u);
            empty.add(empty_ns, disturbed);
            ours.add(ours_ns, disturbed);
            ratio.add(ours_ns / empty_ns, disturbed);
        }
    }
    empty.report(state, "empty");
    ours.report(state, "ns");
    ratio.report(state, "ratio");
}

} // namespace

int main(int argc, char **argv) {
    static const ash_prof_config config = {ASH_PROF_SAMPLES_DEFAULT, ASH_PROF_WORDS_DEFAULT, 0};
    void *storage = std::calloc(1, ash_prof_storage_size(&config));
    profile = storage == nullptr ? nullptr : ash_prof_init(storage, &config, ash_port_cycles());
    if (profile == nullptr)
        std::abort();
    return bench::run_all(argc, argv, {{"subject", "samples"}, {"peer", "ours"}}, [] {
        for (int hz : {10000, 20000})
            benchmark::RegisterBenchmark("whole", whole)->Iterations(1)->Arg(hz);
    });
}
