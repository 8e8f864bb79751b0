/* SPDX-License-Identifier: MIT */
/*
 * bench_golden_user.h: what a program and its pages cost the kernel: a system call, to the platform
 * and back, and whole pages.
 */
#ifndef KERNEL_BENCH_GOLDEN_USER_H
#define KERNEL_BENCH_GOLDEN_USER_H

#include "memory.h"

struct golden_user;

/* NULL: no memory. */
struct golden_user *golden_user_new(struct kernel_memory *memory);
void golden_user_free(struct golden_user *user); /* NULL is nothing */

/* Masked; what each returns contains `overhead` once. */
typedef uint32_t golden_user_fn(struct golden_user *user, uint32_t overhead);

/* platform_user_run of a program that is behind an SVC and does the next one: 2 instructions are
 * the program's. Where the platform has programs. */
golden_user_fn golden_user_call;

/* platform_page_copy, platform_page_zero. */
golden_user_fn golden_page_copy;
golden_user_fn golden_page_zero;

#endif
