/* SPDX-License-Identifier: MIT */
/* programs.c: see programs.h. */
#include "kernel/programs.h"

#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "kernel/file_pages.h"
#include "kernel/files.h"
#include "kernel/memory_fixture.h"
#include "kernel/threads_fixture.h"
#include "kernel/user_machine.h"

int test_refusal;
char test_reports[4096];

/* Files: the programs of a case, by their names */

struct file_node {
    struct test_program program;
};

static struct file_node *nodes[TEST_PROGRAMS_MAX];
static uint32_t node_count;
static struct kernel_memory *memory;

static void put16(uint8_t *at, uint32_t value) {
    at[0] = (uint8_t)value;
    at[1] = (uint8_t)(value >> 8);
}

static void put64(uint8_t *at, uint64_t value) {
    memcpy(at, &value, sizeof(value));
}

static void put_segment(uint8_t *at, uint32_t flags, uint64_t offset, uint64_t address,
                        uint64_t file_bytes, uint64_t memory_bytes) {
    put16(at, 1); /* PT_LOAD */
    put16(at + 4, flags);
    put64(at + 8, offset);
    put64(at + 16, address);
    put64(at + 24, address);
    put64(at + 32, file_bytes);
    put64(at + 40, memory_bytes);
    put64(at + 48, ASH_PAGE_SIZE);
}

