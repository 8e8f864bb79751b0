/* SPDX-License-Identifier: MIT */
/* Cases of platform/sample.h: where the code is, what the build calls it, its functions. */
#include "harness/test.h"

#include "platform.h"
#include "sample.h"

static bool find(uint64_t address, uint64_t *start, uint64_t *end, const char **name) {
    for (uint32_t i = 0; platform_code_function(i, start, end, name); i++) {
        if (address >= *start && address < *end)
            return true;
    }
    return false;
}

__attribute__((noinline)) static uint64_t code_case_function(uint64_t x) {
    __asm__ volatile("" : "+r"(x));
    return x + 1;
}

TEST_CASE(code, a_function_is_found_by_its_address) {
    uint64_t start, end;
    const char *name;
    CHECK_EQ(code_case_function(1), 2);
    CHECK(find((uintptr_t)code_case_function, &start, &end, &name));
    CHECK_EQ(start, (uintptr_t)code_case_function);
    CHECK_STR_EQ(name, "code_case_function");
}

TEST_CASE(code, functions_are_in_order_and_inside) {
    uint64_t low, high, start, end, previous = 0;
    const uint8_t *build_id;
    const char *name;
    uint32_t len, count = 0;
    platform_code(&low, &high, &build_id, &len);
    CHECK(low < high);
    for (; platform_code_function(count, &start, &end, &name); count++) {
        CHECK(start >= previous && start < end);
        CHECK(start >= low && end <= high);
        CHECK(name[0] != '\0');
        previous = end;
    }
    CHECK(count > 100);
    CHECK(!platform_code_function(count, &start, &end, &name));
    CHECK(!platform_code_function(UINT32_MAX, &start, &end, &name));
}

TEST_CASE(code, the_build_has_an_id) {
    uint64_t start, end;
    const uint8_t *build_id;
    uint32_t len, bits = 0;
    platform_code(&start, &end, &build_id, &len);
    CHECK(len >= 8 && len <= 64);
    for (uint32_t i = 0; i < len; i++)
        bits |= build_id[i];
    CHECK(bits != 0);
}

/* What is written is looked at from outside: tests/boot/sample.py. */
TEST_CASE(code, nothing_is_written_to_no_file) {
    CHECK(platform_host_write("x", 1) < 0);
    CHECK(platform_host_close() < 0);
    CHECK(platform_host_open("/no/such/folder/file") < 0);
    CHECK(platform_host_write("x", 1) < 0);
}
