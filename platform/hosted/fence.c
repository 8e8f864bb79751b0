/* SPDX-License-Identifier: MIT */
/*
 * fence.c: the asymmetric fence, by membarrier(2): Linux executes a full barrier on every CPU that
 * runs a thread of this process. Microseconds, so that the other side pays nothing.
 *
 * The flag is set only after the process has been registered, and never cleared; who fences heavily
 * asks Linux whatever the flag says. So whoever has seen it set is always answered by a barrier.
 */
#include <ashlar/port.h>
#include <linux/membarrier.h>
#include <sys/syscall.h>
#include <unistd.h>

uint32_t hosted_fences_are_asymmetric;

static long membarrier(int command) {
    return syscall(SYS_membarrier, command, 0, 0);
}

static void __attribute__((constructor)) register_process(void) {
    if (membarrier(MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED) == 0)
        ash_store_relaxed(&hosted_fences_are_asymmetric, 1u);
}

void hosted_fence_heavy(void) {
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) == 0)
        return;
    register_process();
    if (membarrier(MEMBARRIER_CMD_PRIVATE_EXPEDITED) != 0)
        ash_fence();
}
