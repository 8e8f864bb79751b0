/* SPDX-License-Identifier: MIT */
/* A slab cache of the objects' exact size, over the buddy. */
#include "peer_cache.h"

struct Peer : Cache<0> {
    static constexpr const char *name = "slab";
};
