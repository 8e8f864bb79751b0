/* SPDX-License-Identifier: MIT */
/*
 * protocol.h: what a test on the host and the stub in the guest say to each other, through memory
 * that both see. Included by both, and by the stub's assembly.
 *
 * Rules
 *  - The host fills the mailbox's first half before the machine starts; the stub compares every
 *    figure of it with its own, writes the second half, and last of all `ready`.
 *  - A ring of requests, answered in order. Both counters only grow (modulo 2^32); a slot is the
 *    counter modulo MMU_CAPACITY. Request n may be written once answer n - MMU_CAPACITY is read.
 *  - The host's `submitted` releases the requests and all it wrote to tables before; the stub's
 *    `completed` releases the answers.
 *
 * Physical memory of the guest, MMU_RAM_BYTES of it, one file that both map:
 *
 *     0x40000000 +--------------------+
 *                | device tree        |  QEMU's
 *     0x40200000 +--------------------+
 *                | the stub           |  code, data, its own tables, its stack
 *     0x40300000 +--------------------+
 *                | struct mmu_mailbox |  requests and answers
 *     0x40400000 +--------------------+
 *                | the test's own     |  translation tables and the pages that they map
 *     0x50000000 +--------------------+
 *
 * Virtual addresses: TTBR0 is all the test's. In TTBR1 the last entry of the root (the top 512 GiB)
 * must be the mailbox's `stub_entry`: there the stub lives, at its physical address plus
 * MMU_STUB_OFFSET. Both have 48 bits; table walks are write-back cacheable; MAIR is MMU_MAIR.
 */
#ifndef MMU_PROTOCOL_H
#define MMU_PROTOCOL_H

#define MMU_RAM_BASE     0x40000000
#define MMU_RAM_BYTES    0x10000000
#define MMU_STUB_BASE    0x40200000
#define MMU_MAILBOX_BASE 0x40300000
#define MMU_TEST_BASE    0x40400000
#define MMU_TEST_BYTES   (MMU_RAM_BASE + MMU_RAM_BYTES - MMU_TEST_BASE)
#define MMU_STUB_OFFSET  0xffffff8000000000
#define MMU_STUB_INDEX   511 /* of TTBR1's root */

/* Memory attributes: 2 is Device-nGnRE; 1 and 6 non-cacheable, 3 and 5 write-through; the others
 * write-back. */
#define MMU_MAIR 0xff44bbffbb0444ff

#ifndef __ASSEMBLER__
#include <stdint.h>

enum {
    MMU_MAGIC = 0x4d4d5531, /* "MMU1" */
    MMU_VERSION = 1,
    MMU_CAPACITY = 8192
};

enum mmu_operation {
    MMU_NOTHING,
    /* The root in TTBR0 or TTBR1: `address` is the register's value, ASID included (the ASID that
     * counts is TTBR0's). Nothing is invalidated. */
    MMU_INSTALL_LOW,
    MMU_INSTALL_HIGH,
    /* Each between DSB ISHST and DSB ISH, ISB. `address` is the instruction's operand as it is. */
    MMU_TLBI_ALL,        /* TLBI VMALLE1IS */
    MMU_TLBI_ASID,       /* TLBI ASIDE1IS */
    MMU_TLBI_VA,         /* TLBI VAE1IS */
    MMU_TLBI_LEAF,       /* TLBI VALE1IS */
    MMU_TLBI_VA_ANY,     /* TLBI VAAE1IS: of every ASID */
    MMU_TLBI_RANGE,      /* TLBI RVAE1IS, where `has_ranges` */
    MMU_TLBI_LEAF_RANGE, /* TLBI RVALE1IS, where `has_ranges` */
    /* What the tables say: AT asks for a walk. The answer's value is PAR_EL1. */
    MMU_AT_USER_READ, /* AT S1E0R */
    MMU_AT_USER_WRITE,
    MMU_AT_KERNEL_READ,
    MMU_AT_KERNEL_WRITE,
    /* What the CPU does: 32 bits at `address`, by whatever is in its TLB. */
    MMU_USER_LOAD,  /* LDTR: the answer's value */
    MMU_USER_STORE, /* STTR of `value` */
    MMU_KERNEL_LOAD,
    MMU_KERNEL_STORE,
    /* ERET to `address`, at EL0 or EL1. The syndrome is that of what came of it, SVC's if an `svc`
     * is there. What it fetches must end at once: `svc`, or a word that is no instruction. */
    MMU_USER_FETCH,
    MMU_KERNEL_FETCH,
    MMU_OPERATIONS
};

struct mmu_request {
    uint64_t operation; /* enum mmu_operation */
    uint64_t address;
    uint64_t value;
};

struct mmu_answer {
    uint64_t value;
    uint64_t syndrome; /* ESR_EL1; 0: no exception; MMU_REFUSED: no such request here */
    uint64_t far;      /* FAR_EL1 as the exception left it */
};

#define MMU_REFUSED (~(uint64_t)0)

/* What both must have been compiled with. */
struct mmu_figures {
    uint32_t magic, version;
    uint32_t capacity, request_bytes, answer_bytes, mailbox_bytes;
    uint64_t ram_bytes;
};

struct mmu_mailbox {
    struct mmu_figures host;
    uint32_t submitted __attribute__((aligned(64)));

    struct mmu_figures stub __attribute__((aligned(64)));
    uint32_t ready;      /* MMU_MAGIC */
    uint32_t pa_bits;    /* physical addresses, at most 48: beyond is an address size fault */
    uint32_t has_ranges; /* FEAT_TLBIRANGE */
    uint32_t reserved;
    uint64_t stub_entry; /* for TTBR1's root, at MMU_STUB_INDEX */
    uint64_t stub_root;  /* one for TTBR1 that has nothing else */
    uint32_t completed __attribute__((aligned(64)));

    struct mmu_request requests[MMU_CAPACITY] __attribute__((aligned(64)));
    struct mmu_answer answers[MMU_CAPACITY] __attribute__((aligned(64)));
};

_Static_assert(sizeof(struct mmu_request) == 24 && sizeof(struct mmu_answer) == 24,
               "the same on both sides");
_Static_assert(sizeof(struct mmu_mailbox) <= MMU_TEST_BASE - MMU_MAILBOX_BASE, "its place");

#define MMU_FIGURES                                                                         \
    ((struct mmu_figures){MMU_MAGIC, MMU_VERSION, MMU_CAPACITY, sizeof(struct mmu_request), \
                          sizeof(struct mmu_answer), sizeof(struct mmu_mailbox), MMU_RAM_BYTES})

#endif
#endif
