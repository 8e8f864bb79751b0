/* SPDX-License-Identifier: MIT */
/* wait.c: see wait.h. Masked from the test to the sleep, so no wake-up falls between the two. */
#include "wait.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "platform.h"

static struct {
    void (*call)(void *context);
    void *context;
    ash_ns_t after_ns;
} idle;

void kernel_wait_on_idle(void (*call)(void *context), void *context, ash_ns_t after_ns) {
    idle.call = call;
    idle.context = context;
    idle.after_ns = after_ns;
}

/* When the wait that begins now becomes idleness. */
static ash_ns_t idle_from(void) {
    ash_ns_t now_ns = platform_now_ns();
    return idle.call == NULL || idle.after_ns > UINT64_MAX - now_ns ? UINT64_MAX
                                                                    : now_ns + idle.after_ns;
}

int kernel_wait(bool (*condition)(void *context), void *context, ash_ns_t deadline_ns) {
    int result = 0;
    ash_ns_t idle_ns = idle_from();
    ash_irq_t state = ash_port_irq_save();
    while (!condition(context)) {
        ash_ns_t now_ns = platform_now_ns();
        if (now_ns >= deadline_ns) {
            result = -ASH_ETIMEDOUT;
            break;
        }
        if (now_ns >= idle_ns) {
            idle_ns = UINT64_MAX;
            ash_port_irq_restore(state);
            idle.call(idle.context);
            state = ash_port_irq_save();
            continue; /* what came meanwhile is looked at before the sleep */
        }
        platform_wait(ash_min_u64(deadline_ns, idle_ns));
    }
    ash_port_irq_restore(state);
    return result;
}