/* One page of headers, one of code, one of data. */
static void make_file(struct test_program *program) {
    uint8_t *file = program->file;
    static const uint8_t ident[] = {0x7f, 'E', 'L', 'F', 2, 1, 1};
    memcpy(file, ident, sizeof(ident));
    put16(file + 16, 2);   /* ET_EXEC */
    put16(file + 18, 183); /* AArch64 */
    put16(file + 20, 1);
    put64(file + 24, TEST_CODE);
    put64(file + 32, 64); /* program headers behind this one, */
    put16(file + 52, 64);
    put16(file + 54, 56); /* of this size, */
    put16(file + 56, 2);  /* so many */
    put_segment(file + 64, 5, ASH_PAGE_SIZE, TEST_CODE, ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    put_segment(file + 120, 6, 2 * ASH_PAGE_SIZE, TEST_DATA, ASH_PAGE_SIZE, 2 * ASH_PAGE_SIZE);
    memcpy(file + ASH_PAGE_SIZE, program->words, program->count * sizeof(uint32_t));
    memcpy(file + 2 * ASH_PAGE_SIZE, program->data, ASH_PAGE_SIZE);
}

static int look_up(struct file_system *fs, struct file_node *from, const char *path, bool follow,
                   struct file_node **node) {
    (void)fs, (void)from, (void)follow;
    for (uint32_t i = 0; i < node_count; i++) {
        *node = nodes[i];
        if (strcmp(path + (*path == '/'), nodes[i]->program.name) != 0)
            continue;
        if (nodes[i]->program.file_bytes != 0)
            make_file(&nodes[i]->program);
        return 0;
    }
    return -ASH_ENOENT;
}

static void describe(struct file_system *fs, const struct file_node *node, struct file_info *info) {
    (void)fs;
    *info = (struct file_info){
        .type = FILE_REGULAR, .size_bytes = node->program.file_bytes, .name = node->program.name};
}

static int read_file(struct file_system *fs, struct file_node *node, uint64_t offset, void *buffer,
                     size_t len, size_t *got) {
    (void)fs;
    uint64_t end = node->program.file_bytes;
    *got = offset >= end ? 0 : (size_t)ash_min_u64(len, end - offset);
    memcpy(buffer, node->program.file + offset, *got);
    return 0;
}

static struct file_system file_system = {
    .look_up = look_up, .describe = describe, .read = read_file};

struct test_program *test_program(const char *name) {
    CHECK(node_count < TEST_PROGRAMS_MAX);
    struct file_node *node = test_alloc(sizeof(*node), 16);
    nodes[node_count++] = node;
    snprintf(node->program.name, sizeof(node->program.name), "%s", name);
    node->program.file_bytes = 3 * ASH_PAGE_SIZE;
    node->program.file = test_alloc(node->program.file_bytes, 16);
    return &node->program;
}

/* The machine */

static void *own_pointer(ash_paddr_t address) {
    return platform_pointer(address);
}

static ash_paddr_t own_address(const void *pointer) {
    return platform_address(pointer);
}

/* Where programs run by themselves the CPU must find the frames. */
static struct kernel_memory *make_memory(size_t size_bytes) {
    static const struct memory_view own_view = {own_pointer, own_address};
    const struct memory_view *view = __STDC_HOSTED__ ? &test_view : &own_view;
    struct kernel_memory *made = test_alloc(sizeof(*made), ASH_PORT_CACHE_LINE);
    struct platform_range range = {.size_bytes = size_bytes};
    range.base = view->address(test_alloc(size_bytes, ASH_PAGE_SIZE));
    CHECK_EQ(memory_init(made, &range, 1, view, NULL), 0);
    return made;
}

static void keep_report(void *context, const char *text) {
    size_t len = strlen(test_reports);
    (void)context;
    snprintf(test_reports + len, sizeof(test_reports) - len, "%s\n", text);
}

struct kernel_memory *test_process_memory(void) {
    return memory;
}

/* The caller is the first one. */
static bool is_only_thread(void) {
    struct thread_info info;
    return !thread_info_from(thread_id(thread_current()) + 1, &info);
}

uint64_t test_process_free_pages(void) {
    while (!is_only_thread()) /* what a zombie was may be about to end */
        thread_yield();
    thread_reap();
    (void)file_pages_trim();
    return test_free_pages(memory);
}

struct run {
    void (*body)(void *context);
    void *context;
};

static void run_and_trim(void *context) {
    const struct run *run = context;
    run->body(run->context);
    (void)file_pages_trim();
}

void test_processes(size_t memory_bytes, uint32_t cpus, void (*run)(void *context), void *context) {
    node_count = 0;
    test_reports[0] = '\0';
    memory = make_memory(memory_bytes);
    const struct processes_config config = {
        .memory = memory, .files = &file_system, .seed = test_seed(), .report = keep_report};
    struct run whole = {run, context};
    uint64_t before = test_free_pages(memory);
    const struct files_config files = {.fs = &file_system, .allocator = memory->allocator};
    files_init(&files);
    user_machine_set(true);
    if (processes_init(&config) != 0)
        test_fail(__FILE__, __LINE__, "no memory for processes");
    test_threads_run_in(memory, cpus, run_and_trim, &whole);
    user_machine_set(false);
    processes_fini();
    if (cpus == 1)
        CHECK_EQ(test_free_pages(memory), before);
}

int test_run(const char *name) {
    const char *arguments[] = {name, NULL};
    struct process_start start = {.path = name, .arguments = arguments};
    uint32_t id;
    int status = -1;
    test_refusal = process_spawn(&start, &id);
    if (test_refusal == 0)
        test_refusal = process_join(id, UINT64_MAX, &status);
    return test_refusal == 0 ? status : -1;
}

/* Instructions: Arm ARM (DDI 0487), C6.2 */

void test_word(struct test_program *program, uint32_t word) {
    CHECK(program->count < TEST_WORDS_MAX);
    program->words[program->count++] = word;
}

/* MOVZ, MOVK. */
void test_mov(struct test_program *program, uint32_t to, uint64_t value) {
    test_word(program, 0xd2800000 | (uint32_t)(value & 0xffff) << 5 | to);
    for (uint32_t i = 1; i < 4; i++) {
        uint32_t part = (uint32_t)(value >> 16 * i & 0xffff);
        if (part != 0)
            test_word(program, 0xf2800000 | i << 21 | part << 5 | to);
    }
}

void test_copy(struct test_program *program, uint32_t to, uint32_t from) {
    test_word(program, 0xaa0003e0 | from << 16 | to);
}

void test_add(struct test_program *program, uint32_t to, uint32_t from, uint32_t value) {
    test_word(program, 0x91000000 | value << 10 | from << 5 | to);
}

void test_sub(struct test_program *program, uint32_t to, uint32_t from, uint32_t value) {
    test_word(program, 0xd1000000 | value << 10 | from << 5 | to);
}

void test_sub_reg(struct test_program *program, uint32_t to, uint32_t from, uint32_t other) {
    test_word(program, 0xcb000000 | other << 16 | from << 5 | to);
}

void test_high(struct test_program *program, uint32_t to, uint32_t from) {
    test_word(program, 0xd360fc00 | from << 5 | to); /* LSR #32 */
}

void test_load(struct test_program *program, uint32_t to, uint32_t base, uint32_t offset) {
    test_word(program, 0xf9400000 | offset / 8 << 10 | base << 5 | to);
}

void test_store(struct test_program *program, uint32_t from, uint32_t base, uint32_t offset) {
    test_word(program, 0xf9000000 | offset / 8 << 10 | base << 5 | from);
}

void test_load32(struct test_program *program, uint32_t to, uint32_t base, uint32_t offset) {
    test_word(program, 0xb9400000 | offset / 4 << 10 | base << 5 | to);
}

void test_call(struct test_program *program, uint32_t number) {
    test_mov(program, 8, number);
    test_word(program, 0xd4000001);
}

void test_call1(struct test_program *program, uint32_t number, uint64_t a) {
    test_mov(program, 0, a);
    test_call(program, number);
}

void test_call2(struct test_program *program, uint32_t number, uint64_t a, uint64_t b) {
    test_mov(program, 1, b);
    test_call1(program, number, a);
}

void test_call4(struct test_program *program, uint32_t number, uint64_t a, uint64_t b, uint64_t c,
                uint64_t d) {
    test_mov(program, 2, c);
    test_mov(program, 3, d);
    test_call2(program, number, a, b);
}

/* Jumps */

uint32_t test_here(const struct test_program *program) {
    return program->count;
}

uint64_t test_address(uint32_t place) {
    return TEST_CODE + UINT64_C(4) * place;
}

static uint32_t words_to(const struct test_program *program, uint32_t place, uint32_t count) {
    return (place - program->count) & ((1u << count) - 1);
}

void test_jump(struct test_program *program, uint32_t place) {
    test_word(program, 0x14000000 | words_to(program, place, 26));
}

void test_jump_if(struct test_program *program, uint32_t reg, uint32_t place) {
    test_word(program, 0xb5000000 | words_to(program, place, 19) << 5 | reg);
}

void test_jump_if_not(struct test_program *program, uint32_t reg, uint32_t place) {
    test_word(program, 0xb4000000 | words_to(program, place, 19) << 5 | reg);
}

uint32_t test_over(struct test_program *program) {
    test_word(program, 0x14000000);
    return program->count - 1;
}

uint32_t test_over_if(struct test_program *program, uint32_t reg) {
    test_word(program, 0xb5000000 | reg);
    return program->count - 1;
}

uint32_t test_over_if_not(struct test_program *program, uint32_t reg) {
    test_word(program, 0xb4000000 | reg);
    return program->count - 1;
}

void test_land(struct test_program *program, uint32_t skip) {
    uint32_t distance = program->count - skip;
    bool is_plain = program->words[skip] == 0x14000000;
    program->words[skip] |= is_plain ? distance : distance << 5;
}

/* Pieces */

void test_exit(struct test_program *program, uint32_t code) {
    test_call1(program, CALL_EXIT, code);
}

void test_exit_by(struct test_program *program, uint32_t reg) {
    test_copy(program, 0, reg);
    test_call(program, CALL_EXIT);
}

void test_fork(struct test_program *program) {
    enum { SIGCHLD = 17 };
    test_mov(program, 4, 0);
    test_call4(program, CALL_CLONE, SIGCHLD, 0, 0, 0);
}

void test_wait(struct test_program *program, int64_t pid, uint32_t options) {
    test_call4(program, CALL_WAIT4, (uint64_t)pid, TEST_STATUS, options, 0);
    test_mov(program, 1, TEST_STATUS);
    test_load32(program, 1, 1, 0);
}

void test_expect(struct test_program *program, uint32_t reg, uint64_t value, uint32_t code) {
    test_mov(program, 9, value);
    test_sub_reg(program, 9, 9, reg);
    uint32_t skip = test_over_if_not(program, 9);
    test_exit(program, code);
    test_land(program, skip);
}
