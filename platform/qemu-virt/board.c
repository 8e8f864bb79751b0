/* SPDX-License-Identifier: MIT */
/* board.c: see board.h. The bindings are those of the Devicetree Specification and of Linux. */
#include "qemu-virt/board.h"

#include <ashlar/checked.h>
#include <string.h>

/* Cells of `interrupts` for a GIC: kind, number, flags. */
enum { GIC_CELLS = 3, GIC_SPI = 0, GIC_PPI = 1, GIC_FLAG_EDGE = 3 };

static bool read_irq(const struct fdt_node *node, uint32_t index, struct board_irq *irq) {
    uint32_t kind, number, flags;
    if (!fdt_cell(node, "interrupts", index * GIC_CELLS, &kind) ||
        !fdt_cell(node, "interrupts", index * GIC_CELLS + 1, &number) ||
        !fdt_cell(node, "interrupts", index * GIC_CELLS + 2, &flags))
        return false;
    if ((kind == GIC_SPI && number > 987) || (kind == GIC_PPI && number > 15) || kind > GIC_PPI)
        return false;
    irq->intid = number + (kind == GIC_SPI ? 32 : 16);
    irq->is_edge = (flags & GIC_FLAG_EDGE) != 0;
    return true;
}

/* A range that is neither empty nor wraps around. */
static bool read_range(const struct fdt_node *node, uint32_t index, struct platform_range *range) {
    uint64_t end;
    return fdt_reg(node, index, &range->base, &range->size_bytes) && range->size_bytes != 0 &&
           ash_add_u64(range->base, range->size_bytes, &end);
}

static void add_ranges(struct board *board, const struct fdt_node *node,
                       struct platform_range *ranges, uint32_t *count, uint32_t max) {
    struct platform_range range;
    for (uint32_t i = 0; read_range(node, i, &range); i++) {
        if (*count < max)
            ranges[(*count)++] = range;
        else
            board->ignored++;
    }
}

static bool is_disabled(const struct fdt_node *node) {
    const char *status = fdt_string(node, "status");
    return status != NULL && strcmp(status, "okay") != 0 && strcmp(status, "ok") != 0;
}

static bool is_kind(const struct fdt_node *node, const char *device_type) {
    const char *type = fdt_string(node, "device_type");
    return type != NULL && strcmp(type, device_type) == 0;
}

static void read_cpu(struct board *board, const struct fdt_node *node) {
    uint64_t mpidr, none;
    if (!fdt_reg(node, 0, &mpidr, &none))
        return;
    if (board->cpu_count < BOARD_CPUS_MAX)
        board->cpu_mpidr[board->cpu_count++] = mpidr;
    else
        board->ignored++;
}

/* Inserted in the order of addresses: QEMU's tree lists them so, another's may not. */
static void read_virtio(struct board *board, const struct fdt_node *node) {
    struct board_virtio slot;
    if (!read_range(node, 0, &slot.window) || !read_irq(node, 0, &slot.irq))
        return;
    if (board->virtio_count == BOARD_VIRTIO_MAX) {
        board->ignored++;
        return;
    }
    uint32_t i = board->virtio_count++;
    for (; i > 0 && board->virtio[i - 1].window.base > slot.window.base; i--)
        board->virtio[i] = board->virtio[i - 1];
    board->virtio[i] = slot;
}

static void read_gic(struct board *board, const struct fdt_node *node, uint32_t version) {
    if (board->gic_version == 0 && read_range(node, 0, &board->distributor) &&
        read_range(node, 1, &board->gic_cpu))
        board->gic_version = version;
}

static void read_psci(struct board *board, const struct fdt_node *node) {
    const char *method = fdt_string(node, "method");
    if (method == NULL)
        return;
    if (strcmp(method, "hvc") == 0)
        board->psci = BOARD_PSCI_HVC;
    else if (strcmp(method, "smc") == 0)
        board->psci = BOARD_PSCI_SMC;
    board->psci_cpu_on = 0xc4000003u; /* fixed since PSCI 0.2; 0.1 has it in the tree */
    (void)fdt_cell(node, "cpu_on", 0, &board->psci_cpu_on);
}

