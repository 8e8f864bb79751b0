/* SPDX-License-Identifier: MIT */
/*
 * measure.h: how time is taken. A row is measured in many short samples (about a millisecond, so
 * that most of them fall between two interruptions); one in which another program got the CPU does
 * not count. The row is the median of those that do; the
 * report runs everything several times over and takes the median of these.
 */
#ifndef ASHLAR_BENCH_MEASURE_H
#define ASHLAR_BENCH_MEASURE_H

#include <benchmark/benchmark.h>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <ctime>
#include <string>
#include <thread>
#include <vector>

namespace bench {

constexpr size_t samples_wanted = 15;
constexpr size_t samples_few = 5; /* fewer undisturbed ones: the row is marked `disturbed` */
constexpr size_t samples_max = 90;
constexpr int64_t start_skew_max_ns = 2000; /* of two threads */

inline int64_t clock_ns(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return int64_t{now.tv_sec} * 1000000000 + now.tv_nsec;
}

/* How often this thread lost its CPU to another. */
inline int64_t interruptions() {
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_nivcsw;
}

/* A span of this thread's life. */
struct Lap {
    int64_t lost = interruptions();
    int64_t cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID);
    int64_t begin_ns = clock_ns(CLOCK_MONOTONIC);
    int64_t end_ns = 0;

    void stop() {
        end_ns = clock_ns(CLOCK_MONOTONIC);
        cpu_ns = clock_ns(CLOCK_THREAD_CPUTIME_ID) - cpu_ns;
        lost = interruptions() - lost;
    }
};

class Samples {
  public:
    /* Fewer of those that take long. */
    explicit Samples(size_t wanted = samples_wanted) : wanted_(wanted) {
    }
    bool enough() const {
        return clean_.size() == wanted_ ||
               clean_.size() + dirty_.size() == samples_max / samples_wanted * wanted_;
    }
    void add(double ns_per_op, bool disturbed) {
        (disturbed ? dirty_ : clean_).push_back(ns_per_op);
    }
    /* The row's figure, as a counter of this name. */
    void report(benchmark::State &state, const std::string &name) {
        bool few = clean_.size() < samples_few;
        if (few)
            clean_.insert(clean_.end(), dirty_.begin(), dirty_.end());
        state.counters[name] = median(clean_);
        if (few)
            state.counters["disturbed"] = 1;
    }

  private:
    static double median(std::vector<double> &values) {
        auto middle = values.begin() + static_cast<ptrdiff_t>(values.size() / 2);
        std::nth_element(values.begin(), middle, values.end());
        return *middle;
    }
    size_t wanted_;
    std::vector<double> clean_, dirty_;
};

/* One thread: samples of `ops` operations each; work(ops) does them; the first is to warm up.
 * CPU time is what a thread that never waits has used, also when it was interrupted. */
template <typename Work> void measure(benchmark::State &state, size_t ops, Work work) {
    Samples samples;
    work(ops);
    for (auto _ : state) {
        while (!samples.enough()) {
            Lap lap;
            work(ops);
            lap.stop();
            samples.add(static_cast<double>(lap.cpu_ns) / static_cast<double>(ops), lap.lost != 0);
        }
    }
    samples.report(state, "ns");
}

/* What can be done once only, such as to fill a memory: its CPU time for one of `ops`. */
template <typename Work> double once(size_t ops, Work work) {
    Lap lap;
    work();
    lap.stop();
    return static_cast<double>(lap.cpu_ns) / static_cast<double>(ops);
}

/* The CPUs that this process may use. */
inline std::vector<int> cpus() {
    static const std::vector<int> allowed = [] {
        cpu_set_t set;
        std::vector<int> list;
        if (sched_getaffinity(0, sizeof(set), &set) == 0) {
            for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
                if (CPU_ISSET(cpu, &set))
                    list.push_back(cpu);
            }
        }
        return list;
    }();
    return allowed;
}

/* This thread on the n-th last of them, so that thread 0 is not on the one that gets the
 * interrupts. */
inline void pin(size_t n) {
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpus()[cpus().size() - 1 - n], &set);
    if (pthread_setaffinity_np(pthread_self(), sizeof(set), &set) != 0)
        std::abort();
}

inline void relax() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
}

/* Who waits for another thread: a little while awake, then asleep, so that it gets its CPU at once
 * when it goes on. */
template <typename Ready> void wait_until(Ready ready) {
    for (uint32_t i = 0; !ready(); i++) {
        if (i < 2000)
            relax();
        else
            std::this_thread::sleep_for(std::chrono::microseconds(50));
    }
}

