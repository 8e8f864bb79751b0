/* SPDX-License-Identifier: MIT */
/*
 * blocks.h: what a cache of blocks is to these benchmarks. Each blocks_NAME.h defines a `Blocks`:
 * name, a constructor of the number of blocks, find(), and what differs from the defaults here.
 * No peer does I/O; what a block holds is one word, its own key.
 */
#ifndef ASHLAR_BENCH_BLOCKS_H
#define ASHLAR_BENCH_BLOCKS_H

#include <cstddef>
#include <cstdint>
#include <cstdlib>

struct BlocksDefaults {
    static constexpr bool pins = false;    /* pinned(key) is something else than find(key) */
    static constexpr bool evicts = true;   /* access(key) */
    static constexpr bool policy = true;   /* ... by a rule that is to be measured */
    static constexpr bool threads = false; /* read(key) while another thread calls access() */
    static constexpr bool sleeps = false;  /* ... and waits for it asleep: wall time counts */

    static void enter(size_t) { /* once in thread n */
    }

    /*
     *  Blocks(blocks)   empty
     *  find(key)        a hit, with whatever the policy does then; something that depends on the
     *                   block, or 0
     *  pinned(key)      the same, with a pin and an unpin
     *  access(key)      true: a hit; false: it took the place of another block, if all were full
     *  read(key)        the block's word, whatever happens to the block meanwhile; 0: a miss
     */
};

#endif
