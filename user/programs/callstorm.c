/* SPDX-License-Identifier: MIT */
/*
 * callstorm [PROCESSES [CALLS [SEED]]]: one child after the other makes random calls with random
 * arguments: numbers about every limit, files of all kinds, addresses of its own, of the kernel's
 * and of nobody, structures of random words. It may end itself in any way, and is killed where it
 * waits; this program and the kernel must not mind. Only on Ashlar: on another kernel some of it
 * would be done.
 */
#include "../lib/program.h"

enum { PAGE = 4096, SCRATCH = 4 * PAGE, PATIENCE_MS = 60, NUMBERS = 300 };

static uint64_t state;
static uint8_t *scratch;

static uint64_t below(uint64_t limit) {
    return (random_next(&state) >> 16) % limit;
}

static uint64_t any_address(void) {
    static const uint64_t wild[] = {UINT64_C(0xffff000040200000), UINT64_C(0xffff800000000000),
                                    UINT64_C(0x0001000000000000), UINT64_C(0x0000fffffffff000),
                                    UINT64_C(0x8000000000000000), 8};
    switch (below(5)) {
    case 0:
        return wild[below(ASH_ARRAY_LEN(wild))] + below(64);
    case 1:
        return (uint64_t)(uintptr_t)scratch + SCRATCH - below(64); /* over its end */
    case 2:
        return (uint64_t)(uintptr_t)any_address + below(PAGE); /* code */
    default:
        return (uint64_t)(uintptr_t)scratch + below(SCRATCH / 8) * 8;
    }
}

static uint64_t any_number(void) {
    switch (below(6)) {
    case 0:
        return UINT64_C(1) << below(64);
    case 1:
        return (UINT64_C(1) << below(64)) - 1;
    case 2:
        return 0 - below(200);
    case 3:
        return below(64) * PAGE;
    case 4:
        return random_next(&state);
    default:
        return below(64);
    }
}

static uint64_t any_argument(void) {
    switch (below(4)) {
    case 0:
        return below(12); /* a file, perhaps */
    case 1:
        return any_number();
    default:
        return any_address();
    }
}

/* What would end or lose the process that looks after this one is left out. */
static bool is_left_out(uint64_t number) {
    static const uint16_t numbers[] = {CALL_EXIT,       CALL_EXIT_GROUP,  CALL_KILL,
                                       130 /* tkill */, CALL_TGKILL,      138 /* rt_sigqueueinfo */,
                                       CALL_SETPGID,    157 /* setsid */, CALL_CLONE};
    for (size_t i = 0; i < ASH_ARRAY_LEN(numbers); i++) {
        if (numbers[i] == number)
            return true;
    }
    return number == CALL_RT_SIGRETURN && below(64) != 0; /* which hardly anything survives */
}

/* A few structures that make sense now and then: paths, and pointers to more of this. */
static void fill_scratch(void) {
    for (size_t i = 0; i < SCRATCH; i += 8) {
        uint64_t word = below(4) == 0 ? any_address() : any_number();
        memcpy(scratch + i, &word, sizeof(word));
    }
    for (size_t i = 0; i < 8; i++)
        memcpy(scratch + below(SCRATCH / 8 - 2) * 8, below(2) == 0 ? "/bin/hello" : "../bin", 11);
}

static void open_files(const char *program) {
    int pipe[2];
    for (int file = 0; file < 3; file++)
        sys_close(file);
    must(sys_pipe2(pipe, OPEN_NONBLOCK), "pipe2"); /* 0, 1 */
    must(sys_open(program, OPEN_READ), program);
    must(sys_open("/", OPEN_READ), "/");
    must(sys_open("/dev/null", OPEN_BOTH), "/dev/null");
    must(sys_open("/dev/zero", OPEN_BOTH), "/dev/zero");
}

static void storm(const char *program, uint64_t calls) {
    scratch = map_pages(SCRATCH);
    open_files(program);
    for (uint64_t i = 0; i < calls; i++) {
        uint64_t args[6], number;
        do {
            number = below(NUMBERS);
        } while (is_left_out(number));
        if (i % 8 == 0)
            fill_scratch();
        for (size_t a = 0; a < ASH_ARRAY_LEN(args); a++)
            args[a] = any_argument();
        system_call(number, args[0], args[1], args[2], args[3], args[4], args[5]);
    }
    sys_exit_group(0);
}

/* Its status as wait4 has it, once it has ended or was killed. */
static int look_after(int64_t child) {
    int status = 0;
    for (uint64_t ms = 0; ms < PATIENCE_MS; ms++) {
        if (must(sys_wait4(child, &status, WAIT_NO_HANG), "wait4") == child)
            return status;
        sleep_ms(1);
    }
    must(sys_kill(child, SIGNAL_KILL), "kill");
    return wait_for(child);
}

int main(int argc, char **argv) {
    const char *program = (const char *)(uintptr_t)program_aux(31, 0); /* AT_EXECFN: this one */
    uint64_t processes = argument_number(argc, argv, 1, 40);
    uint64_t calls = argument_number(argc, argv, 2, 500);
    uint64_t seed = argument_number(argc, argv, 3, 1), ended = 0, killed = 0, crashed = 0;
    char names[6][65];
    must(system_call(CALL_UNAME, SYSTEM_POINTER(names), 0, 0, 0, 0, 0), "uname");
    if (strcmp(names[0], "Ashlar") != 0)
        die("this is %s: the calls would be made for real", names[0]);
    for (uint64_t i = 0; i < processes; i++) {
        int64_t child = must(sys_fork(), "fork");
        if (child == 0) {
            state = (seed + i) * UINT64_C(0x9e3779b97f4a7c15);
            storm(program, calls);
        }
        int status = look_after(child);
        ended += wait_exited(status);
        killed += wait_signal(status) == SIGNAL_KILL;
        crashed += !wait_exited(status) && wait_signal(status) != SIGNAL_KILL;
    }
    printf("callstorm: %llu processes: %llu ended, %llu were killed, %llu by a signal\n",
           (unsigned long long)processes, (unsigned long long)ended, (unsigned long long)killed,
           (unsigned long long)crashed);
    return 0;
}
