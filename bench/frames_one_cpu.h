/* SPDX-License-Identifier: MIT */
/* lib/buddy compiled with the smallest port: one CPU, whose locks are nothing. */
#define FRAMES_NAME "one_cpu"
#include "frames_buddy.h"

#include <cstdarg>
#include <cstdio>

inline void Frames::enter(size_t) {
}

/* The hosted platform's is for the hosted port. */
extern "C" void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    va_list args;
    va_start(args, format);
    std::fprintf(stderr, "panic at %s:%u: ", file, line);
    std::vfprintf(stderr, format, args);
    va_end(args);
    std::abort();
}
