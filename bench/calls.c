/* SPDX-License-Identifier: MIT */
#include "calls.h"

__thread unsigned char calls_object[8192];

void *calls_alloc(void *only) {
    return only;
}

void calls_free(void *cache, void *object) {
    (void)cache, (void)object;
}
