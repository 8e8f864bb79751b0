/* SPDX-License-Identifier: MIT */
/* each_cpu.c: see each_cpu.h. */
#include "each_cpu.h"

#include <ashlar/error.h>
#include <ashlar/port.h>

#include "thread.h"

struct visit {
    int (*fn)(void *context, uint32_t cpu);
    void *context;
    uint32_t cpu;
    int error;
};

static void run(void *context) {
    struct visit *visit = context;
    visit->error = visit->fn(visit->context, visit->cpu);
}

static int send(struct visit *visit) {
    const struct thread_options options = {
        .name = "visit",
        .attributes.affinity = UINT64_C(1) << visit->cpu,
    };
    uint32_t id;
    int error = thread_create(&options, run, visit, &id, NULL);
    if (error == 0)
        error = thread_join(id, UINT64_MAX);
    return error == 0 ? visit->error : error;
}

int each_cpu(int (*fn)(void *context, uint32_t cpu), void *context) {
    struct visit visit = {.fn = fn, .context = context};
    uint32_t count = threads_cpu_count();
    int error = 0;
    if (count <= 1) { /* nowhere else to go */
        ash_port_pin(&visit.cpu);
        ash_port_unpin();
        run(&visit);
        return visit.error;
    }
    for (; visit.cpu < count && error == 0; visit.cpu++)
        error = send(&visit);
    return error;
}
