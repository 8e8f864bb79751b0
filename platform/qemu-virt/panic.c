/* SPDX-License-Identifier: MIT */
/* panic.c: see panic.h. */
#include "panic.h"

#include <ashlar/check.h>
#include <stdarg.h>
#include <stdio.h>

#include "cpu.h"
#include "mmu.h"
#include "platform.h"
#include "print.h"
#include "smp.h"
#include "symbols.h"

void (*platform_panic_hook)(const char *file, uint32_t line, const char *message);
void (*platform_panic_dump)(const char *message);

enum { FRAMES_MAX = 32 };

bool panic_hook_applies(void) {
    ash_irq_t state = ash_port_irq_save();
    bool is_in_interrupt = cpu_this()->in_interrupt != 0;
    ash_port_irq_restore(state);
    return platform_panic_hook != NULL && !is_in_interrupt;
}

static void print_place(uint32_t number, uint64_t address, uint64_t inside) {
    uint64_t offset;
    const char *name = symbols_lookup(inside, &offset);
    if (name != NULL)
        print("  #%-2u 0x%016llx %s+0x%llx\n", number, (unsigned long long)address, name,
              (unsigned long long)(offset + (address - inside)));
    else
        print("  #%-2u 0x%016llx (outside the kernel's text)\n", number,
              (unsigned long long)address);
}

static const uint64_t *record_at(uint64_t fp) {
    return (const uint64_t *)(uintptr_t)fp;
}

static bool is_readable_record(uint64_t fp) {
    return ash_is_aligned(fp, 16) && mmu_is_readable(fp);
}

/*
 * A frame record is {caller's record, return address} (AAPCS64 6.4.6); the chain goes upwards. The
 * place of a call is looked up one instruction back: a call that does not return may be its
 * function's last. After an exception the first two places are the frame's own: a function that
 * calls nobody has no record, and its caller is in x30 alone.
 */
static void print_backtrace(const struct exception_frame *frame, uint64_t fp) {
    uint32_t number = 0;
    print("backtrace:\n");
    if (frame != NULL) {
        print_place(number++, frame->elr, frame->elr);
        if (!is_readable_record(fp) || record_at(fp)[1] != frame->x[30])
            print_place(number++, frame->x[30], frame->x[30] - 4);
    }
    for (; number < FRAMES_MAX && fp != 0; fp = record_at(fp)[0]) {
        if (!is_readable_record(fp)) {
            print("  (the frame pointer 0x%llx leads nowhere)\n", (unsigned long long)fp);
            return;
        }
        if (record_at(fp)[1] == 0)
            return;
        print_place(number++, record_at(fp)[1], record_at(fp)[1] - 4);
        if (record_at(fp)[0] != 0 && record_at(fp)[0] <= fp) {
            print("  (the next frame, at 0x%llx, is not above this one)\n",
                  (unsigned long long)record_at(fp)[0]);
            return;
        }
    }
    if (fp != 0)
        print("  (and more)\n");
}

static void print_registers(const struct exception_frame *frame) {
    for (uint32_t i = 0; i < 31; i++)
        print("  x%-2u 0x%016llx%s", i, (unsigned long long)frame->x[i], i % 4 == 3 ? "\n" : "");
    print("  sp  0x%016llx\n  elr 0x%016llx  spsr 0x%08llx  esr 0x%08llx  far 0x%016llx\n",
          (unsigned long long)frame->sp, (unsigned long long)frame->elr,
          (unsigned long long)frame->spsr, (unsigned long long)frame->esr,
          (unsigned long long)frame->far);
}

void panic_report(const char *title, const struct exception_frame *frame) {
    static uint32_t reporter; /* 1 + the number of the CPU that was first; 0: none yet */
    static uint32_t depth;    /* the reporter's own */
    __asm__ volatile("msr daifset, #15" ::: "memory");
    uint32_t self = cpu_this()->index + 1, first = 0;
    if (!ash_compare_exchange(&reporter, &first, self) && first != self)
        smp_stop_self(); /* the report of the CPU that was first is the one to read */
    if (++depth == 2) {  /* the report itself broke: no more than this */
        print_without_lock();
        print("\npanic while reporting a panic: %s\n", title);
    }
    if (depth != 1)
        platform_exit(EXIT_PANIC);
    smp_stop_others();
    print_without_lock();
    print("\npanic: %s\non CPU %u, %llu us after boot\n", title, cpu_this()->index,
          (unsigned long long)(platform_now_ns() / 1000));
    if (frame != NULL)
        print_registers(frame);
    print_backtrace(frame,
                    frame == NULL ? (uint64_t)(uintptr_t)__builtin_frame_address(0) : frame->x[29]);
    if (platform_panic_dump != NULL)
        platform_panic_dump(title);
    platform_exit(EXIT_PANIC);
}

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[512], title[700];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (panic_hook_applies())
        platform_panic_hook(file, line, message);
    snprintf(title, sizeof(title), "%s (%s:%u)", message, file, line);
    panic_report(title, NULL);
}

void panic_bad_machine(const char *format, ...) {
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    print("ashlar: %s\n", message);
    platform_exit(EXIT_BAD_MACHINE);
}