/* One line for all CPUs alone: a private one. */
static void read_pmu(struct board *board, const struct fdt_node *node) {
    struct board_irq irq;
    if (read_irq(node, 0, &irq) && irq.intid < 32)
        board->pmu_irq = irq;
}

static bool is_gic_v2(const struct fdt_node *node) {
    return fdt_is_compatible(node, "arm,cortex-a15-gic") || fdt_is_compatible(node, "arm,gic-400");
}

static bool is_psci(const struct fdt_node *node) {
    return fdt_is_compatible(node, "arm,psci-1.0") || fdt_is_compatible(node, "arm,psci-0.2") ||
           fdt_is_compatible(node, "arm,psci");
}

/* Children of the root, and of buses that translate no address (`ranges` absent is not one). */
static void visit_device(struct board *board, const struct fdt_node *node) {
    enum { TIMER_PHYSICAL = 1, TIMER_VIRTUAL = 2 }; /* after the secure physical one */
    if (fdt_is_compatible(node, "virtio,mmio")) {
        read_virtio(board, node);
    } else if (is_gic_v2(node)) {
        read_gic(board, node, 2);
    } else if (fdt_is_compatible(node, "arm,gic-v3")) {
        read_gic(board, node, 3);
    } else if (fdt_is_compatible(node, "arm,pl011")) {
        if (board->uart.size_bytes == 0 && read_irq(node, 0, &board->uart_irq) &&
            !read_range(node, 0, &board->uart))
            board->uart.size_bytes = 0;
    } else if (fdt_is_compatible(node, "arm,armv8-timer")) {
        (void)read_irq(node, TIMER_VIRTUAL, &board->timer_irq);
        (void)read_irq(node, TIMER_PHYSICAL, &board->physical_timer_irq);
    } else if (fdt_is_compatible(node, "arm,armv8-pmuv3")) {
        read_pmu(board, node);
    } else if (is_psci(node)) {
        read_psci(board, node);
    }
}

/* Every byte counts; the multiplier is odd, so nothing is lost of the first eight. */
static void read_chosen(struct board *board, const struct fdt_node *node) {
    uint32_t len;
    const uint8_t *random = fdt_property(node, "rng-seed", &len);
    board->arguments = fdt_string(node, "bootargs");
    for (uint32_t i = 0; random != NULL && i < len; i++)
        board->seed = ((board->seed << 8 | board->seed >> 56) ^ (random[i] + 1u)) *
                      UINT64_C(0x9e3779b97f4a7c15);
}

static void visit(void *context, const struct fdt_node *node) {
    struct board *board = context;
    if (node->parent == NULL || is_disabled(node))
        return;
    const char *parent = node->parent->name;
    if (node->depth == 1 && is_kind(node, "memory"))
        add_ranges(board, node, board->memory, &board->memory_count, BOARD_MEMORY_MAX);
    else if (node->depth == 1 && strcmp(node->name, "chosen") == 0)
        read_chosen(board, node);
    else if (node->depth == 1)
        visit_device(board, node);
    else if (node->depth == 2 && strcmp(parent, "reserved-memory") == 0)
        add_ranges(board, node, board->reserved, &board->reserved_count, BOARD_RESERVED_MAX);
    else if (node->depth == 2 && strcmp(parent, "cpus") == 0 && is_kind(node, "cpu"))
        read_cpu(board, node);
}

static void read_reservations(struct board *board, const struct fdt *fdt) {
    struct platform_range range;
    uint64_t end;
    for (uint32_t i = 0; fdt_reservation(fdt, i, &range.base, &range.size_bytes); i++) {
        if (range.size_bytes == 0 || !ash_add_u64(range.base, range.size_bytes, &end))
            continue;
        if (board->reserved_count < BOARD_RESERVED_MAX)
            board->reserved[board->reserved_count++] = range;
        else
            board->ignored++;
    }
}