/* Two threads on two CPUs that do something side by side; thread 0 is the caller. */
class Couple {
  public:
    /* enter(n) once in thread n. */
    template <typename Enter> explicit Couple(Enter enter) {
        enter(size_t{0});
        second_ = std::thread([this, enter] {
            pin(1);
            enter(size_t{1});
            for (uint32_t turn = 1;; turn++) {
                wait_until([&] { return __atomic_load_n(&turn_, __ATOMIC_ACQUIRE) == turn; });
                if (work_ == nullptr)
                    return;
                __atomic_store_n(&ready_, turn, __ATOMIC_RELEASE);
                while (__atomic_load_n(&go_, __ATOMIC_ACQUIRE) != turn)
                    relax();
                lap_ = Lap();
                work_(context_);
                lap_.stop();
                __atomic_store_n(&done_, turn, __ATOMIC_RELEASE);
            }
        });
    }
    ~Couple() {
        work_ = nullptr;
        __atomic_store_n(&turn_, turn_ + 1, __ATOMIC_RELEASE);
        second_.join();
    }

    /* Runs zero() here beside one() there; true unless one was interrupted. */
    template <typename Zero, typename One> bool run(Zero zero, One one) {
        work_ = [](void *context) { (*static_cast<One *>(context))(); };
        context_ = &one;
        __atomic_store_n(&turn_, turn_ + 1, __ATOMIC_RELEASE);
        wait_until([&] { return __atomic_load_n(&ready_, __ATOMIC_ACQUIRE) == turn_; });
        __atomic_store_n(&go_, turn_, __ATOMIC_RELEASE);
        Lap lap;
        zero();
        lap.stop();
        wait_until([&] { return __atomic_load_n(&done_, __ATOMIC_ACQUIRE) == turn_; });
        elapsed_ns = std::max(lap.end_ns, lap_.end_ns) - std::min(lap.begin_ns, lap_.begin_ns);
        int64_t skew_ns = std::abs(lap.begin_ns - lap_.begin_ns);
        bool clean = lap.lost + lap_.lost == 0 && skew_ns < start_skew_max_ns;
        if (!clean)
            std::this_thread::sleep_for(std::chrono::milliseconds(1));
        return clean;
    }
    int64_t elapsed_ns = 0; /* of the last run: from the first's begin to the last's end */

  private:
    std::thread second_;
    Lap lap_;
    void (*work_)(void *) = nullptr;
    void *context_ = nullptr;
    alignas(64) uint32_t turn_ = 0;  /* which run thread 1 is to wake up for, */
    uint32_t go_ = 0;                /* and begin */
    alignas(64) uint32_t ready_ = 0; /* which run it is awake for, */
    uint32_t done_ = 0;              /* and has ended */
};

/* Samples of `ops` operations on two CPUs at once, as "ns", and on one of them while the other
 * waits, as "alone". */
template <typename Zero, typename One>
void side_by_side(benchmark::State &state, size_t ops, Couple &couple, Zero zero, One one) {
    Samples both, alone;
    auto sample = [&](Samples &samples, auto other) {
        bool clean = couple.run(zero, other);
        if (!samples.enough())
            samples.add(static_cast<double>(couple.elapsed_ns) / static_cast<double>(ops), !clean);
    };
    couple.run(zero, one);
    for (auto _ : state) {
        while (!both.enough() || !alone.enough()) {
            sample(both, one);
            sample(alone, [] {});
        }
    }
    both.report(state, "ns");
    alone.report(state, "alone");
}

/* xorshift64, Marsaglia 2003: the same choices in every run. */
class Random {
  public:
    uint64_t below(uint64_t limit) {
        state_ ^= state_ << 13, state_ ^= state_ >> 7, state_ ^= state_ << 17;
        return (state_ >> 20) % limit;
    }

  private:
    uint64_t state_ = 88172645463325252u;
};

template <typename T> void shuffle(std::vector<T> &values, Random &random) {
    for (size_t i = values.size(); i > 1; i--)
        std::swap(values[i - 1], values[random.below(i)]);
}

/* main of a benchmark: `context` are names and values that the report reads. */
template <typename Register>
int run_all(int argc, char **argv, const std::vector<std::pair<const char *, std::string>> &context,
            Register add) {
    pin(0);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv))
        return 2;
    for (const auto &[name, value] : context)
        benchmark::AddCustomContext(name, value);
    add();
    benchmark::RunSpecifiedBenchmarks();
    return 0;
}

} // namespace bench

#endif
