/* SPDX-License-Identifier: MIT */
/*
 * board.h: what the device tree says of this machine, in one struct. Freestanding, as fdt.h is.
 *
 * Rules
 *  - What is missing and needed (memory, a CPU, an interrupt controller, a UART, a timer) is a
 *    reason; what is more than a table holds is left out and counted in `ignored`.
 *  - Interrupts are named by the controller's own number (INTID): a GIC's cells are translated
 *    here.
 */
#ifndef QEMU_VIRT_BOARD_H
#define QEMU_VIRT_BOARD_H

#include <ashlar/base.h>

#include "platform.h"
#include "qemu-virt/fdt.h"

enum {
    BOARD_MEMORY_MAX = 16,
    BOARD_RESERVED_MAX = 32,
    BOARD_CPUS_MAX = 8,
    BOARD_VIRTIO_MAX = 64,
};

enum board_psci { BOARD_PSCI_NONE, BOARD_PSCI_HVC, BOARD_PSCI_SMC };

struct board_irq {
    uint32_t intid;
    bool is_edge;
};

struct board_virtio {
    struct platform_range window;
    struct board_irq irq;
};

struct board {
    struct platform_range memory[BOARD_MEMORY_MAX];
    uint32_t memory_count;
    struct platform_range reserved[BOARD_RESERVED_MAX];
    uint32_t reserved_count;
    uint64_t cpu_mpidr[BOARD_CPUS_MAX];
    uint32_t cpu_count;
    struct board_virtio virtio[BOARD_VIRTIO_MAX]; /* by address */
    uint32_t virtio_count;
    uint32_t gic_version; /* 2 or 3 */
    struct platform_range distributor;
    struct platform_range gic_cpu; /* v2: CPU interface; v3: redistributors */
    struct platform_range uart;
    struct board_irq uart_irq;
    struct board_irq timer_irq;          /* the virtual timer's */
    struct board_irq physical_timer_irq; /* EL1's; intid 0: the tree names none */
    struct board_irq pmu_irq;            /* the same */
    enum board_psci psci;
    uint32_t psci_cpu_on;  /* function number */
    const char *arguments; /* /chosen bootargs; NULL if there are none */
    uint64_t seed;         /* made of /chosen rng-seed, which QEMU draws at each start; 0: none */
    uint32_t ignored;      /* things that did not fit a table */
};

/* NULL, or why this machine cannot be run on. */
const char *board_describe(struct board *board, const struct fdt *fdt);

/*
 * The memory less what is reserved and less `extra[]`, in whole pages, sorted; returns how many
 * ranges, at most max.
 */
uint32_t board_free_memory(const struct board *board, const struct platform_range *extra,
                           uint32_t extra_count, struct platform_range *ranges, uint32_t max);

#endif
