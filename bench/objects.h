/* SPDX-License-Identifier: MIT */
/* objects.h: what the workloads with one thread (slab.cc) and with two (slab_threads.cc) share. */
#ifndef ASHLAR_BENCH_OBJECTS_H
#define ASHLAR_BENCH_OBJECTS_H

#include PEER

#include "measure.h"

/* An object of the peer's, its first word stored to. */
inline void *fresh(size_t size, uint64_t word) {
    void *object = Peer::alloc(size);
    *static_cast<volatile uint64_t *>(object) = word;
    return object;
}

/* The object size that a row is about, and a peer that is ready for it. */
inline size_t prepare(const benchmark::State &state) {
    auto size = static_cast<size_t>(state.range(0));
    Peer::prepare(size);
    return size;
}

void add_threads();

#endif
