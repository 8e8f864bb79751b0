/* SPDX-License-Identifier: MIT */
/* watch.h: the TLBs and the linter that look at each case of their program: see watch.c. */
#ifndef TESTS_VM_WATCH_H
#define TESTS_VM_WATCH_H

#include <stdint.h>

struct watch_totals {
    uint64_t stores, shared_stores; /* seen */
    uint64_t judged;                /* translations in a TLB, after an operation */
    uint64_t stops;                 /* accesses that one stopped which was behind */
};

/* From here on every bed is looked at. */
void watch_install(void);
const struct watch_totals *watch_totals(void);

#endif
