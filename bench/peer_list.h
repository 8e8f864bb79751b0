/* SPDX-License-Identifier: MIT */
/* The textbook's buddy alone: a page for each object, of 1 GiB of this process. */
#include "list_buddy.h"
#include "peer.h"

#include <sys/mman.h>

struct Peer : PeerDefaults {
    static constexpr const char *name = "list";
    static constexpr bool threads = false, million = false;
    static constexpr uint32_t frames = 262144;
    static constexpr size_t page = 4096;

    static inline ListBuddy buddy{frames};
    static inline char *arena;

    static std::string version() {
        return "a textbook's buddy";
    }
    static void prepare(size_t) {
        if (arena != nullptr)
            return;
        arena = static_cast<char *>(mmap(nullptr, frames * page, PROT_READ | PROT_WRITE,
                                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0));
        if (arena == MAP_FAILED)
            std::abort();
    }
    static __attribute__((noinline)) void *alloc(size_t) {
        uint32_t frame;
        if (!buddy.alloc(0, &frame))
            std::abort();
        return arena + frame * page;
    }
    static __attribute__((noinline)) void free(void *pointer) {
        buddy.free(static_cast<uint32_t>((static_cast<char *>(pointer) - arena) / page), 0);
    }
};
