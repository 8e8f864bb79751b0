/* SPDX-License-Identifier: MIT */
/* What the kernel makes of ELF files: those that linkers make, and all kinds of others. */
#include "elf_file.h"

/* The reason, or "" for an image, which then keeps all rules. */
static const char *read_elf(struct elf_file *file, struct elf_image *image) {
    const char *reason = "";
    int error = elf_read(&file->source, image, &reason);
    if (error == 0) {
        const char *broken = elf_image_check(image, file->source.size_bytes);
        CHECK_STR_EQ(broken == NULL ? "" : broken, "");
        CHECK_STR_EQ(reason, "");
    } else {
        CHECK_EQ(error, -ASH_ENOEXEC);
        CHECK(reason[0] != '\0');
    }
    return reason;
}

static const char *reason_of(struct elf_file *file) {
    struct elf_image image;
    return read_elf(file, &image);
}

TEST_CASE(elf, gives_the_pages_of_a_static_program) {
    struct elf_file file;
    struct elf_image image;
    elf_file_make(&file, 2, 0x400000);
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK(!image.is_anywhere);
    CHECK_EQ(image.entry, 0x400200);
    CHECK_EQ(image.low, 0x400000);
    CHECK_EQ(image.high, 0x414000);
    CHECK_EQ(image.alignment, 65536);
    CHECK_EQ(image.segment_count, 2);
    const struct elf_segment *text = &image.segments[0], *data = &image.segments[1];
    CHECK(text->is_readable && text->is_executable && !text->is_writable && !text->has_zeros);
    CHECK_EQ(text->start, 0x400000);
    CHECK_EQ(text->end, 0x402000);
    CHECK_EQ(text->offset, 0);
    CHECK_EQ(text->file_bytes, 0x1234);
    CHECK(data->is_readable && !data->is_executable && data->is_writable && data->has_zeros);
    CHECK_EQ(data->start, 0x411000);
    CHECK_EQ(data->end, 0x414000);
    CHECK_EQ(data->offset, 0x1000);
    CHECK_EQ(data->file_bytes, 0x908);
}

TEST_CASE(elf, gives_a_position_independent_program_from_a_base) {
    struct elf_file file;
    struct elf_image image;
    elf_file_make(&file, 3, 0);
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK(image.is_anywhere);
    CHECK_EQ(image.low, 0);
    CHECK_EQ(image.entry, 0x200);
    CHECK_EQ(image.headers, 64);
}

TEST_CASE(elf, knows_where_the_program_headers_are_in_memory) {
    struct elf_file file;
    struct elf_image image;
    elf_file_make(&file, 2, 0x400000);
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK_EQ(image.headers, 0x400040);
    CHECK_EQ(image.header_count, 2);
    CHECK_EQ(image.header_bytes, 56);
    uint8_t *header =
        elf_file_add(&file, (struct elf_file_load){PT_PHDR, PF_R, 64, 0x400040, 3 * 56, 3 * 56, 8});
    CHECK_STR_EQ(read_elf(&file, &image), "");
    elf_put(header + 16, 8, 0x400048);
    CHECK_STR_EQ(reason_of(&file), "has its program headers loaded elsewhere than PT_PHDR says");
}

TEST_CASE(elf, has_no_program_headers_in_memory_that_no_segment_has) {
    struct elf_file file;
    struct elf_image image;
    elf_file_begin(&file, 2, 0x401000);
    elf_file_add(&file, (struct elf_file_load){PT_LOAD, PF_R | PF_X, 0x1000, 0x401000, 8, 8, 4096});
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK_EQ(image.headers, 0);
}

TEST_CASE(elf, leaves_the_other_headers_to_the_program) {
    struct elf_file file;
    struct elf_image image;
    elf_file_make(&file, 2, 0x400000);
    elf_file_add(&file, (struct elf_file_load){PT_TLS, PF_R, UINT64_MAX, 1, UINT64_MAX, 0, 3});
    elf_file_add(&file, (struct elf_file_load){PT_DYNAMIC, 7, 5, 6, 7, 8, 9});
    elf_file_add(&file, (struct elf_file_load){PT_GNU_STACK, PF_R | PF_W, 0, 0, 0, 0, 16});
    elf_file_add(&file, (struct elf_file_load){PT_LOAD, 7, 1, 2, 0, 0, 3}); /* of no bytes */
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK_EQ(image.segment_count, 2);
}

