/* SPDX-License-Identifier: MIT */
/* Cases of the interrupt controller, with a shared interrupt that no device of the machine has. */
#include "qemu-virt/gic.h"

#include <ashlar/port.h>

#include "harness/test.h"
#include "platform.h"
#include "qemu-virt/direct_map.h"
#include "qemu-virt/mmio.h"

enum { INTID = 250, ROUNDS = 50, GICD_ISPENDR = 0x200 };

/* Of QEMU's virt machine, whichever version it has. */
#define DISTRIBUTOR direct_map(UINT64_C(0x08000000))

static struct {
    uint32_t is_connected[ROUNDS]; /* each a handler's context */
    uint32_t is_over;
    uint32_t begun, handled, late;
} line;

static void handle_slowly(void *context) {
    ash_store_release(&line.begun, line.begun + 1);
    for (volatile uint32_t delay = 50000; delay != 0; delay--)
        continue;
    line.handled++;
    line.late += ash_load_acquire((const uint32_t *)context) == 0;
}

/* CPU 0 handles, CPU 1 connects, raises and disconnects, while its handler runs. */
static void connect_and_handle(void *context, uint32_t cpu) {
    (void)context;
    if (cpu == 0) {
        while (ash_load_acquire(&line.is_over) == 0)
            ash_port_relax();
        return;
    }
    for (uint32_t round = 0; round < ROUNDS; round++) {
        ash_store_release(&line.is_connected[round], 1u);
        gic_connect(INTID, true, handle_slowly, &line.is_connected[round]);
        mmio_write32(DISTRIBUTOR + GICD_ISPENDR + INTID / 32 * 4, 1u << INTID % 32);
        ash_ns_t limit_ns = platform_now_ns() + UINT64_C(10000000000);
        while (ash_load_acquire(&line.begun) == round && platform_now_ns() < limit_ns)
            ash_port_relax();
        gic_connect(INTID, true, NULL, NULL);
        ash_store_release(&line.is_connected[round], 0u);
    }
    ash_store_release(&line.is_over, 1u);
}

TEST_CASE(gic, handler_that_another_cpu_has_disconnected_runs_no_more) {
    memset(&line, 0, sizeof(line));
    test_run_on_cpus(connect_and_handle, NULL, 2);
    CHECK_EQ(line.handled, ROUNDS);
    CHECK_EQ(line.late, 0);
}
