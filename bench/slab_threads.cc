/* SPDX-License-Identifier: MIT */
/*
 * slab_threads.cc: objects between two threads, each on a CPU of its own. Wall time, from the
 * start of the first to the end of the last, for one object.
 *
 *   handover    one thread allocates and stores, the other frees
 *   handread    the same, and the second thread reads the object's first word before it frees it
 *               (so the object itself moves between the CPUs' caches, whatever the allocator does)
 *                 there_and_back  a line from one CPU to the other and back, before or after: where
 *                                 it differs the figures of two peers are not to be compared
 *   apart       each its own ring of 1000 (fifo1000), two threads at once; `alone` is the same on
 *               one of them while the other waits
 */
#include "objects.h"

#include <memory>

namespace {

constexpr size_t ops = 50000;        /* of a sample, a thread */
constexpr size_t objects = 4 * 4096; /* of a sample, handed over */

/*
 * Objects on their way, one writer and one reader. Each tells the other how far it is a batch at a
 * time, so that the ring itself costs little beside what is measured (the peer that only returns
 * from empty calls shows how much). It is small, so that its lines stay in the caches near to both:
 * with 4096 slots it took 4.8 ns an object where it takes 2.0 so.
 */
class Ring {
  public:
    void put(void *object) {
        if (head_ - tail_seen_ == slots) {
            while ((tail_seen_ = __atomic_load_n(&tail_shown_, __ATOMIC_ACQUIRE)) + slots == head_)
                bench::relax();
        }
        ring_[head_++ % slots] = object;
        if (head_ % batch == 0)
            __atomic_store_n(&head_shown_, head_, __ATOMIC_RELEASE);
    }
    void *get() {
        if (tail_ == head_seen_) {
            while ((head_seen_ = __atomic_load_n(&head_shown_, __ATOMIC_ACQUIRE)) == tail_)
                bench::relax();
        }
        void *object = ring_[tail_++ % slots];
        if (tail_ % batch == 0)
            __atomic_store_n(&tail_shown_, tail_, __ATOMIC_RELEASE);
        return object;
    }

  private:
    static constexpr size_t slots = 1024, batch = 64;
    void *ring_[slots];
    alignas(64) size_t head_ = 0, tail_seen_ = 0; /* the writer's */
    alignas(64) size_t tail_ = 0, head_seen_ = 0; /* the reader's */
    alignas(64) size_t head_shown_ = 0;
    alignas(64) size_t tail_shown_ = 0;
};

/* A line there and back, the least of a few: how far from each other the two CPUs are just now. A
 * virtual machine's may be halves of one core at one moment, and far apart at the next. */
double round_trip_ns(bench::Couple &couple) {
    constexpr uint32_t trips = 1000;
    struct alignas(128) Flag {
        uint32_t value = 0;
    };
    double least = 1e9;
    for (int i = 0; i < 5; i++) {
        Flag there, back;
        auto answer = [](Flag &seen, Flag &said, bool first) {
            for (uint32_t n = 1; n <= trips; n++) {
                if (first)
                    __atomic_store_n(&said.value, n, __ATOMIC_RELEASE);
                while (__atomic_load_n(&seen.value, __ATOMIC_ACQUIRE) != n)
                    bench::relax();
                if (!first)
                    __atomic_store_n(&said.value, n, __ATOMIC_RELEASE);
            }
        };
        couple.run([&] { answer(back, there, true); }, [&] { answer(there, back, false); });
        least = std::min(least, static_cast<double>(couple.elapsed_ns) / trips);
    }
    return least;
}

template <bool read> void handover(benchmark::State &state) {
    size_t size = prepare(state);
    bench::Couple couple(Peer::enter);
    auto ring = std::make_unique<Ring>();
    auto produce = [&] {
        for (size_t i = 0; i < objects; i++)
            ring->put(fresh(size, i));
    };
    auto consume = [&] {
        for (size_t i = 0; i < objects; i++) {
            void *object = ring->get();
            if (read && *static_cast<volatile uint64_t *>(object) != i && !Peer::shared)
                std::abort();
            Peer::free(object);
        }
    };
    bench::Samples samples;
    double before_ns = round_trip_ns(couple);
    couple.run(produce, consume);
    for (auto _ : state) {
        while (!samples.enough()) {
            bool clean = couple.run(produce, consume);
            samples.add(static_cast<double>(couple.elapsed_ns) / objects, !clean);
        }
    }
    samples.report(state, "ns");
    state.counters["there_and_back"] = std::max(before_ns, round_trip_ns(couple));
}

void apart(benchmark::State &state) {
    constexpr size_t slots = 1000;
    struct alignas(128) Own {
        void *ring[slots];
        size_t at = 0;
    };
    size_t size = prepare(state);
    bench::Couple couple(Peer::enter);
    auto own = std::make_unique<Own[]>(2);
    auto start = [size](Own &mine) {
        for (auto &slot : mine.ring)
            slot = fresh(size, 0);
    };
    auto turn = [size](Own &mine) {
        for (size_t i = 0; i < ops; i++) {
            void *oldest = mine.ring[mine.at];
            mine.ring[mine.at] = fresh(size, i);
            Peer::free(oldest);
            mine.at = mine.at + 1 == slots ? 0 : mine.at + 1;
        }
    };
    auto end = [](Own &mine) {
        for (auto *object : mine.ring)
            Peer::free(object);
    };
    couple.run([&] { start(own[0]); }, [&] { start(own[1]); });
    bench::side_by_side(
        state, ops, couple, [&] { turn(own[0]); }, [&] { turn(own[1]); });
    couple.run([&] { end(own[0]); }, [&] { end(own[1]); });
}

} // namespace

void add_threads() {
    auto add = [](const char *name, void (*workload)(benchmark::State &)) {
        benchmark::RegisterBenchmark(name, workload)->Iterations(1)->Arg(64)->Arg(256);
    };
    add("handover", handover<false>);
    add("handread", handover<true>);
    add("apart", apart);
}
