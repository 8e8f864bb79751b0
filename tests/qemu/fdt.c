/* SPDX-License-Identifier: MIT */
/* Cases of the device tree reader, most of them on blobs that lie. */
#include "qemu-virt/fdt.h"

#include "qemu/blob.h"

enum { HEADER_SIZE = 4, HEADER_STRUCTURE = 8, HEADER_STRINGS = 12, HEADER_RESERVATIONS = 16 };
enum { HEADER_VERSION = 24, HEADER_STRINGS_SIZE = 32, HEADER_STRUCTURE_SIZE = 36 };

/* A root with 2 and 1 cells, a bus with 1 and 0, a device with a few properties. */
static void write_small(struct blob *blob) {
    blob_start(blob);
    blob_begin(blob, "");
    BLOB_CELLS(blob, "#address-cells", 2);
    BLOB_CELLS(blob, "#size-cells", 1);
    blob_begin(blob, "cpus");
    BLOB_CELLS(blob, "#address-cells", 1);
    BLOB_CELLS(blob, "#size-cells", 0);
    blob_begin(blob, "cpu@7");
    BLOB_CELLS(blob, "reg", 7);
    blob_end(blob);
    blob_end(blob);
    blob_begin(blob, "uart@1");
    blob_word(blob, 4); /* a NOP */
    blob_property(blob, "compatible", "arm,pl011\0arm,primecell", 24);
    BLOB_CELLS(blob, "reg", 1, 0x9000000, 0x1000, 2, 0x8000, 0x10);
    blob_text(blob, "status", "okay");
    blob_end(blob);
    blob_end(blob);
    blob_finish(blob);
}

struct seen {
    const struct fdt *fdt;
    uint32_t nodes, properties;
    uint64_t cpu, uart_base[2], uart_size[2];
    bool uart_is_compatible, third_reg, outside;
    char status[8];
};

/* All that a reader may do to a node. */
static void look(void *context, const struct fdt_node *node) {
    static const char *const names[] = {"compatible", "reg", "status", "#address-cells", "absent"};
    struct seen *seen = context;
    const uint8_t *start = seen->fdt->blob, *end = start + seen->fdt->size_bytes;
    uint64_t base, size;
    uint32_t cell;
    seen->nodes++;
    for (size_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        uint32_t len;
        const uint8_t *value = fdt_property(node, names[i], &len);
        seen->properties += value != NULL;
        if (value != NULL && (value < start || value > end || len > (size_t)(end - value)))
            seen->outside = true;
        (void)fdt_string(node, names[i]);
        (void)fdt_cell(node, names[i], UINT32_MAX, &cell);
    }
    (void)fdt_reg(node, UINT32_MAX, &base, &size);
    if (strcmp(node->name, "cpu@7") == 0 && fdt_reg(node, 0, &base, &size) && size == 0)
        seen->cpu = base;
    if (strcmp(node->name, "uart@1") == 0) {
        seen->uart_is_compatible = fdt_is_compatible(node, "arm,primecell") &&
                                   !fdt_is_compatible(node, "arm") &&
                                   !fdt_is_compatible(node, "arm,pl011x");
        for (uint32_t i = 0; i < 2; i++)
            (void)fdt_reg(node, i, &seen->uart_base[i], &seen->uart_size[i]);
        seen->third_reg = fdt_reg(node, 2, &base, &size);
        const char *status = fdt_string(node, "status");
        if (status != NULL && strlen(status) < sizeof(seen->status))
            strcpy(seen->status, status);
    }
}

/* NULL or the reason, from opening and walking. */
static const char *read_all(const struct blob *blob, size_t available, struct seen *seen) {
    struct fdt fdt;
    memset(seen, 0, sizeof(*seen));
    seen->fdt = &fdt;
    const char *wrong = fdt_open(&fdt, blob->bytes, available);
    return wrong != NULL ? wrong : fdt_walk(&fdt, look, seen);
}

static void check_refused(const struct blob *blob, const char *part) {
    struct seen seen;
    const char *wrong = read_all(blob, blob->end, &seen);
    CHECK(!seen.outside);
    if (wrong == NULL || strstr(wrong, part) == NULL)
        test_fail(__FILE__, __LINE__, "said \"%s\", expected \"...%s...\"",
                  wrong == NULL ? "nothing is wrong" : wrong, part);
}

