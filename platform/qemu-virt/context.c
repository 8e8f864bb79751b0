/* SPDX-License-Identifier: MIT */
/* context.c: the begin and the end of a context; the switch itself is context.S. */
#include <ashlar/check.h>

#include "platform.h"

/* The frame that platform_context_switch pops, in words from the stack pointer on. */
enum { FRAME_ARGUMENT = 0, FRAME_ENTRY = 1, FRAME_RETURN = 11, FRAME_WORDS = 12 };

void context_start(void);
void context_returned(void);

_Static_assert(offsetof(struct platform_context, stack_pointer) == 0, "context.S");

void context_returned(void) {
    ash_panic(__FILE__, __LINE__,
              "platform_context: an entry returned; it ends by platform_context_exit");
}

void platform_context_init(struct platform_context *context, void *stack, size_t stack_bytes,
                           void (*entry)(void *argument), void *argument) {
    ASH_REQUIRE(ash_is_aligned((uintptr_t)stack, 16) && ash_is_aligned(stack_bytes, 16) &&
                    stack_bytes >= 1024,
                "platform_context_init: %p, %zu bytes, is no stack: aligned to 16, 1 KiB or more",
                stack, stack_bytes);
    uintptr_t *frame = (uintptr_t *)stack + stack_bytes / sizeof(uintptr_t) - FRAME_WORDS;
    for (uint32_t i = 0; i < FRAME_WORDS; i++)
        frame[i] = 0;
    frame[FRAME_ARGUMENT] = (uintptr_t)argument;
    frame[FRAME_ENTRY] = (uintptr_t)entry;
    frame[FRAME_RETURN] = (uintptr_t)context_start;
    *context = (struct platform_context){
        .stack_pointer = frame, .stack = stack, .stack_bytes = stack_bytes};
}

void platform_context_exit(struct platform_context *from, struct platform_context *to) {
    platform_context_switch(from, to);
    __builtin_unreachable();
}

void platform_context_fini(struct platform_context *context) {
    context->stack_pointer = NULL;
}
