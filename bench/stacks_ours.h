/* SPDX-License-Identifier: MIT */
/*
 * stacks_ours.h: ash_prof_take, handed the registers of what was interrupted, as the kernel's
 * handler does. The clock is read for each sample, but for STACKS_NO_CLOCK.
 */
#ifndef ASHLAR_BENCH_STACKS_OURS_H
#define ASHLAR_BENCH_STACKS_OURS_H

#include <ashlar/port.h>
#include <ashlar/prof.h>

#include <cstdlib>
#include <vector>

class Stacks {
  public:
#ifdef STACKS_NO_CLOCK
    static constexpr const char *name = "no clock";
#else
    static constexpr const char *name = "ours";
#endif
    static constexpr bool keeps = true;

    /* The place, and a frame record for each caller; one of zeros ends them. */
    explicit Stacks(size_t frames) : records_(2 * frames, 0) {
        for (size_t i = 0; i + 1 < frames; i++) {
            records_[2 * i] = address(&records_[2 * (i + 1)]);
            records_[2 * i + 1] = 0x2000 + 16 * i;
        }
        registers_.fp = address(records_.data());
        registers_.is_link = ASH_PROF_LINK_RECORD;
        registers_.low = registers_.fp;
        registers_.high = registers_.fp + records_.size() * sizeof(uint64_t);
        size_t bytes = (ash_prof_storage_size(&config) + 63) / 64 * 64;
        storage_ = std::aligned_alloc(64, bytes);
        if (storage_ == nullptr)
            std::abort();
        __builtin_memset(storage_, 0, bytes);
        forget();
    }
    ~Stacks() {
        std::free(storage_);
    }
    Stacks(const Stacks &) = delete;
    Stacks &operator=(const Stacks &) = delete;

    /* A stack of its own for each place. */
    __attribute__((always_inline)) void take(size_t place) {
#ifdef STACKS_NO_CLOCK
        clock_ += 1000;
#else
        clock_ = ash_port_cycles();
#endif
        registers_.pc = 0x100000 + 4 * place;
        ash_prof_take(prof_, clock_, 1, 1, 0, &registers_, nullptr);
    }
    void forget() {
        prof_ = ash_prof_init(storage_, &config, clock_);
        if (prof_ == nullptr)
            std::abort();
    }
    ash_prof_counts counts() const {
        ash_prof_counts counts;
        ash_prof_count(prof_, &counts);
        return counts;
    }

  private:
    static constexpr ash_prof_config config = {ASH_PROF_SAMPLES_DEFAULT, ASH_PROF_WORDS_DEFAULT, 0};

    static uint64_t address(const uint64_t *record) {
        return reinterpret_cast<uintptr_t>(record);
    }
    std::vector<uint64_t> records_;
    ash_prof_registers registers_ = {};
    void *storage_ = nullptr;
    ash_prof *prof_ = nullptr;
    uint64_t clock_ = ash_port_cycles();
};

#endif
