/* SPDX-License-Identifier: MIT */
/* gic.c: what both versions share: handlers and their dispatch. See gic.h. */
#include "gic.h"

#include <ashlar/check.h>

#include "cpu.h"

enum { FIRST_SHARED = 32 };

static const struct gic_driver *driver;
static struct {
    void (*handler)(void *context);
    void *context;
} handlers[GIC_INTIDS];

void gic_init(const struct board *board) {
    driver = board->gic_version == 3 ? &gic_v3 : &gic_v2;
    driver->init(board);
    gic_init_cpu();
}

void gic_init_cpu(void) {
    driver->init_cpu();
    for (uint32_t intid = 0; intid < FIRST_SHARED; intid++) {
        if (handlers[intid].handler != NULL)
            driver->enable(intid, true);
    }
}

void gic_connect(uint32_t intid, bool is_edge, void (*handler)(void *context), void *context) {
    ASH_REQUIRE(intid < GIC_INTIDS, "gic: no interrupt %u: the last is %d", intid, GIC_INTIDS - 1);
    ash_irq_t state = ash_port_irq_save();
    driver->enable(intid, false);
    handlers[intid].handler = handler;
    handlers[intid].context = context;
    if (handler != NULL) {
        if (intid >= FIRST_SHARED)
            driver->set_edge(intid, is_edge);
        driver->enable(intid, true);
    }
    ash_port_irq_restore(state);
}

void gic_send(uint32_t cpu, uint32_t sgi) {
    /* What was written before is seen by whoever takes the interrupt. */
    __asm__ volatile("dsb ish" ::: "memory");
    driver->send(cpu, sgi);
}

void gic_dispatch(void) {
    struct cpu *cpu = cpu_this();
    cpu->in_interrupt = 1;
    for (;;) {
        uint32_t intid;
        uint32_t token = driver->acknowledge(&intid);
        if (intid >= GIC_INTIDS) /* 1020..1023: nothing is pending */
            break;
        if (handlers[intid].handler != NULL)
            handlers[intid].handler(handlers[intid].context);
        driver->complete(token);
    }
    cpu->in_interrupt = 0;
}
