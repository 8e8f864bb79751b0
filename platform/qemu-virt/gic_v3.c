/* SPDX-License-Identifier: MIT */
/* gic_v3.c: GICv3, a redistributor per CPU and the CPU interface in system registers. IHI 0069G,
 * chapter 12. All interrupts are group 1, the non-secure one. */
#include <ashlar/check.h>

#include "cpu.h"
#include "direct_map.h"
#include "gic.h"
#include "mmio.h"

enum {
    GICD_IGROUPR = 0x0080,
    GICD_IROUTER = 0x6000,
    GICD_CTLR_GROUP1 = 1 << 1,
    GICD_CTLR_ARE = 1 << 4,
    GICR_CTLR = 0x0000,
    GICR_CTLR_RWP = 1 << 3,
    GICR_TYPER = 0x0008,
    GICR_WAKER = 0x0014,
    GICR_SGI_FRAME = 0x10000, /* second 64 KiB: the private interrupts, laid out as in GICD */
    GICR_TYPER_VLPIS = 1 << 1,
    GICR_TYPER_LAST = 1 << 4,
    GICR_WAKER_SLEEP = 1 << 1,
    GICR_WAKER_ASLEEP = 1 << 2,
    INTID_MASK = 0xffffff,
};

static uint64_t distributor;
static struct platform_range redistributors;

#define GICD_CTLR_RWP (UINT32_C(1) << 31)

/* MPIDR's affinity fields 3.2.1.0, packed in 32 bits as GICR_TYPER has them. */
static uint32_t affinity(uint64_t mpidr) {
    return (uint32_t)(mpidr >> 32 & 0xff) << 24 | (uint32_t)(mpidr & 0xffffff);
}

/* GICD_CTLR.RWP, GICR_CTLR.RWP: an enable that was cleared, there or in ICENABLER, takes effect by
 * the time this reads 0; what it governs must not be changed before. */
static void wait_for_writes(uint64_t control, uint32_t pending) {
    while ((mmio_read32(control) & pending) != 0)
        ash_port_relax();
}

static void init(const struct board *board) {
    distributor = direct_map(board->distributor.base);
    redistributors = board->gic_cpu;
    mmio_write32(distributor + GICD_CTLR, 0);
    wait_for_writes(distributor + GICD_CTLR, GICD_CTLR_RWP);
    mmio_write32(distributor + GICD_CTLR, GICD_CTLR_ARE);
    uint32_t lines = 32 * ((mmio_read32(distributor + GICD_TYPER) & 31) + 1);
    for (uint32_t intid = 32; intid < lines && intid < GIC_INTIDS; intid++) {
        if (intid % 32 == 0) {
            mmio_write32(distributor + GICD_ICENABLER + intid / 8, UINT32_MAX);
            mmio_write32(distributor + GICD_IGROUPR + intid / 8, UINT32_MAX);
        }
        if (intid % 4 == 0)
            mmio_write32(distributor + GICD_IPRIORITYR + intid, (uint32_t)GIC_PRIORITIES);
        mmio_write64(distributor + GICD_IROUTER + intid * UINT64_C(8), cpu_this()->mpidr);
    }
    wait_for_writes(distributor + GICD_CTLR, GICD_CTLR_RWP);
    mmio_write32(distributor + GICD_CTLR, GICD_CTLR_ARE | GICD_CTLR_GROUP1);
}

/* The frames lie one after another; each says whose it is, and the last one that it is the last. */
static uint64_t find_redistributor(uint64_t mpidr) {
    for (uint64_t offset = 0; offset + 2 * GICR_SGI_FRAME <= redistributors.size_bytes;) {
        uint64_t frame = direct_map(redistributors.base + offset);
        uint64_t type = mmio_read64(frame + GICR_TYPER);
        if (type >> 32 == affinity(mpidr))
            return frame;
        if ((type & GICR_TYPER_LAST) != 0)
            break;
        offset += (type & GICR_TYPER_VLPIS) != 0 ? 4 * GICR_SGI_FRAME : 2 * GICR_SGI_FRAME;
    }
    return 0;
}

static void init_cpu(void) {
    struct cpu *cpu = cpu_this();
    cpu->gic_frame = find_redistributor(cpu->mpidr);
    ASH_REQUIRE(cpu->gic_frame != 0, "gic: no redistributor for the CPU with affinity 0x%x",
                affinity(cpu->mpidr));
    uint64_t waker = cpu->gic_frame + GICR_WAKER, frame = cpu->gic_frame + GICR_SGI_FRAME;
    mmio_write32(waker, mmio_read32(waker) & ~(uint32_t)GICR_WAKER_SLEEP);
    while ((mmio_read32(waker) & GICR_WAKER_ASLEEP) != 0)
        ash_port_relax();
    mmio_write32(frame + GICD_IGROUPR, UINT32_MAX);
    for (uint32_t intid = 0; intid < 32; intid += 4)
        mmio_write32(frame + GICD_IPRIORITYR + intid, (uint32_t)GIC_PRIORITIES);

    uint64_t sre;
    __asm__ volatile("mrs %0, s3_0_c12_c12_5" : "=r"(sre)); /* ICC_SRE_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_5, %0\n\tisb" ::"r"(sre | 1));
    __asm__ volatile("msr s3_0_c4_c6_0, %0" ::"r"(UINT64_C(0xff))); /* ICC_PMR_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_3, xzr");                    /* ICC_BPR1_EL1 */
    __asm__ volatile("msr s3_0_c12_c12_4, xzr"); /* ICC_CTLR_EL1: EOI drops both */
    __asm__ volatile("msr s3_0_c12_c12_7, %0\n\tisb" ::"r"(UINT64_C(1))); /* ICC_IGRPEN1_EL1 */
}

static uint64_t registers(uint32_t intid) {
    return intid < GIC_FIRST_SHARED ? cpu_this()->gic_frame + GICR_SGI_FRAME : distributor;
}

static void settle(uint32_t intid) {
    if (intid < GIC_FIRST_SHARED)
        wait_for_writes(cpu_this()->gic_frame + GICR_CTLR, GICR_CTLR_RWP);
    else
        wait_for_writes(distributor + GICD_CTLR, GICD_CTLR_RWP);
}

/* ICC_SGI1R_EL1: affinity 3.2.1, and bit n of the target list for affinity 0 = 16 * RS + n. */
static void send(uint32_t cpu, uint32_t sgi) {
    uint64_t mpidr = cpus[cpu].mpidr;
    uint64_t aff0 = mpidr & 0xff, aff1 = mpidr >> 8 & 0xff, aff2 = mpidr >> 16 & 0xff,
             aff3 = mpidr >> 32 & 0xff;
    uint64_t value = aff3 << 48 | aff0 / 16 << 44 | aff2 << 32 | (uint64_t)sgi << 24 | aff1 << 16 |
                     UINT64_C(1) << aff0 % 16;
    __asm__ volatile("msr s3_0_c12_c11_5, %0\n\tisb" ::"r"(value) : "memory");
}

static uint32_t acknowledge(uint32_t *intid) {
    uint64_t token;
    __asm__ volatile("mrs %0, s3_0_c12_c12_0\n\tdsb sy" : "=r"(token)::"memory"); /* ICC_IAR1_EL1 */
    *intid = (uint32_t)token & INTID_MASK;
    return (uint32_t)token;
}

static void complete(uint32_t token) {
    __asm__ volatile("msr s3_0_c12_c12_1, %0\n\tisb" ::"r"((uint64_t)token) : "memory"); /* EOIR1 */
}

const struct gic_driver gic_v3 = {init, init_cpu, registers, settle, send, acknowledge, complete};
