/* SPDX-License-Identifier: MIT */
/*
 * Two empty calls, of functions in a library of their own: what remains of every figure when the
 * allocator does nothing, and the least that one behind a call can cost.
 */
#include "calls.h"
#include "peer.h"

struct Peer : PeerDefaults {
    static constexpr const char *name = "calls";
    static constexpr bool shared = true;
    static std::string version() {
        return "two empty calls";
    }
    static void *alloc(size_t) {
        return calls_alloc(&calls_object);
    }
    static void free(void *pointer) {
        calls_free(&calls_object, pointer);
    }
};
