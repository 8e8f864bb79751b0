/* SPDX-License-Identifier: MIT */
/* signal_frame.c: see signal_frame.h. The machine is little-endian, as its programs are. */
#include "signal_frame.h"

#include <string.h>

/* Offsets in the frame. */
enum {
    INFO_NUMBER = 0,
    INFO_CODE = 8,
    INFO_SENDER = 16, /* of kill and SIGCHLD; of a fault its address */
    INFO_STATUS = 24, /* of SIGCHLD */

    UCONTEXT = SIGNAL_CONTEXT_OFFSET,
    STACK_START = UCONTEXT + 16,
    STACK_FLAGS = UCONTEXT + 24,
    STACK_BYTES = UCONTEXT + 32,
    MASK = UCONTEXT + 40,
    SIGCONTEXT = UCONTEXT + 176,
    FAULT_ADDRESS = SIGCONTEXT,
    REGISTERS = SIGCONTEXT + 8,
    SP = REGISTERS + 31 * 8,
    PC = SP + 8,
    PSTATE = PC + 8,
    RECORDS = SIGCONTEXT + 288,
    FPSIMD_BYTES = 528,
};

#define FPSIMD_MAGIC UINT32_C(0x46508001)

/* Flags of the stack. */
enum { ON_STACK = 1, DISABLED = 2 };

static void put32(uint8_t *to, uint32_t value) {
    memcpy(to, &value, sizeof(value));
}

static void put64(uint8_t *to, uint64_t value) {
    memcpy(to, &value, sizeof(value));
}

static uint32_t get32(const uint8_t *from) {
    uint32_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

static uint64_t get64(const uint8_t *from) {
    uint64_t value;
    memcpy(&value, from, sizeof(value));
    return value;
}

static bool is_fault(uint32_t number) {
    return number == SIGNAL_SEGV || number == SIGNAL_BUS || number == SIGNAL_ILL ||
           number == SIGNAL_TRAP || number == SIGNAL_FPE;
}

void signal_info_bytes(uint32_t number, const struct signal_info *info,
                       uint8_t bytes[SIGNAL_INFO_BYTES]) {
    memset(bytes, 0, SIGNAL_INFO_BYTES);
    put32(bytes + INFO_NUMBER, number);
    put32(bytes + INFO_CODE, (uint32_t)info->code);
    if (is_fault(number) && info->code > 0 && info->code < SIGNAL_CODE_KERNEL)
        put64(bytes + INFO_SENDER, info->address);
    else
        put32(bytes + INFO_SENDER, info->sender);
    if (number == SIGNAL_CHLD)
        put32(bytes + INFO_STATUS, (uint32_t)info->status);
}

static uint32_t stack_flags(const struct signal_context *context) {
    if (!context->stack.is_on)
        return DISABLED;
    return context->is_on_stack ? ON_STACK : 0;
}

void signal_frame_build(uint8_t *bytes, const struct platform_user *user, uint32_t number,
                        const struct signal_info *info, const struct signal_context *context) {
    uint8_t *record = bytes + RECORDS;
    memset(bytes, 0, SIGNAL_FRAME_USED_BYTES);
    signal_info_bytes(number, info, bytes);
    put64(bytes + STACK_START, context->stack.start);
    put32(bytes + STACK_FLAGS, stack_flags(context));
    put64(bytes + STACK_BYTES, context->stack.bytes);
    put64(bytes + MASK, context->mask);
    put64(bytes + FAULT_ADDRESS, is_fault(number) ? info->address : 0);
    memcpy(bytes + REGISTERS, user->x, sizeof(user->x));
    put64(bytes + SP, user->sp);
    put64(bytes + PC, user->pc);
    put64(bytes + PSTATE, user->pstate);
    put32(record, FPSIMD_MAGIC);
    put32(record + 4, FPSIMD_BYTES);
    put32(record + 8, (uint32_t)user->fpsr);
    put32(record + 12, (uint32_t)user->fpcr);
    memcpy(record + 16, user->v, sizeof(user->v));
}

/* A frame has this record first, as it was built: a program that changes registers does so in
 * place. */
bool signal_frame_read(const uint8_t *bytes, struct platform_user *user,
                       struct signal_context *context) {
    const uint8_t *record = bytes + RECORDS;
    if (get32(record) != FPSIMD_MAGIC || get32(record + 4) != FPSIMD_BYTES ||
        get32(record + FPSIMD_BYTES) != 0 || get32(record + FPSIMD_BYTES + 4) != 0)
        return false;
    memcpy(user->x, bytes + REGISTERS, sizeof(user->x));
    user->sp = get64(bytes + SP);
    user->pc = get64(bytes + PC);
    user->pstate = get64(bytes + PSTATE);
    user->fpsr = get32(record + 8);
    user->fpcr = get32(record + 12);
    memcpy(user->v, record + 16, sizeof(user->v));
    context->mask = get64(bytes + MASK);
    uint32_t flags = get32(bytes + STACK_FLAGS);
    context->stack = (struct signal_stack){.start = get64(bytes + STACK_START),
                                           .bytes = get64(bytes + STACK_BYTES),
                                           .is_on = (flags & DISABLED) == 0};
    context->is_on_stack = (flags & ON_STACK) != 0;
    return true;
}
