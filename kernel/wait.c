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

struct either {
    bool (*condition)(void *context);
    void *context;
    const struct kernel_work *work;
    bool is_met;
};

static bool is_met_or_ready(void *context) {
    struct either *either = context;
    either->is_met = either->condition(either->context);
    return either->is_met || either->work->is_ready(either->work->context);
}

void kernel_wait_and_work(bool (*condition)(void *context), void *context,
                          const struct kernel_work *work) {
    struct either either = {condition, context, work, false};
    ash_ns_t since_ns = platform_now_ns(), next_ns = since_ns;
    while (kernel_wait(is_met_or_ready, &either, next_ns) != 0 || !either.is_met)
        next_ns = work->run(work->context, since_ns);
}
