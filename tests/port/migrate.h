/* SPDX-License-Identifier: MIT */
/*
 * migrate.h: the least of schedulers, for cases: contexts in one queue, switched round robin by
 * platform_after_interrupt on any number of CPUs. They pin, mask and count per CPU until all are
 * done.
 */
#ifndef ASHLAR_TEST_MIGRATE_H
#define ASHLAR_TEST_MIGRATE_H

#include <ashlar/base.h>

struct migrate_result {
    int error;           /* of a timer */
    uint32_t left;       /* contexts that have not ended */
    uint64_t lost;       /* counted by fewer than should have */
    uint64_t misplaced;  /* pinned and yet elsewhere, or masked or pinned by somebody else */
    uint32_t masks_left; /* CPUs that ended masked */
    uint32_t pins_left;  /* CPUs that ended pinned */
    uint64_t migrations; /* went on on another CPU */
};

/* Does this machine switch contexts in interrupts? */
bool migrate_may(void);

/* On CPU 0, in a case. probe, unless it is NULL, is called on each CPU before and after. */
struct migrate_result migrate_run(uint32_t cpus, void (*probe)(uint32_t cpu, bool after));

#endif
