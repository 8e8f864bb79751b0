/* SPDX-License-Identifier: MIT */
/*
 * isolation: tries everything that a program must not reach. Reads, writes and jumps to addresses
 * of the kernel, of nobody, and of another process; the same addresses as arguments of every call
 * that takes one; registers of the kernel; and a forged signal frame that asks for its rights.
 */
#include "../lib/faults.h"

enum { PAGE = 4096 };

/* Of the kernel and of devices as it maps them, of neither half, and of the first page. */
static const uint64_t addresses[] = {
    UINT64_C(0xffff000040200000), /* the kernel's image */
    UINT64_C(0xffff000040000000), /* the direct map's memory */
    UINT64_C(0xffff000044321000), UINT64_C(0xffff00004fffffff),
    UINT64_C(0xffff000009000000), /* a UART */
    UINT64_C(0xffff000008000000), /* the interrupt controller */
    UINT64_C(0xffff800000000000), /* the kernel's own ranges */
    UINT64_C(0xffff000000000000), UINT64_C(0xfffffffffffffff8),
    UINT64_C(0xffffffffffffffff), UINT64_C(0x8000000000000000),
    UINT64_C(0x0001000000000000), /* the first of neither half */
    UINT64_C(0xfffe000000000000), UINT64_C(0x5555000040200000),
    UINT64_C(0x0000000000000000), UINT64_C(0x0000000000000ff8),
};

static uint32_t tries;

static void expect(const char *what, uint64_t address, int64_t is, int64_t should) {
    if (is != should)
        die("%s %#llx: %lld, not %lld", what, (unsigned long long)address, (long long)is,
            (long long)should);
    tries++;
}

static void expect_fault(const char *what, uint64_t address, int signal) {
    if (signal != SIGNAL_SEGV && signal != SIGNAL_BUS)
        die("%s %#llx: signal %d", what, (unsigned long long)address, signal);
    tries++;
}

static void check_accesses(uint64_t address) {
    expect_fault("a read of", address, fault_of_read(address));
    expect_fault("a write to", address, fault_of_write(address));
    expect_fault("a jump to", address, fault_of_execution(address));
}

/* Calls that must refuse the address, as their first to fourth argument. */
static void check_calls(uint64_t address, int pipe[2]) {
    static char text[PAGE] = "text";
    static const char here[] = ".";
    uint64_t at_here = (uint64_t)AT_HERE, in = (uint64_t)pipe[0], out = (uint64_t)pipe[1];
    uint64_t ok = SYSTEM_POINTER(text), path = SYSTEM_POINTER(here);
    const struct {
        const char *what;
        uint64_t number, args[4];
    } calls[] = {
        {"read to", CALL_READ, {in, address, 8, 0}},
        {"write from", CALL_WRITE, {out, address, 8, 0}},
        {"readv by", CALL_READV, {in, address, 1, 0}},
        {"writev by", CALL_WRITEV, {out, address, 1, 0}},
        {"openat of", CALL_OPENAT, {at_here, address, 0, 0}},
        {"newfstatat of", CALL_NEWFSTATAT, {at_here, address, ok, 0}},
        {"newfstatat to", CALL_NEWFSTATAT, {at_here, path, address, 0}},
        {"fstat to", CALL_FSTAT, {in, address, 0, 0}},
        {"faccessat of", CALL_FACCESSAT, {at_here, address, 0, 0}},
        {"readlinkat of", CALL_READLINKAT, {at_here, address, ok, 8}},
        {"chdir to", CALL_CHDIR, {address, 0, 0, 0}},
        {"getcwd to", CALL_GETCWD, {address, PAGE, 0, 0}},
        {"pipe2 to", CALL_PIPE2, {address, 0, 0, 0}},
        {"execve of", CALL_EXECVE, {address, 0, 0, 0}},
        {"nanosleep of", CALL_NANOSLEEP, {address, 0, 0, 0}},
        {"clock_gettime to", CALL_CLOCK_GETTIME, {1, address, 0, 0}},
        {"rt_sigaction from", CALL_RT_SIGACTION, {10, address, 0, 8}},
        {"rt_sigaction to", CALL_RT_SIGACTION, {10, 0, address, 8}},
        {"rt_sigprocmask from", CALL_RT_SIGPROCMASK, {0, address, 0, 8}},
        {"rt_sigprocmask to", CALL_RT_SIGPROCMASK, {0, 0, address, 8}},
        {"sigaltstack from", CALL_SIGALTSTACK, {address, 0, 0, 0}},
        {"sigaltstack to", CALL_SIGALTSTACK, {0, address, 0, 0}},
        {"uname to", CALL_UNAME, {address, 0, 0, 0}},
        {"getrandom to", CALL_GETRANDOM, {address, 8, 0, 0}},
        {"prlimit64 to", CALL_PRLIMIT64, {0, 7, 0, address}},
        {"ppoll of", CALL_PPOLL, {address, 1, 0, 0}},
    };
    write_all(pipe[1], "12345678", 8); /* for a read, which may take it though it fails */
    for (size_t i = 0; i < ASH_ARRAY_LEN(calls); i++) {
        bool is_null =
            address == 0 &&
            (calls[i].args[2] == 8 || calls[i].number == CALL_SIGALTSTACK ||
             calls[i].number == CALL_RT_SIGACTION || calls[i].number == CALL_RT_SIGPROCMASK ||
             calls[i].number == CALL_PRLIMIT64);
        if (is_null && calls[i].number != CALL_READ && calls[i].number != CALL_WRITE)
            continue; /* there NULL means that nothing is asked for */
        const uint64_t *args = calls[i].args;
        int64_t result = system_call(calls[i].number, args[0], args[1], args[2], args[3], 0, 0);
        expect(calls[i].what, address, result, -ASH_EFAULT);
    }
}