TEST_CASE(fdt, reads_nodes_and_properties) {
    struct blob blob;
    struct seen seen;
    write_small(&blob);
    CHECK(read_all(&blob, blob.end, &seen) == NULL);
    CHECK_EQ(seen.nodes, 4);
    CHECK_EQ(seen.cpu, 7);
    CHECK_EQ(seen.uart_base[0], 0x109000000);
    CHECK_EQ(seen.uart_size[0], 0x1000);
    CHECK_EQ(seen.uart_base[1], 0x200008000);
    CHECK_EQ(seen.uart_size[1], 0x10);
    CHECK(!seen.third_reg);
    CHECK(seen.uart_is_compatible);
    CHECK_STR_EQ(seen.status, "okay");
}

TEST_CASE(fdt, reads_reservations_to_the_closing_one) {
    struct blob blob;
    struct fdt fdt;
    uint64_t base, size;
    write_small(&blob);
    blob_poke32(&blob, HEADER_RESERVATIONS, 48);
    blob_poke32(&blob, 52, 0x1000);
    blob_poke32(&blob, 60, 0x200);
    memset(blob.bytes + 64, 0, 16); /* the strings; nobody reads them here */
    CHECK(fdt_open(&fdt, blob.bytes, blob.end) == NULL);
    CHECK(fdt_reservation(&fdt, 0, &base, &size));
    CHECK_EQ(base, 0x1000);
    CHECK_EQ(size, 0x200);
    CHECK(!fdt_reservation(&fdt, 1, &base, &size));
    CHECK(!fdt_reservation(&fdt, UINT32_MAX, &base, &size));
}

TEST_CASE(fdt, refuses_every_truncation) {
    struct blob blob;
    struct seen seen;
    write_small(&blob);
    for (uint32_t len = 0; len < blob.end; len++) {
        CHECK(read_all(&blob, len, &seen) != NULL);
        blob_poke32(&blob, HEADER_SIZE, len);
        CHECK(read_all(&blob, blob.end, &seen) != NULL);
        blob_poke32(&blob, HEADER_SIZE, blob.end);
    }
    for (uint32_t len = 0; len < blob.end - BLOB_STRUCTURE; len++) {
        blob_poke32(&blob, HEADER_STRUCTURE_SIZE, len);
        CHECK(read_all(&blob, blob.end, &seen) != NULL);
    }
}

/* The names lie right before the structure block: one cut short must not be read on into it. */
TEST_CASE(fdt, refuses_a_name_that_ends_outside_the_strings) {
    struct blob blob;
    struct seen seen;
    write_small(&blob);
    for (uint32_t len = 0; len < blob.strings_end - BLOB_STRINGS; len++) {
        blob_poke32(&blob, HEADER_STRINGS_SIZE, len);
        CHECK(read_all(&blob, blob.end, &seen) != NULL);
    }
}

TEST_CASE(fdt, refuses_headers_that_lie) {
    static const struct {
        uint32_t field, value;
        const char *reason;
    } lies[] = {{0, 0xedfe0dd0, "magic"},
                {HEADER_SIZE, 39, "size"},
                {HEADER_SIZE, UINT32_MAX, "size"},
                {HEADER_SIZE, FDT_SIZE_MAX + 1, "size"},
                {HEADER_STRUCTURE, UINT32_MAX - 3, "structure"},
                {HEADER_STRUCTURE, BLOB_STRUCTURE + 2, "structure"},
                {HEADER_STRUCTURE_SIZE, UINT32_MAX, "structure"},
                {HEADER_STRINGS, UINT32_MAX, "strings"},
                {HEADER_STRINGS_SIZE, UINT32_MAX, "strings"},
                {HEADER_RESERVATIONS, UINT32_MAX - 7, "reservation"},
                {HEADER_RESERVATIONS, 41, "reservation"},
                {HEADER_VERSION, 18, "version"}};
    for (size_t i = 0; i < ASH_ARRAY_LEN(lies); i++) {
        struct blob blob;
        write_small(&blob);
        blob_poke32(&blob, lies[i].field, lies[i].value);
        check_refused(&blob, lies[i].reason);
    }
}

TEST_CASE(fdt, refuses_more_levels_than_it_has_room_for) {
    for (uint32_t depth = FDT_DEPTH_MAX; depth <= FDT_DEPTH_MAX + 1; depth++) {
        struct blob blob;
        struct seen seen;
        blob_start(&blob);
        for (uint32_t i = 0; i < depth; i++)
            blob_begin(&blob, "n");
        for (uint32_t i = 0; i < depth; i++)
            blob_end(&blob);
        blob_finish(&blob);
        if (depth == FDT_DEPTH_MAX)
            CHECK(read_all(&blob, blob.end, &seen) == NULL);
        else
            check_refused(&blob, "deep");
    }
}