TEST_CASE(elf, takes_zeros_alone_wherever_the_file_says_they_are) {
    struct elf_file file;
    struct elf_image image;
    elf_file_make(&file, 2, 0x400000);
    elf_file_add(&file, (struct elf_file_load){PT_LOAD, PF_W, UINT64_MAX, 0x500010, 0, 16, 0});
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK_EQ(image.segments[2].file_bytes, 0);
    CHECK(image.segments[2].has_zeros && image.segments[2].is_readable);
    CHECK_EQ(image.segments[2].end - image.segments[2].start, 4096);
}

TEST_CASE(elf, says_what_else_a_file_is) {
    static const struct {
        uint32_t at, width;
        uint64_t value;
        const char *reason;
    } others[] = {
        {0, 1, 'x', "is not an ELF file"},
        {0, 2, 0x2123, "is a script, and scripts are not run"},
        {4, 1, 1, "is a 32-bit program"},
        {5, 1, 2, "is a big-endian program"},
        {6, 1, 2, "is of an unknown version of ELF"},
        {7, 1, 9, "is for another operating system"},
        {16, 2, 1, "is an object file, to be linked first"},
        {16, 2, 4, "is a core dump"},
        {16, 2, 0xff00, "is no program"},
        {18, 2, 62, "is for another processor than aarch64"},
        {20, 4, 0, "is of an unknown version of ELF"},
        {54, 2, 32, "has program headers of a strange size"},
        {56, 2, 0, "has no segment to load"},
        {56, 2, 0xffff, "has too many program headers"},
        {32, 8, UINT64_MAX - 8, "ends inside of its program headers"},
        {32, 8, ELF_FILE_BYTES - 111, "ends inside of its program headers"},
    };
    for (size_t i = 0; i < ASH_ARRAY_LEN(others); i++) {
        struct elf_file file;
        elf_file_make(&file, 2, 0x400000);
        elf_put(file.bytes + others[i].at, others[i].width, others[i].value);
        CHECK_STR_EQ(reason_of(&file), others[i].reason);
    }
}

TEST_CASE(elf, says_what_is_wrong_with_a_segment) {
    static const struct {
        uint32_t at, width;
        uint64_t value;
        const char *reason;
    } wrong[] = {
        {4, 4, PF_W | PF_X, "has a segment that is both writable and executable"},
        {8, 8, 0x1809, "has a segment at an address that its place in the file does not match"},
        {8, 8, ELF_FILE_BYTES + 0x808, "has a segment whose bytes the file has not got"},
        {8, 8, UINT64_MAX - 0x7f7, "has a segment whose bytes the file has not got"},
        {16, 8, 0x401808, "has segments that are out of order, or share a page"},
        {16, 8, 0x3ff808, "has segments that are out of order, or share a page"},
        {16, 8, 0x808, "has a segment outside of a program's addresses"},
        {16, 8, 0x7fffffffe808, "has a segment outside of a program's addresses"},
        {16, 8, 0xfffffffffffff808, "has a segment outside of a program's addresses"},
        {32, 8, 0x2001, "has a segment with more bytes in the file than in memory"},
        {40, 8, UINT64_MAX, "has a segment outside of a program's addresses"},
        {40, 8, 0xff, "has a segment with more bytes in the file than in memory"},
        {48, 8, 3, "has a segment whose alignment is no power of two up to 1 GiB"},
        {48, 8, UINT64_C(1) << 31, "has a segment whose alignment is no power of two up to 1 GiB"},
    };
    for (size_t i = 0; i < ASH_ARRAY_LEN(wrong); i++) {
        struct elf_file file;
        elf_file_make(&file, 2, 0x400000);
        elf_put(file.bytes + ELF_FILE_HEADERS + 56 + wrong[i].at, wrong[i].width, wrong[i].value);
        CHECK_STR_EQ(reason_of(&file), wrong[i].reason);
    }
}

TEST_CASE(elf, takes_a_segment_up_to_each_limit) {
    struct elf_file file;
    struct elf_image image;
    elf_file_begin(&file, 2, ELF_ADDRESS_MIN);
    elf_file_add(&file, (struct elf_file_load){PT_LOAD, PF_X, 0, ELF_ADDRESS_MIN, ELF_FILE_BYTES,
                                               ELF_FILE_BYTES, ELF_ALIGNMENT_MAX});
    elf_file_add(&file, (struct elf_file_load){PT_LOAD, PF_W, 0, ELF_ADDRESS_END - 1, 0, 1, 1});
    CHECK_STR_EQ(read_elf(&file, &image), "");
    CHECK_EQ(image.alignment, ELF_ALIGNMENT_MAX);
    CHECK_EQ(image.high, ELF_ADDRESS_END);
    CHECK_EQ(image.headers, 0); /* the program cannot read its code */
}

