/* SPDX-License-Identifier: MIT */
/* lib/buddy for several CPUs: with its locks. */
#define FRAMES_NAME "buddy"
#include "frames_buddy.h"

inline void Frames::enter(size_t n) {
    hosted_this_cpu.index = static_cast<uint32_t>(n);
}
