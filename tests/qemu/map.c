/* SPDX-License-Identifier: MIT */
/* Cases of the kernel's map: what is where, and that nothing is anywhere else. */
#include <stdio.h>

#include "harness/test.h"

#include "platform.h"
#include "user.h"

enum { ROOT_ENTRIES = 512, ENTRY_SHIFT = 39 };

/* Opaque to the compiler. */
static volatile uintptr_t address;
static volatile uint32_t loaded;

static void load(uintptr_t from) {
    address = from;
    loaded = *(const volatile uint32_t *)address;
}

static uintptr_t pointer_of(ash_paddr_t physical) {
    return (uintptr_t)platform_pointer(physical);
}

TEST_CASE(map, physical_addresses_are_seen_at_one_distance) {
    CHECK(pointer_of(0x40000000) == UINT64_C(0xffff000040000000));
    CHECK(pointer_of(0x123456789abc) == UINT64_C(0xffff123456789abc));
    CHECK(platform_address(platform_pointer(0x123456789abc)) == UINT64_C(0x123456789abc));
    static const uint32_t constant = 2;
    CHECK(*(const uint32_t *)platform_pointer(platform_address(&constant)) == constant);
}

TEST_CASE(map, no_low_address_is_the_kernels) {
    static const uint64_t places[] = {
        0,          8,          0x08000000,        0x09000000,
        0x40000000, 0x40200000, (uint64_t)1 << 39, UINT64_C(0x0000ffffffffff00),
    };
    for (volatile uint32_t i = 0; i < ASH_ARRAY_LEN(places); i++) {
        char message[40];
        snprintf(message, sizeof(message), "load at FAR 0x%llx, nothing is mapped there",
                 (unsigned long long)places[i]);
        CHECK_PANICS(load(places[i]), message);
    }
}

TEST_CASE(map, addresses_of_neither_half_and_the_ends_of_the_kernels_half_are_not_mapped) {
    CHECK_PANICS(load(UINT64_C(0x0001000000000000)), "nothing is mapped there");
    CHECK_PANICS(load(UINT64_C(0x8000000000000000)), "nothing is mapped there");
    CHECK_PANICS(load(UINT64_C(0xffff000000000000)), "nothing is mapped there");
    CHECK_PANICS(load(UINT64_C(0xfffffffffffffff0)), "nothing is mapped there");
}

TEST_CASE(map, ranges_that_are_left_to_others_have_no_entry) {
    const uint64_t *root = platform_pointer(platform_kernel_root());
    uint64_t first = PLATFORM_KERNEL_RANGES_BASE >> ENTRY_SHIFT;
    uint64_t count = PLATFORM_KERNEL_RANGES_BYTES >> ENTRY_SHIFT;
    CHECK_EQ(count, 2);
    for (uint64_t i = first; i < first + count; i++)
        CHECK_EQ(root[i % ROOT_ENTRIES], 0);
    CHECK(root[0] != 0);
    CHECK_PANICS(load(PLATFORM_KERNEL_RANGES_BASE), "nothing is mapped there");
}

static void compare_root(void *context, uint32_t cpu) {
    uint64_t root, *roots = context;
    __asm__ volatile("mrs %0, ttbr1_el1" : "=r"(root));
    roots[cpu] = root;
}

TEST_CASE(map, is_one_for_all_cpus) {
    uint64_t roots[4] = {0};
    test_run_on_cpus(compare_root, roots, 4);
    for (uint32_t i = 0; i < 4; i++)
        CHECK_EQ(roots[i], platform_kernel_root());
}
