/* SPDX-License-Identifier: MIT */
/* Cases of what is taken from a device tree, and of memory less what is reserved. */
#include "qemu-virt/board.h"

#include "qemu/blob.h"

/* What a tree may lack. */
enum { WITH_MEMORY = 1, WITH_CPU = 2, WITH_GIC = 4, WITH_UART = 8, WITH_TIMER = 16, WITH_ALL = 31 };

static void write_virtio(struct blob *blob, uint32_t address, uint32_t spi) {
    blob_begin(blob, "virtio_mmio");
    blob_text(blob, "compatible", "virtio,mmio");
    BLOB_CELLS(blob, "reg", 0, address, 0, 0x200);
    BLOB_CELLS(blob, "interrupts", 0, spi, 1);
    blob_end(blob);
}

static void write_gic(struct blob *blob, uint32_t version) {
    blob_begin(blob, "intc");
    blob_text(blob, "compatible", version == 3 ? "arm,gic-v3" : "arm,cortex-a15-gic");
    if (version == 3)
        BLOB_CELLS(blob, "reg", 0, 0x8000000, 0, 0x10000, 0, 0x80a0000, 0, 0xf60000);
    else
        BLOB_CELLS(blob, "reg", 0, 0x8000000, 0, 0x10000, 0, 0x8010000, 0, 0x10000);
    blob_end(blob);
}

static void write_cpu(struct blob *blob, uint32_t mpidr) {
    blob_begin(blob, "cpu");
    blob_text(blob, "device_type", "cpu");
    BLOB_CELLS(blob, "reg", mpidr);
    blob_end(blob);
}

/* Opens the root and writes what `with` says, as QEMU does; the root stays open. */
static void write_board(struct blob *blob, uint32_t with, uint32_t gic_version) {
    blob_start(blob);
    blob_begin(blob, "");
    BLOB_CELLS(blob, "#address-cells", 2);
    BLOB_CELLS(blob, "#size-cells", 2);
    if ((with & WITH_MEMORY) != 0) {
        blob_begin(blob, "memory@40000000");
        blob_text(blob, "device_type", "memory");
        BLOB_CELLS(blob, "reg", 0, 0x40000000, 0, 0x8000000, 4, 0, 1, 0);
        blob_end(blob);
    }
    blob_begin(blob, "cpus");
    BLOB_CELLS(blob, "#address-cells", 1);
    BLOB_CELLS(blob, "#size-cells", 0);
    if ((with & WITH_CPU) != 0) {
        write_cpu(blob, 0);
        write_cpu(blob, 1);
    }
    blob_end(blob);
    if ((with & WITH_GIC) != 0)
        write_gic(blob, gic_version);
    if ((with & WITH_UART) != 0) {
        blob_begin(blob, "pl011@9000000");
        blob_property(blob, "compatible", "arm,pl011\0arm,primecell", 24);
        BLOB_CELLS(blob, "reg", 0, 0x9000000, 0, 0x1000);
        BLOB_CELLS(blob, "interrupts", 0, 1, 4);
        blob_end(blob);
    }
    if ((with & WITH_TIMER) != 0) {
        blob_begin(blob, "timer");
        blob_property(blob, "compatible", "arm,armv8-timer\0arm,armv7-timer", 32);
        BLOB_CELLS(blob, "interrupts", 1, 13, 0x304, 1, 14, 0x304, 1, 11, 0x304, 1, 10, 0x304);
        blob_end(blob);
    }
}

static const char *describe(struct board *board, struct blob *blob) {
    static struct fdt fdt;
    blob_end(blob);
    blob_finish(blob);
    const char *wrong = fdt_open(&fdt, blob->bytes, blob->end);
    return wrong != NULL ? wrong : board_describe(board, &fdt);
}

static void check_described(struct board *board, struct blob *blob) {
    const char *wrong = describe(board, blob);
    if (wrong != NULL)
        test_fail(__FILE__, __LINE__, "refused: %s", wrong);
}

