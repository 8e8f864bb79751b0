/* SPDX-License-Identifier: MIT */
/* bench_golden_user.c: see bench_golden_user.h. The tables are made by hand, a page a level: what
 * is counted is the platform's alone. */
#include "bench_golden_user.h"

#include "platform.h"
#include "user.h"

enum { LEVELS = 4, CODE = LEVELS, TO, FROM, PAGES, ENTRY_BITS = 9, ASID = 1 };

#define PAGES_ORDER 3 /* 2^3 of them are enough */
_Static_assert(PAGES <= 1 << PAGES_ORDER, "pages");

/* VMSAv8-64: a table; a page that a program reads and executes (Arm ARM D8.3). */
#define TABLE UINT64_C(3)
#define PAGE  (UINT64_C(3) | 1 << 2 | 3 << 6 | 3 << 8 | 1 << 10 | 1 << 11 | UINT64_C(1) << 53)

#define PROGRAM UINT64_C(0x400000)
#define SVC_0   0xd4000001u
#define B_BACK  0x17ffffffu /* to the instruction before */

struct golden_user {
    struct platform_user user;
    struct platform_translation translation;
    struct kernel_memory *memory;
    char *pages; /* the levels' tables, then CODE and so on */
};

static char *page_of(const struct golden_user *user, uint32_t index) {
    return user->pages + index * ASH_PAGE_SIZE;
}

/* By the MMU's addresses, whatever those of this memory are. */
static void make_program(struct golden_user *user) {
    for (uint32_t level = 0; level < LEVELS; level++) {
        uint32_t shift = ASH_PAGE_SHIFT + ENTRY_BITS * (LEVELS - 1 - level);
        uint64_t *table = (uint64_t *)(void *)page_of(user, level);
        table[PROGRAM >> shift & ((1u << ENTRY_BITS) - 1)] =
            platform_address(page_of(user, level + 1)) | (level + 1 < LEVELS ? TABLE : PAGE);
    }
    uint32_t *code = (uint32_t *)(void *)page_of(user, CODE);
    code[0] = SVC_0;
    code[1] = B_BACK;
    platform_code_written(code, 2 * sizeof(*code));
    user->translation = (struct platform_translation){platform_address(page_of(user, 0)), ASID};
    user->user.pc = PROGRAM;
    platform_tlb_flush_asid(ASID);
}

struct golden_user *golden_user_new(struct kernel_memory *memory) {
    struct golden_user *user = ash_kzalloc(&memory->heap, sizeof(*user));
    if (user == NULL)
        return NULL;
    user->memory = memory;
    user->pages = memory_pages_alloc(memory, PAGES_ORDER);
    if (user->pages == NULL) {
        ash_kfree(&memory->heap, user);
        return NULL;
    }
    for (uint32_t i = 0; i < PAGES; i++)
        platform_page_zero(page_of(user, i));
    if (platform_has_user())
        make_program(user);
    return user;
}

void golden_user_free(struct golden_user *user) {
    if (user == NULL)
        return;
    struct kernel_memory *memory = user->memory;
    platform_user_forget(user->translation.root);
    platform_tlb_flush_asid(ASID);
    memory_pages_free(memory, user->pages, PAGES_ORDER);
    ash_kfree(&memory->heap, user);
}

/* Masked but in the program: an interrupt that comes there makes a cost that does not count. */
uint32_t golden_user_call(struct golden_user *user, uint32_t overhead) {
    struct platform_user_event event;
    uint32_t cost;
    (void)overhead;
    do {
        uint32_t start = platform_cost();
        platform_user_run(&user->user, &user->translation, &event);
        cost = platform_cost() - start;
    } while (event.cause == PLATFORM_USER_INTERRUPT);
    return cost;
}

uint32_t golden_page_copy(struct golden_user *user, uint32_t overhead) {
    (void)overhead;
    uint32_t start = platform_cost();
    platform_page_copy(page_of(user, TO), page_of(user, FROM));
    return platform_cost() - start;
}

uint32_t golden_page_zero(struct golden_user *user, uint32_t overhead) {
    (void)overhead;
    uint32_t start = platform_cost();
    platform_page_zero(page_of(user, TO));
    return platform_cost() - start;
}
