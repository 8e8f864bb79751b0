/* SPDX-License-Identifier: MIT */
/*
 * user_machine.c: see user_machine.h. Memory is what the process's page tables say, as they say it:
 * what an MMU would refuse ends in an abort. Encodings: Arm ARM (DDI 0487), C4.
 */
#include <ashlar/base.h>

#include "kernel/user_machine.h"

#if __STDC_HOSTED__

#include <ashlar/error.h>
#include <string.h>

#include "kernel/process.h"
#include "kernel/thread.h"
#include "platform/hosted/hosted.h"
#include "kernel/user_frames.h"

enum { STEPS_MAX = 2000, XZR = 31 };

struct machine {
    struct platform_user *user;
    struct platform_user_event *event;
    struct address_space *space;
    uint64_t pc; /* of the instruction */
    bool stops;
};

/* Memory */

static bool is_write_protected(const struct ash_vm_space *pages, uint64_t va) {
    struct ash_vm_step steps[ASH_VM_LEVELS_MAX];
    uint32_t count = ash_vm_walk(pages, va, steps);
    for (uint32_t i = 0; i < count; i++) {
        if (steps[i].is_write_protected)
            return true;
    }
    return false;
}

static void stop(struct machine *machine, enum platform_user_cause cause, const char *what) {
    machine->event->cause = cause;
    machine->event->what = what;
    machine->stops = true;
}

static void trap(struct machine *machine, uint64_t class, const char *what) {
    machine->user->pc = machine->pc;
    machine->event->syndrome = class << 26;
    stop(machine, PLATFORM_USER_TRAP, what);
}

/* Where the kernel sees it; NULL: an abort. Aligned, so in one page. */
static void *reach(struct machine *machine, uint64_t va, uint32_t access) {
    struct ash_vm_space *pages = &machine->space->pages;
    ash_paddr_t address;
    mutex_lock(&machine->space->mutex);
    bool is_good = va < ADDRESS_SPACE_TOP &&
                   ash_vm_translate(pages, va, access | ASH_VM_USER, &address) == 0 &&
                   (access != ASH_VM_WRITE || !is_write_protected(pages, va));
    mutex_unlock(&machine->space->mutex);
    if (is_good)
        return (uint8_t *)user_frame_pointer(address >> ASH_PAGE_SHIFT) +
               (address & (ASH_PAGE_SIZE - 1));
    machine->user->pc = machine->pc;
    machine->event->address = va;
    machine->event->is_write = access == ASH_VM_WRITE;
    machine->event->is_execute = access == ASH_VM_EXECUTE;
    stop(machine, PLATFORM_USER_ABORT, "abort");
    return NULL;
}

/* Registers */

static uint64_t get(const struct machine *machine, uint32_t reg) {
    return reg == XZR ? 0 : machine->user->x[reg];
}

static uint64_t get_or_sp(const struct machine *machine, uint32_t reg) {
    return reg == XZR ? machine->user->sp : machine->user->x[reg];
}

static void set(struct machine *machine, uint32_t reg, uint64_t value) {
    if (reg != XZR)
        machine->user->x[reg] = value;
}

static void set_or_sp(struct machine *machine, uint32_t reg, uint64_t value) {
    if (reg == XZR)
        machine->user->sp = value;
    else
        machine->user->x[reg] = value;
}

/* Instructions */

static uint32_t bits(uint32_t word, uint32_t low, uint32_t count) {
    return word >> low & ((1u << count) - 1);
}

/* A signed number of words, as bytes. */
static uint64_t distance(uint32_t word, uint32_t low, uint32_t count) {
    uint64_t value = bits(word, low, count), sign = UINT64_C(1) << (count - 1);
    return ((value ^ sign) - sign) * 4;
}

static void do_move(struct machine *machine, uint32_t word) {
    uint32_t to = bits(word, 0, 5), shift = bits(word, 21, 2) * 16;
    uint64_t part = (uint64_t)bits(word, 5, 16) << shift;
    uint64_t kept = bits(word, 29, 2) == 3 ? get(machine, to) : 0; /* MOVK */
    set(machine, to, (kept & ~(UINT64_C(0xffff) << shift)) | part);
}

static void do_immediate(struct machine *machine, uint32_t word) {
    uint64_t value = (uint64_t)bits(word, 10, 12) << (bits(word, 22, 1) * 12);
    uint64_t from = get_or_sp(machine, bits(word, 5, 5));
    set_or_sp(machine, bits(word, 0, 5), bits(word, 30, 1) ? from - value : from + value);
}

static void do_register(struct machine *machine, uint32_t word) {
    uint64_t left = get(machine, bits(word, 5, 5)), right = get(machine, bits(word, 16, 5));
    uint64_t value = bits(word, 24, 5) == 0xa ? (left | right)
                                              : (bits(word, 30, 1) ? left - right : left + right);
    set(machine, bits(word, 0, 5), value);
}