TEST_CASE(board, takes_what_the_tree_says) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    write_board(&blob, WITH_ALL, 2);
    blob_begin(&blob, "psci");
    blob_property(&blob, "compatible", "arm,psci-1.0\0arm,psci", 22);
    blob_text(&blob, "method", "smc");
    blob_end(&blob);
    blob_begin(&blob, "pmu");
    blob_text(&blob, "compatible", "arm,armv8-pmuv3");
    BLOB_CELLS(&blob, "interrupts", 1, 7, 0x104);
    blob_end(&blob);
    blob_begin(&blob, "chosen");
    blob_text(&blob, "bootargs", "test list");
    blob_property(&blob, "rng-seed", "\x01\x02\x03\x04\x05\x06\x07\x08\x09", 9);
    blob_end(&blob);
    check_described(board, &blob);
    CHECK_EQ(board->memory_count, 2);
    CHECK_EQ(board->memory[1].base, 0x400000000);
    CHECK_EQ(board->memory[1].size_bytes, 0x100000000);
    CHECK_EQ(board->cpu_count, 2);
    CHECK_EQ(board->cpu_mpidr[1], 1);
    CHECK_EQ(board->gic_version, 2);
    CHECK_EQ(board->distributor.base, 0x8000000);
    CHECK_EQ(board->gic_cpu.base, 0x8010000);
    CHECK_EQ(board->uart.base, 0x9000000);
    CHECK_EQ(board->uart_irq.intid, 33);
    CHECK(!board->uart_irq.is_edge);
    CHECK_EQ(board->timer_irq.intid, 27);
    CHECK_EQ(board->physical_timer_irq.intid, 30);
    CHECK_EQ(board->pmu_irq.intid, 23);
    CHECK_EQ(board->psci, BOARD_PSCI_SMC);
    CHECK_EQ(board->psci_cpu_on, 0xc4000003);
    CHECK_STR_EQ(board->arguments, "test list");
    CHECK(board->seed != 0);
    CHECK_EQ(board->ignored, 0);
}

static uint64_t seed_of(const char *bytes, uint32_t len) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    write_board(&blob, WITH_ALL, 2);
    blob_begin(&blob, "chosen");
    if (len != 0)
        blob_property(&blob, "rng-seed", bytes, len);
    blob_end(&blob);
    check_described(board, &blob);
    return board->seed;
}

TEST_CASE(board, makes_its_seed_of_every_byte) {
    char bytes[32] = {0};
    CHECK_EQ(seed_of("", 0), 0);
    uint64_t before = seed_of(bytes, sizeof(bytes));
    for (uint32_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = 1;
        uint64_t seed = seed_of(bytes, sizeof(bytes));
        CHECK(seed != before && seed >> 32 != before >> 32);
        before = seed;
    }
}

TEST_CASE(board, knows_gicv3_by_its_redistributors) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    write_board(&blob, WITH_ALL, 3);
    check_described(board, &blob);
    CHECK_EQ(board->gic_version, 3);
    CHECK_EQ(board->gic_cpu.base, 0x80a0000);
    CHECK_EQ(board->gic_cpu.size_bytes, 0xf60000);
}

TEST_CASE(board, says_what_is_missing) {
    static const char *const reasons[] = {"memory", "CPU", "interrupt controller", "UART", "timer"};
    struct board *board = test_alloc(sizeof(*board), 8);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(reasons); i++) {
        struct blob blob;
        write_board(&blob, WITH_ALL & ~(1u << i), 2);
        const char *wrong = describe(board, &blob);
        CHECK(wrong != NULL);
        CHECK(strstr(wrong, reasons[i]) != NULL);
    }
}

TEST_CASE(board, sorts_virtio_windows_by_address) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    write_board(&blob, WITH_ALL, 2);
    write_virtio(&blob, 0xa000400, 18);
    write_virtio(&blob, 0xa000000, 16);
    write_virtio(&blob, 0xa000200, 17);
    check_described(board, &blob);
    CHECK_EQ(board->virtio_count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        CHECK_EQ(board->virtio[i].window.base, 0xa000000 + 0x200 * i);
        CHECK_EQ(board->virtio[i].irq.intid, 48 + i);
        CHECK(board->virtio[i].irq.is_edge);
    }
}

TEST_CASE(board, counts_what_does_not_fit) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    write_board(&blob, WITH_ALL, 2);
    for (uint32_t i = 0; i < BOARD_VIRTIO_MAX + 3; i++)
        write_virtio(&blob, 0xa000000 + 0x200 * i, i);
    check_described(board, &blob);
    CHECK_EQ(board->virtio_count, BOARD_VIRTIO_MAX);
    CHECK_EQ(board->ignored, 3);
}

TEST_CASE(board, leaves_out_what_cannot_be) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    write_board(&blob, WITH_ALL, 2);
    write_virtio(&blob, 0xa000000, 988); /* the last shared interrupt is 987 */
    blob_begin(&blob, "memory@2");
    blob_text(&blob, "device_type", "memory");
    BLOB_CELLS(&blob, "reg", UINT32_MAX, UINT32_MAX, 0, 2); /* wraps around */
    blob_end(&blob);
    blob_begin(&blob, "memory@3");
    blob_text(&blob, "device_type", "memory");
    blob_text(&blob, "status", "disabled");
    BLOB_CELLS(&blob, "reg", 8, 0, 0, 0x1000);
    blob_end(&blob);
    check_described(board, &blob);
    CHECK_EQ(board->virtio_count, 0);
    CHECK_EQ(board->memory_count, 2);
}

