/* SPDX-License-Identifier: MIT */
/*
 * stack.c: stacks above a guard. Linux gives the memory: the kernel's pages, of a mapping of their
 * own, cannot be in two places, so they lie idle meanwhile.
 */
#include <ashlar/check.h>
#include <sys/mman.h>

#include "hosted_internal.h"
#include "platform.h"

#if HOSTED_ASAN
#include <sanitizer/asan_interface.h>
#endif

enum { GUARD_BYTES = 64 << 10 };

/*
 * guard is 0 in a free slot. The lock, taken with interrupts masked, is for who makes and frees
 * them; a fault looks without it, for the CPU that faulted may hold it.
 */
static struct ash_spinlock lock;
static struct stack {
    uintptr_t guard;
    size_t size_bytes;
    const char *name;
} stacks[PLATFORM_STACKS_MAX];

static char *map(size_t size_bytes) {
    char *guard =
        mmap(NULL, GUARD_BYTES + size_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (guard == MAP_FAILED)
        return NULL;
    if (mprotect(guard + GUARD_BYTES, size_bytes, PROT_READ | PROT_WRITE) == 0)
        return guard;
    munmap(guard, GUARD_BYTES + size_bytes);
    return NULL;
}

/* Who is never switched to again has left frames, and Linux gives the addresses again: to the
 * address sanitizer nothing of such a frame may be looked at still. */
static void forget_frames(void *stack, size_t size_bytes) {
#if HOSTED_ASAN
    __asan_unpoison_memory_region(stack, size_bytes);
#else
    (void)stack, (void)size_bytes;
#endif
}

/* false: no slot is free. */
static bool enter(uintptr_t guard, size_t size_bytes, const char *name) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&lock);
    uint32_t i = 0;
    while (i < PLATFORM_STACKS_MAX && stacks[i].guard != 0)
        i++;
    if (i < PLATFORM_STACKS_MAX) {
        stacks[i].size_bytes = size_bytes;
        stacks[i].name = name;
        ash_store_release(&stacks[i].guard, guard);
    }
    ash_spin_unlock(&lock);
    ash_port_irq_restore(state);
    return i < PLATFORM_STACKS_MAX;
}

/* The size of the stack that was there; 0: none was. */
static size_t leave(uintptr_t guard) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&lock);
    size_t size_bytes = 0;
    for (uint32_t i = 0; i < PLATFORM_STACKS_MAX && size_bytes == 0; i++) {
        if (stacks[i].guard == guard) {
            size_bytes = stacks[i].size_bytes;
            ash_store_release(&stacks[i].guard, (uintptr_t)0);
        }
    }
    ash_spin_unlock(&lock);
    ash_port_irq_restore(state);
    return size_bytes;
}

void *hosted_stack_map(size_t size_bytes, const char *name) {
    char *guard = map(size_bytes);
    if (guard == NULL)
        return NULL;
    forget_frames(guard + GUARD_BYTES, size_bytes);
    if (enter((uintptr_t)guard, size_bytes, name))
        return guard + GUARD_BYTES;
    munmap(guard, GUARD_BYTES + size_bytes);
    return NULL;
}

bool hosted_stack_bounds(uintptr_t address, uintptr_t *low, uintptr_t *high) {
    for (uint32_t i = 0; i < PLATFORM_STACKS_MAX; i++) {
        uintptr_t guard = ash_load_acquire(&stacks[i].guard);
        if (guard != 0 && address - (guard + GUARD_BYTES) < stacks[i].size_bytes) {
            *low = guard + GUARD_BYTES;
            *high = *low + stacks[i].size_bytes;
            return true;
        }
    }
    return false;
}

const char *hosted_stack_of_guard(uintptr_t address) {
    for (uint32_t i = 0; i < PLATFORM_STACKS_MAX; i++) {
        uintptr_t guard = ash_load_acquire(&stacks[i].guard);
        if (guard != 0 && address - guard < GUARD_BYTES)
            return stacks[i].name;
    }
    return NULL;
}

void *platform_stack_map(void *pages, size_t size_bytes, const char *name) {
    ASH_REQUIRE(ash_is_aligned((uintptr_t)pages, ASH_PAGE_SIZE) && size_bytes != 0 &&
                    ash_is_aligned(size_bytes, ASH_PAGE_SIZE) &&
                    size_bytes <= PLATFORM_STACK_BYTES_MAX,
                "platform_stack_map: %p, %zu bytes: whole pages, at most %d bytes", pages,
                size_bytes, PLATFORM_STACK_BYTES_MAX);
    return hosted_stack_map(size_bytes, name);
}

void platform_stack_unmap(void *stack) {
    char *guard = (char *)stack - GUARD_BYTES;
    size_t size_bytes = leave((uintptr_t)guard);
    ASH_REQUIRE(size_bytes != 0, "platform_stack_unmap: %p is no stack", stack);
    munmap(guard, GUARD_BYTES + size_bytes);
}
