/* SPDX-License-Identifier: MIT */
/* What an ELF file says of its code: build-id, functions, call frames; and files that lie. */
#include "elf_file.h"
#include "kernel/elf_names.h"

enum {
    NOTES = 0x200,
    SECTION_NAMES = 0x280,
    STRINGS = 0x300,
    SYMBOLS = 0x400,
    SYMBOLS_MADE = 12,
    FRAMES = 0x700,
    SECTIONS = 0x800,
    SECTIONS_MADE = 5,
    KINDS_FUNCTION = 0x12, /* global */
    KINDS_OBJECT = 0x11,
};

static const char section_names[] = "\0.eh_frame\0.symtab\0.strtab\0.text";
static const char strings[] = "\0main\0alias_of_main\0leaf\0data\0last";

static void put_section(struct elf_file *file, uint32_t index, uint32_t name, uint32_t kind,
                        struct elf_section section, uint32_t link) {
    uint8_t *at = file->bytes + SECTIONS + 64 * index;
    elf_put(at, 4, name);
    elf_put(at + 4, 4, kind);
    elf_put(at + 16, 8, section.address);
    elf_put(at + 24, 8, section.offset);
    elf_put(at + 32, 8, section.bytes);
    elf_put(at + 40, 4, link);
}

static void put_symbol(struct elf_file *file, uint32_t index, const char *name, uint32_t info,
                       uint64_t value, uint64_t size) {
    uint8_t *at = file->bytes + SYMBOLS + 24 * index;
    uint32_t offset = 1;
    while (strcmp(strings + offset, name) != 0)
        offset += (uint32_t)strlen(strings + offset) + 1;
    elf_put(at, 4, offset);
    at[4] = (uint8_t)info;
    elf_put(at + 6, 2, 1);
    elf_put(at + 8, 8, value);
    elf_put(at + 16, 8, size);
}

/* Functions out of order, one of them under two names, one without a size. */
static void make(struct elf_file *file) {
    elf_file_make(file, 2, 0x400000);
    elf_file_add(file, (struct elf_file_load){4, PF_R, NOTES, 0x400000 + NOTES, 60, 60, 4});
    elf_put(file->bytes + NOTES, 4, 4); /* another note first */
    elf_put(file->bytes + NOTES + 4, 4, 16);
    elf_put(file->bytes + NOTES + 8, 4, 1);
    memcpy(file->bytes + NOTES + 12, "GNU", 4);
    elf_put(file->bytes + NOTES + 32, 4, 4);
    elf_put(file->bytes + NOTES + 36, 4, 10);
    elf_put(file->bytes + NOTES + 40, 4, 3);
    memcpy(file->bytes + NOTES + 44, "GNU\0ABCDEFGHIJ", 14);
    memcpy(file->bytes + SECTION_NAMES, section_names, sizeof(section_names));
    memcpy(file->bytes + STRINGS, strings, sizeof(strings));
    put_symbol(file, 1, "last", KINDS_FUNCTION, 0x400900, 0);
    put_symbol(file, 2, "leaf", KINDS_FUNCTION, 0x400300, 0);
    put_symbol(file, 3, "data", KINDS_OBJECT, 0x400310, 8);
    put_symbol(file, 4, "alias_of_main", KINDS_FUNCTION, 0x400400, 0x20);
    put_symbol(file, 5, "main", KINDS_FUNCTION, 0x400400, 0x40);
    elf_put(file->bytes + 40, 8, SECTIONS);
    elf_put(file->bytes + 60, 2, SECTIONS_MADE);
    elf_put(file->bytes + 62, 2, 4);
    put_section(file, 1, 1, 1, (struct elf_section){FRAMES, 0x40, 0x400700}, 0);
    put_section(file, 2, 11, 2, (struct elf_section){SYMBOLS, 24 * SYMBOLS_MADE, 0}, 3);
    put_section(file, 3, 19, 3, (struct elf_section){STRINGS, sizeof(strings), 0}, 0);
    put_section(file, 4, 0, 3, (struct elf_section){SECTION_NAMES, sizeof(section_names), 0}, 0);
}

