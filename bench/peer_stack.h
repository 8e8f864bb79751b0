/* SPDX-License-Identifier: MIT */
/*
 * An array of free objects, popped and pushed inline, its count and slots in memory: the least that
 * an allocator which remembers what is free can cost. One size at a time, no memory behind it.
 */
#include "peer.h"

struct Peer : PeerDefaults {
    static constexpr const char *name = "stack";
    static constexpr bool threads = false, million = false, sized = false;
    static constexpr size_t slots = 16384;
    static inline size_t count;
    static inline void *free_objects[slots];

    static std::string version() {
        return "inline pop and push";
    }
    static void prepare(size_t size) {
        static char *arena;
        std::free(arena);
        arena = static_cast<char *>(std::malloc(slots * size));
        if (arena == nullptr)
            std::abort();
        for (count = 0; count < slots; count++)
            free_objects[count] = arena + count * size;
    }
    static void *alloc(size_t) {
        void *object = free_objects[--count];
        __asm__ volatile("" ::: "memory");
        return object;
    }
    static void free(void *pointer) {
        free_objects[count++] = pointer;
        __asm__ volatile("" ::: "memory");
    }
};
