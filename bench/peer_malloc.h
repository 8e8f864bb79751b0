/* SPDX-License-Identifier: MIT */
/* glibc's malloc. */
#include <cstdlib>
#include <gnu/libc-version.h>

static const char *const peer_name = "glibc";

static inline const char *peer_version() {
    return gnu_get_libc_version();
}

static inline void peer_prepare(size_t) {
}

static inline void *peer_alloc(size_t size) {
    return malloc(size);
}

static inline void peer_free(void *pointer) {
    free(pointer);
}
