/* SPDX-License-Identifier: MIT */
/* gic.c: what both versions share: handlers and their dispatch. See gic.h. */
#include "gic.h"

#include <ashlar/check.h>

#include "cpu.h"
#include "mmio.h"
#include "platform.h"

static const struct gic_driver *driver;
static struct {
    void (*handler)(void *context); /* store-released after its context */
    void *context;
} handlers[GIC_INTIDS];

/* Taken with interrupts masked: of those who connect, whose registers have bits of several. */
static struct ash_spinlock connect_lock;

/* The shared interrupt whose handler CPU 0 is about to call, or calls; 0: none. */
static uint32_t shared_running;

static void enable(uint32_t intid) {
    mmio_write32(driver->registers(intid) + GICD_ISENABLER + intid / 32 * 4, 1u << intid % 32);
}

static void disable(uint32_t intid) {
    mmio_write32(driver->registers(intid) + GICD_ICENABLER + intid / 32 * 4, 1u << intid % 32);
    driver->settle(intid);
}

static void set_edge(uint32_t intid, bool is_edge) {
    uint64_t address = driver->registers(intid) + GICD_ICFGR + intid / 16 * 4;
    uint32_t bit = 2u << intid % 16 * 2;
    uint32_t value = mmio_read32(address);
    mmio_write32(address, is_edge ? value | bit : value & ~bit);
}

void gic_init(const struct board *board) {
    driver = board->gic_version == 3 ? &gic_v3 : &gic_v2;
    driver->init(board);
    gic_init_cpu();
}

void gic_init_cpu(void) {
    driver->init_cpu();
    for (uint32_t intid = 0; intid < GIC_FIRST_SHARED; intid++) {
        if (handlers[intid].handler != NULL)
            enable(intid);
    }
}

void gic_connect(uint32_t intid, bool is_edge, void (*handler)(void *context), void *context) {
    ASH_REQUIRE(intid < GIC_INTIDS, "gic: no interrupt %u: the last is %d", intid, GIC_INTIDS - 1);
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&connect_lock);
    disable(intid);
    ash_store_relaxed(&handlers[intid].handler, NULL);
    ash_fence(); /* with that of run_shared: it sees the NULL, or is seen here */
    while (intid >= GIC_FIRST_SHARED && ash_load_acquire(&shared_running) == intid)
        ash_port_relax();
    if (handler != NULL) {
        handlers[intid].context = context;
        ash_store_release(&handlers[intid].handler, handler);
        if (intid >= GIC_FIRST_SHARED)
            set_edge(intid, is_edge);
        enable(intid);
    }
    ash_spin_unlock(&connect_lock);
    ash_port_irq_restore(state);
}

void gic_send(uint32_t cpu, uint32_t sgi) {
    /* What was written before is seen by whoever takes the interrupt. Masked: a driver may ask on
     * which CPU it is, and then act on that. */
    ash_irq_t state = ash_port_irq_save();
    __asm__ volatile("dsb ish" ::: "memory");
    driver->send(cpu, sgi);
    ash_port_irq_restore(state);
}

static void run(uint32_t intid) {
    void (*handler)(void *) = ash_load_acquire(&handlers[intid].handler);
    if (handler != NULL)
        handler(handlers[intid].context);
}

static void run_shared(uint32_t intid) {
    ash_store_relaxed(&shared_running, intid);
    ash_fence();
    run(intid);
    ash_store_release(&shared_running, 0u);
}

void (*platform_around_interrupt)(uint32_t line, bool begins);

static void run_any(uint32_t intid) {
    if (intid < GIC_FIRST_SHARED)
        run(intid);
    else
        run_shared(intid);
}

static void __attribute__((noinline))
run_told(uint32_t intid, void (*around)(uint32_t line, bool begins)) {
    around(intid, true);
    run_any(intid);
    around(intid, false);
}

void gic_dispatch(const struct interrupted *interrupted, enum cpu_interrupts kind) {
    struct cpu *cpu = cpu_this();
    cpu->interrupted = interrupted;
    cpu->dispatch_record = __builtin_frame_address(0);
    cpu->in_interrupt = kind;
    for (;;) {
        uint32_t intid;
        uint32_t token = driver->acknowledge(&intid);
        if (intid >= GIC_INTIDS) /* 1020..1023: nothing is pending */
            break;
        void (*around)(uint32_t, bool) = ash_load_relaxed(&platform_around_interrupt);
        if (ASH_LIKELY(around == NULL))
            run_any(intid);
        else
            run_told(intid, around);
        driver->complete(token);
    }
    cpu->in_interrupt = 0;
}
