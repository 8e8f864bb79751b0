/* SPDX-License-Identifier: MIT */
/*
 * context.c: contexts of platform.h over context.S, and what the sanitizers are told about them:
 * one that does not know of a switch takes the other stack's frames for overflows, and two
 * contexts for one thread that races with itself.
 */
#include <ashlar/check.h>
#include <stdlib.h>

#include "hosted_internal.h"
#include "platform.h"

#if HOSTED_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if HOSTED_TSAN
#include <sanitizer/tsan_interface.h>
#endif

/* The frame that hosted_context_swap loads, in words; the stack pointer points to FRAME_POINTER. */
#if defined(__x86_64__)
enum { FRAME_ENTRY = 2, FRAME_ARGUMENT = 3, FRAME_POINTER = 6, FRAME_RETURN = 6, FRAME_WORDS = 7 };
#elif defined(__aarch64__)
enum {
    FRAME_POINTER = 0,
    FRAME_ARGUMENT = 0,
    FRAME_ENTRY = 1,
    FRAME_RETURN = 11,
    FRAME_WORDS = 20
};
#endif

void hosted_context_swap(struct platform_context *from, struct platform_context *to);
void hosted_context_start(void);
void hosted_context_entered(void);
void hosted_context_returned(void);

_Static_assert(offsetof(struct platform_context, stack_pointer) == 0, "context.S");

#if HOSTED_ASAN

/* Who switched last on this thread: where its stack lies is learned on arrival. */
static __thread struct platform_context *left;

static void before_switch(struct platform_context *from, struct platform_context *to,
                          bool for_ever) {
    left = from;
    __sanitizer_start_switch_fiber(for_ever ? NULL : &from->tool, to->stack, to->stack_bytes);
}

/* Not inlined: the context may be on another thread than before, whose `left` is another. */
__attribute__((noinline)) static void after_switch(struct platform_context *self) {
    __sanitizer_finish_switch_fiber(self == NULL ? NULL : self->tool, &left->stack,
                                    &left->stack_bytes);
}

#elif HOSTED_TSAN

/*
 * A signal that came is kept with the context that ran, until that one's next call of libc. This is
 * the last one on this CPU, whose interrupt it is; and from here on none comes. The same when a
 * context is made or finished: the tool switches to it for a while, and what comes then would be
 * kept until it runs, on any CPU, or be lost with it.
 */
static void block_signals(int how) {
    sigset_t interrupts;
    hosted_signals(&interrupts);
    pthread_sigmask(how, &interrupts, NULL);
}

/* Inlined, as what a function does at its end would be another context's. */
__attribute__((always_inline)) static inline void before_switch(struct platform_context *from,
                                                                struct platform_context *to,
                                                                bool for_ever) {
    (void)for_ever;
    block_signals(SIG_BLOCK);
    from->tool = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(to->tool, 0);
}

static void after_switch(struct platform_context *self) {
    (void)self;
    block_signals(SIG_UNBLOCK);
}

#else

static inline void before_switch(struct platform_context *from, struct platform_context *to,
                                 bool for_ever) {
    (void)from, (void)to, (void)for_ever;
}

static inline void after_switch(struct platform_context *self) {
    (void)self;
}

#endif

void hosted_context_entered(void) {
    hosted_signals_prepare();
    after_switch(NULL);
}

void hosted_context_returned(void) {
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
    frame[FRAME_ENTRY] = (uintptr_t)entry;
    frame[FRAME_ARGUMENT] = (uintptr_t)argument;
    frame[FRAME_RETURN] = (uintptr_t)hosted_context_start;
    *context = (struct platform_context){
        .stack_pointer = frame + FRAME_POINTER, .stack = stack, .stack_bytes = stack_bytes};
#if HOSTED_ASAN
    __asan_unpoison_memory_region(stack, stack_bytes); /* frames of who never returned from them */
#endif
#if HOSTED_TSAN
    block_signals(SIG_BLOCK);
    context->tool = __tsan_create_fiber(0);
    block_signals(SIG_UNBLOCK);
#endif
}

#if HOSTED_ASAN || HOSTED_TSAN
void platform_context_switch(struct platform_context *from, struct platform_context *to) {
    ASH_REQUIRE(from != to, "platform_context_switch: a context switches to itself");
    before_switch(from, to, false);
    hosted_context_swap(from, to);
    after_switch(from);
}
#endif

void platform_context_exit(struct platform_context *from, struct platform_context *to) {
    before_switch(from, to, true);
    hosted_context_swap(from, to);
    abort();
}

void platform_context_fini(struct platform_context *context) {
#if HOSTED_TSAN
    block_signals(SIG_BLOCK);
    __tsan_destroy_fiber(context->tool);
    block_signals(SIG_UNBLOCK);
#endif
    context->stack_pointer = NULL;
}
