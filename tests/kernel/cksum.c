/* SPDX-License-Identifier: MIT */
/* Cases of kernel/cksum.h. The vectors are what `cksum` of GNU coreutils 9.1 prints. */
#include "harness/test.h"
#include "kernel/cksum.h"

static uint32_t cksum_of(const void *bytes, size_t len) {
    struct cksum sum;
    cksum_init(&sum);
    cksum_update(&sum, bytes, len);
    return cksum_finish(&sum);
}

TEST_CASE(cksum, of_nothing_is_all_ones) {
    CHECK_EQ(cksum_of("", 0), UINT32_C(4294967295));
}

TEST_CASE(cksum, is_the_hosts_for_known_texts) {
    CHECK_EQ(cksum_of("123456789", 9), UINT32_C(930766865));
    CHECK_EQ(cksum_of("hello\n", 6), UINT32_C(3015617425));
    CHECK_EQ(cksum_of("\0", 1), UINT32_C(4215202376));
}

TEST_CASE(cksum, counts_lengths_of_several_bytes) {
    uint8_t *zeros = test_alloc(70000, 8);
    CHECK_EQ(cksum_of(zeros, 70000), UINT32_C(1774371287));
}

/* The definition of POSIX, a bit at a time. */
static uint32_t cksum_model(const uint8_t *bytes, size_t len) {
    uint32_t crc = 0;
    uint64_t rest = len;
    for (size_t i = 0; i < len || rest != 0; i++) {
        uint32_t byte = i < len ? bytes[i] : (uint32_t)(rest & 0xff);
        if (i >= len)
            rest >>= 8;
        crc ^= byte << 24;
        for (uint32_t bit = 0; bit < 8; bit++)
            crc = (crc << 1) ^ ((crc & 0x80000000u) != 0 ? 0x04c11db7u : 0u);
    }
    return ~crc;
}

TEST_CASE(cksum, agrees_with_the_definition_however_it_is_cut) {
    enum { SIZE = 600 };
    struct test_random random = test_random_from(test_seed());
    uint8_t *bytes = test_alloc(SIZE, 8);
    for (uint32_t round = 0; round < 100; round++) {
        size_t len = (size_t)test_random_below(&random, SIZE + 1), at = 0;
        struct cksum sum;
        for (size_t i = 0; i < len; i++)
            bytes[i] = (uint8_t)test_random_u64(&random);
        cksum_init(&sum);
        while (at < len) {
            size_t part = (size_t)test_random_below(&random, len - at + 1);
            cksum_update(&sum, bytes + at, part);
            at += part;
        }
        CHECK_EQ(cksum_finish(&sum), cksum_model(bytes, len));
        CHECK_EQ(sum.len_bytes, len);
    }
}
