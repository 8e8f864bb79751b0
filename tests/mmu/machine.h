/* SPDX-License-Identifier: MIT */
/*
 * machine.h: QEMU's aarch64 `virt` machine as an MMU to ask. The test writes translation tables
 * into the guest's memory, which is its own too, and asks; the stub in the guest answers.
 *
 *     uint64_t *root = machine_memory(MMU_TEST_BASE);
 *     root[0] = ...;
 *     machine_ask(MMU_INSTALL_LOW, MMU_TEST_BASE, 0);
 *     machine_ask(MMU_TLBI_ALL, 0, 0);
 *     uint32_t load = machine_ask(MMU_USER_LOAD, 0x1000, 0);
 *     machine_wait();
 *     if (machine_answer(load).syndrome == 0) ...
 *
 * One machine serves the whole run; where a case left it dead the next one starts another. A
 * machine that dies, or makes no progress for MACHINE_PATIENCE_S, fails the case with what its
 * console said last.
 */
#ifndef MMU_MACHINE_H
#define MMU_MACHINE_H

#include "mmu/protocol.h"

#include <stdbool.h>
#include <stddef.h>

enum { MACHINE_PATIENCE_S = 20 };

/* Once: the CPU model and the stub's image. */
void machine_configure(const char *cpu, const char *stub);

/* NULL, or why there can be no machine here. */
const char *machine_missing(void);

/* At the beginning of a case: runs, nothing asked, TTBR0 an empty root (at MMU_TEST_BASE), TTBR1
 * the stub's, no TLB entry of the test's; the test's memory is as the last case left it. */
void machine_begin(void);

void machine_end(void);

/* The guest's memory at a physical address. Writes to it come before the next machine_ask. */
void *machine_memory(uint64_t physical);

/* What the stub found out about its CPU. */
const struct mmu_mailbox *machine_mailbox(void);

/* Asks, and does not wait. Returns the ticket for the answer. */
uint32_t machine_ask(enum mmu_operation operation, uint64_t address, uint64_t value);

/* Until all is answered that was asked; or, the second, that ticket. */
void machine_wait(void);
void machine_wait_for(uint32_t ticket);

/* The same with a patience of its own: false if the machine had to be ended, and why. */
bool machine_try_wait(double patience_s, char *report, size_t report_bytes);

/* The answer, once it is waited for; of the last MMU_CAPACITY tickets. */
struct mmu_answer machine_answer(uint32_t ticket);

/* Asks and waits. */
struct mmu_answer machine_tell(enum mmu_operation operation, uint64_t address, uint64_t value);

/* The host's half of the greeting, for a case that lies in it; such a machine never gets ready. */
void machine_start(const struct mmu_figures *figures);
/* What the console said so far. */
const char *machine_console(void);

/* The descriptions of a syndrome: ESR_EL1.EC, and of an abort the fault status and its level. */
#define ESR_CLASS(syndrome)        ((uint32_t)((syndrome) >> 26 & 63))
#define ESR_FAULT_STATUS(syndrome) ((uint32_t)((syndrome)&63))
enum { /* Arm ARM D17.2.37 */
       ESR_UNKNOWN = 0x00,
       ESR_SVC = 0x15,
       ESR_FETCH_USER = 0x20,
       ESR_FETCH_KERNEL = 0x21,
       ESR_DATA_KERNEL = 0x25, /* taken from EL1, as LDTR's is */
       ESR_WRITE = 1 << 6      /* WnR */
};

#endif
