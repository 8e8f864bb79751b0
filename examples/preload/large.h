/* SPDX-License-Identifier: MIT */
/*
 * large.h: blocks that the arena cannot have, beyond 1 GiB or when its range is used up, and those
 * that grow by realloc beyond some MiB: each is a mapping of its own, known by a table. All of it
 * inside an operation (slots.h).
 */
#ifndef PRELOAD_LARGE_H
#define PRELOAD_LARGE_H

#include <ashlar/base.h>

/* Zero-filled; align_bytes: a power of two. NULL: no memory. */
void *large_alloc(size_t size_bytes, size_t align_bytes);

/* Its bytes; 0: no such block begins there. Any pointer. */
size_t large_size(const void *pointer);

/* Moved or grown or shrunk, contents kept; NULL: no memory, the block as it was. */
void *large_resize(void *pointer, size_t size_bytes);

/* False: no such block. */
bool large_free(void *pointer);

#endif
