/* SPDX-License-Identifier: MIT */
/* mimalloc, by its own names. */
#include <mimalloc.h>
#include <string>

static const char *const peer_name = "mimalloc";

static inline const char *peer_version() {
    static const std::string version = std::to_string(mi_version());
    return version.c_str();
}

static inline void peer_prepare(size_t) {
}

static inline void *peer_alloc(size_t size) {
    return mi_malloc(size);
}

static inline void peer_free(void *pointer) {
    mi_free(pointer);
}