TEST_CASE(fdt, refuses_ends_that_do_not_match) {
    struct blob blob;
    blob_start(&blob);
    blob_begin(&blob, "");
    blob_end(&blob);
    blob_end(&blob);
    blob_finish(&blob);
    check_refused(&blob, "did not begin");
    blob_start(&blob);
    blob_begin(&blob, "");
    blob_finish(&blob);
    check_refused(&blob, "inside a node");
}

TEST_CASE(fdt, refuses_an_unknown_token) {
    struct blob blob;
    write_small(&blob);
    blob_poke32(&blob, blob.end - 4, 5);
    check_refused(&blob, "unknown token");
}

TEST_CASE(fdt, refuses_a_property_longer_than_the_block) {
    static const uint32_t lens[] = {5, 0x7fffffff, 0xfffffff0, UINT32_MAX};
    for (size_t i = 0; i < ASH_ARRAY_LEN(lens); i++) {
        struct blob blob;
        blob_start(&blob);
        blob_begin(&blob, "");
        blob_text(&blob, "a", "b");
        uint32_t value = blob.end - 12;
        blob_finish(&blob);
        blob_poke32(&blob, value + 0, lens[i] + 4);
        check_refused(&blob, "");
    }
}

TEST_CASE(fdt, text_that_does_not_end_is_no_text) {
    struct blob blob;
    struct fdt fdt;
    struct seen seen = {.fdt = &fdt};
    blob_start(&blob);
    blob_begin(&blob, "");
    blob_begin(&blob, "uart@1");
    blob_property(&blob, "status", "okay", 4);
    blob_property(&blob, "compatible", "arm,primecell", 13);
    blob_end(&blob);
    blob_end(&blob);
    blob_finish(&blob);
    CHECK(fdt_open(&fdt, blob.bytes, blob.end) == NULL);
    CHECK(fdt_walk(&fdt, look, &seen) == NULL);
    CHECK_STR_EQ(seen.status, "");
    CHECK(!seen.uart_is_compatible);
}

/* Cells that no bus has: 3-cell addresses (PCI), or as many as fit 32 bits. */
TEST_CASE(fdt, reg_of_unknown_cells_is_not_read) {
    static const uint32_t cells[] = {0, 3, 0x40000000, UINT32_MAX};
    for (size_t i = 0; i < ASH_ARRAY_LEN(cells); i++) {
        struct blob blob;
        struct seen seen;
        blob_start(&blob);
        blob_begin(&blob, "");
        BLOB_CELLS(&blob, "#address-cells", cells[i]);
        BLOB_CELLS(&blob, "#size-cells", 1);
        blob_begin(&blob, "uart@1");
        BLOB_CELLS(&blob, "reg", 1, 2, 3, 4, 5, 6, 7, 8);
        blob_end(&blob);
        blob_end(&blob);
        blob_finish(&blob);
        CHECK(read_all(&blob, blob.end, &seen) == NULL);
        CHECK_EQ(seen.uart_base[0], 0);
    }
}

/* Whatever is written over it, a blob ends in a reason or in values that lie inside it. */
TEST_CASE(fdt, spoiled_blobs_are_read_inside_their_bounds) {
    static const uint8_t values[] = {0x00, 0x01, 0x02, 0x03, 0x09, 0x7f, 0x80, 0xff};
    struct test_random random = test_random_from(test_seed());
    struct blob blob;
    struct seen seen;
    write_small(&blob);
    uint8_t *good = test_alloc(blob.end, 8);
    memcpy(good, blob.bytes, blob.end);
    uint32_t accepted = 0;
    for (uint32_t round = 0; round < 3000; round++) {
        memcpy(blob.bytes, good, blob.end);
        for (uint64_t i = 1 + test_random_below(&random, 6); i > 0; i--) {
            bool in_header = test_random_chance(&random, 30);
            uint64_t at =
                in_header ? test_random_below(&random, 40)
                          : BLOB_STRUCTURE + test_random_below(&random, blob.end - BLOB_STRUCTURE);
            blob.bytes[at] = values[test_random_below(&random, sizeof(values))];
        }
        accepted += read_all(&blob, blob.end, &seen) == NULL;
        CHECK(!seen.outside);
        CHECK(seen.nodes < 1000);
    }
    CHECK(accepted > 0 && accepted < 3000);
}
