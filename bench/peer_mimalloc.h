/* SPDX-License-Identifier: MIT */
/* mimalloc, by its own names. */
#include "peer.h"

#include <mimalloc.h>

struct Peer : PeerDefaults {
    static constexpr const char *name = "mimalloc";
    static constexpr const char *library = "libmimalloc";
    static constexpr const char *function = "mi_malloc";
    static std::string version() {
        int version = mi_version(); /* 209: 2.0.9 */
        return std::to_string(version / 100) + "." + std::to_string(version / 10 % 10) + "." +
               std::to_string(version % 10);
    }
    static void *alloc(size_t size) {
        return mi_malloc(size);
    }
    static void free(void *pointer) {
        mi_free(pointer);
    }
    static void reap() {
        mi_collect(true);
    }
};
