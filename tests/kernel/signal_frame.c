/* SPDX-License-Identifier: MIT */
/* Cases of kernel/signal_frame.h: offsets are those of Linux's structures on arm64. */
#include "kernel/signal_frame.h"

#include "harness/test.h"

static uint8_t frame[SIGNAL_FRAME_USED_BYTES];
static struct platform_user user;

static uint64_t word(uint32_t offset) {
    uint64_t value;
    memcpy(&value, frame + offset, sizeof(value));
    return value;
}

static uint32_t half(uint32_t offset) {
    return (uint32_t)(word(offset) & UINT32_MAX);
}

static void put_half(uint32_t offset, uint32_t value) {
    memcpy(frame + offset, &value, sizeof(value));
}

/* Each byte of the registers is another. */
static void fill_user(void) {
    struct test_random random = test_random_from(test_seed());
    uint8_t *bytes = (uint8_t *)&user;
    for (size_t i = 0; i < sizeof(user); i++)
        bytes[i] = (uint8_t)test_random_u64(&random);
    user.fpcr &= UINT32_MAX;
    user.fpsr &= UINT32_MAX;
}

static const struct signal_context context = {
    .mask = 0x123456789abcdef0, .stack = {.start = 0x7000, .bytes = 0x2000, .is_on = true}};

TEST_CASE(signal_frame, has_everything_where_c_libraries_look_for_it) {
    const struct signal_info info = {.code = SIGNAL_CODE_SEGV_ACCERR, .address = 0x1238};
    fill_user();
    signal_frame_build(frame, &user, SIGNAL_SEGV, &info, &context);
    CHECK_EQ(half(0), SIGNAL_SEGV); /* si_signo, si_code, si_addr */
    CHECK_EQ(half(8), SIGNAL_CODE_SEGV_ACCERR);
    CHECK_EQ(word(16), 0x1238);
    CHECK_EQ(word(144), 0x7000); /* uc_stack */
    CHECK_EQ(half(152), 0);
    CHECK_EQ(word(160), 0x2000);
    CHECK_EQ(word(168), context.mask);
    CHECK_EQ(word(304), 0x1238); /* fault_address, regs, sp, pc, pstate */
    CHECK_MEM_EQ(frame + 312, user.x, sizeof(user.x));
    CHECK_EQ(word(560), user.sp);
    CHECK_EQ(word(568), user.pc);
    CHECK_EQ(word(576), user.pstate);
    CHECK_EQ(half(592), 0x46508001); /* FPSIMD_MAGIC, its size, fpsr, fpcr, vregs */
    CHECK_EQ(half(596), 528);
    CHECK_EQ(half(600), user.fpsr);
    CHECK_EQ(half(604), user.fpcr);
    CHECK_MEM_EQ(frame + 608, user.v, sizeof(user.v));
    CHECK_EQ(word(592 + 528), 0); /* no more records */
}

TEST_CASE(signal_frame, of_a_child_says_who_and_how_and_that_there_is_no_stack) {
    const struct signal_info info = {
        .code = SIGNAL_CODE_CLD_KILLED, .sender = 77, .status = SIGNAL_TERM};
    const struct signal_context no_stack = {.mask = 0};
    fill_user();
    signal_frame_build(frame, &user, SIGNAL_CHLD, &info, &no_stack);
    CHECK_EQ(half(16), 77);
    CHECK_EQ(half(24), SIGNAL_TERM);
    CHECK_EQ(half(152), 2); /* SS_DISABLE */
    CHECK_EQ(word(304), 0);
}

TEST_CASE(signal_frame, that_is_read_gives_back_what_it_was_built_of) {
    static const struct signal_info info;
    struct platform_user read;
    struct signal_context found;
    fill_user();
    signal_frame_build(frame, &user, SIGNAL_USR1, &info, &context);
    memset(&read, 0, sizeof(read));
    CHECK(signal_frame_read(frame, &read, &found));
    CHECK_MEM_EQ(read.x, user.x, sizeof(user.x));
    CHECK_MEM_EQ(read.v, user.v, sizeof(user.v));
    CHECK_EQ(read.sp, user.sp);
    CHECK_EQ(read.pc, user.pc);
    CHECK_EQ(read.pstate, user.pstate);
    CHECK_EQ(read.fpcr, user.fpcr);
    CHECK_EQ(read.fpsr, user.fpsr);
    CHECK_EQ(read.tls, 0); /* not the frame's */
    CHECK_EQ(found.mask, context.mask);
    CHECK_EQ(found.stack.start, 0x7000);
    CHECK_EQ(found.stack.bytes, 0x2000);
    CHECK(found.stack.is_on);
}

TEST_CASE(signal_frame, that_is_malformed_changes_nothing) {
    static const struct signal_info info;
    static const uint32_t places[] = {592, 596, 592 + 528, 592 + 532};
    struct platform_user before;
    struct signal_context found;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(places); i++) {
        fill_user();
        signal_frame_build(frame, &user, SIGNAL_USR1, &info, &context);
        put_half(places[i], 12345);
        memset(&user, 0x55, sizeof(user));
        before = user;
        CHECK(!signal_frame_read(frame, &user, &found));
        CHECK_MEM_EQ(&user, &before, sizeof(user));
    }
}
