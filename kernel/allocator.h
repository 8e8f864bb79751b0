/* SPDX-License-Identifier: MIT */
/* allocator.h: memory as an interface: the kernel's heap, or a test's that fails at the n-th
 * call. */
#ifndef KERNEL_ALLOCATOR_H
#define KERNEL_ALLOCATOR_H

#include <ashlar/base.h>

struct allocator {
    /* Aligned for any type, contents undefined; NULL: out of memory. */
    void *(*alloc)(void *context, size_t size_bytes);
    void (*free)(void *context, void *pointer); /* NULL is ignored */
    void *context;
};

#endif
