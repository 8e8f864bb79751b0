/* SPDX-License-Identifier: MIT */
/* glibc's malloc. */
#include "peer.h"

#include <gnu/libc-version.h>
#include <malloc.h>

struct Peer : MallocPeer {
    static constexpr const char *name = "glibc";
    static constexpr const char *library = "libc.so";
    static std::string version() {
        return gnu_get_libc_version();
    }
    static void reap() {
        malloc_trim(0);
    }
};
