/* SPDX-License-Identifier: MIT */
/* stacks_backtrace.h: backtrace(3) of the C library: call frame information, nothing is kept. */
#ifndef ASHLAR_BENCH_STACKS_BACKTRACE_H
#define ASHLAR_BENCH_STACKS_BACKTRACE_H

#include <execinfo.h>

#include <cstdlib>

class Stacks {
  public:
    static constexpr const char *name = "glibc";
    static constexpr bool keeps = false;

    explicit Stacks(size_t frames) : frames_(static_cast<int>(frames)) {
    }
    void take(size_t place) {
        (void)place;
        if (backtrace(out_, frames_) != frames_)
            std::abort();
    }

  private:
    int frames_;
    void *out_[64];
};

#endif