TEST_CASE(elf_names, finds_the_build_id_among_other_notes) {
    struct elf_file file;
    uint8_t id[ELF_BUILD_ID_BYTES];
    make(&file);
    CHECK_EQ(elf_build_id(&file.source, id), 10);
    CHECK_EQ(memcmp(id, "ABCDEFGHIJ", 10), 0);
    elf_put(file.bytes + NOTES + 36, 4, 1000); /* longer than its segment */
    CHECK_EQ(elf_build_id(&file.source, id), 0);
    elf_file_make(&file, 2, 0x400000);
    CHECK_EQ(elf_build_id(&file.source, id), 0);
    file.source.size_bytes = 20;
    CHECK_EQ(elf_build_id(&file.source, id), 0);
    make(&file);
    file.fails_at = NOTES;
    CHECK_EQ(elf_build_id(&file.source, id), -ASH_EIO);
}

TEST_CASE(elf_names, functions_are_sorted_and_disjoint) {
    static const struct {
        uint64_t start, end;
        const char *name;
    } expected[] = {
        {0x400300, 0x400400, "leaf"}, {0x400400, 0x400440, "main"}, {0x400900, 0x400904, "last"}};
    struct elf_file file;
    struct elf_names names;
    struct elf_function functions[SYMBOLS_MADE];
    char name[ELF_NAME_BYTES];
    uint32_t count;
    make(&file);
    CHECK_EQ(elf_names_find(&file.source, &names), 0);
    CHECK_EQ(names.frames.offset, FRAMES);
    CHECK_EQ(names.frames.bytes, 0x40);
    CHECK_EQ(names.frames.address, 0x400700);
    CHECK_EQ(elf_functions_max(&names), SYMBOLS_MADE);
    CHECK_EQ(elf_functions(&file.source, &names, functions, SYMBOLS_MADE, &count), 0);
    CHECK_EQ(count, ASH_ARRAY_LEN(expected));
    for (uint32_t i = 0; i < count; i++) {
        CHECK_EQ(functions[i].start, expected[i].start);
        CHECK_EQ(functions[i].end, expected[i].end);
        CHECK_EQ(elf_function_name(&file.source, &names, &functions[i], name), 0);
        CHECK_STR_EQ(name, expected[i].name);
    }
    CHECK_EQ(elf_functions(&file.source, &names, functions, 2, &count), 0);
    CHECK_EQ(count, 2);
    file.fails_at = SYMBOLS;
    CHECK_EQ(elf_functions(&file.source, &names, functions, SYMBOLS_MADE, &count), -ASH_EIO);
}

TEST_CASE(elf_names, an_address_has_its_function_and_no_other) {
    static const struct {
        uint64_t address, start;
        const char *name; /* NULL: nobody's */
    } expected[] = {{0x4002ff, 0, NULL},          {0x400300, 0x400300, "leaf"},
                    {0x4003ff, 0x400300, "leaf"}, {0x400400, 0x400400, "main"},
                    {0x40043f, 0x400400, "main"}, {0x400440, 0, NULL},
                    {0x400900, 0x400900, "last"}, {0, 0, NULL},
                    {UINT64_MAX, 0x400900, NULL}};
    struct elf_file file;
    struct elf_names names;
    struct elf_place places[ASH_ARRAY_LEN(expected)];
    char name[ELF_NAME_BYTES];
    make(&file);
    CHECK_EQ(elf_names_find(&file.source, &names), 0);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(expected); i++)
        places[i].address = expected[i].address;
    CHECK_EQ(elf_functions_at(&file.source, &names, places, ASH_ARRAY_LEN(expected)), 0);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(expected); i++) {
        if (expected[i].name == NULL) {
            CHECK_EQ(places[i].function.end, 0);
            continue;
        }
        CHECK_EQ(places[i].function.start, expected[i].start);
        CHECK(places[i].function.end > places[i].address);
        CHECK_EQ(elf_function_name(&file.source, &names, &places[i].function, name), 0);
        CHECK_STR_EQ(name, expected[i].name);
    }
    file.fails_at = SYMBOLS;
    CHECK_EQ(elf_functions_at(&file.source, &names, places, 2), -ASH_EIO);
    CHECK_EQ(places[1].function.end, 0);
}

