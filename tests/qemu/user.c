/* SPDX-License-Identifier: MIT */
/* Cases of programs: what they may do, what stops them, and that they keep what is theirs. */
#include <ashlar/port.h>

#include "platform.h"
#include "qemu/user_space.h"

USER_PROGRAM(program_call, "mov x1, #5\n"
                           "svc #7\n"
                           "add x0, x0, x1\n"
                           "svc #8\n"
                           "1: b 1b");

TEST_CASE(user, a_call_comes_back_behind_it) {
    struct user_space space;
    user_space_init(&space, 1, program_call, program_call_end);
    struct platform_user *user = user_new();
    struct platform_user_event event = user_run(&space, user);
    CHECK_EQ(event.cause, PLATFORM_USER_CALL);
    CHECK_EQ(event.syndrome & 0xffff, 7);
    CHECK_STR_EQ(event.what, "system call");
    CHECK_EQ(user->pc, USER_CODE + 8);
    CHECK_EQ(user->x[1], 5);
    user->x[0] = 100;
    event = user_run(&space, user);
    CHECK_EQ(event.cause, PLATFORM_USER_CALL);
    CHECK_EQ(event.syndrome & 0xffff, 8);
    CHECK_EQ(user->x[0], 105);
    user_space_fini(&space);
}

/* Aborts */

/* Not here: maintenance of caches, for whose addresses QEMU does not look. */

/* One instruction at USER_CODE, with x0 = address. */
static struct platform_user_event run_one(struct user_space *space, uint32_t instruction,
                                          uint64_t x0) {
    struct platform_user *user = user_new();
    memcpy(space->code, &instruction, sizeof(instruction));
    platform_code_written(space->code, sizeof(instruction));
    user->x[0] = x0;
    return user_run(space, user);
}

static void check_abort(struct user_space *space, uint32_t instruction, uint64_t address,
                        bool is_write, bool is_execute, const char *what) {
    struct platform_user_event event = run_one(space, instruction, address);
    CHECK_EQ(event.cause, PLATFORM_USER_ABORT);
    CHECK_EQ(event.address, address);
    CHECK_EQ(event.is_write, is_write);
    CHECK_EQ(event.is_execute, is_execute);
    CHECK_STR_EQ(event.what, what);
}

enum {
    LDR_X1_X0 = 0xf9400001, /* ldr x1, [x0] */
    STR_X1_X0 = 0xf9000001,
    LDXR_X1_X0 = 0xc85f7c01,
    DC_ZVA_X0 = 0xd50b7420,
    BR_X0 = 0xd61f0000,
    SVC_0 = 0xd4000001,
};

static const char *const nothing = "nothing is mapped there";
static const char *const forbidden = "the page's permissions forbid it";

TEST_CASE(user, an_access_that_its_tables_do_not_allow_is_reported) {
    struct user_space space;
    user_space_init(&space, 1, program_call, program_call_end);
    user_space_map(&space, 0, test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE), USER_READ);
    user_space_map(&space, 1, test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE), USER_NONE);
    user_space_map(&space, 2, test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE), USER_WRITE);
    const uint64_t read_only = USER_DATA + 0x128, kernels = USER_DATA + 0x1ff8;
    const uint64_t data = USER_DATA + 0x2000, missing = USER_DATA + 0x3008;
    check_abort(&space, LDR_X1_X0, 8, false, false, nothing);
    check_abort(&space, LDR_X1_X0, missing, false, false, nothing);
    check_abort(&space, STR_X1_X0, missing, true, false, nothing);
    check_abort(&space, LDXR_X1_X0, missing, false, false, nothing);
    check_abort(&space, DC_ZVA_X0, missing - 8, true, false, nothing);
    check_abort(&space, BR_X0, missing, false, true, nothing);
    check_abort(&space, STR_X1_X0, read_only, true, false, forbidden);
    check_abort(&space, STR_X1_X0, USER_CODE, true, false, forbidden);
    check_abort(&space, LDR_X1_X0, kernels, false, false, forbidden);
    check_abort(&space, BR_X0, read_only, false, true, forbidden);
    check_abort(&space, BR_X0, data, false, true, forbidden); /* written, so never executed */
    CHECK_EQ(run_one(&space, SVC_0, 0).cause, PLATFORM_USER_CALL);
    user_space_fini(&space);
}

static volatile uint64_t secret = 42;

static uint64_t address_of(const volatile void *pointer) {
    return (uint64_t)(uintptr_t)pointer;
}