static void do_memory(struct machine *machine, uint32_t word) {
    uint32_t size = bits(word, 30, 2), to = bits(word, 0, 5);
    bool is_load = bits(word, 22, 1) != 0;
    uint64_t va = get_or_sp(machine, bits(word, 5, 5)) + ((uint64_t)bits(word, 10, 12) << size);
    uint64_t value = get(machine, to);
    uint8_t *memory = reach(machine, va, is_load ? ASH_VM_READ : ASH_VM_WRITE);
    if (memory == NULL)
        return;
    if (is_load) {
        value = 0;
        memcpy(&value, memory, (size_t)1 << size);
        set(machine, to, value);
    } else {
        memcpy(memory, &value, (size_t)1 << size);
    }
}

static void do_branch_register(struct machine *machine, uint32_t word) {
    uint64_t to = get(machine, bits(word, 5, 5));
    if (bits(word, 21, 2) == 1) /* BLR */
        machine->user->x[30] = machine->pc + 4;
    machine->user->pc = to;
}

static void do_system(struct machine *machine, uint32_t word) {
    uint32_t reg = bits(word, 0, 5);
    if (word == 0xd4000001)
        stop(machine, PLATFORM_USER_CALL, "call");
    else if ((word & 0xffe0001f) == 0xd4200000)
        trap(machine, 0x3c, "breakpoint");
    else if ((word & ~31u) == 0xd51bd040)
        machine->user->tls = get(machine, reg);
    else if ((word & ~31u) == 0xd53bd040)
        set(machine, reg, machine->user->tls);
    else if (word != 0xd503201f) /* NOP */
        trap(machine, 0, "undefined instruction");
}

static void do_float_move(struct machine *machine, uint32_t word) {
    uint32_t to = bits(word, 0, 5), from = bits(word, 5, 5);
    if (bits(word, 16, 1) != 0) {
        uint64_t value[2] = {get(machine, from), 0};
        memcpy(machine->user->v[to], value, sizeof(value));
    } else {
        uint64_t value;
        memcpy(&value, machine->user->v[from], sizeof(value));
        set(machine, to, value);
    }
}

static void execute(struct machine *machine, uint32_t word) {
    machine->user->pc = machine->pc + 4;
    if ((word & 0xdf800000) == 0xd2800000)
        do_move(machine, word);
    else if ((word & 0xbf800000) == 0x91000000)
        do_immediate(machine, word);
    else if ((word & 0xbfe0fc00) == 0x8b000000 || (word & 0xffe0fc00) == 0xaa000000)
        do_register(machine, word);
    else if ((word & 0x3f800000) == 0x39000000)
        do_memory(machine, word);
    else if ((word & 0xfe000000) == 0xb4000000) {
        if ((get(machine, bits(word, 0, 5)) == 0) == (bits(word, 24, 1) == 0))
            machine->user->pc = machine->pc + distance(word, 5, 19);
    } else if ((word & 0xfc000000) == 0x14000000)
        machine->user->pc = machine->pc + distance(word, 0, 26);
    else if ((word & 0xff9ffc1f) == 0xd61f0000)
        do_branch_register(machine, word);
    else if ((word & 0xfffffc00) == 0xd360fc00) /* LSR #32 */
        set(machine, bits(word, 0, 5), get(machine, bits(word, 5, 5)) >> 32);
    else if ((word & 0xfffffc00) == 0xd3483c00) /* UBFX #8, #8 */
        set(machine, bits(word, 0, 5), get(machine, bits(word, 5, 5)) >> 8 & 0xff);
    else if ((word & 0xfffefc00) == 0x9e660000)
        do_float_move(machine, word);
    else
        do_system(machine, word);
}

static void play(struct platform_user *user, const struct platform_translation *translation,
                 struct platform_user_event *event) {
    struct machine machine = {.user = user, .event = event, .space = thread_process()->space};
    (void)translation;
    for (uint32_t i = 0; i < STEPS_MAX && !machine.stops; i++) {
        uint32_t word;
        machine.pc = user->pc;
        if (machine.pc % 4 != 0) {
            trap(&machine, 0x22, "misaligned pc");
            break;
        }
        const void *at = reach(&machine, machine.pc, ASH_VM_EXECUTE);
        if (at == NULL)
            break;
        memcpy(&word, at, sizeof(word));
        execute(&machine, word);
    }
}

void user_machine_set(bool is_on) {
    hosted_user_program = is_on ? play : NULL;
}

#else

void user_machine_set(bool is_on) {
    (void)is_on;
}

#endif
