/* SPDX-License-Identifier: MIT */
/*
 * profile.h: what the heap checks, by the environment's word ASHLAR_MALLOC:
 *
 *     plain      as without the word: a wrong free is found when it comes to the slabs
 *     hardened   each wrong free is refused by the free itself; objects in random order
 *     debug      and red zones, poison, quarantine; a report says who had allocated and freed
 */
#ifndef PRELOAD_PROFILE_H
#define PRELOAD_PROFILE_H

#include <ashlar/heap.h>

/* Where the program called the function that this thread is in: what a debug heap notes. */
extern __thread const void *profile_caller __attribute__((tls_model("initial-exec")));

/* enum ash_slab_flags. A word that means nothing ends the program, with a message: who asks for
 * checks must not go without them. */
uint32_t profile_flags(void);

/* Not 0, and another at each start. */
uint64_t profile_seed(void);

/* For a debug heap: threads by their number in Linux, and profile_caller. */
extern const struct ash_slab_trace profile_trace;

/* Writes where the addresses in a report, and profile_caller, lie: a line each for those in the
 * program or a library. After all else: it may wait for the dynamic linker. */
void profile_name_addresses(const char *report);

#endif
