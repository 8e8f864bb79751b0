/* SPDX-License-Identifier: MIT */
/* sort.h: a heap sort: in place, no recursion, O(n log n) whatever the order was. Not stable. */
#ifndef ASHLAR_PROF_SORT_H
#define ASHLAR_PROF_SORT_H

#include <ashlar/base.h>

/* item_bytes: a multiple of 8; items are aligned to 8. */
void ash__prof_sort(void *items, size_t count, size_t item_bytes,
                    int (*compare)(const void *context, const void *a, const void *b),
                    const void *context);

#endif
