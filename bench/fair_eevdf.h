/* SPDX-License-Identifier: MIT */
/* fair_eevdf.h: the scheduler's own, by the class's functions. */
#ifndef ASHLAR_BENCH_FAIR_EEVDF_H
#define ASHLAR_BENCH_FAIR_EEVDF_H

extern "C" {
#include "sched_internal.h"
}

#include <ashlar/event.h>

#include <cstdlib>
#include <memory>
#include <vector>

/* No event is enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

/* A scheduler with its storage and entities. */
struct Scheduler {
    ash_sched sched;
    uint64_t now = 0;
    std::vector<ash_sched_entity> entities;

    Scheduler(size_t count, ash_sched_config config) : entities(count) {
        config.entities_max = static_cast<uint32_t>(count);
        size_t bytes = ash_sched_storage_size(&config);
        storage_.reset(std::aligned_alloc(64, bytes));
        if (bytes == 0 || ash_sched_init(&sched, &config, storage_.get(), bytes, now) != 0)
            std::abort();
    }
    void add(size_t which, const ash_sched_attributes &attributes) {
        if (ash_sched_attach(&sched, &entities[which], &attributes, now, nullptr) != 0 ||
            ash_sched_wake(&sched, &entities[which], now) < 0)
            std::abort();
    }

  private:
    struct Free {
        void operator()(void *memory) const {
            std::free(memory);
        }
    };
    std::unique_ptr<void, Free> storage_;
};

class Fair {
  public:
    static constexpr const char *name = "eevdf";

    Fair(const std::vector<int32_t> &nices, uint64_t slice_ns)
        : scheduler_(nices.size(), config_of(slice_ns)) {
        for (size_t i = 0; i < nices.size(); i++) {
            ash_sched_attributes attributes = {};
            attributes.flags = ASH_SCHED_NICE;
            attributes.nice = nices[i];
            scheduler_.add(i, attributes);
        }
        running_ = ash__sched_eevdf_pick(&scheduler_.sched);
    }
    uint64_t left() const {
        return ash__sched_eevdf_left(&scheduler_.sched, running_);
    }
    void run(uint64_t ran_ns) {
        ash__sched_eevdf_charge(&scheduler_.sched, running_, ran_ns);
        running_ = ash__sched_eevdf_pick(&scheduler_.sched);
    }
    void sleep_and_wake(uint32_t which) {
        ash__sched_eevdf_dequeue(&scheduler_.sched, &scheduler_.entities[which]);
        ash__sched_eevdf_enqueue(&scheduler_.sched, &scheduler_.entities[which]);
    }

  private:
    static ash_sched_config config_of(uint64_t slice_ns) {
        ash_sched_config config = {};
        config.slice_ns = slice_ns;
        return config;
    }
    Scheduler scheduler_;
    ash_sched_entity *running_;
};

#endif
