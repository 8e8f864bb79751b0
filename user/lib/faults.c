/* SPDX-License-Identifier: MIT */
/*
 * faults.c: see faults.h. A probe is a leaf that was called: so whatever instruction of it faults,
 * the handler lets it return the signal.
 */
#include "faults.h"

__asm__(".text\n"
        ".global probe_read\n"
        "probe_read:\n"
        "    ldrb w1, [x0]\n"
        "    mov x0, #0\n"
        "    ret\n"
        ".global probe_write\n"
        "probe_write:\n"
        "    mov w1, #0\n"
        "    strb w1, [x0]\n"
        "    mov x0, #0\n"
        "    ret\n"
        ".global probe_execute\n"
        "probe_execute:\n"
        "    stp x29, x30, [sp, #-16]!\n"
        "    mov x16, x0\n"
        "    mov x0, #0\n"
        "    blr x16\n"
        "    ldp x29, x30, [sp], #16\n"
        "    ret\n");

int64_t probe_read(uint64_t address);
int64_t probe_write(uint64_t address);
int64_t probe_execute(uint64_t address);

struct system_signal_info fault_info;
static volatile bool is_probing;

static void on_fault(int signal, struct system_signal_info *info, struct system_context *context) {
    if (!is_probing)
        die("signal %d at pc %#llx, address %#llx", signal, (unsigned long long)context->pc,
            (unsigned long long)info->address);
    fault_info = *info;
    context->x[0] = (uint64_t)signal;
    context->pc = context->x[30];
}

void faults_catch(void) {
    static const int signals[] = {SIGNAL_ILL, SIGNAL_TRAP, SIGNAL_BUS, SIGNAL_SEGV};
    struct system_action action = {.handler = on_fault, .flags = ACTION_HAS_INFO};
    for (size_t i = 0; i < ASH_ARRAY_LEN(signals); i++)
        must(sys_rt_sigaction(signals[i], &action, NULL), "rt_sigaction");
}

static int probe(int64_t (*access)(uint64_t), uint64_t address) {
    is_probing = true;
    int signal = (int)access(address);
    is_probing = false;
    return signal;
}

int fault_of_read(uint64_t address) {
    return probe(probe_read, address);
}

int fault_of_write(uint64_t address) {
    return probe(probe_write, address);
}

int fault_of_execution(uint64_t address) {
    return probe(probe_execute, address);
}

int fault_of_code(void (*leaf)(void)) {
    return probe(probe_execute, (uint64_t)(uintptr_t)leaf);
}
