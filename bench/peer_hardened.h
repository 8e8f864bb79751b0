/* SPDX-License-Identifier: MIT */
/* The same slab cache, catching every wrong free at the free. */
#include "peer_cache.h"

struct Peer : Cache<ASH_SLAB_HARDENED> {
    static constexpr const char *name = "hardened";
};
