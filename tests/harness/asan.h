/* SPDX-License-Identifier: MIT */
/*
 * asan.h: memory that nobody may touch, where AddressSanitizer looks on; else nothing. Also whether
 * a sanitizer that follows the stack looks on.
 */
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

#if defined(TEST_ASAN) || defined(__SANITIZE_THREAD__)
#define TEST_STACK_IS_WATCHED true
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEST_STACK_IS_WATCHED true
#endif
#endif
#ifndef TEST_STACK_IS_WATCHED
#define TEST_STACK_IS_WATCHED false
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