TEST_CASE(user, no_address_of_the_kernel_is_reached) {
    struct user_space space;
    user_space_init(&space, 1, program_call, program_call_end);
    const uint64_t code = address_of((const void *)(uintptr_t)run_one);
    static const uint32_t accesses[] = {LDR_X1_X0, STR_X1_X0, LDXR_X1_X0, DC_ZVA_X0};
    const uint64_t places[] = {
        address_of(&secret) & ~UINT64_C(0xfff),
        code & ~UINT64_C(0xfff),
        address_of(&space) & ~UINT64_C(0xfff),
        address_of(space.leaves),
        address_of(platform_pointer(0x09000000)),
        address_of(platform_pointer(space.translation.root)),
        PLATFORM_KERNEL_RANGES_BASE,
        UINT64_C(0xfffffffffffff000),
        UINT64_C(0x0001000000000000),
        UINT64_C(0x8000000000000000),
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(places); i++) {
        for (uint32_t k = 0; k < ASH_ARRAY_LEN(accesses); k++) {
            struct platform_user_event event = run_one(&space, accesses[k], places[i]);
            CHECK_EQ(event.cause, PLATFORM_USER_ABORT);
            CHECK(event.address == places[i]);
        }
    }
    check_abort(&space, BR_X0, code, false, true, forbidden);
    CHECK_EQ(secret, 42);
    user_space_fini(&space);
}

/* Instructions */

TEST_CASE(user, an_instruction_that_is_the_kernels_traps) {
    static const struct {
        uint32_t instruction;
        const char *text;
    } all[] = {
        {0x00000000, "udf #0"},
        {0xd4200000, "brk #0"},
        {0xd45e0000, "hlt #0xf000, QEMU's own"},
        {0xd4000002, "hvc #0"},
        {0xd4000003, "smc #0"},
        {0xd69f03e0, "eret"},
        {0xd50342df, "msr daifset, #2"},
        {0xd50342ff, "msr daifclr, #2"},
        {0xd53b4220, "mrs x0, daif"},
        {0xd50041bf, "msr spsel, #1"},
        {0xd5381000, "mrs x0, sctlr_el1"},
        {0xd5181000, "msr sctlr_el1, x0"},
        {0xd5382000, "mrs x0, ttbr0_el1"},
        {0xd5182000, "msr ttbr0_el1, x0"},
        {0xd5182020, "msr ttbr1_el1, x0"},
        {0xd518c000, "msr vbar_el1, x0"},
        {0xd538d080, "mrs x0, tpidr_el1"},
        {0xd51bd060, "msr tpidrro_el0, x0"},
        {0xd508871f, "tlbi vmalle1"},
        {0xd508751f, "ic iallu"},
        {0xd5087620, "dc ivac, x0"},
        {0xd5087800, "at s1e1r, x0"},
        {0xd53be020, "mrs x0, cntpct_el0"},
        {0xd53be320, "mrs x0, cntv_ctl_el0"},
        {0xd51be340, "msr cntv_cval_el0, x0"},
        {0xd51be220, "msr cntp_ctl_el0, x0"},
        {0xd53b9c00, "mrs x0, pmcr_el0"},
        {0xd53b9d00, "mrs x0, pmccntr_el0"},
        {0xd53be800, "mrs x0, pmevcntr0_el0"},
        {0xd5330400, "mrs x0, dbgdtr_el0"},
        {0xd5100240, "msr mdscr_el1, x0"},
        {0xd5380000, "mrs x0, midr_el1"},
        {0xd538cc00, "mrs x0, icc_iar1_el1"},
        {0xd518cba0, "msr icc_sgi1r_el1, x0"},
        {0x04bf5020, "rdvl x0, #1"},
        {0xd503477f, "smstart"},
        {0xd53bd0a0, "mrs x0, tpidr2_el0"},
    };
    struct user_space space;
    user_space_init(&space, 1, program_call, program_call_end);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(all); i++) {
        struct platform_user_event event = run_one(&space, all[i].instruction, 0);
        if (event.cause != PLATFORM_USER_TRAP)
            test_fail(__FILE__, __LINE__, "%s is cause %u: %s", all[i].text, event.cause,
                      event.what);
    }
    CHECK_STR_EQ(run_one(&space, 0xd4200000, 0).what, "breakpoint instruction");
    CHECK_STR_EQ(run_one(&space, 0, 0).what, "undefined instruction");
    struct platform_user_event event = run_one(&space, BR_X0, USER_CODE + 2);
    CHECK_EQ(event.cause, PLATFORM_USER_TRAP);
    CHECK_EQ(event.address, USER_CODE + 2);
    CHECK_STR_EQ(event.what, "misaligned program counter");
    user_space_fini(&space);
}

USER_PROGRAM(program_allowed, "mrs x1, ctr_el0\n"
                              "mrs x2, dczid_el0\n"
                              "mrs x3, cntvct_el0\n"
                              "mrs x4, cntfrq_el0\n"
                              "mrs x5, tpidrro_el0\n"
                              "mrs x6, tpidr_el0\n"
                              "add x6, x6, #1\n"
                              "msr tpidr_el0, x6\n"
                              "dc zva, x0\n"
                              "dc cvau, x0\n"
                              "dc civac, x0\n"
                              "ic ivau, x0\n"
                              "dsb ish\n"
                              "isb\n"
                              "yield\n"
                              "sevl\n"
                              "wfe\n"
                              "wfi\n"
                              "svc #0");

static volatile uint32_t rung;

/* Again and again: the first may come before the program that it is for. */
static void ring(void *context) {
    rung++;
    (void)!platform_timer_arm(platform_now_ns() + 1000000, ring, context);
}

