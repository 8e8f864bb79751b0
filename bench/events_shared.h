/* SPDX-License-Identifier: MIT */
/*
 * events_shared.h: the ring that teaching kernels have: one for all CPUs, whose head everybody adds
 * to. EVENTS_PER_CPU: a ring a CPU, with the same LOCKed instructions to reserve and to commit.
 */
#ifndef ASHLAR_BENCH_EVENTS_SHARED_H
#define ASHLAR_BENCH_EVENTS_SHARED_H

#include <ashlar/port.h>

#include <cstdlib>

class Events {
    struct Record {
        uint64_t clock, sequence, a, b;
    };
    static constexpr uint64_t count = 65536;
    struct alignas(128) Ring {
        uint64_t head, committed;
        Record *records;
    };

  public:
#ifdef EVENTS_PER_CPU
    static constexpr const char *name = "locked";
    static constexpr uint32_t rings = 8;
#else
    static constexpr const char *name = "shared";
    static constexpr uint32_t rings = 1;
#endif
    explicit Events(bool enabled) : enabled_(enabled) {
    }
    static void enter(uint32_t cpu) {
        here_ = &ring_[cpu % rings];
        if (here_->records == nullptr)
            here_->records = static_cast<Record *>(std::calloc(count, sizeof(Record)));
        if (here_->records == nullptr)
            std::abort();
    }
    __attribute__((always_inline)) void emit(uint64_t a, uint64_t b) {
        if (__builtin_expect(__atomic_load_n(&enabled_, __ATOMIC_RELAXED), 0))
            record(a, b);
    }

  private:
    __attribute__((noinline)) static void record(uint64_t a, uint64_t b) {
        Ring *ring = here_;
        uint64_t sequence = __atomic_fetch_add(&ring->head, 1, __ATOMIC_ACQ_REL);
        Record *record = &ring->records[sequence % count];
        record->a = a, record->b = b;
        record->clock = ash_port_cycles();
        __atomic_store_n(&record->sequence, sequence + 1, __ATOMIC_RELEASE);
        if (rings > 1)
            __atomic_fetch_add(&ring->committed, 1, __ATOMIC_ACQ_REL);
    }
    static inline Ring ring_[rings];
    static inline thread_local Ring *here_;
    bool enabled_;
};

#endif
