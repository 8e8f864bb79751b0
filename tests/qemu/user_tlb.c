/* SPDX-License-Identifier: MIT */
/* Cases of translations: what is flushed is used no more, on no CPU; a root that is forgotten is no
 * CPU's. */
#include <ashlar/port.h>

#include "platform.h"
#include "qemu/user_space.h"

enum { PAGES = 510, CPU_1 = 1 };

#define LONG_NS UINT64_C(10000000000)

/* A read of each of x2 pages from x0 on. */
USER_PROGRAM(program_read, "1: ldr x1, [x0]\n"
                           "add x0, x0, #4096\n"
                           "subs x2, x2, #1\n"
                           "b.ne 1b\n"
                           "svc #0");

static struct platform_user_event read_pages(struct user_space *space, uint32_t first,
                                             uint32_t count) {
    struct platform_user *user = user_new();
    user->x[0] = USER_DATA + first * (uint64_t)ASH_PAGE_SIZE;
    user->x[2] = count;
    return user_run(space, user);
}

/* Pages [first, first + count) are read, taken away, flushed as part of [va, va + pages), and read
 * again. */
static void check_range(struct user_space *space, void *page, uint32_t first, uint32_t count,
                        uint64_t va, uint64_t pages, bool leaf_only) {
    for (uint32_t i = first; i < first + count; i++)
        user_space_map(space, i, page, USER_READ);
    CHECK_EQ(read_pages(space, first, count).cause, PLATFORM_USER_CALL);
    for (uint32_t i = first; i < first + count; i++)
        user_space_unmap(space, i);
    platform_tlb_flush_range(space->translation.asid, va, pages, ASH_PAGE_SHIFT, leaf_only);
    for (uint32_t i = first; i < first + count; i++) {
        struct platform_user_event event = read_pages(space, i, 1);
        if (event.cause != PLATFORM_USER_ABORT ||
            event.address != USER_DATA + i * (uint64_t)ASH_PAGE_SIZE)
            test_fail(__FILE__, __LINE__, "page %u was read after the flush of %llu from 0x%llx on",
                      i, (unsigned long long)pages, (unsigned long long)va);
    }
}

TEST_CASE(user_tlb, every_page_of_a_range_is_flushed) {
    static const uint32_t counts[] = {1, 2, 3, 4, 31, 32, 33, 62, 63, 64, 65, 66, 127, 510};
    struct test_random random = test_random_from(test_seed());
    struct user_space space;
    void *page = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    user_space_init(&space, 1, program_read, program_read_end);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(counts); i++) {
        uint32_t first = (uint32_t)test_random_below(&random, PAGES + 1 - counts[i]);
        check_range(&space, page, first, counts[i], USER_DATA + first * (uint64_t)ASH_PAGE_SIZE,
                    counts[i], i % 2 == 0);
    }
    user_space_fini(&space);
}

/* A page is the first, and the last, of what is flushed: of numbers of every size. */
TEST_CASE(user_tlb, both_ends_of_a_large_range_are_flushed) {
    static const uint64_t counts[] = {64,
                                      65,
                                      1 << 11,
                                      (1 << 11) + 1,
                                      1 << 16,
                                      (1 << 16) + 3,
                                      1 << 21,
                                      (1 << 21) + 1,
                                      (1 << 22) - 1,
                                      (UINT64_C(3) << 21) + 2};
    struct user_space space;
    void *page = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    user_space_init(&space, 1, program_read, program_read_end);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(counts); i++) {
        if (!platform_tlb_has_ranges() && counts[i] > 1 << 16)
            continue;
        check_range(&space, page, 0, 1, USER_DATA, counts[i], i % 2 == 0);
        check_range(&space, page, 0, 1, USER_DATA - (counts[i] - 1) * ASH_PAGE_SIZE, counts[i],
                    i % 2 != 0);
    }
    user_space_fini(&space);
}

