/* SPDX-License-Identifier: MIT */
/*
 * pair.c: what a pair of malloc and free costs, on whatever allocator is preloaded: an object that
 * is freed at once, and a ring of 1000 in which the oldest is replaced. 64 bytes, or the argument.
 * Prints the best of 400 loops of 20,000: what disturbs a machine only ever makes it slower.
 */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ROUNDS 400
#define PAIRS  20000

static double now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void hot_pairs(size_t size) {
    for (int i = 0; i < PAIRS; i++) {
        volatile char *object = malloc(size);
        *object = 1;
        free((void *)(size_t)object);
    }
}

static void replace_oldest(size_t size) {
    static volatile char *ring[1000];
    for (int i = 0; i < PAIRS; i++) {
        free((void *)(size_t)ring[i % 1000]);
        ring[i % 1000] = malloc(size);
        *ring[i % 1000] = 1;
    }
}

static double best_ns(void (*pairs)(size_t size), size_t size) {
    double best = 1e9;
    for (int i = 0; i < ROUNDS; i++) {
        double begin = now_ns();
        pairs(size);
        double one = (now_ns() - begin) / PAIRS;
        best = one < best ? one : best;
    }
    return best;
}

int main(int argc, char **argv) {
    size_t size = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
    printf("hot pair %.1f ns, ring of 1000 %.1f ns\n", best_ns(hot_pairs, size),
           best_ns(replace_oldest, size));
    return 0;
}