const char *board_describe(struct board *board, const struct fdt *fdt) {
    memset(board, 0, sizeof(*board));
    const char *wrong = fdt_walk(fdt, visit, board);
    if (wrong != NULL)
        return wrong;
    read_reservations(board, fdt);
    if (board->memory_count == 0)
        return "it names no memory";
    if (board->cpu_count == 0)
        return "it names no CPU";
    if (board->gic_version == 0)
        return "it names no interrupt controller that is known here (GICv2, GICv3)";
    if (board->uart.size_bytes == 0)
        return "it names no PL011 UART";
    if (board->timer_irq.intid == 0)
        return "it names no virtual timer";
    return NULL;
}

/* Free memory */

/* Takes [base, end) out of the ranges; a range cut in two takes one more place, if there is one. */
static uint32_t subtract(struct platform_range *ranges, uint32_t count, uint32_t max, uint64_t base,
                         uint64_t end) {
    for (uint32_t i = 0; i < count; i++) {
        uint64_t range_base = ranges[i].base, range_end = range_base + ranges[i].size_bytes;
        if (end <= range_base || base >= range_end)
            continue;
        uint64_t below = base > range_base ? base - range_base : 0;
        uint64_t above = end < range_end ? range_end - end : 0;
        if (below == 0 && above == 0) {
            memmove(&ranges[i], &ranges[i + 1], (count - i - 1) * sizeof(ranges[0]));
            count--, i--;
        } else if (below == 0) {
            ranges[i] = (struct platform_range){end, above};
        } else {
            ranges[i].size_bytes = below;
            if (above != 0 && count < max) {
                memmove(&ranges[i + 2], &ranges[i + 1], (count - i - 1) * sizeof(ranges[0]));
                ranges[i + 1] = (struct platform_range){end, above};
                count++, i++;
            }
        }
    }
    return count;
}

/* Grown to whole pages; up to the last page when the end would wrap. */
static uint32_t subtract_range(struct platform_range *ranges, uint32_t count, uint32_t max,
                               const struct platform_range *range) {
    uint64_t end;
    if (!ash_align_up_checked(range->base + range->size_bytes, ASH_PAGE_SIZE, &end))
        end = ash_align_down(UINT64_MAX, ASH_PAGE_SIZE);
    return subtract(ranges, count, max, ash_align_down(range->base, ASH_PAGE_SIZE), end);
}

/* Shrunk to whole pages, inserted by address, less what is in already: banks may overlap. */
static uint32_t add_memory(struct platform_range *ranges, uint32_t count, uint32_t max,
                           const struct platform_range *bank) {
    uint64_t base, end = ash_align_down(bank->base + bank->size_bytes, ASH_PAGE_SIZE);
    if (!ash_align_up_checked(bank->base, ASH_PAGE_SIZE, &base) || base >= end)
        return count;
    count = subtract(ranges, count, max, base, end);
    if (count == max)
        return count;
    uint32_t i = count;
    for (; i > 0 && ranges[i - 1].base > base; i--)
        ranges[i] = ranges[i - 1];
    ranges[i] = (struct platform_range){base, end - base};
    return count + 1;
}

uint32_t board_free_memory(const struct board *board, const struct platform_range *extra,
                           uint32_t extra_count, struct platform_range *ranges, uint32_t max) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < board->memory_count; i++)
        count = add_memory(ranges, count, max, &board->memory[i]);
    for (uint32_t i = 0; i < board->reserved_count; i++)
        count = subtract_range(ranges, count, max, &board->reserved[i]);
    for (uint32_t i = 0; i < extra_count; i++)
        count = subtract_range(ranges, count, max, &extra[i]);
    return count;
}
