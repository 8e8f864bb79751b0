/* SPDX-License-Identifier: MIT */
/*
 * An ELF file of strange headers: fields of a good program are changed, mostly to values at which
 * something overflows, wraps or overlaps. Whatever is taken keeps all rules of an image; whatever
 * is not has a reason; and no byte outside of the file is asked for (elf_file_read checks it).
 */
#include "choices.h"
#include "kernel/elf_file.h"

static uint64_t any_value(struct choices *choices, uint64_t old) {
    static const uint64_t edges[] = {0,
                                     1,
                                     4095,
                                     4096,
                                     0x10000,
                                     0x400000,
                                     ELF_FILE_BYTES,
                                     ELF_ADDRESS_END,
                                     ELF_ALIGNMENT_MAX,
                                     UINT64_C(1) << 63,
                                     UINT64_MAX - 4095,
                                     UINT64_MAX};
    uint64_t edge = edges[choose(choices, ASH_ARRAY_LEN(edges))];
    switch (choose(choices, 5)) {
    case 0:
        return edge;
    case 1:
        return edge + choose(choices, 64) - 32;
    case 2:
        return old + choose(choices, 8192) - 4096;
    case 3:
        return old ^ UINT64_C(1) << choose(choices, 64);
    default:
        return choose(choices, 65536) * (choose(choices, 2) != 0 ? UINT64_C(4096) : UINT64_C(1));
    }
}

static void change_field(struct choices *choices, uint8_t *at, uint32_t width) {
    uint64_t old = 0;
    memcpy(&old, at, width);
    elf_put(at, width, any_value(choices, old));
}

static void change_header(struct choices *choices, struct elf_file *file) {
    static const uint8_t places[] = {0, 4, 5, 6, 7, 16, 18, 20, 24, 32, 54, 56};
    static const uint8_t widths[] = {4, 1, 1, 1, 1, 2, 2, 4, 8, 8, 2, 2};
    uint32_t field = choose(choices, ASH_ARRAY_LEN(places));
    change_field(choices, file->bytes + places[field], widths[field]);
}

static void change_program_header(struct choices *choices, struct elf_file *file) {
    uint8_t *header = file->bytes + ELF_FILE_HEADERS + 56 * choose(choices, file->headers);
    uint32_t field = choose(choices, 9);
    if (field == 0) {
        static const uint32_t kinds[] = {0, PT_LOAD, PT_INTERP, PT_PHDR, PT_TLS, PT_GNU_STACK};
        elf_put(header, 4, kinds[choose(choices, ASH_ARRAY_LEN(kinds))]);
    } else if (field == 1) {
        elf_put(header + 4, 4, choose(choices, 8));
    } else {
        change_field(choices, header + 8 * (field - 1), 8);
    }
}

static void add_header(struct choices *choices, struct elf_file *file) {
    uint64_t base = (uint64_t)choose(choices, 64) << 12;
    uint64_t file_bytes = choose(choices, 2) == 0 ? 0 : choose(choices, 0x3000);
    if (file->headers <= ELF_HEADERS_MAX)
        elf_file_add(file, (struct elf_file_load){PT_LOAD, choose(choices, 8), base & 0x3fff,
                                                  0x420000 + base, file_bytes,
                                                  file_bytes + choose(choices, 0x3000), 4096});
}

static void check_one(struct elf_file *file) {
    struct elf_image image;
    const char *reason = NULL;
    int error = elf_read(&file->source, &image, &reason);
    if (error == 0) {
        const char *broken = elf_image_check(&image, file->source.size_bytes);
        CHECK_STR_EQ(broken == NULL ? "" : broken, "");
        CHECK(reason == NULL);
    } else {
        CHECK_EQ(error, file->fails_at == UINT64_MAX ? -ASH_ENOEXEC : error);
        CHECK(reason != NULL && reason[0] != '\0');
    }
}

void fuzz_elf(struct choices *choices) {
    struct elf_file file;
    elf_file_make(&file, 2 + choose(choices, 2), 0x400000);
    elf_file_add(&file, (struct elf_file_load){PT_GNU_STACK, 6, 0, 0, 0, 0, 0});
    if (choose(choices, 8) == 0)
        file.source.size_bytes = choose(choices, ELF_FILE_BYTES + 1);
    check_one(&file);
    while (choices_go_on(choices)) {
        switch (choose(choices, 8)) {
        case 0:
            change_header(choices, &file);
            break;
        case 1:
            add_header(choices, &file);
            break;
        case 2:
            file.bytes[choose(choices, 512)] ^= (uint8_t)(1u << choose(choices, 8));
            break;
        default:
            change_program_header(choices, &file);
        }
        check_one(&file);
    }
}

TEST_CASE(elf_fuzz, what_is_taken_of_strange_files_is_sound) {
    for (uint64_t round = 0; round < 4000; round++) {
        struct choices choices = choices_of_seed(test_seed() + round, 1 + round % 8);
        fuzz_elf(&choices);
    }
}
