/* SPDX-License-Identifier: MIT */
/* asan.h: memory that nobody may touch, where AddressSanitizer looks on; else nothing. */
#ifndef ASHLAR_TEST_ASAN_H
#define ASHLAR_TEST_ASAN_H

#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define TEST_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define TEST_ASAN 1
#endif
#endif

#ifdef TEST_ASAN
#include <sanitizer/asan_interface.h>
#endif

/* Reads and writes of it are reported from now on; or no longer. */
static inline void test_forbid(const void *start, size_t bytes) {
#ifdef TEST_ASAN
    __asan_poison_memory_region(start, bytes);
#else
    (void)start, (void)bytes;
#endif
}

static inline void test_permit(const void *start, size_t bytes) {
#ifdef TEST_ASAN
    __asan_unpoison_memory_region(start, bytes);
#else
    (void)start, (void)bytes;
#endif
}

#endif