/* Another CPU's translations: CPU 1 runs a program that reads a page for ever. */

/* Counts at x4, until what is at x0 is no longer x2. */
USER_PROGRAM(program_watch, "1: ldr x3, [x4]\n"
                            "add x3, x3, #1\n"
                            "str x3, [x4]\n"
                            "ldr x1, [x0]\n"
                            "cmp x1, x2\n"
                            "b.eq 1b\n"
                            "svc #0");

static struct {
    struct user_space space;
    struct platform_user *user;
    struct platform_user_event event;
    uint64_t *page, *other, *counter;
    uint32_t how, has_ended, is_over, failed;
} watch;

enum how { BY_LEAVES, BY_TABLES, BY_RANGE, BY_BLOCK, BY_ASID, BY_ALL, HOWS };

static void flush(enum how how) {
    const uint32_t asid = watch.space.translation.asid;
    switch (how) {
    case BY_LEAVES:
        platform_tlb_flush_range(asid, USER_DATA, 1, 12, true);
        break;
    case BY_TABLES:
        platform_tlb_flush_range(asid, USER_DATA, 1, 12, false);
        break;
    case BY_RANGE:
        platform_tlb_flush_range(asid, USER_DATA - 3 * ASH_PAGE_SIZE, 100, 12, true);
        break;
    case BY_BLOCK:
        platform_tlb_flush_range(asid, USER_DATA, 1, 21, false);
        break;
    case BY_ASID:
        platform_tlb_flush_asid(asid);
        break;
    default:
        platform_tlb_flush_all();
        break;
    }
}

static bool comes_true(const uint64_t *value, uint64_t than) {
    ash_ns_t limit_ns = platform_now_ns() + LONG_NS;
    while (ash_load_relaxed(value) <= than && platform_now_ns() < limit_ns)
        ash_port_relax();
    return ash_load_relaxed(value) > than;
}

static bool has_ended(void) {
    ash_ns_t limit_ns = platform_now_ns() + LONG_NS / 5;
    while (ash_load_acquire(&watch.has_ended) == 0 && platform_now_ns() < limit_ns)
        ash_port_relax();
    return ash_load_acquire(&watch.has_ended) != 0;
}

static void watch_on_cpu_1(void) {
    do {
        platform_user_run(watch.user, &watch.space.translation, &watch.event);
    } while (watch.event.cause == PLATFORM_USER_INTERRUPT && ash_load_acquire(&watch.is_over) == 0);
    ash_store_release(&watch.has_ended, 1u);
}

/* Of a program that nothing else has ended. */
static void end_watch(void) {
    ash_store_release(&watch.is_over, 1u);
    ash_store_release(&watch.user->is_wanted, 1u);
    platform_wake(CPU_1);
}

static void take_page_away(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == CPU_1) {
        watch_on_cpu_1();
        return;
    }
    bool is_right = comes_true(watch.counter, 100);
    user_space_unmap(&watch.space, 0);
    flush(watch.how);
    /* Whatever it has read since, it has not read here. */
    watch.page[0] = 2;
    is_right = has_ended() && is_right && watch.event.cause == PLATFORM_USER_ABORT &&
               watch.event.address == USER_DATA;
    end_watch();
    watch.failed += !is_right;
}

static void give_another_page(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == CPU_1) {
        do
            watch_on_cpu_1();
        while (watch.event.cause == PLATFORM_USER_ABORT && ash_load_acquire(&watch.is_over) == 0);
        return;
    }
    bool is_right = comes_true(watch.counter, 100);
    user_space_unmap(&watch.space, 0);
    flush(watch.how);
    watch.page[0] = 3; /* what nobody reads any more */
    user_space_map(&watch.space, 0, watch.other, USER_READ);
    ash_ns_t limit_ns = platform_now_ns() + LONG_NS / 5;
    while (ash_load_acquire(&watch.user->x[1]) != 2 && platform_now_ns() < limit_ns)
        ash_port_relax();
    is_right = is_right && watch.user->x[1] == 2;
    end_watch();
    watch.failed += !is_right;
}

