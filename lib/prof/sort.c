/* SPDX-License-Identifier: MIT */
/* sort.c: a heap sort (sort.h). Source: J. W. J. Williams, Algorithm 232, CACM 7(6), 1964. */
#include "sort.h"

struct heap {
    char *items;
    size_t item_bytes;
    int (*compare)(const void *context, const void *a, const void *b);
    const void *context;
};

static void *item(const struct heap *heap, size_t i) {
    return heap->items + i * heap->item_bytes;
}

static int compare_items(const struct heap *heap, size_t a, size_t b) {
    return heap->compare(heap->context, item(heap, a), item(heap, b));
}

static void swap_items(const struct heap *heap, size_t a, size_t b) {
    char *x = item(heap, a), *y = item(heap, b);
    for (size_t i = 0; i < heap->item_bytes; i += 8) {
        uint64_t x_word, y_word;
        __builtin_memcpy(&x_word, x + i, 8);
        __builtin_memcpy(&y_word, y + i, 8);
        __builtin_memcpy(x + i, &y_word, 8);
        __builtin_memcpy(y + i, &x_word, 8);
    }
}

/* The greatest of the heap at `at` comes to its top. */
static void sift_down(const struct heap *heap, size_t at, size_t count) {
    for (size_t child = 2 * at + 1; child < count; child = 2 * at + 1) {
        if (child + 1 < count && compare_items(heap, child, child + 1) < 0)
            child++;
        if (compare_items(heap, at, child) >= 0)
            return;
        swap_items(heap, at, child);
        at = child;
    }
}

void ash__prof_sort(void *items, size_t count, size_t item_bytes,
                    int (*compare)(const void *context, const void *a, const void *b),
                    const void *context) {
    struct heap heap = {items, item_bytes, compare, context};
    for (size_t i = count / 2; i-- > 0;)
        sift_down(&heap, i, count);
    for (size_t end = count; end-- > 1;) {
        swap_items(&heap, 0, end);
        sift_down(&heap, 0, end);
    }
}
