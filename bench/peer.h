/* SPDX-License-Identifier: MIT */
/*
 * peer.h: what an allocator of objects is to these benchmarks. Each peer_NAME.h defines a `Peer`:
 * name, version(), alloc(size), free(pointer), and what differs from the defaults here.
 */
#ifndef ASHLAR_BENCH_PEER_H
#define ASHLAR_BENCH_PEER_H

#include <dlfcn.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>

struct PeerDefaults {
    static constexpr bool threads = true; /* two threads may use it at once */
    static constexpr bool million = true; /* a million live objects fit */
    static constexpr bool sized = true;   /* objects of several sizes at once */
    static constexpr bool shared = false; /* all allocations are one object */
    static constexpr bool bulk = false;   /* alloc_bulk(objects, count), free_bulk(...) */
    static constexpr bool counts = false; /* calls() means something */

    /* A function of its, and a part of the name of the file that must have it: so that nobody is
     * measured in another's name. "": this program itself. */
    static constexpr const char *function = "main", *library = "";

    struct Calls {
        uint64_t allocations, hits;
    };
    static Calls calls() { /* so far, and those of them that a CPU's magazines served */
        return {};
    }
    static void prepare(size_t) { /* objects of this size come; none is out */
    }
    static void enter(size_t) { /* once in thread n */
    }
    static void reap() { /* gives back to the system whatever it can */
    }
    /* What it holds of the system's memory, its own notes included. */
    static size_t held_bytes() {
        unsigned long pages = 0;
        FILE *file = std::fopen("/proc/self/statm", "r");
        if (file == nullptr || std::fscanf(file, "%*u %lu", &pages) != 1)
            std::abort();
        std::fclose(file);
        return pages * static_cast<size_t>(sysconf(_SC_PAGESIZE));
    }
};

/* The file that holds the code of the function of this name, as the dynamic linker sees it. */
inline std::string file_of(const char *function) {
    Dl_info info;
    void *address = dlsym(RTLD_DEFAULT, function);
    return address != nullptr && dladdr(address, &info) != 0 ? info.dli_fname : "this program";
}

/* An allocator that takes malloc's place. */
struct MallocPeer : PeerDefaults {
    static constexpr const char *function = "malloc";
    static void *alloc(size_t size) {
        return std::malloc(size);
    }
    static void free(void *pointer) {
        std::free(pointer);
    }
};

#endif
