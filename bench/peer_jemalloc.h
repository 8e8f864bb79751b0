/* SPDX-License-Identifier: MIT */
/* jemalloc: its library takes malloc's place. mallctl, which no other has, ties the link. */
#include <cstdlib>
#include <jemalloc/jemalloc.h>

static const char *const peer_name = "jemalloc";

static inline const char *peer_version() {
    const char *version = "unknown";
    size_t len = sizeof(version);
    mallctl("version", &version, &len, nullptr, 0);
    return version;
}

static inline void peer_prepare(size_t) {
}

static inline void *peer_alloc(size_t size) {
    return malloc(size);
}

static inline void peer_free(void *pointer) {
    free(pointer);
}
