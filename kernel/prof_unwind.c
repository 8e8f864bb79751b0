/* SPDX-License-Identifier: MIT */
/* prof_unwind.c: see prof_unwind.h. */
#include "prof_unwind.h"

#include <ashlar/error.h>
#include <string.h>

enum { KERNEL = 0, DEPTH_MAX = 32 };

/* Before sampling */

static bool describe(struct prof_unwind_code *code, uint32_t i) {
    const uint8_t *frames;
    size_t len;
    if (!platform_code_frames(i, &code->start, &code->end, &frames, &len))
        return false;
    code->cfi = (struct ash_prof_cfi){
        .frames = frames, .bytes = len, .address = (uint64_t)(uintptr_t)frames};
#if defined(__x86_64__)
    const uint32_t numbers[] = {ASH_PROF_CFI_X86_64};
#else
    const uint32_t numbers[] = {ASH_PROF_CFI_AARCH64};
#endif
    code->cfi.return_register = numbers[0];
    code->cfi.stack_register = numbers[1];
    code->cfi.frame_register = numbers[2];
    return true;
}

int prof_unwind_index_make(struct prof_unwind_index *index, struct ash_prof_cfi *cfi,
                           struct kernel_memory *memory) {
    size_t count = ash_prof_cfi_index(cfi, NULL, 0);
    index->order = memory_order_of(ash_max_u64(count, 1) * sizeof(index->functions[0]));
    index->functions = memory_pages_alloc(memory, index->order);
    if (index->functions == NULL)
        return -ASH_ENOMEM;
    cfi->functions_count = ash_prof_cfi_index(cfi, index->functions, count);
    cfi->functions = index->functions;
    return 0;
}

void prof_unwind_index_free(struct prof_unwind_index *index, struct kernel_memory *memory) {
    if (index->functions != NULL)
        memory_pages_free(memory, index->functions, index->order);
    index->functions = NULL;
}

int prof_unwind_open(struct prof_unwind *unwind, struct kernel_memory *memory) {
    memset(unwind, 0, sizeof(*unwind));
    unwind->memory = memory;
    while (unwind->count < PROF_UNWIND_CODES_MAX &&
           describe(&unwind->codes[unwind->count], unwind->count)) {
        struct prof_unwind_code *code = &unwind->codes[unwind->count];
        int error = prof_unwind_index_make(&code->index, &code->cfi, memory);
        if (error != 0) {
            prof_unwind_close(unwind);
            return error;
        }
        unwind->count++;
    }
    return 0;
}

void prof_unwind_close(struct prof_unwind *unwind) {
    for (uint32_t i = 0; i < unwind->count; i++)
        prof_unwind_index_free(&unwind->codes[i].index, unwind->memory);
    unwind->count = 0;
}

/* In the handler */

static const struct prof_unwind_code *code_at(const struct prof_unwind *unwind, uint64_t pc) {
    for (uint32_t i = 0; i < unwind->count; i++) {
        if (pc >= unwind->codes[i].start && pc < unwind->codes[i].end)
            return &unwind->codes[i];
    }
    return NULL;
}

/*
 * The linker's stub for a library's function is `jmp *offset(%rip)` (AMD64 Architecture
 * Programmer's Manual 3, JMP: ff /4), with the stack as the call has left it; what is said of it in
 * .eh_frame is an expression. What else is unknown stays so.
 */
static void find(const struct ash_prof_cfi *cfi, uint64_t pc, struct ash_prof_cfi_answer *answer) {
    ash_prof_cfi_find(cfi, pc, answer);
#if defined(__x86_64__)
    static const uint8_t stub[] = {0xff, 0x25};
    if (answer->where == ASH_PROF_CFI_UNKNOWN &&
        memcmp((const void *)(uintptr_t)pc, stub, sizeof(stub)) == 0) {
        answer->where = ASH_PROF_CFI_STACK;
        answer->frame_where = ASH_PROF_CFI_REGISTER;
    }
#endif
}

/* One function up. *sp: behind the return address, as after a return (x86-64); the address itself
 * is behind the call, so the one before it is asked of all but the first. */
static bool step(const struct prof_unwind_code *code, bool is_first, uint64_t *sp,
                 struct ash_prof_registers *registers) {
    struct ash_prof_cfi_answer answer;
    uint64_t frame = registers->fp;
    find(&code->cfi, is_first ? registers->pc : registers->pc - 1, &answer);
    if (!ash_prof_cfi_apply(&answer, *sp, registers))
        return false;
    *sp = (answer.where == ASH_PROF_CFI_FRAME ? frame : *sp) + (uint64_t)answer.offset +
          sizeof(uint64_t);
    registers->pc = registers->link;
    return answer.where != ASH_PROF_CFI_REGISTER || is_first;
}

void prof_unwind_apply(const struct prof_unwind *unwind, const struct platform_sample *sample,
                       struct ash_prof_registers *kernel) {
    const struct prof_unwind_code *code = code_at(unwind, sample->pc);
    if (code == NULL || sample->is_waiting)
        return;
    struct ash_prof_registers registers = *kernel;
    uint64_t sp = sample->sp;
    bool is_kernels = code == &unwind->codes[KERNEL];
    for (uint32_t depth = 0; depth < DEPTH_MAX && code != NULL; depth++) {
        if (!step(code, depth == 0, &sp, &registers))
            return;
        code = code_at(unwind, registers.pc - 1);
        if (is_kernels || code == &unwind->codes[KERNEL]) {
            registers.pc = kernel->pc;
            *kernel = registers;
            return;
        }
    }
}
