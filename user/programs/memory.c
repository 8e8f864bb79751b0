/* SPDX-License-Identifier: MIT */
/* memory: what brk, mmap, munmap and mprotect do to memory, seen by single accesses. */
#include "../lib/faults.h"

enum { PAGE = 4096 };

static void expect(int64_t is, int64_t should, const char *what) {
    if (is != should)
        die("%s: %lld, not %lld", what, (long long)is, (long long)should);
}

static uint64_t map(uint64_t address, size_t pages, int rights, int flags) {
    return (uint64_t)must(
        sys_mmap(address, pages * PAGE, rights, MAP_IS_PRIVATE | MAP_IS_ANONYMOUS | flags, -1, 0),
        "mmap");
}

static uint64_t *word_at(uint64_t address) {
    return (uint64_t *)(uintptr_t)address;
}

static void check_brk(void) {
    uint64_t start = ash_align_up(sys_brk(0), PAGE);
    expect((int64_t)sys_brk(start + 8 * PAGE), (int64_t)(start + 8 * PAGE), "brk");
    for (uint64_t i = 0; i < 8; i++) {
        expect((int64_t)*word_at(start + i * PAGE), 0, "a word of the heap");
        *word_at(start + i * PAGE) = i + 1;
    }
    expect(fault_of_read(start + 8 * PAGE), SIGNAL_SEGV, "a read behind the heap");
    expect((int64_t)sys_brk(start + 2 * PAGE), (int64_t)(start + 2 * PAGE), "brk down");
    expect(fault_of_read(start + 2 * PAGE), SIGNAL_SEGV, "a read of what was the heap");
    expect((int64_t)sys_brk(start + 8 * PAGE), (int64_t)(start + 8 * PAGE), "brk up again");
    expect((int64_t)*word_at(start + PAGE), 2, "what was kept of the heap");
    expect((int64_t)*word_at(start + 3 * PAGE), 0, "what was given back of the heap");
    expect((int64_t)sys_brk(1), (int64_t)(start + 8 * PAGE), "brk below the heap");
}

static void check_map(void) {
    uint64_t memory = map(0, 16, PROTECT_READ | PROTECT_WRITE, 0);
    for (uint64_t i = 0; i < 16; i++)
        *word_at(memory + i * PAGE) = i;
    expect(sys_munmap(memory + 4 * PAGE, 2 * PAGE), 0, "munmap in the middle");
    expect(fault_of_read(memory + 4 * PAGE), SIGNAL_SEGV, "a read of what is not mapped");
    expect(fault_info.code, 1, "why (SEGV_MAPERR)");
    expect((int64_t)fault_info.address, (int64_t)(memory + 4 * PAGE), "and where");
    expect((int64_t)*word_at(memory + 3 * PAGE), 3, "a word before the hole");
    expect((int64_t)*word_at(memory + 6 * PAGE), 6, "a word behind the hole");
    expect((int64_t)map(memory + 4 * PAGE, 1, PROTECT_READ, MAP_IS_FIXED),
           (int64_t)(memory + 4 * PAGE), "mmap into the hole");
    expect((int64_t)*word_at(memory + 4 * PAGE), 0, "a word of fresh memory");
    map(memory + 8 * PAGE, 2, PROTECT_READ | PROTECT_WRITE, MAP_IS_FIXED);
    expect((int64_t)*word_at(memory + 9 * PAGE), 0, "a word that was mapped over");
    expect((int64_t)*word_at(memory + 10 * PAGE), 10, "the word behind it");
    expect(sys_munmap(memory, 16 * PAGE), 0, "munmap of parts and holes");
    expect(sys_munmap(memory, 16 * PAGE), 0, "munmap of nothing");
    expect(fault_of_write(memory + 10 * PAGE), SIGNAL_SEGV, "a write to what is gone");
}

