/* SPDX-License-Identifier: MIT */
/*
 * user.c: programs of user.h as far as a process has them: a test's function plays the program. No
 * MMU walks the tables that others make, so there is no TLB to flush.
 */
#include "user.h"

#include <ashlar/atomic.h>
#include <ashlar/check.h>
#include <stdio.h>
#include <string.h>

#include "hosted.h"

void (*hosted_user_program)(struct platform_user *user,
                            const struct platform_translation *translation,
                            struct platform_user_event *event);

bool platform_has_user(void) {
    return hosted_user_program != NULL;
}

void platform_user_run(struct platform_user *user, const struct platform_translation *translation,
                       struct platform_user_event *event) {
    ASH_REQUIRE(hosted_user_program != NULL,
                "platform_user_run: no test plays a program (hosted_user_program)");
    *event = (struct platform_user_event){.cause = PLATFORM_USER_INTERRUPT, .what = "wanted"};
    if (ash_load_acquire(&user->is_wanted) == 0)
        hosted_user_program(user, translation, event);
}

void platform_user_forget(uint64_t root) {
    (void)root;
}

uint32_t platform_asid_bits(void) {
    return 8;
}

uint64_t platform_kernel_root(void) {
    return 0;
}

void platform_tlb_publish(void) {
}

void platform_tlb_flush_range(uint32_t asid, uint64_t va, uint64_t count, uint32_t shift,
                              bool leaf_only) {
    (void)asid, (void)va, (void)count, (void)shift, (void)leaf_only;
}

void platform_tlb_flush_asid(uint32_t asid) {
    (void)asid;
}

void platform_tlb_flush_all(void) {
}

bool platform_tlb_has_ranges(void) {
    return false;
}

void platform_code_written(const void *bytes, size_t len) {
    (void)bytes, (void)len;
}

void platform_page_copy(void *to, const void *from) {
    memcpy(to, from, ASH_PAGE_SIZE);
}

void platform_page_zero(void *to) {
    memset(to, 0, ASH_PAGE_SIZE);
}

void platform_page_describe(char *text, size_t len) {
    snprintf(text, len, "copied by memcpy, zeroed by memset");
}