TEST_CASE(board, reserved_nodes_are_not_free) {
    struct blob blob;
    struct board *board = test_alloc(sizeof(*board), 8);
    struct platform_range ranges[8];
    write_board(&blob, WITH_ALL, 2);
    blob_begin(&blob, "reserved-memory");
    BLOB_CELLS(&blob, "#address-cells", 1);
    BLOB_CELLS(&blob, "#size-cells", 1);
    blob_begin(&blob, "firmware@41000800");
    BLOB_CELLS(&blob, "reg", 0x41000800, 0x1000);
    blob_end(&blob);
    blob_end(&blob);
    check_described(board, &blob);
    CHECK_EQ(board_free_memory(board, NULL, 0, ranges, 8), 3);
    CHECK_EQ(ranges[0].base, 0x40000000);
    CHECK_EQ(ranges[0].size_bytes, 0x1000000);
    CHECK_EQ(ranges[1].base, 0x41002000);
    CHECK_EQ(ranges[1].size_bytes, 0x8000000 - 0x1002000);
    CHECK_EQ(ranges[2].base, 0x400000000);
}

/* Against a byte per page. Addresses lie near 0 or near 2^64. */
enum { MODEL_PAGES = 64, MODEL_RANGES = 4 };

static struct platform_range random_range(struct test_random *random, uint64_t start) {
    uint64_t limit = MODEL_PAGES * ASH_PAGE_SIZE;
    uint64_t base = test_random_below(random, limit - 1);
    uint64_t size = 1 + test_random_below(random, limit - base - 1);
    if (test_random_chance(random, 50)) {
        base = ash_align_down(base, ASH_PAGE_SIZE);
        size = ash_align_up(size, ASH_PAGE_SIZE);
    }
    if (start != 0 && base + size == limit) /* up to 2^64 itself would be a size that wraps */
        size--;
    return (struct platform_range){start + base, size};
}

static void model_mark(uint8_t *pages, const struct platform_range *range, uint64_t start,
                       bool is_memory) {
    for (uint64_t page = 0; page < MODEL_PAGES; page++) {
        uint64_t low = start + page * ASH_PAGE_SIZE, high = low + (ASH_PAGE_SIZE - 1);
        uint64_t last = range->base + (range->size_bytes - 1);
        if (is_memory && low >= range->base && high <= last)
            pages[page] = 1;
        if (!is_memory && high >= range->base && low <= last)
            pages[page] = 0;
    }
}

static void check_against_model(struct test_random *random, struct board *board, uint64_t start) {
    uint8_t pages[MODEL_PAGES] = {0};
    struct platform_range extra[2], free[2 * MODEL_RANGES + 4];
    board->memory_count = (uint32_t)test_random_below(random, MODEL_RANGES);
    board->reserved_count = (uint32_t)test_random_below(random, MODEL_RANGES);
    for (uint32_t i = 0; i < board->memory_count; i++) {
        board->memory[i] = random_range(random, start);
        model_mark(pages, &board->memory[i], start, true);
    }
    for (uint32_t i = 0; i < board->reserved_count; i++) {
        board->reserved[i] = random_range(random, start);
        model_mark(pages, &board->reserved[i], start, false);
    }
    for (uint32_t i = 0; i < 2; i++) {
        extra[i] = random_range(random, start);
        model_mark(pages, &extra[i], start, false);
    }
    uint32_t count = board_free_memory(board, extra, 2, free, ASH_ARRAY_LEN(free));
    for (uint32_t i = 0; i < count; i++) {
        CHECK(i == 0 || free[i].base >= free[i - 1].base + free[i - 1].size_bytes);
        CHECK(free[i].size_bytes != 0);
        CHECK(ash_is_aligned(free[i].base | free[i].size_bytes, ASH_PAGE_SIZE));
        for (uint64_t at = 0; at < free[i].size_bytes; at += ASH_PAGE_SIZE) {
            uint64_t page = (free[i].base + at - start) / ASH_PAGE_SIZE;
            CHECK(page < MODEL_PAGES);
            CHECK_EQ(pages[page], 1);
            pages[page] = 2;
        }
    }
    for (uint32_t page = 0; page < MODEL_PAGES; page++)
        CHECK(pages[page] != 1);
}

TEST_CASE(board, free_memory_agrees_with_a_map_of_pages) {
    struct test_random random = test_random_from(test_seed());
    struct board *board = test_alloc(sizeof(*board), 8);
    for (uint32_t round = 0; round < 1000; round++) {
        check_against_model(&random, board, 0);
        check_against_model(&random, board, UINT64_MAX - MODEL_PAGES * ASH_PAGE_SIZE + 1);
    }
}
