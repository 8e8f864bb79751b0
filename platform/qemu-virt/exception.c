/* SPDX-License-Identifier: MIT */
/*
 * exception.c: what becomes of the kernel's exceptions: an interrupt is dispatched; the answer to a
 * semihosting call that nobody takes is -1; a fault is offered to the panic hook as if the faulting
 * instruction had called it, else reported. A program's: user.c.
 */
#include "exception.h"

#include <stdio.h>

#include "cpu.h"
#include "gic.h"
#include "panic.h"
#include "platform.h"
#include "semihosting.h"
#include "stack_map.h"
#include "symbols.h"
#include "syndrome.h"

/* Vector numbers: four kinds (synchronous, IRQ, FIQ, SError) from each of four origins. */
enum { SYNC_OWN_STACK = 4, IRQ_OWN_STACK = 5 };

static const char *abort_access(uint64_t esr, uint64_t far) {
    bool is_null = far < ASH_PAGE_SIZE;
    if (syndrome_is_execution(esr))
        return is_null ? "NULL call" : "execution";
    if (syndrome_is_write(esr))
        return is_null ? "NULL store" : "store";
    return is_null ? "NULL load" : "load";
}

static void describe(const struct exception_frame *frame, uint32_t vector, char *text, size_t len) {
    char place[96], access[160] = "", whose[64] = "";
    uint64_t offset, esr = frame->esr;
    const char *name = symbols_lookup(frame->elr, &offset);
    if (name != NULL)
        snprintf(place, sizeof(place), " (%s+0x%llx)", name, (unsigned long long)offset);
    else
        snprintf(place, sizeof(place), " (outside the kernel's text)");
    const char *what = syndrome_name(esr);
    if ((vector & EXCEPTION_STACK_UNUSABLE) != 0)
        what = ash_is_aligned(frame->sp, 16) ? "stack overflow" : "misaligned stack pointer";
    const char *stack = stack_map_of_guard(frame->sp - FRAME_BYTES);
    if ((vector & EXCEPTION_STACK_UNUSABLE) != 0 && stack != NULL)
        snprintf(whose, sizeof(whose), " of \"%s\"", stack);
    if (syndrome_is_abort(esr))
        snprintf(access, sizeof(access), ": %s at FAR 0x%llx, %s", abort_access(esr, frame->far),
                 (unsigned long long)frame->far, syndrome_abort_reason(esr));
    snprintf(text, len, "%s%s%s, ELR 0x%llx%s, ESR 0x%llx", what, whose, access,
             (unsigned long long)frame->elr, place, (unsigned long long)esr);
}

/* SPSR bits that would raise an exception at the hook's first instruction: IL (an illegal state was
 * taken here) and SS (single step). */
#define SPSR_NOT_RESUMED (UINT64_C(1) << 20 | UINT64_C(1) << 21)
#define SPSR_IRQ_MASKED  (UINT64_C(1) << 7)

/* By CPU: what the hook does not take must still be reported. Nobody else runs on it until then. */
static struct fault {
    struct exception_frame frame;
    char text[320];
} faults[ASH_PORT_CPUS_MAX];

/* Entered by ERET, as if called by the faulting instruction, with interrupts masked: the report,
 * and the exception stack if this is on it, are the CPU's. */
static void deliver_fault(void) {
    struct fault *fault = &faults[cpu_this()->index];
    platform_panic_hook("exception", 0, fault->text);
    panic_report(fault->text, &fault->frame);
}

static void on_fault(struct exception_frame *frame, uint32_t vector) {
    struct fault *fault = &faults[cpu_this()->index];
    fault->frame = *frame;
    describe(frame, vector, fault->text, sizeof(fault->text));
    if ((vector & 15) != SYNC_OWN_STACK || !panic_hook_applies())
        panic_report(fault->text, &fault->frame);
    if ((vector & EXCEPTION_STACK_UNUSABLE) != 0)
        frame->sp = cpu_this()->exception_stack_top;
    frame->sp = ash_align_down(frame->sp, 16);
    frame->spsr = (frame->spsr & ~SPSR_NOT_RESUMED) | SPSR_IRQ_MASKED;
    frame->elr = (uint64_t)(uintptr_t)deliver_fault;
    frame->x[29] = 0;
    frame->x[30] = 0;
}

void (*platform_after_interrupt)(bool may_switch);

void exception_interrupt(const struct interrupted *interrupted, enum cpu_interrupts kind) {
    gic_dispatch(interrupted, kind);
    if (platform_after_interrupt != NULL)
        platform_after_interrupt(port_pin_depth() == 0);
}

void exception_main(struct exception_frame *frame, uint32_t vector) {
    if (vector == IRQ_OWN_STACK) {
        exception_interrupt((const struct interrupted *)frame, CPU_INTERRUPTS_KERNEL);
    } else if (vector == SYNC_OWN_STACK && semihosting_is_call(frame->elr)) {
        frame->x[0] = UINT64_MAX;
        frame->elr += 4;
    } else {
        on_fault(frame, vector);
    }
}
