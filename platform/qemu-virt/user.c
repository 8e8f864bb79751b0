/* SPDX-License-Identifier: MIT */
/* user.c: programs of user.h: whose translation a CPU has, and what has stopped a program. */
#include "user.h"

#include <ashlar/check.h>

#include "cpu.h"
#include "direct_map.h"
#include "exception.h"
#include "gic.h"
#include "mmu.h"
#include "panic.h"
#include "platform.h"
#include "syndrome.h"
#include "user_frame.h"
#include "user_init.h"

_Static_assert(offsetof(struct platform_user, x) + 30 * sizeof(uint64_t) == USER_X30, "user.S");
_Static_assert(offsetof(struct platform_user, sp) == USER_SP, "user.S");
_Static_assert(offsetof(struct platform_user, pc) == USER_PC, "user.S");
_Static_assert(offsetof(struct platform_user, pstate) == USER_PSTATE, "user.S");
_Static_assert(offsetof(struct platform_user, tls) == USER_TLS, "user.S");
_Static_assert(offsetof(struct platform_user, fpcr) == USER_FPCR, "user.S");
_Static_assert(offsetof(struct platform_user, fpsr) == USER_FPSR, "user.S");
_Static_assert(offsetof(struct platform_user, v) == USER_V, "user.S");

_Static_assert(offsetof(struct platform_user, sp) == offsetof(struct interrupted, sp), "sample.c");
_Static_assert(offsetof(struct platform_user, pc) == offsetof(struct interrupted, pc), "sample.c");

#define ASID_SHIFT 48
#define ROOT_MASK  ((UINT64_C(1) << ASID_SHIFT) - 1)

uint32_t user_enter(struct platform_user *user);

bool platform_has_user(void) {
    return true;
}

/* Translations: a CPU keeps the last one. cpu->ttbr0 is written by the CPU itself, masked, and says
 * what its TTBR0_EL1 may have. */

static void install(struct cpu *cpu, const struct platform_translation *translation) {
    uint64_t ttbr0 = translation->root | (uint64_t)translation->asid << ASID_SHIFT;
    if (ash_load_relaxed(&cpu->ttbr0) == ttbr0)
        return;
    ASH_REQUIRE((translation->root & ~ROOT_MASK) == 0 &&
                    ash_is_aligned(translation->root, ASH_PAGE_SIZE) && translation->asid != 0 &&
                    translation->asid >> platform_asid_bits() == 0,
                "platform_user_run: root 0x%llx, ASID %u: a root is a page; an ASID has %u bits "
                "and is not 0",
                (unsigned long long)translation->root, translation->asid, platform_asid_bits());
    ash_store_relaxed(&cpu->ttbr0, ttbr0);
    __asm__ volatile("msr ttbr0_el1, %0\n\tisb" ::"r"(ttbr0) : "memory");
}

/* ASID 0 with no entry. A program that runs here gets its translation back when it goes on. */
static void on_forget(void *context) {
    (void)context;
    uint64_t ttbr0 = direct_map_physical(mmu_empty_root);
    __asm__ volatile("msr ttbr0_el1, %0\n\tisb" ::"r"(ttbr0) : "memory");
    ash_store_release(&cpu_this()->ttbr0, UINT64_C(0));
}

static bool has_root(const struct cpu *cpu, uint64_t root) {
    uint64_t ttbr0 = ash_load_acquire(&cpu->ttbr0);
    return ttbr0 != 0 && (ttbr0 & ROOT_MASK) == root;
}

bool user_is_root_here(uint64_t root) {
    return has_root(cpu_this(), root);
}

void platform_user_forget(uint64_t root) {
    for (uint32_t i = 0; i < platform_cpu_count(); i++) {
        if (has_root(&cpus[i], root))
            gic_send(i, GIC_SGI_FORGET);
    }
    for (uint32_t i = 0; i < platform_cpu_count(); i++) {
        while (has_root(&cpus[i], root))
            ash_port_relax();
    }
}

void user_init(void) {
    gic_connect(GIC_SGI_FORGET, true, on_forget, NULL);
}

/* What a program may reach without asking; registers that reset leaves unknown. The rest is
 * SCTLR_EL1's (mmu.c), and CPACR_EL1's: no SVE, no SME. */
void user_init_cpu(void) {
    uint64_t debug_features, memory_features;
    /* CNTKCTL_EL1: the virtual counter, but neither timers nor the physical one. */
    __asm__ volatile("msr cntkctl_el1, %0" ::"r"(UINT64_C(1) << 1));
    /* MDSCR_EL1: no debug event at EL0, and the debugger's channel is shut (TDCC). */
    __asm__ volatile("msr mdscr_el1, %0" ::"r"(UINT64_C(1) << 12));
    __asm__ volatile("mrs %0, id_aa64dfr0_el1" : "=r"(debug_features));
    uint64_t pmu_version = debug_features >> 8 & 15;
    if (pmu_version != 0 && pmu_version != 15)
        __asm__ volatile("msr pmuserenr_el0, xzr");
    __asm__ volatile("mrs %0, id_aa64mmfr1_el1" : "=r"(memory_features));
    if ((memory_features >> 20 & 15) != 0)
        __asm__ volatile(".inst 0xd500419f"); /* MSR PAN, #1; SCTLR_EL1.SPAN keeps it so */
    __asm__ volatile("isb");
}

/* What stopped it */

static void describe(struct platform_user_event *event, uint64_t esr) {
    uint32_t class = syndrome_class(esr);
    *event = (struct platform_user_event){.syndrome = esr, .what = syndrome_name(esr)};
    if (class == EC_CALL) {
        event->cause = PLATFORM_USER_CALL;
        return;
    }
    event->cause = PLATFORM_USER_TRAP;
    if (syndrome_is_abort(esr)) {
        if (syndrome_is_of_tables(esr))
            event->cause = PLATFORM_USER_ABORT;
        event->is_write = syndrome_is_write(esr);
        event->is_execute = syndrome_is_execution(esr);
        event->what = syndrome_abort_reason(esr);
    }
    if (syndrome_is_abort(esr) || class == EC_PC_ALIGNMENT)
        __asm__ volatile("mrs %0, far_el1" : "=r"(event->address));
}

void platform_user_run(struct platform_user *user, const struct platform_translation *translation,
                       struct platform_user_event *event) {
    ash_irq_t open = ash_port_irq_save();
    uint64_t esr;
    ASH_REQUIRE(port_pin_depth() == 0, "platform_user_run: called pinned, %llu times",
                (unsigned long long)port_pin_depth());
    if (ash_load_acquire(&user->is_wanted) != 0) {
        *event = (struct platform_user_event){.cause = PLATFORM_USER_INTERRUPT, .what = "wanted"};
        ash_port_irq_restore(open);
        return;
    }
    install(cpu_this(), translation);
    switch (user_enter(user)) {
    case USER_IRQ:
        *event =
            (struct platform_user_event){.cause = PLATFORM_USER_INTERRUPT, .what = "interrupt"};
        exception_interrupt((const struct interrupted *)user, CPU_INTERRUPTS_USER);
        break;
    case USER_FIQ: /* no group of interrupts has it */
        panic_report("fast interrupt from a program", NULL);
    default:
        __asm__ volatile("mrs %0, esr_el1" : "=r"(esr));
        describe(event, esr);
        break;
    }
    ash_port_irq_restore(open);
}
