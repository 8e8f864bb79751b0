/* SPDX-License-Identifier: MIT */
/* calls.h: functions of an allocator's shape that do nothing. */
#ifndef ASHLAR_BENCH_CALLS_H
#define ASHLAR_BENCH_CALLS_H

#ifdef __cplusplus
extern "C" {
#endif

extern __thread unsigned char calls_object[8192]; /* each thread has its own */

void *calls_alloc(void *only);
void calls_free(void *cache, void *object);

#ifdef __cplusplus
}
#endif

#endif