TEST_CASE(user, what_a_c_library_needs_is_allowed) {
    struct user_space space;
    user_space_init(&space, 1, program_allowed, program_allowed_end);
    uint8_t *page = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    memset(page, 0xa5, ASH_PAGE_SIZE);
    user_space_map(&space, 0, page, USER_WRITE);
    struct platform_user *user = user_new();
    user->x[0] = USER_DATA;
    user->tls = UINT64_C(0x123456789abcdef);
    ring(NULL); /* ends the WFI */
    struct platform_user_event event = user_run(&space, user);
    platform_timer_disarm();
    CHECK_STR_EQ(event.what, "system call");
    CHECK_EQ(page[0], 0);
    CHECK(user->x[3] != 0 && user->x[4] != 0);
    CHECK_EQ(user->x[5], 0); /* nothing of the kernel is seen there */
    CHECK_EQ(user->tls, UINT64_C(0x123456789abcdf0));
    user_space_fini(&space);
}

/* What the kernel is told of a program's state is never more than its flags. */

USER_PROGRAM(program_mask, "nop\n"
                           "msr daifset, #15\n"
                           "svc #0");

TEST_CASE(user, no_state_makes_it_more_than_a_program) {
    static const uint64_t states[] = {
        0x3c5,      0x3c9,       0x3cd,           0x3c4,   0x10,       0x1f,       0x13,
        1u << 20,   1u << 21,    0x3c0,           1u << 5, UINT64_MAX, 0x0fffffff, 0xf0000000,
        0xf00003c5, 0x10000010u, UINT64_MAX << 32};
    struct user_space space;
    user_space_init(&space, 1, program_mask, program_mask_end);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(states); i++) {
        struct platform_user *user = user_new();
        user->pstate = states[i];
        struct platform_user_event event = user_run(&space, user);
        CHECK_EQ(event.cause, PLATFORM_USER_TRAP);
        CHECK_EQ(user->pc, USER_CODE + 4);
        CHECK_EQ(user->pstate, states[i] & 0xf0000000);
    }
    user_space_fini(&space);
}

TEST_CASE(user, a_strange_pc_or_sp_is_its_own_trouble) {
    struct user_space space;
    user_space_init(&space, 1, program_mask, program_mask_end);
    struct platform_user *user = user_new();
    user->pc = address_of((const void *)(uintptr_t)run_one);
    user->sp = address_of(&space) + 3;
    struct platform_user_event event = user_run(&space, user);
    CHECK_EQ(event.cause, PLATFORM_USER_ABORT);
    CHECK_EQ(event.is_execute, true);
    CHECK(event.address == address_of((const void *)(uintptr_t)run_one));
    CHECK(user->sp == address_of(&space) + 3);
    user->pc = UINT64_C(0x00ff000000000000);
    event = user_run(&space, user);
    CHECK_EQ(event.cause, PLATFORM_USER_ABORT);
    user_space_fini(&space);
}

USER_PROGRAM(program_endless, "1: b 1b");

TEST_CASE(user, an_endless_loop_is_interrupted) {
    struct user_space space;
    struct platform_user_event event;
    user_space_init(&space, 1, program_endless, program_endless_end);
    struct platform_user *user = user_new();
    user->pstate = 0x3c0; /* it would mask them */
    rung = 0;
    ring(NULL);
    while (rung < 4) {
        platform_user_run(user, &space.translation, &event);
        CHECK_EQ(event.cause, PLATFORM_USER_INTERRUPT);
        CHECK_EQ(user->pc, USER_CODE);
    }
    platform_timer_disarm();
    user_space_fini(&space);
}

TEST_CASE(user, a_program_whose_thread_is_wanted_does_not_run) {
    struct user_space space;
    struct platform_user_event event;
    user_space_init(&space, 1, program_call, program_call_end);
    struct platform_user *user = user_new();
    user->is_wanted = 1;
    platform_user_run(user, &space.translation, &event);
    CHECK_EQ(event.cause, PLATFORM_USER_INTERRUPT);
    CHECK_EQ(user->pc, USER_CODE);
    user->is_wanted = 0;
    CHECK_EQ(user_run(&space, user).cause, PLATFORM_USER_CALL);
    user_space_fini(&space);
}

TEST_CASE(user, a_root_or_an_asid_that_cannot_be_panics) {
    if (!ASH_ENABLED(ASH_CHECKS >= 1))
        test_skip("the contract's checks are compiled out");
    struct platform_user_event event;
    struct platform_user *user = user_new();
    struct platform_translation translation = {0x40000008, 1};
    CHECK_PANICS(platform_user_run(user, &translation, &event), "a root is a page");
    translation = (struct platform_translation){0x40000000, 0};
    CHECK_PANICS(platform_user_run(user, &translation, &event), "is not 0");
    translation = (struct platform_translation){0x40000000, 1u << platform_asid_bits()};
    CHECK_PANICS(platform_user_run(user, &translation, &event), "an ASID has");
    uint32_t cpu;
    translation.asid = 1;
    CHECK_PANICS((ash_port_pin(&cpu), platform_user_run(user, &translation, &event)),
                 "called pinned, 1 times");
}
