/* SPDX-License-Identifier: MIT */
/*
 * walk.h: the translation table walk of the Arm Architecture Reference Manual (DDI 0487, D8),
 * stage 1 of EL1&0, 4 KiB granule, 48 bits, both halves, in plain C. Knows nothing of lib/vm:
 * two descriptions of one format that agree are worth more than one.
 *
 * Left out, as QEMU's CPUs or the stub's registers have them off: hardware update of the access
 * flag and dirty state, 52-bit addresses, PAN, hierarchical attributes disabled (TCR_EL1.HPDn).
 */
#ifndef MMU_WALK_H
#define MMU_WALK_H

#include <stdbool.h>
#include <stdint.h>

enum { WALK_USER, WALK_KERNEL }; /* EL0, EL1 */

/* As in a fault status code: the level is added (Arm ARM D17.2.37, DFSC). */
enum walk_fault {
    WALK_FAULT_SIZE = 0x00,
    WALK_FAULT_TRANSLATION = 0x04,
    WALK_FAULT_ACCESS_FLAG = 0x08,
    WALK_FAULT_PERMISSION = 0x0c,
    WALK_FAULT_NONE = 0xff
};

struct walk {
    enum walk_fault fault; /* NONE: the rights below say who may do what */
    uint32_t level;        /* of the fault, or of the leaf */
    uint64_t physical;
    uint32_t attribute; /* index into MAIR_EL1 */
    uint32_t shareability;
    bool may_read[2], may_write[2], may_execute[2];
    uint64_t descriptors[4]; /* what was read, level by level */
};

/* Tables are read by `memory`; high_root is a physical address, as low_root is. */
struct walk walk(uint64_t low_root, uint64_t high_root, uint64_t address, uint32_t pa_bits,
                 void *(*memory)(uint64_t physical));

#endif