/* Addresses inside of what a call reads: parts to write, arguments of a program. */
static void check_inner_addresses(uint64_t address, const char *program, int out) {
    struct system_iovec part = {(void *)(uintptr_t)address, 8};
    char *arguments[] = {(char *)(uintptr_t)address, NULL};
    expect("writev with a part at", address,
           system_call(CALL_WRITEV, (uint64_t)out, SYSTEM_POINTER(&part), 1, 0, 0, 0), -ASH_EFAULT);
    if (address != 0)
        expect("execve with an argument at", address, sys_execve(program, arguments, NULL),
               -ASH_EFAULT);
}

/* Memory cannot be had there. */
static void check_mapping(uint64_t address) {
    uint64_t page = address & ~UINT64_C(4095);
    int rw = PROTECT_READ | PROTECT_WRITE;
    if (page == 0)
        return;
    int64_t result =
        sys_mmap(page, PAGE, rw, MAP_IS_PRIVATE | MAP_IS_ANONYMOUS | MAP_IS_FIXED, -1, 0);
    if (result >= 0 || result < -4095)
        die("mmap at %#llx: %#llx", (unsigned long long)page, (unsigned long long)result);
    if (sys_munmap(page, PAGE) == 0 || sys_mprotect(page, PAGE, rw) == 0)
        die("munmap or mprotect at %#llx was done", (unsigned long long)page);
    if (sys_brk(address) == address)
        die("brk to %#llx was done", (unsigned long long)address);
    tries += 4;
}

/* The kernel writes a zero there at the end of the process, unless it looks where it writes. */
static void check_end(uint64_t address) {
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        system_call(CALL_SET_TID_ADDRESS, address, 0, 0, 0, 0, 0);
        sys_exit_group(0);
    }
    wait_for_success(child);
    tries++;
}

/* A status that wait4 cannot write: the child is gone all the same, or can be waited for again. */
static void check_wait(uint64_t address) {
    int64_t child = must(sys_fork(), "fork");
    if (child == 0)
        sys_exit_group(0);
    expect("wait4 to", address, system_call(CALL_WAIT4, (uint64_t)child, address, 0, 0, 0, 0),
           -ASH_EFAULT);
    sys_wait4(child, NULL, 0);
}

__asm__(".text\n"
        ".global read_table, write_vectors, mask_interrupts, call_hypervisor, halt_debugger\n"
        "read_table: mrs x0, ttbr1_el1\n"
        "    ret\n"
        "write_vectors: msr vbar_el1, x0\n"
        "    ret\n"
        "mask_interrupts: msr daifset, #15\n"
        "    ret\n"
        "call_hypervisor: hvc #0\n"
        "    ret\n"
        "halt_debugger: tlbi vmalle1\n"
        "    ret\n");
void read_table(void);
void write_vectors(void);
void mask_interrupts(void);
void call_hypervisor(void);
void halt_debugger(void);

static void check_privileged(void) {
    void (*const codes[])(void) = {read_table, write_vectors, mask_interrupts, call_hypervisor,
                                   halt_debugger};
    for (size_t i = 0; i < ASH_ARRAY_LEN(codes); i++)
        expect("privileged instruction", i, fault_of_code(codes[i]), SIGNAL_ILL);
}