TEST_CASE(elf, refuses_a_dynamic_linker_and_an_executable_stack) {
    struct elf_file file;
    elf_file_make(&file, 3, 0);
    uint8_t *header = elf_file_add(&file, (struct elf_file_load){PT_INTERP, PF_R, 64, 64, 8, 8, 1});
    CHECK_STR_EQ(reason_of(&file), "is linked dynamically, and there is no dynamic linker: "
                                   "link it with -static");
    elf_put(header, 4, PT_GNU_STACK);
    CHECK_STR_EQ(reason_of(&file), "");
    elf_put(header + 4, 4, PF_R | PF_W | PF_X);
    CHECK_STR_EQ(reason_of(&file), "wants a stack that is executable (-z execstack)");
}

TEST_CASE(elf, wants_an_entry_that_is_an_instruction) {
    static const uint64_t entries[] = {0, 0x400202, 0x402000, 0x3ffffc, 0x411808, UINT64_MAX - 3};
    for (size_t i = 0; i < ASH_ARRAY_LEN(entries); i++) {
        struct elf_file file;
        elf_file_make(&file, 2, 0x400000);
        elf_put(file.bytes + 24, 8, entries[i]);
        CHECK_STR_EQ(reason_of(&file), "has its entry outside of executable memory");
    }
}

TEST_CASE(elf, counts_what_it_loads_and_what_it_reads) {
    struct elf_file file;
    elf_file_begin(&file, 2, 0x400000);
    for (uint32_t i = 0; i < ELF_SEGMENTS_MAX; i++)
        elf_file_add(&file, (struct elf_file_load){PT_LOAD, PF_X, 0, 0x400000 + i * 4096, 1, 1, 1});
    CHECK_STR_EQ(reason_of(&file), "");
    while (file.headers < ELF_HEADERS_MAX)
        elf_file_add(&file, (struct elf_file_load){.kind = 0});
    CHECK_STR_EQ(reason_of(&file), "");
    elf_put(file.bytes + ELF_FILE_HEADERS + 56 * 20, 4, PT_LOAD);
    elf_put(file.bytes + ELF_FILE_HEADERS + 56 * 20 + 16, 8, 0x500000);
    elf_put(file.bytes + ELF_FILE_HEADERS + 56 * 20 + 40, 8, 1);
    CHECK_STR_EQ(reason_of(&file), "has too many segments to load");
    elf_file_add(&file, (struct elf_file_load){.kind = 0});
    CHECK_STR_EQ(reason_of(&file), "has too many program headers");
}

TEST_CASE(elf, refuses_every_shorter_file) {
    struct elf_file file;
    elf_file_make(&file, 2, 0x400000);
    for (uint64_t size = 0; size < 0x1908; size += size < 0x120 ? 1 : 0x3d) {
        file.source.size_bytes = size;
        CHECK(reason_of(&file)[0] != '\0');
        if (size >= 4 && size < 64)
            CHECK_STR_EQ(reason_of(&file), "ends inside of its header");
    }
    file.source.size_bytes = 0x1908;
    CHECK_STR_EQ(reason_of(&file), "");
}

TEST_CASE(elf, says_that_it_cannot_be_read_with_the_sources_error) {
    static const uint64_t places[] = {0, 64, 120};
    for (size_t i = 0; i < ASH_ARRAY_LEN(places); i++) {
        struct elf_file file;
        struct elf_image image;
        const char *reason = "";
        elf_file_make(&file, 2, 0x400000);
        file.fails_at = places[i];
        CHECK_EQ(elf_read(&file.source, &image, &reason), -ASH_EIO);
        CHECK_STR_EQ(reason, "cannot be read");
    }
}

TEST_CASE(elf, audits_an_image_that_somebody_has_changed) {
    struct elf_file file;
    struct elf_image image, changed;
    elf_file_make(&file, 2, 0x400000);
    CHECK_STR_EQ(read_elf(&file, &image), "");
    changed = image;
    changed.segments[1].is_executable = true;
    CHECK_STR_EQ(elf_image_check(&changed, ELF_FILE_BYTES),
                 "a segment is both writable and executable");
    changed = image;
    changed.segments[1].start = 0x401000;
    CHECK_STR_EQ(elf_image_check(&changed, ELF_FILE_BYTES), "segments overlap");
    changed = image;
    changed.entry = 0x411000;
    CHECK_STR_EQ(elf_image_check(&changed, ELF_FILE_BYTES), "the entry is not executable");
    CHECK_STR_EQ(elf_image_check(&image, 0x1000), "a segment takes what the file has not got");
}
