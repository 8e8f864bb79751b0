/* SPDX-License-Identifier: MIT */
/*
 * user_stack.h: what a program finds on its stack when it begins: its arguments, its environment,
 * and the auxiliary vector, which tells its C library about itself and the machine. It is made in
 * a buffer of the kernel's, and then copied to the new address space as one piece.
 *
 *     user_stack_begin(&stack, buffer, sizeof(buffer), "bin/sort");
 *     user_stack_push(&stack, "sort");  user_stack_push(&stack, "-n");
 *     user_stack_end_arguments(&stack);
 *     user_stack_push(&stack, "HOME=/");
 *     sp = user_stack_finish(&stack, &facts, top, &image, &len);   ... copy len bytes to sp
 *
 * Rules
 *  - Strings are added first, arguments before environment, each copied at once: where they came
 *    from may be gone when the stack is finished. A whole stack that does not fit the buffer is
 *    refused when the string is added; from then on nothing can fail.
 *  - sp is a multiple of 16 (Procedure Call Standard for the Arm 64-bit Architecture, 6.4.5.1).
 *  - Pure; O(bytes). The caller has the buffer to itself.
 *
 * Source: System V ABI, "Process Initialization"; the auxiliary vector's numbers are Linux's
 * (include/uapi/linux/auxvec.h), whose arm64 programs this is for.
 *
 *     top  +-----------------------------------------------+
 *          | 8 zeros, path, "aarch64", 16 random bytes      |
 *          | the strings: arguments, then environment       |
 *          +-----------------------------------------------+ (gap of less than 16)
 *          | auxiliary vector: {number, value} ... {0, 0}   |
 *          | pointers to the environment's strings, NULL    |
 *          | pointers to the arguments, NULL                |
 *     sp   | how many arguments there are                   |
 *          +-----------------------------------------------+
 */
#ifndef KERNEL_USER_STACK_H
#define KERNEL_USER_STACK_H

#include <ashlar/base.h>

enum {
    USER_STACK_BYTES_MAX = 128 << 10, /* as large as a buffer needs to be: POSIX wants 4 KiB */
    USER_STACK_RANDOM_BYTES = 16,
};

/* Of the program and the machine; addresses as they are in the new address space. */
struct user_stack_facts {
    uint64_t headers; /* its program headers; 0: they are not in memory */
    uint32_t header_bytes, header_count;
    uint64_t entry;
    uint64_t hwcap, hwcap2;          /* what the CPUs can do, in Linux's bits */
    uint64_t signal_stack_bytes;     /* the least that a handler's stack must have */
    uint32_t clock_ticks_per_second; /* of times(2) */
    uint8_t random[USER_STACK_RANDOM_BYTES];
};

/* Private. */
struct user_stack {
    uint8_t *buffer;
    size_t buffer_bytes, used_bytes; /* strings lie at the front of it until the end */
    const char *path;
    uint32_t argument_count, environment_count;
    bool in_environment;
};

/*
 * Begins with a buffer of any size and alignment, and the path by which the program was found,
 * which stays where it is until the stack is finished. -ASH_E2BIG: the path alone is too long.
 */
ASH_MUST_CHECK int user_stack_begin(struct user_stack *stack, void *buffer, size_t buffer_bytes,
                                    const char *path);

/* Where the next string may be put, and the longest that fits, without its NUL; NULL: none does. */
char *user_stack_room(const struct user_stack *stack, size_t *len_max);

/* What was put there, of `len` bytes and no NUL among them, is the next string. */
void user_stack_add(struct user_stack *stack, size_t len);

/* A string of the kernel's own. -ASH_E2BIG: it does not fit. */
ASH_MUST_CHECK int user_stack_push(struct user_stack *stack, const char *string);

/* What is added from now on is the environment. */
void user_stack_end_arguments(struct user_stack *stack);

/*
 * Returns sp, for a stack that ends before `top`, a multiple of 16; *image, inside of the buffer,
 * are the *len bytes from there to the top. The stack object is used up.
 */
uint64_t user_stack_finish(struct user_stack *stack, const struct user_stack_facts *facts,
                           uint64_t top, const uint8_t **image, size_t *len);

#endif
