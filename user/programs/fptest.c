/* SPDX-License-Identifier: MIT */
/*
 * fptest [PROCESSES [ROUNDS]]: several processes at once fill all floating-point registers, their
 * control and status registers and the thread pointer with values of their own; which are still
 * there after system calls, long loops without one, signals whose handlers change them, and in the
 * child after a fork.
 */
#include "../lib/program.h"

enum { TURNS = 400000 };

struct registers {
    uint64_t v[64];
    uint64_t control, status, tls;
};

/*
 * Loads all; makes the call `number` with three arguments, or for 0 runs `turns` turns of a loop;
 * stores all. The program's own thread pointer and control register are as before.
 */
int64_t call_with(const struct registers *in, struct registers *out, uint64_t number,
                  uint64_t turns, uint64_t a, uint64_t b);
__asm__(".text\n"
        ".global call_with\n"
        "call_with:\n"
        "    stp x29, x30, [sp, #-112]!\n"
        "    stp d8, d9, [sp, #16]\n"
        "    stp d10, d11, [sp, #32]\n"
        "    stp d12, d13, [sp, #48]\n"
        "    stp d14, d15, [sp, #64]\n"
        "    mrs x6, tpidr_el0\n"
        "    mrs x7, fpcr\n"
        "    stp x6, x7, [sp, #80]\n"
        "    stp x1, x2, [sp, #96]\n"
        "    ldr x9, [x0, #512]\n"
        "    msr fpcr, x9\n"
        "    ldr x9, [x0, #520]\n"
        "    msr fpsr, x9\n"
        "    ldr x9, [x0, #528]\n"
        "    msr tpidr_el0, x9\n"
        "    .irp r, 0,2,4,6,8,10,12,14,16,18,20,22,24,26,28,30\n"
        "    ldr q\\r, [x0, #16*\\r]\n"
        "    .endr\n"
        "    .irp r, 1,3,5,7,9,11,13,15,17,19,21,23,25,27,29,31\n"
        "    ldr q\\r, [x0, #16*\\r]\n"
        "    .endr\n"
        "    mov x8, x2\n"
        "    mov x0, x4\n"
        "    mov x1, x5\n"
        "    mov x2, #0\n"
        "    cbz x8, 2f\n"
        "    mov x3, #0\n"
        "    mov x4, #0\n"
        "    svc #0\n"
        "    b 3f\n"
        "2:  subs x3, x3, #1\n"
        "    b.ne 2b\n"
        "3:  ldr x1, [sp, #96]\n"
        "    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25\n"
        "    str q\\r, [x1, #16*\\r]\n"
        "    .endr\n"
        "    .irp r, 26,27,28,29,30,31\n"
        "    str q\\r, [x1, #16*\\r]\n"
        "    .endr\n"
        "    mrs x9, fpcr\n"
        "    str x9, [x1, #512]\n"
        "    mrs x9, fpsr\n"
        "    str x9, [x1, #520]\n"
        "    mrs x9, tpidr_el0\n"
        "    str x9, [x1, #528]\n"
        "    ldp x6, x7, [sp, #80]\n"
        "    msr tpidr_el0, x6\n"
        "    msr fpcr, x7\n"
        "    ldp d8, d9, [sp, #16]\n"
        "    ldp d10, d11, [sp, #32]\n"
        "    ldp d12, d13, [sp, #48]\n"
        "    ldp d14, d15, [sp, #64]\n"
        "    ldp x29, x30, [sp], #112\n"
        "    ret\n");

/* Changes all of them, and comes back. */
void spoil_registers(int signal, struct system_signal_info *info, struct system_context *context);
__asm__(".text\n"
        ".global spoil_registers\n"
        "spoil_registers:\n"
        "    .irp r, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25\n"
        "    movi v\\r\\().16b, #0x5a\n"
        "    .endr\n"
        "    .irp r, 26,27,28,29,30,31\n"
        "    movi v\\r\\().16b, #0xa5\n"
        "    .endr\n"
        "    msr fpsr, xzr\n"
        "    msr fpcr, xzr\n"
        "    ret\n");

static struct registers any_registers(uint64_t *seed) {
    static const uint64_t controls[] = {0, 0x400000, 0x800000, 0xc00000, 0x1000000, 0x2000000};
    struct registers registers;
    for (size_t i = 0; i < ASH_ARRAY_LEN(registers.v); i++)
        registers.v[i] = random_next(seed);
    registers.control = controls[random_next(seed) % ASH_ARRAY_LEN(controls)];
    registers.status = random_next(seed) & 0x0800001f;
    registers.tls = random_next(seed);
    return registers;
}

static void check(const struct registers *in, const struct registers *out, const char *when) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(in->v); i++) {
        if (in->v[i] != out->v[i])
            die("%s: v%zu was %#llx and is %#llx", when, i / 2, (unsigned long long)in->v[i],
                (unsigned long long)out->v[i]);
    }
    if (in->control != out->control || in->status != out->status || in->tls != out->tls)
        die("%s: FPCR %#llx, FPSR %#llx or TPIDR_EL0 has changed, to %#llx, %#llx", when,
            (unsigned long long)in->control, (unsigned long long)in->status,
            (unsigned long long)out->control, (unsigned long long)out->status);
}

static void try_fork(uint64_t *seed) {
    struct registers in = any_registers(seed), out;
    int64_t child = call_with(&in, &out, CALL_CLONE, 0, 17, 0);
    must(child, "fork");
    check(&in, &out, child == 0 ? "a fork's child" : "a fork's parent");
    if (child == 0)
        exit(0);
    wait_for_success(child);
}

static void run(uint64_t seed, uint64_t rounds) {
    struct system_action action = {.handler = spoil_registers, .flags = ACTION_HAS_INFO};
    must(sys_rt_sigaction(SIGNAL_USR1, &action, NULL), "rt_sigaction");
    for (uint64_t i = 0; i < rounds; i++) {
        struct registers in = any_registers(&seed), out;
        switch (i % 4) {
        case 0:
            call_with(&in, &out, CALL_SCHED_YIELD, 0, 0, 0);
            check(&in, &out, "sched_yield");
            break;
        case 1:
            call_with(&in, &out, 0, TURNS, 0, 0);
            check(&in, &out, "a long loop");
            break;
        case 2:
            must(call_with(&in, &out, CALL_KILL, 0, (uint64_t)sys_getpid(), SIGNAL_USR1), "kill");
            check(&in, &out, "a signal");
            break;
        default:
            try_fork(&seed);
        }
    }
}

int main(int argc, char **argv) {
    uint64_t processes = argument_number(argc, argv, 1, 4);
    uint64_t rounds = argument_number(argc, argv, 2, 80);
    for (uint64_t i = 0; i < processes; i++) {
        if (must(sys_fork(), "fork") == 0) {
            run(i * 77 + 1, rounds);
            exit(0);
        }
    }
    for (uint64_t i = 0; i < processes; i++)
        wait_for_success(-1);
    printf("fptest: %llu processes, %llu rounds each\n", (unsigned long long)processes,
           (unsigned long long)rounds);
    return 0;
}
