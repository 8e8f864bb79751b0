/* SPDX-License-Identifier: MIT */
/* psci.c: see psci.h. */
#include "psci.h"

#define PSCI_SYSTEM_OFF    0x84000008u
#define PSCI_NOT_SUPPORTED (-1)

static enum board_psci method;
static uint32_t cpu_on;

void psci_init(const struct board *board) {
    method = board->psci;
    cpu_on = board->psci_cpu_on;
}

/* SMC calling convention (DEN 0028): x0..x3 in, x0 out, x4..x17 are the callee's. */
static int64_t call(uint64_t function, uint64_t a, uint64_t b, uint64_t c) {
    register uint64_t x0 __asm__("x0") = function;
    register uint64_t x1 __asm__("x1") = a;
    register uint64_t x2 __asm__("x2") = b;
    register uint64_t x3 __asm__("x3") = c;
#define PSCI_CLOBBERS                                                                           \
    "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", \
        "memory"
    if (method == BOARD_PSCI_HVC)
        __asm__ volatile("hvc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::PSCI_CLOBBERS);
    else if (method == BOARD_PSCI_SMC)
        __asm__ volatile("smc #0" : "+r"(x0), "+r"(x1), "+r"(x2), "+r"(x3)::PSCI_CLOBBERS);
    else
        return PSCI_NOT_SUPPORTED;
    return (int64_t)x0;
}

/* A negative answer may come as 32 bits. */
int64_t psci_cpu_on(uint64_t mpidr, uint64_t entry, uint64_t context) {
    return (int32_t)call(cpu_on, mpidr, entry, context);
}

void psci_system_off(void) {
    (void)call(PSCI_SYSTEM_OFF, 0, 0, 0);
}