/* A handler returns to an address, and with a state, of the kernel's. */
static uint64_t forged_pc, forged_state;
static void on_forge(int signal, struct system_signal_info *info, struct system_context *context) {
    (void)signal;
    (void)info;
    if (forged_pc != 0)
        context->pc = forged_pc;
    context->pstate = forged_state;
}

static void check_forged_return(uint64_t pc, uint64_t state) {
    struct system_action action = {.handler = on_forge, .flags = ACTION_HAS_INFO};
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        forged_pc = pc;
        forged_state = state;
        must(sys_rt_sigaction(SIGNAL_USR1, &action, NULL), "rt_sigaction");
        struct system_action fault = {.handler = SIGNAL_DEFAULT};
        must(sys_rt_sigaction(SIGNAL_SEGV, &fault, NULL), "rt_sigaction");
        must(sys_kill(sys_getpid(), SIGNAL_USR1), "kill");
        /* It came back, then: as a program, without the kernel's rights. */
        sys_exit_group(fault_of_code(read_table) == SIGNAL_ILL ? 0 : 1);
    }
    int status = wait_for(child);
    if (status != 0 && wait_signal(status) != SIGNAL_SEGV)
        die("after a forged return to %#llx, %#llx: %#x", (unsigned long long)pc,
            (unsigned long long)state, (unsigned)status);
    tries++;
}

/* rt_sigreturn with a stack pointer that is anywhere. */
static void check_wild_return(uint64_t stack) {
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        struct system_action fault = {.handler = SIGNAL_DEFAULT};
        must(sys_rt_sigaction(SIGNAL_SEGV, &fault, NULL), "rt_sigaction");
        __asm__ volatile("mov sp, %0\n mov x8, #139\n svc #0\n" : : "r"(stack) : "x8", "memory");
        for (;;)
            ;
    }
    int status = wait_for(child);
    if (wait_signal(status) != SIGNAL_SEGV && wait_signal(status) != SIGNAL_BUS)
        die("rt_sigreturn at %#llx: %#x", (unsigned long long)stack, (unsigned)status);
    tries++;
}

/* What another process has at an address is not here; and at the same address each has its own. */
static void check_neighbour(void) {
    uint64_t place = UINT64_C(0x123450000000);
    int rw = PROTECT_READ | PROTECT_WRITE;
    int flags = MAP_IS_PRIVATE | MAP_IS_ANONYMOUS | MAP_IS_FIXED, status;
    int ready[2], done[2];
    char byte = 0;
    must(sys_pipe2(ready, 0), "pipe2");
    must(sys_pipe2(done, 0), "pipe2");
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        uint64_t secret = (uint64_t)must(sys_mmap(place, PAGE, rw, flags, -1, 0), "mmap");
        *(volatile uint64_t *)(uintptr_t)secret = 0x5ec2e7;
        write_all(ready[1], &byte, 1);
        read_all(done[0], &byte, 1);
        sys_exit_group(*(volatile uint64_t *)(uintptr_t)secret == 0x5ec2e7 ? 0 : 1);
    }
    read_all(ready[0], &byte, 1);
    check_accesses(place);
    must(sys_mmap(place, PAGE, rw, flags, -1, 0), "mmap");
    expect("a word at", place, *(volatile int64_t *)(uintptr_t)place, 0);
    *(volatile uint64_t *)(uintptr_t)place = 1;
    write_all(done[1], &byte, 1);
    must(sys_wait4(child, &status, 0), "wait4");
    expect("the neighbour's word at", place, status, 0);
}

int main(void) {
    const char *program = (const char *)(uintptr_t)program_aux(31, 0); /* AT_EXECFN: this one */
    int pipe[2];
    faults_catch();
    must(sys_pipe2(pipe, 0), "pipe2");
    for (size_t i = 0; i < ASH_ARRAY_LEN(addresses); i++) {
        check_accesses(addresses[i]);
        check_calls(addresses[i], pipe);
        check_inner_addresses(addresses[i], program, pipe[1]);
        check_mapping(addresses[i]);
        check_end(addresses[i]);
        if (addresses[i] != 0)
            check_wait(addresses[i]);
        check_wild_return(addresses[i] & ~UINT64_C(15));
        check_forged_return(addresses[i] & ~UINT64_C(3), 0);
    }
    check_privileged();
    for (uint64_t state = 0; state < 32; state++) /* every mode, and 32-bit ones */
        check_forged_return(0, state);
    check_forged_return(0, UINT64_C(0x3c5)); /* EL1h, interrupts masked */
    check_forged_return(0, UINT64_MAX);
    check_neighbour();
    printf("isolation: %u tries, none got through\n", (unsigned)tries);
    return 0;
}
