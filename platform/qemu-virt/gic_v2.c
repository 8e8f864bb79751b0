/* SPDX-License-Identifier: MIT */
/* gic_v2.c: GICv2, memory-mapped CPU interface, at most 8 CPUs. IHI 0048B, chapter 4. */
#include "cpu.h"
#include "direct_map.h"
#include "gic.h"
#include "mmio.h"

enum {
    GICD_ITARGETSR = 0x800,
    GICD_SGIR = 0xf00,
    GICC_CTLR = 0x00,
    GICC_PMR = 0x04,
    GICC_IAR = 0x0c,
    GICC_EOIR = 0x10,
    SGIR_SELF = 2 << 24,
    INTID_MASK = 0x3ff,
};

static uint64_t distributor, interface;
static uint8_t cpu_mask[ASH_PORT_CPUS_MAX]; /* a CPU's bit in the distributor's eyes */

static void init(const struct board *board) {
    distributor = direct_map(board->distributor.base);
    interface = direct_map(board->gic_cpu.base);
    mmio_write32(distributor + GICD_CTLR, 0);
    /* The first targets register is read-only: the mask of the CPU that reads it, in each byte
     * (4.3.12); 0 where there is but one CPU. */
    uint32_t targets = mmio_read32(distributor + GICD_ITARGETSR);
    uint32_t lines = 32 * ((mmio_read32(distributor + GICD_TYPER) & 31) + 1);
    for (uint32_t intid = 32; intid < lines && intid < GIC_INTIDS; intid += 4) {
        mmio_write32(distributor + GICD_IPRIORITYR + intid, (uint32_t)GIC_PRIORITIES);
        mmio_write32(distributor + GICD_ITARGETSR + intid, targets);
    }
    for (uint32_t intid = 32; intid < lines; intid += 32)
        mmio_write32(distributor + GICD_ICENABLER + intid / 8, UINT32_MAX);
    mmio_write32(distributor + GICD_CTLR, 1);
}

static void init_cpu(void) {
    cpu_mask[cpu_this()->index] = (uint8_t)mmio_read32(distributor + GICD_ITARGETSR);
    for (uint32_t intid = 0; intid < 32; intid += 4)
        mmio_write32(distributor + GICD_IPRIORITYR + intid, (uint32_t)GIC_PRIORITIES);
    mmio_write32(interface + GICC_PMR, 0xff);
    mmio_write32(interface + GICC_CTLR, 1);
}

static uint64_t registers(uint32_t intid) {
    (void)intid; /* a CPU's private ones are banked at the same addresses */
    return distributor;
}

/* 4.3.6: there is nothing to poll. */
static void settle(uint32_t intid) {
    (void)intid;
}

/* The sender itself by the filter: the only CPU of a machine has an empty mask. */
static void send(uint32_t cpu, uint32_t sgi) {
    uint32_t target = cpu == cpu_this()->index ? SGIR_SELF : (uint32_t)cpu_mask[cpu] << 16;
    mmio_write32(distributor + GICD_SGIR, target | sgi);
}

static uint32_t acknowledge(uint32_t *intid) {
    uint32_t token = mmio_read32(interface + GICC_IAR);
    *intid = token & INTID_MASK;
    return token;
}

static void complete(uint32_t token) {
    mmio_write32(interface + GICC_EOIR, token);
}

const struct gic_driver gic_v2 = {init, init_cpu, registers, settle, send, acknowledge, complete};
