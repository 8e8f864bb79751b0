/* SPDX-License-Identifier: MIT */
/*
 * keys.h: where in the library's key space (2^24 spaces of under 2^40 blocks) the blocks of a trace
 * are put, which are any 64-bit numbers. A file (block >> 24) is a space in which its blocks follow
 * each other: so it is flushed as one, and read ahead. Files beyond KEYS_FILES share one more
 * space: objects of such traces are names, not places, and lie there without an order.
 */
#ifndef CACHESIM_KEYS_H
#define CACHESIM_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "trace.h"

enum {
    KEYS_FILES = 4095,
    KEYS_SPACES = KEYS_FILES + 1, /* the last one is shared */
    KEYS_FILE_BITS = 24,
    KEYS_INDEX_BITS = 39,
};

struct keyed_record {
    uint64_t index;
    uint32_t space; /* KEYS_SPACES of a flush: a file that nothing is known of */
    enum trace_op op;
};

struct keys;

struct keys *keys_open(void); /* NULL: no memory */
void keys_close(struct keys *keys);

/* Puts `count` records. Returns how many, and in *why, where they are fewer, the reason. */
size_t keys_put(struct keys *keys, const struct trace_record *records, size_t count,
                struct keyed_record *keyed, const char **why);

#endif
