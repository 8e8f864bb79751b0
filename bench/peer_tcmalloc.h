/* SPDX-License-Identifier: MIT */
/* tcmalloc of gperftools, in malloc's place. tc_version, which no other has, ties the link. */
#include "peer.h"

#include <gperftools/malloc_extension_c.h>
#include <gperftools/tcmalloc.h>

struct Peer : MallocPeer {
    static constexpr const char *name = "tcmalloc";
    static constexpr const char *library = "libtcmalloc";
    static std::string version() {
        return tc_version(nullptr, nullptr, nullptr);
    }
    static void reap() {
        MallocExtension_MarkThreadIdle();
        MallocExtension_ReleaseFreeMemory();
    }
};
