/* SPDX-License-Identifier: MIT */
/* syndrome.c: see syndrome.h. */
#include "syndrome.h"

const char *syndrome_name(uint64_t esr) {
    switch (syndrome_class(esr)) {
    case EC_UNKNOWN:
        return "undefined instruction";
    case EC_WAIT:
        return "waiting instruction";
    case EC_FP:
        return "FP/SIMD instruction, which the kernel does not use";
    case EC_ILLEGAL_STATE:
        return "illegal execution state";
    case EC_CALL:
        return "system call";
    case EC_SYSTEM_REGISTER:
        return "system register or instruction that is the kernel's";
    case EC_SVE:
        return "SVE instruction, which the kernel does not let be used";
    case EC_INSTRUCTION_ABORT:
    case EC_INSTRUCTION_ABORT_USER:
        return "instruction abort";
    case EC_PC_ALIGNMENT:
        return "misaligned program counter";
    case EC_DATA_ABORT:
    case EC_DATA_ABORT_USER:
        return "data abort";
    case EC_SP_ALIGNMENT:
        return "misaligned stack pointer";
    case EC_FP_TRAP:
        return "floating-point exception";
    case EC_SERROR:
        return "system error";
    case EC_BREAKPOINT_USER:
    case EC_WATCHPOINT_USER:
    case EC_STEP_USER:
        return "debug event";
    case EC_BRK:
        return "breakpoint instruction";
    default:
        return "unexpected exception";
    }
}

/* The fault status, ISS bits 5..0; the low two bits of the first few are the level. */
const char *syndrome_abort_reason(uint64_t esr) {
    switch (esr & 0x3c) {
    case 0x00:
        return "address size fault";
    case 0x04:
        return "nothing is mapped there";
    case 0x08:
        return "access flag fault";
    case 0x0c:
        return "the page's permissions forbid it";
    case 0x10:
        return "external abort: no memory or device answers there";
    case 0x20:
        return "misaligned for this kind of access or memory";
    default:
        return "other fault status";
    }
}
