/* SPDX-License-Identifier: MIT */
/*
 * user.h: programs at EL0, and what the platform has for the page tables that others make: TLB
 * maintenance, instruction caches, whole pages.
 *
 *     loop of a thread:  platform_user_run(&user, &translation, &event)
 *                        CALL ─> answer in user.x[0]     ABORT ─> map the page, or end the program
 *                        TRAP ─> end the program         INTERRUPT ─> nothing: it has been handled
 *
 * Rules
 *  - On a platform without programs (platform_has_user: hosted, unless a test plays one) nothing
 *    translates by the tables: TLB and code calls do nothing there.
 *  - The kernel itself never goes by a program's translation: it reaches the memory by
 *    platform_pointer. Whatever a program does ends in an event.
 */
#ifndef ASHLAR_PLATFORM_USER_H
#define ASHLAR_PLATFORM_USER_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Programs */

/* All that a program has in the CPU. */
struct platform_user {
    uint64_t x[31];
    uint64_t sp, pc;
    uint64_t pstate; /* the flags N, Z, C, V in bits 31..28; the rest is the platform's business */
    uint64_t tls;    /* TPIDR_EL0 */
    uint64_t fpcr, fpsr;
    uint8_t v[32][16] __attribute__((aligned(16)));
    /* Written by others, too: not 0: platform_user_run returns, as after an interrupt, before the
     * program runs. Looked at when no interrupt can come any more but to the program. */
    uint32_t is_wanted;
};

/* Of a tree for the lower half: 48-bit addresses, 4 KiB pages, 4 levels. */
struct platform_translation {
    uint64_t root; /* physical */
    uint32_t asid; /* 1 .. 2^platform_asid_bits() - 1: 0 is that of no program */
};

enum platform_user_cause {
    PLATFORM_USER_CALL,  /* SVC; pc is behind it */
    PLATFORM_USER_ABORT, /* its tables do not allow an access, that to an instruction included */
    PLATFORM_USER_TRAP,  /* what no table can help: an undefined instruction, a breakpoint ... */
    PLATFORM_USER_INTERRUPT,
};

struct platform_user_event {
    enum platform_user_cause cause;
    bool is_write, is_execute; /* of an abort; neither: a load, or maintenance of caches */
    uint64_t address;          /* of an abort, and where TRAP says that one is misaligned */
    uint64_t syndrome;         /* ESR_EL1; 0 for an interrupt */
    const char *what;          /* for people */
};

/*
 * Runs the program, on the calling thread's stack, until it stops by itself or an interrupt has
 * come, whose handlers have run, and platform_after_interrupt too: so it may return on another CPU.
 * Called, and returns, with interrupts unmasked and not pinned. The translation is this CPU's until
 * another one runs on it, or it is forgotten.
 */
void platform_user_run(struct platform_user *user, const struct platform_translation *translation,
                       struct platform_user_event *event);

/*
 * Afterwards no CPU walks the tree: once its ASID is flushed, it may be freed. Nobody runs by it
 * any more. With interrupts unmasked and no lock held that is taken masked: CPUs that have it are
 * interrupted and waited for.
 */
void platform_user_forget(uint64_t root);

/* Do programs run here? The same from boot on; hosted: while a test plays one. */
bool platform_has_user(void);
uint32_t platform_asid_bits(void); /* 8 or 16 */

/* Page tables of the kernel's half */

/*
 * Addresses of the kernel's half that the platform leaves to others: whoever maps there owns the
 * entries of the root (its physical address is what platform_kernel_root says; it has 512) that
 * translate them, none of which is valid at boot, and all tables below. All CPUs use this root.
 * 0 without programs.
 */
#define PLATFORM_KERNEL_RANGES_BASE  UINT64_C(0xffff800000000000)
#define PLATFORM_KERNEL_RANGES_BYTES (UINT64_C(1) << 40)
uint64_t platform_kernel_root(void);

/* TLBs, of all CPUs; any context */

/* Stores before it, by which invalid entries became valid, are seen by the walks that follow. */
void platform_tlb_publish(void);

/*
 * These make the stores before them seen, and return when no CPU uses, nor has an access under way
 * that used, a translation from before.
 * Range: [va, va + count << shift), one address each 1 << shift bytes (shift 12, 21 or 30): what is
 * smaller than that needs its own shift. leaf_only: no entry that refers to a table has changed.
 * Of the kernel's half with any ASID.
 */
void platform_tlb_flush_range(uint32_t asid, uint64_t va, uint64_t count, uint32_t shift,
                              bool leaf_only);
void platform_tlb_flush_asid(uint32_t asid);
void platform_tlb_flush_all(void);

/* Has the CPU instructions that flush a range at once? */
bool platform_tlb_has_ranges(void);

/* Bytes, written by their address of platform_pointer, are what is executed from now on: before a
 * page with them is mapped executable. */
void platform_code_written(const void *bytes, size_t len);

/* Whole pages of 4 KiB, aligned, by what was fastest at boot. Not in an interrupt handler. */
void platform_page_copy(void *to, const void *from);
void platform_page_zero(void *to);

/* "copied by SIMD, zeroed by DC ZVA", for people; len includes the final NUL. */
void platform_page_describe(char *text, size_t len);

#ifdef __cplusplus
}
#endif

#endif
