/* SPDX-License-Identifier: MIT */
/*
 * crash KIND: ends by a signal, in one of the ways below. crash all: a child ends in each, and its
 * signal is the right one.
 */
#include "../lib/program.h"

static const char constant[] = "constant";

__asm__(".text\n"
        ".global undefined\n"
        "undefined: .inst 0\n"
        ".global privileged\n"
        "privileged: msr vbar_el1, x0\n"
        "    ret\n"
        ".global breakpoint\n"
        "breakpoint: brk #1\n"
        "    ret\n"
        ".global misaligned_exclusive\n"
        "misaligned_exclusive: add x0, sp, #-61\n"
        "    ldxr x1, [x0]\n"
        "    ret\n"
        ".global misaligned_pc\n"
        "misaligned_pc: adr x0, misaligned_pc\n"
        "    add x0, x0, #2\n"
        "    br x0\n");
void undefined(void);
void privileged(void);
void breakpoint(void);
void misaligned_exclusive(void);
void misaligned_pc(void);

/* The compiler must not see that it is wrong. */
static volatile uint8_t *byte_at(uint64_t address) {
    __asm__("" : "+r"(address));
    return (volatile uint8_t *)(uintptr_t)address;
}

static void crash_null(void) {
    (void)*byte_at(0);
}

static void crash_write(void) {
    *byte_at(0x10) = 1;
}

static void crash_jump(void) {
    ((void (*)(void))(uintptr_t)0x12345678)();
}

static void crash_text(void) {
    *byte_at((uint64_t)(uintptr_t)crash_jump) = 0;
}

static void crash_constant(void) {
    *byte_at((uint64_t)(uintptr_t)constant) = 0;
}

static void crash_data(void) {
    static volatile uint32_t code = 0xd65f03c0; /* ret */
    ((void (*)(void))(uintptr_t)&code)();
}

static void crash_kernel(void) {
    (void)*byte_at(UINT64_C(0xffff000040200000));
}

/* A frame of 16 KiB each, so that a guard of one page would be missed. */
static uint64_t deeper(uint64_t depth) {
    volatile uint64_t frame[2048];
    frame[depth % 2048] = depth;
    return depth == UINT64_MAX ? 0 : deeper(depth + 1) + frame[(depth + 1) % 2048];
}

static void crash_stack(void) {
    if (deeper(1) == 7)
        printf("\n");
}

/* A page of a file that begins behind its end. */
static void crash_bus(void) {
    const char *path = (const char *)(uintptr_t)program_aux(31, 0); /* AT_EXECFN: this program */
    int file = (int)must(sys_open(path, OPEN_READ), path);
    int64_t address = sys_mmap(0, 64 << 20, PROTECT_READ, MAP_IS_PRIVATE, file, 0);
    (void)*byte_at((uint64_t)must(address, "mmap") + (63 << 20));
}

static void crash_abort(void) {
    must(sys_kill(sys_getpid(), 6), "kill");
}

static const struct kind {
    const char *name;
    void (*crash)(void);
    int signal;
} kinds[] = {
    {"null", crash_null, SIGNAL_SEGV},
    {"write", crash_write, SIGNAL_SEGV},
    {"jump", crash_jump, SIGNAL_SEGV},
    {"text", crash_text, SIGNAL_SEGV},
    {"constant", crash_constant, SIGNAL_SEGV},
    {"data", crash_data, SIGNAL_SEGV},
    {"kernel", crash_kernel, SIGNAL_SEGV},
    {"stack", crash_stack, SIGNAL_SEGV},
    {"undefined", undefined, SIGNAL_ILL},
    {"privileged", privileged, SIGNAL_ILL},
    {"breakpoint", breakpoint, SIGNAL_TRAP},
    {"exclusive", misaligned_exclusive, SIGNAL_BUS},
    {"pc", misaligned_pc, SIGNAL_BUS},
    {"bus", crash_bus, SIGNAL_BUS},
    {"abort", crash_abort, 6},
};

static void crash_all(void) {
    for (size_t i = 0; i < ASH_ARRAY_LEN(kinds); i++) {
        int64_t child = must(sys_fork(), "fork");
        if (child == 0) {
            kinds[i].crash();
            exit(0);
        }
        int status = wait_for(child);
        if (wait_signal(status) != kinds[i].signal)
            die("%s: ended with %#x, not by signal %d", kinds[i].name, (unsigned)status,
                kinds[i].signal);
    }
    printf("crash: %zu kinds, each by its signal\n", ASH_ARRAY_LEN(kinds));
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "";
    if (strcmp(name, "all") == 0) {
        crash_all();
        return 0;
    }
    for (size_t i = 0; i < ASH_ARRAY_LEN(kinds); i++) {
        if (strcmp(name, kinds[i].name) == 0) {
            kinds[i].crash();
            die("it did not crash");
        }
    }
    printf("usage: crash KIND, which is \"all\" or one of\n");
    for (size_t i = 0; i < ASH_ARRAY_LEN(kinds); i++)
        printf("  %s\n", kinds[i].name);
    return 2;
}
