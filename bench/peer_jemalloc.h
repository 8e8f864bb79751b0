/* SPDX-License-Identifier: MIT */
/* jemalloc, in malloc's place. mallctl, which no other has, ties the link. */
#include "peer.h"

#include <jemalloc/jemalloc.h>

struct Peer : MallocPeer {
    static constexpr const char *name = "jemalloc";
    static constexpr const char *library = "libjemalloc";
    static std::string version() {
        const char *version = "unknown";
        size_t len = sizeof(version);
        mallctl("version", &version, &len, nullptr, 0);
        return std::string(version).substr(0, std::string(version).find('-'));
    }
    static void reap() {
        mallctl("thread.tcache.flush", nullptr, nullptr, nullptr, 0);
        mallctl("arena.4096.purge", nullptr, nullptr, nullptr, 0); /* MALLCTL_ARENAS_ALL */
    }
};
