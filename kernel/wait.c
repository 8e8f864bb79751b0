/* SPDX-License-Identifier: MIT */
/* wait.c: see wait.h. Masked from the test to the sleep, so no wake-up falls between the two. */
#include "wait.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "platform.h"

int kernel_wait(bool (*condition)(void *context), void *context, ash_ns_t deadline_ns) {
    int result = 0;
    ash_irq_t state = ash_port_irq_save();
    while (!condition(context)) {
        if (platform_now_ns() >= deadline_ns) {
            result = -ASH_ETIMEDOUT;
            break;
        }
        platform_wait(deadline_ns);
    }
    ash_port_irq_restore(state);
    return result;
}
