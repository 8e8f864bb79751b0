/* SPDX-License-Identifier: MIT */
/*
 * stacks_unwind.h: libunwind, of its own process: unw_backtrace, or with STACKS_STEP a cursor,
 * whose steps look for the frames one by one. Nothing is kept.
 */
#ifndef ASHLAR_BENCH_STACKS_UNWIND_H
#define ASHLAR_BENCH_STACKS_UNWIND_H

#define UNW_LOCAL_ONLY
#include <libunwind.h>

#include <cstdlib>

class Stacks {
  public:
#ifdef STACKS_STEP
    static constexpr const char *name = "unw_step";
#else
    static constexpr const char *name = "unw_bt";
#endif
    static constexpr bool keeps = false;

    explicit Stacks(size_t frames) : frames_(frames) {
    }
    void take(size_t place) {
        (void)place;
#ifdef STACKS_STEP
        unw_context_t context;
        unw_cursor_t cursor;
        unw_getcontext(&context);
        if (unw_init_local(&cursor, &context) != 0)
            std::abort();
        for (size_t i = 0; i < frames_; i++) {
            if (unw_get_reg(&cursor, UNW_REG_IP, &out_[i]) != 0 || unw_step(&cursor) <= 0)
                std::abort();
        }
#else
        if (unw_backtrace(out_, static_cast<int>(frames_)) != static_cast<int>(frames_))
            std::abort();
#endif
    }

  private:
    size_t frames_;
#ifdef STACKS_STEP
    unw_word_t out_[64];
#else
    void *out_[64];
#endif
};

#endif