static void check_protect(void) {
    uint64_t memory = map(0, 4, PROTECT_READ | PROTECT_WRITE, 0);
    *word_at(memory + PAGE) = 7;
    expect(sys_mprotect(memory + PAGE, PAGE, PROTECT_READ), 0, "mprotect to read");
    expect(fault_of_read(memory + PAGE), 0, "a read that is allowed");
    expect(fault_of_write(memory + PAGE), SIGNAL_SEGV, "a write that is not");
    expect(fault_info.code, 2, "why (SEGV_ACCERR)");
    expect(fault_of_write(memory + 2 * PAGE), 0, "a write to the next page");
    expect(sys_mprotect(memory + PAGE, PAGE, PROTECT_NONE), 0, "mprotect to nothing");
    expect(fault_of_read(memory + PAGE), SIGNAL_SEGV, "a read that is not allowed");
    expect(sys_mprotect(memory, 4 * PAGE, PROTECT_READ | PROTECT_WRITE), 0, "mprotect back");
    expect((int64_t)*word_at(memory + PAGE), 7, "a word that nobody could see");
    expect(fault_of_write(memory + PAGE), 0, "a write that is allowed again");
    expect(sys_mprotect(memory, 8 * PAGE, PROTECT_READ), -ASH_ENOMEM, "mprotect of a hole");
}

/* What was written there is what is executed (Arm ARM B2.4.4); the code is in one line. */
static void see_code(uint64_t line) {
    __asm__ volatile("dc cvau, %0\n dsb ish\n ic ivau, %0\n dsb ish\n isb"
                     :
                     : "r"(line)
                     : "memory");
}

/* Code is written, then made executable: one after the other, never both. */
static void check_execute(void) {
    uint64_t memory = map(0, 1, PROTECT_READ | PROTECT_WRITE, 0);
    uint32_t code[] = {0xd2800000 /* mov x0, #0 */, 0xd65f03c0 /* ret */};
    memcpy((void *)word_at(memory), code, sizeof(code));
    expect(fault_of_execution(memory), SIGNAL_SEGV, "a jump to data");
    expect(sys_mprotect(memory, PAGE, PROTECT_READ | PROTECT_EXECUTE), 0, "mprotect to execute");
    see_code(memory);
    expect(fault_of_execution(memory), 0, "a jump to code");
    expect(fault_of_write(memory), SIGNAL_SEGV, "a write to code");
    int64_t both = sys_mmap(0, PAGE, PROTECT_READ | PROTECT_WRITE | PROTECT_EXECUTE,
                            MAP_IS_PRIVATE | MAP_IS_ANONYMOUS, -1, 0);
    printf("memory: what is writable and executable is %s\n", both < 0 ? "refused" : "given");
}

/* Of shared memory a child sees what its parent writes, and the other way round. */
static void check_shared(void) {
    uint64_t memory = (uint64_t)must(
        sys_mmap(0, 2 * PAGE, PROTECT_READ | PROTECT_WRITE, MAP_SHARES | MAP_IS_ANONYMOUS, -1, 0),
        "mmap of shared memory");
    *word_at(memory) = 1;
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        *word_at(memory) += 1;
        *word_at(memory + PAGE) = 5;
        exit(0);
    }
    wait_for_success(child);
    expect((int64_t)*word_at(memory), 2, "a shared word that a child has changed");
    expect((int64_t)*word_at(memory + PAGE), 5, "a shared page that a child touched first");
}

static uint64_t deep(uint64_t depth) {
    volatile char frame[4096];
    frame[0] = (char)depth;
    return depth == 0 ? (uint64_t)frame[0] : deep(depth - 1) + (uint64_t)frame[0];
}

int main(void) {
    faults_catch();
    check_brk();
    check_map();
    check_protect();
    check_execute();
    check_shared();
    deep(500); /* 2 MB of stack */
    expect(fault_of_read(0), SIGNAL_SEGV, "a read of address 0");
    char *block = malloc(3 << 20);
    if (block == NULL)
        die("malloc of 3 MiB");
    memset(block, 1, 3 << 20);
    free(block);
    printf("memory: all as it should be\n");
    return 0;
}
