/* SPDX-License-Identifier: MIT */
/* syndrome.h: what ESR_EL1 says of an exception, in words and for decisions. Arm ARM D17.2.37. */
#ifndef QEMU_VIRT_SYNDROME_H
#define QEMU_VIRT_SYNDROME_H

#include <ashlar/base.h>

enum {
    EC_UNKNOWN = 0x00,
    EC_WAIT = 0x01,
    EC_FP = 0x07,
    EC_ILLEGAL_STATE = 0x0e,
    EC_CALL = 0x15,
    EC_SYSTEM_REGISTER = 0x18,
    EC_SVE = 0x19,
    EC_INSTRUCTION_ABORT_USER = 0x20,
    EC_INSTRUCTION_ABORT = 0x21,
    EC_PC_ALIGNMENT = 0x22,
    EC_DATA_ABORT_USER = 0x24,
    EC_DATA_ABORT = 0x25,
    EC_SP_ALIGNMENT = 0x26,
    EC_FP_TRAP = 0x2c,
    EC_SERROR = 0x2f,
    EC_BREAKPOINT_USER = 0x30,
    EC_STEP_USER = 0x32,
    EC_WATCHPOINT_USER = 0x34,
    EC_BRK = 0x3c,
};

/* EC_*: the class. */
static inline uint32_t syndrome_class(uint64_t esr) {
    return (uint32_t)(esr >> 26 & 0x3f);
}

static inline bool syndrome_is_execution(uint64_t esr) {
    uint32_t class = syndrome_class(esr);
    return class == EC_INSTRUCTION_ABORT || class == EC_INSTRUCTION_ABORT_USER;
}

static inline bool syndrome_is_abort(uint64_t esr) {
    uint32_t class = syndrome_class(esr);
    return syndrome_is_execution(esr) || class == EC_DATA_ABORT || class == EC_DATA_ABORT_USER;
}

/* Of an abort on data: a store? Cache maintenance (CM) says so too (WnR), but needs no right to
 * write. */
static inline bool syndrome_is_write(uint64_t esr) {
    return !syndrome_is_execution(esr) && (esr >> 6 & 1) != 0 && (esr >> 8 & 1) == 0;
}

/* Of an abort: do the tables say it, by an entry that is invalid, out of range, not accessed yet or
 * without the right? Else it comes from elsewhere. */
static inline bool syndrome_is_of_tables(uint64_t esr) {
    return (esr & 0x3f) < 0x10;
}

/* "data abort"; "the page's permissions forbid it" of an abort. */
const char *syndrome_name(uint64_t esr);
const char *syndrome_abort_reason(uint64_t esr);

#endif