static void watch_init(enum how how) {
    watch.how = how;
    watch.has_ended = watch.is_over = 0;
    watch.user = user_new();
    watch.user->x[0] = USER_DATA;
    watch.user->x[2] = 1;
    watch.user->x[4] = USER_DATA + ASH_PAGE_SIZE;
    watch.page[0] = 1;
    watch.other[0] = 2;
    watch.counter[0] = 0;
    user_space_map(&watch.space, 0, watch.page, USER_READ);
    user_space_map(&watch.space, 1, watch.counter, USER_WRITE);
}

static void watch_all(void (*body)(void *context, uint32_t cpu)) {
    memset(&watch, 0, sizeof(watch));
    user_space_init(&watch.space, 7, program_watch, program_watch_end);
    watch.page = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    watch.other = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    watch.counter = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    for (uint32_t how = 0; how < HOWS; how++) {
        watch_init(how);
        test_run_on_cpus(body, NULL, 2);
        if (watch.failed != 0)
            test_fail(__FILE__, __LINE__, "flush %u: cause %u, read %llu", how, watch.event.cause,
                      (unsigned long long)watch.user->x[1]);
        user_space_unmap(&watch.space, 0);
        platform_tlb_flush_all();
    }
    user_space_fini(&watch.space);
}

TEST_CASE(user_tlb, a_page_that_is_taken_away_is_read_on_no_cpu) {
    watch_all(take_page_away);
}

TEST_CASE(user_tlb, another_page_in_its_place_is_what_all_cpus_read) {
    watch_all(give_another_page);
}

/* Roots */

static uint64_t ttbr0(void) {
    uint64_t value;
    __asm__ volatile("mrs %0, ttbr0_el1" : "=r"(value)::"memory");
    return value & UINT64_C(0x0000fffffffffffe);
}

static struct {
    struct user_space space;
    struct platform_user *user;
    uint32_t has_run, is_forgotten;
    uint64_t before, after;
    struct platform_user_event event;
} forgotten;

static void run_and_forget(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == CPU_1) {
        forgotten.event = user_run(&forgotten.space, forgotten.user);
        forgotten.before = ttbr0();
        ash_store_release(&forgotten.has_run, 1u);
        while (ash_load_acquire(&forgotten.is_forgotten) == 0)
            ash_port_relax();
        forgotten.after = ttbr0();
    } else {
        while (ash_load_acquire(&forgotten.has_run) == 0)
            ash_port_relax();
        platform_user_forget(forgotten.space.translation.root);
        ash_store_release(&forgotten.is_forgotten, 1u);
    }
}

TEST_CASE(user_tlb, a_root_that_is_forgotten_is_no_cpus) {
    memset(&forgotten, 0, sizeof(forgotten));
    user_space_init(&forgotten.space, 1, program_read, program_read_end);
    user_space_map(&forgotten.space, 0, test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE), USER_READ);
    const uint64_t root = forgotten.space.translation.root;
    forgotten.user = user_new();
    forgotten.user->x[0] = USER_DATA;
    forgotten.user->x[2] = 1;
    test_run_on_cpus(run_and_forget, NULL, 2);
    CHECK_EQ(forgotten.event.cause, PLATFORM_USER_CALL);
    CHECK_EQ(forgotten.before, root);
    CHECK(forgotten.after != root);
    /* The caller's own CPU; and it can run again. */
    CHECK_EQ(read_pages(&forgotten.space, 0, 1).cause, PLATFORM_USER_CALL);
    CHECK_EQ(ttbr0(), root);
    platform_user_forget(root);
    CHECK(ttbr0() != root);
    CHECK_EQ(read_pages(&forgotten.space, 0, 1).cause, PLATFORM_USER_CALL);
    user_space_fini(&forgotten.space);
}
