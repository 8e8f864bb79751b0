/* SPDX-License-Identifier: MIT */
/*
 * user.h: what the platform has for page tables that others make, and for the programs in them:
 * the processor's unprivileged level, translation by a program's tables, TLB maintenance.
 *
 * Rules
 *  - A kernel thread runs a program: it asks for it, on its own stack, and goes on when the program
 *    wants something, has done what it may not, or an interrupt has come.
 *  - The kernel never accesses memory by a program's translation.
 */
#ifndef ASHLAR_PLATFORM_USER_H
#define ASHLAR_PLATFORM_USER_H

#include <ashlar/base.h>

/*
 * Addresses of the kernel's half that the platform leaves to others: whoever maps there owns the
 * entries of the root (its physical address is what platform_kernel_root says; it has 512) that
 * translate them, none of which is valid at boot, and all tables below. All CPUs use this root.
 */
#define PLATFORM_KERNEL_RANGES_BASE  UINT64_C(0xffff800000000000)
#define PLATFORM_KERNEL_RANGES_BYTES (UINT64_C(1) << 40)
uint64_t platform_kernel_root(void);

/* All that a program has in the CPU. */
struct platform_user {
    uint64_t x[31];
    uint64_t sp, pc, pstate, tls; /* of pstate NZCV alone is taken; tls: TPIDR_EL0 */
    uint64_t fpcr, fpsr;
    uint8_t v[32][16] __attribute__((aligned(16)));
    /* Written by others, too: not 0: platform_user_run returns before the program has run, as after
     * an interrupt. Looked at when no interrupt can come any more but to the program. */
    uint32_t is_wanted;
};

/* A tree of 48 bits, 4 levels, granule 4 KiB. */
struct platform_translation {
    uint64_t root; /* physical */
    uint32_t asid;
};

enum platform_user_cause {
    PLATFORM_USER_CALL,  /* SVC; pc is behind it */
    PLATFORM_USER_ABORT, /* of data or an instruction */
    PLATFORM_USER_TRAP,  /* undefined, BRK, alignment, arithmetic ... */
    PLATFORM_USER_INTERRUPT,
};

/* Why it stopped. */
struct platform_user_event {
    enum platform_user_cause cause;
    uint64_t address; /* of an abort */
    bool is_write, is_execute;
    uint64_t syndrome;
    const char *what; /* of a trap, a phrase */
};

/*
 * Runs the program where it is until it stops by itself or an interrupt has come and its handlers,
 * and platform_after_interrupt, have run; returns then, perhaps on another CPU. From a thread,
 * unpinned, interrupts open; returns so.
 */
void platform_user_run(struct platform_user *user, const struct platform_translation *translation,
                       struct platform_user_event *event);

/* From then on no CPU translates by it: the root may be freed. Interrupts open. */
void platform_user_forget(uint64_t root);

/* Hosted: while a test plays the program. */
bool platform_has_user(void);
uint32_t platform_asid_bits(void); /* 8 or 16 */

/* TLB: all CPUs; complete on return; stores before it are seen by walks after it. */

/* [va, va + pages << stride_shift) by leaves, or tables, of that size: 12, 21, 30. */
void platform_tlb_flush_range(uint32_t asid, uint64_t va, uint64_t pages, uint32_t stride_shift,
                              bool leaf_only);
void platform_tlb_flush_asid(uint32_t asid);
void platform_tlb_flush_all(void);
/* Entries that were invalid are valid now. */
void platform_tlb_publish(void);
bool platform_tlb_has_ranges(void);

/* The kernel has written what programs will execute. */
void platform_code_written(const void *bytes, size_t len);

/* Whole pages of 4 KiB, by the fastest means that the CPU has. */
void platform_page_copy(void *to, const void *from);
void platform_page_zero(void *to);

#endif
