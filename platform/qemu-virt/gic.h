/* SPDX-License-Identifier: MIT */
/*
 * gic.h: the interrupt controller, GICv2 (IHI 0048B) or GICv3 (IHI 0069), chosen at boot.
 *
 * Rules
 *  - Shared interrupts go to CPU 0; handlers run with interrupts masked and do not nest.
 *  - One priority for all. Private interrupts are connected at boot, shared ones at any time.
 */
#ifndef QEMU_VIRT_GIC_H
#define QEMU_VIRT_GIC_H

#include <ashlar/base.h>

#include "board.h"
#include "cpu.h"

enum { GIC_INTIDS = 1020, GIC_FIRST_SHARED = 32 };

/* Where both versions have these, in the distributor and in a redistributor's frame. */
enum {
    GICD_CTLR = 0x000,
    GICD_TYPER = 0x004,
    GICD_ISENABLER = 0x100,
    GICD_ICENABLER = 0x180,
    GICD_IPRIORITYR = 0x400,
    GICD_ICFGR = 0xc00,
    GIC_PRIORITIES = (int)0xa0a0a0a0, /* four interrupts' */
};

/* Software interrupts. */
enum { GIC_SGI_WAKE, GIC_SGI_STOP, GIC_SGI_CALL, GIC_SGI_FORGET };

/* The distributor and CPU 0's part; then the part of every other CPU, called on it. */
void gic_init(const struct board *board);
void gic_init_cpu(void);

/*
 * Connects and enables an interrupt; NULL disables it. When it returns, the handler before runs no
 * more: so not in a handler, and with no lock held that one takes. A private interrupt (below 32)
 * must be enabled on each CPU: gic_init_cpu does it for those connected before.
 */
void gic_connect(uint32_t intid, bool is_edge, void (*handler)(void *context), void *context);

/* Raises a software interrupt on a CPU, perhaps this one. */
void gic_send(uint32_t cpu, uint32_t sgi);

/*
 * Runs the handlers of all that is pending. interrupted: what a sampler is told (exception.h):
 * the registers of what an exception interrupted, NULL: the caller waited.
 */
void gic_dispatch(const struct interrupted *interrupted, enum cpu_interrupts kind);

/* What the two versions do differently. */
struct gic_driver {
    void (*init)(const struct board *board);
    void (*init_cpu)(void);
    uint64_t (*registers)(
        uint32_t intid);            /* the frame that has this CPU's GICD_* of an interrupt */
    void (*settle)(uint32_t intid); /* waits until a disable there has taken effect */
    void (*send)(uint32_t cpu, uint32_t sgi);
    uint32_t (*acknowledge)(uint32_t *intid); /* returns what `complete` wants back */
    void (*complete)(uint32_t token);
};

extern const struct gic_driver gic_v2, gic_v3;

#endif
