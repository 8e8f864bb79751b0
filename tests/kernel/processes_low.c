/* SPDX-License-Identifier: MIT */
/* processes_low.c: programs where memory ends at any page, and the audit while they run. */
#include <ashlar/error.h>

#include "kernel/programs.h"
#include "kernel/thread.h"

enum {
    MEMORY_BYTES = 6 << 20,
    CHILD = 19,
    COUNT = 20,
    PAGES_MAX = 150, /* with so many, everything works */
    REFUSED = 20,    /* codes by which a program says that a call found no memory */
};

#define EXITED(code) ((code) << 8)

/* Pages that the case keeps from the machine, each the begin of a list */

struct eaten {
    struct eaten *next;
};

static struct eaten *eat_all_but(uint32_t left) {
    struct kernel_memory *memory = test_process_memory();
    struct eaten *first = NULL, *page;
    while ((page = memory_pages_alloc(memory, 0)) != NULL) {
        page->next = first;
        first = page;
    }
    for (; left != 0 && first != NULL; left--) {
        page = first;
        first = page->next;
        memory_pages_free(memory, page, 0);
    }
    return first;
}

static void give_back(struct eaten *first) {
    while (first != NULL) {
        struct eaten *page = first;
        first = page->next;
        memory_pages_free(test_process_memory(), page, 0);
    }
}

/* Forks; the child writes to its page and becomes another program, which grows its heap. */

static void expect_or_say(struct test_program *program, uint32_t code) {
    test_high(program, 9, 0);
    uint32_t skip = test_over_if_not(program, 9);
    test_exit(program, code);
    test_land(program, skip);
}

static void make_first(struct test_program *program) {
    memcpy(program->data, "second", 7);
    test_fork(program);
    expect_or_say(program, REFUSED);
    uint32_t parent = test_over_if(program, 0);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 10, 10, 64);
    test_mov(program, 2, 0);
    test_call2(program, CALL_EXECVE, TEST_DATA, 0);
    test_load(program, 11, 10, 64); /* what fails leaves the old program as it was */
    test_sub_reg(program, 11, 11, 10);
    test_expect(program, 11, 0, 99);
    test_mov(program, 11, (uint64_t)-ASH_ENOMEM);
    test_sub_reg(program, 11, 11, 0);
    test_expect(program, 11, 0, 98);
    test_exit(program, REFUSED + 1);
    test_land(program, parent);
    test_wait(program, -1, 0);
    expect_or_say(program, 97);
    test_word(program, 0xd3483c00 | 1 << 5 | 0); /* ubfx x0, x1, #8, #8: its code, */
    uint32_t skip = test_over_if(program, 0);
    test_copy(program, 0, 1); /* or its signal */
    test_land(program, skip);
    test_call(program, CALL_EXIT);
}

static void make_second(struct test_program *program) {
    test_call1(program, CALL_BRK, 0);
    test_copy(program, 10, 0);
    test_add(program, 0, 0, 4000);
    test_call(program, CALL_BRK);
    test_sub_reg(program, 11, 0, 10);
    uint32_t skip = test_over_if(program, 11);
    test_exit(program, REFUSED + 2);
    test_land(program, skip);
    test_store(program, 10, 10, 0);
    test_exit(program, 1);
}

static bool is_expected(int status) {
    return status == -1 /* not even begun: test_refusal */ || status == EXITED(1) ||
           status == EXITED(REFUSED) || status == EXITED(REFUSED + 1) ||
           status == EXITED(REFUSED + 2) || status == EXITED(SIGNAL_KILL) || status == SIGNAL_KILL;
}

struct sweep {
    uint32_t bad_at, lost_at; /* pages and 1; 0: none */
    int bad, refusal;
    uint32_t kinds; /* bits: refused at the begin, later, and not at all */
};

static void sweep_pages(void *context) {
    struct sweep *sweep = context;
    make_first(test_program("first"));
    make_second(test_program("second"));
    (void)test_run("first");
    uint64_t before = test_process_free_pages();
    for (uint32_t left = 0; left < PAGES_MAX; left++) {
        struct eaten *eaten = eat_all_but(left);
        int status = test_run("first");
        give_back(eaten);
        sweep->kinds |= status == -1 ? 1 : (status == EXITED(1) ? 4 : 2);
        if (!is_expected(status) || (status == -1 && test_refusal != -ASH_ENOMEM)) {
            sweep->bad_at = left + 1;
            sweep->bad = status;
            sweep->refusal = test_refusal;
        }
        if (test_process_free_pages() != before || processes_check() != NULL)
            sweep->lost_at = left + 1;
    }
}

TEST_CASE(processes_low, find_no_memory_at_any_page_and_lose_none) {
    struct sweep sweep = {0};
    test_processes(MEMORY_BYTES, 1, sweep_pages, &sweep);
    if (sweep.bad_at != 0)
        test_fail(__FILE__, __LINE__, "with %u pages: status 0x%x, refusal %d", sweep.bad_at - 1,
                  (unsigned)sweep.bad, sweep.refusal);
    CHECK_EQ(sweep.lost_at, 0);
    CHECK_EQ(sweep.kinds, 7);
}

/* The audit while others fork and end. */

static void make_forks(struct test_program *program) {
    test_mov(program, COUNT, __STDC_HOSTED__ ? 300 : 60);
    uint32_t again = test_here(program);
    test_fork(program);
    test_copy(program, CHILD, 0);
    uint32_t parent = test_over_if(program, 0);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 10, 10, 0);
    test_exit(program, 1);
    test_land(program, parent);
    test_mov(program, 10, TEST_DATA);
    test_store(program, 10, 10, 8);
    test_wait(program, -1, 0);
    test_sub(program, COUNT, COUNT, 1);
    test_jump_if(program, COUNT, again);
    test_exit(program, 7);
}

struct audit {
    const char *broken;
    int status;
    uint32_t looks;
};

static void audit_while_it_forks(void *context) {
    struct audit *audit = context;
    make_forks(test_program("forks"));
    struct process_start start = {.path = "forks"};
    uint32_t ids[2];
    for (uint32_t i = 0; i < 2; i++) {
        if (process_spawn(&start, &ids[i]) != 0)
            return;
    }
    for (uint32_t i = 0; i < 2; i++) {
        while (process_join(ids[i], 0, &audit->status) == -ASH_ETIMEDOUT) {
            if (audit->broken == NULL)
                audit->broken = processes_check();
            audit->looks++;
            thread_yield();
        }
    }
}

static void check_audit(uint32_t cpus) {
    struct audit audit = {0};
    test_processes(MEMORY_BYTES, cpus, audit_while_it_forks, &audit);
    CHECK(audit.broken == NULL);
    CHECK_EQ(audit.status, EXITED(7));
    CHECK(audit.looks > 0);
}

TEST_CASE(processes_low, are_audited_while_they_fork) {
    check_audit(1);
}

TEST_CASE(processes_low, are_audited_while_they_fork_on_four_cpus) {
    check_audit(4);
}