TEST_CASE(elf_names, a_stripped_file_has_none) {
    struct elf_file file;
    struct elf_names names;
    elf_file_make(&file, 2, 0x400000);
    CHECK_EQ(elf_names_find(&file.source, &names), 0);
    CHECK_EQ(names.symbols.bytes + names.frames.bytes, 0);
    CHECK_EQ(elf_functions_max(&names), 0);
    make(&file);
    elf_put(file.bytes + 40, 8, ELF_FILE_BYTES - 64); /* the table ends behind the file */
    CHECK_EQ(elf_names_find(&file.source, &names), -ASH_EINVAL);
}

/* As the table of functions says. */
static void check_place(const struct elf_file *file, const struct elf_names *names,
                        uint64_t address, const struct elf_function *function) {
    struct elf_place place = {.address = address};
    CHECK_EQ(elf_functions_at(&file->source, names, &place, 1), 0);
    if (names->symbols.bytes > 24 * SYMBOLS_MADE)
        return; /* there may be others behind those of the table */
    CHECK_EQ(place.function.start, function->start);
    CHECK_EQ(place.function.name, function->name);
}

/* Whatever a file says: nothing outside of it is read (elf_file_read), and what is given out is
 * sorted, disjoint, and not empty. */
static void check_one(struct elf_file *file) {
    struct elf_names names;
    struct elf_function functions[SYMBOLS_MADE];
    char name[ELF_NAME_BYTES];
    uint8_t id[ELF_BUILD_ID_BYTES];
    uint32_t count = 0;
    int bytes = elf_build_id(&file->source, id);
    CHECK(bytes >= 0 && bytes <= ELF_BUILD_ID_BYTES);
    if (elf_names_find(&file->source, &names) != 0 ||
        elf_functions(&file->source, &names, functions, SYMBOLS_MADE, &count) != 0)
        return;
    for (uint32_t i = 0; i < count; i++) {
        CHECK(functions[i].start < functions[i].end);
        CHECK(i == 0 || functions[i - 1].end <= functions[i].start);
        CHECK_EQ(elf_function_name(&file->source, &names, &functions[i], name), 0);
        CHECK(strlen(name) < ELF_NAME_BYTES);
        check_place(file, &names, functions[i].start, &functions[i]);
        if (i + 1 < count && names.symbols.bytes <= 24 * SYMBOLS_MADE)
            check_place(file, &names, functions[i].end - 1, &functions[i]);
    }
}

TEST_CASE(elf_names, strange_files_give_nothing_unsound) {
    static const uint64_t edges[] = {0,          1,
                                     23,         24,
                                     64,         0x3fff,
                                     0x4000,     0xffff,
                                     0x7fffffff, 0xffffffff,
                                     1u << 20,   ELF_FILE_BYTES - 1,
                                     UINT64_MAX, UINT64_MAX - 63};
    struct test_random random = test_random_from(test_seed());
    struct elf_file file;
    for (uint32_t round = 0; round < 2000; round++) {
        make(&file);
        for (uint32_t changes = 1 + (uint32_t)test_random_below(&random, 3); changes-- != 0;) {
            uint32_t at =
                8 * (uint32_t)test_random_below(&random, (SECTIONS + 64 * SECTIONS_MADE) / 8);
            uint32_t width = 1u << test_random_below(&random, 4);
            elf_put(file.bytes + at, width,
                    edges[test_random_below(&random, ASH_ARRAY_LEN(edges))]);
        }
        if (test_random_below(&random, 8) == 0)
            file.source.size_bytes = test_random_below(&random, SECTIONS + 64 * SECTIONS_MADE + 1);
        check_one(&file);
    }
}
