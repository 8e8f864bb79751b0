/* SPDX-License-Identifier: MIT */
/* user_space.c: see user_space.h. Descriptors: Arm ARM D8.3. */
#include "qemu/user_space.h"

#include <ashlar/atomic.h>

#include "platform.h"

enum { ENTRIES = 512 };

#define VALID    UINT64_C(3) /* a table, or a page in the last level */
#define NORMAL   (UINT64_C(1) << 2)
#define AP_USER  (UINT64_C(1) << 6)
#define AP_READ  (UINT64_C(1) << 7)
#define INNER    (UINT64_C(3) << 8)
#define ACCESSED (UINT64_C(1) << 10)
#define NOT_ALL  (UINT64_C(1) << 11) /* nG: of this ASID alone */
#define PXN      (UINT64_C(1) << 53)
#define UXN      (UINT64_C(1) << 54)

static uint64_t page_entry(const void *page, enum user_rights rights) {
    static const uint64_t of_rights[] = {
        [USER_READ] = AP_USER | AP_READ | UXN,
        [USER_WRITE] = AP_USER | UXN,
        [USER_EXECUTE] = AP_USER | AP_READ,
        [USER_NONE] = UXN,
    };
    return platform_address(page) | VALID | NORMAL | INNER | ACCESSED | NOT_ALL | PXN |
           of_rights[rights];
}

void user_space_init(struct user_space *space, uint32_t asid, const uint32_t *begin,
                     const uint32_t *end) {
    uint64_t *table = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    size_t bytes = (size_t)((const char *)end - (const char *)begin);
    space->translation = (struct platform_translation){platform_address(table), asid};
    for (uint32_t shift = 39; shift > ASH_PAGE_SHIFT; shift -= 9) {
        uint64_t *below = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
        table[USER_CODE >> shift & (ENTRIES - 1)] = platform_address(below) | VALID;
        table = below;
    }
    CHECK(bytes <= ASH_PAGE_SIZE);
    space->leaves = table;
    space->code = test_alloc(ASH_PAGE_SIZE, ASH_PAGE_SIZE);
    memcpy(space->code, begin, bytes);
    platform_code_written(space->code, bytes);
    table[0] = page_entry(space->code, USER_EXECUTE);
    platform_tlb_flush_asid(asid);
}

void user_space_map(struct user_space *space, uint32_t index, void *page, enum user_rights rights) {
    CHECK(index + 1 < ENTRIES);
    ash_store_release(&space->leaves[index + 1], page_entry(page, rights));
    platform_tlb_publish();
}

void user_space_unmap(struct user_space *space, uint32_t index) {
    ash_store_release(&space->leaves[index + 1], UINT64_C(0));
}

void user_space_fini(struct user_space *space) {
    platform_user_forget(space->translation.root);
    platform_tlb_flush_asid(space->translation.asid);
}

struct platform_user *user_new(void) {
    struct platform_user *user = test_alloc(sizeof(*user), 16);
    user->pc = USER_CODE;
    user->sp = USER_DATA;
    return user;
}

struct platform_user_event user_run(struct user_space *space, struct platform_user *user) {
    struct platform_user_event event;
    do {
        platform_user_run(user, &space->translation, &event);
    } while (event.cause == PLATFORM_USER_INTERRUPT);
    return event;
}
