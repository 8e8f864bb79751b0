/* SPDX-License-Identifier: MIT */
/*
 * link-map ELF OUTPUT.S: at which instructions of an aarch64 kernel's text the return address is in
 * x30 and x29 is the caller's, as a bitmap for its .link_map section: bit n of the words is the
 * n-th instruction from __text_start.
 *
 *     entry: stp x29, x30  live    where the compiler's call frame information (.eh_frame) has both
 *            mov x29, sp   live    in their registers; and behind the store, up to what gives x29
 *            ...           -       its new value, of which that information does not speak
 *            ldp x29, x30  -
 *            ret           live    behind the load, also where a compiler tells nothing of the
 *                                  epilogue (clang 14)
 *
 * Code without that information (assembly) counts as a leaf.
 */
#include <ashlar/prof_cfi.h>
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct image {
    uint8_t *bytes;
    size_t size;
    uint64_t text_start, text_end;
    const uint8_t *text; /* in the file */
    uint32_t *map;
};

static void fail(const char *path, const char *why) {
    fprintf(stderr, "link-map: %s: %s\n", path, why);
    exit(1);
}

static void read_file(struct image *image, const char *path) {
    FILE *file = fopen(path, "rb");
    if (file == NULL || fseek(file, 0, SEEK_END) != 0)
        fail(path, "cannot be read");
    long size = ftell(file);
    rewind(file);
    image->size = size < 0 ? 0 : (size_t)size;
    image->bytes = malloc(image->size + 1);
    if (image->bytes == NULL || fread(image->bytes, 1, image->size, file) != image->size)
        fail(path, "cannot be read");
    fclose(file);
}

/* The linker made the file a moment ago; what is damaged all the same is not walked. */
static const void *at(const struct image *image, uint64_t offset, uint64_t bytes,
                      const char *path) {
    if (offset > image->size || bytes > image->size - offset || offset % 4 != 0)
        fail(path, "is damaged");
    return image->bytes + offset;
}

static const Elf64_Shdr *find_section(const struct image *image, const char *name,
                                      const char *path) {
    const Elf64_Ehdr *header = at(image, 0, sizeof(*header), path);
    if (memcmp(header->e_ident, ELFMAG, SELFMAG) != 0 || header->e_machine != EM_AARCH64 ||
        header->e_ident[EI_CLASS] != ELFCLASS64)
        fail(path, "is no 64-bit ELF file for aarch64");
    const Elf64_Shdr *sections =
        at(image, header->e_shoff, header->e_shnum * sizeof(Elf64_Shdr), path);
    if (header->e_shstrndx >= header->e_shnum)
        fail(path, "is damaged");
    const Elf64_Shdr *names = &sections[header->e_shstrndx];
    for (uint32_t i = 0; i < header->e_shnum; i++) {
        size_t len = strlen(name) + 1;
        if (sections[i].sh_name < names->sh_size && len <= names->sh_size - sections[i].sh_name &&
            names->sh_offset + names->sh_size <= image->size &&
            memcmp(image->bytes + names->sh_offset + sections[i].sh_name, name, len) == 0)
            return &sections[i];
    }
    fprintf(stderr, "link-map: %s: has no section %s\n", path, name);
    exit(1);
}

static uint32_t instruction(const struct image *image, uint64_t pc) {
    uint32_t word;
    memcpy(&word, image->text + (pc - image->text_start), sizeof(word));
    return word;
}

static void mark(struct image *image, uint64_t pc, bool is_live) {
    uint64_t n = (pc - image->text_start) / 4;
    if (is_live)
        image->map[n / 32] |= UINT32_C(1) << n % 32;
    else
        image->map[n / 32] &= ~(UINT32_C(1) << n % 32);
}

/* ADD x29, sp, #n, of which MOV x29, sp is one. Arm ARM C6.2.4. */
static bool sets_frame(uint32_t word) {
    return (word & 0xffc003ff) == 0x910003fd;
}

/* B, BR, BLR, RET, BL; those with a condition, too. Arm ARM C4.1.66. */
static bool is_branch(uint32_t word) {
    return (word & 0x7c000000) == 0x14000000 || (word & 0x7c000000) == 0x34000000 ||
           (word & 0xfe000000) == 0xd6000000 || (word & 0xff000000) == 0x54000000;
}

/* LDP x29, x30 in each of its three modes. Arm ARM C6.2.164. */
static bool loads_both(uint32_t word) {
    uint32_t mode = word & 0xffc00000;
    return (mode == 0xa8c00000 || mode == 0xa9400000 || mode == 0xa9c00000) &&
           (word & 0x7c1f) == (30 << 10 | 29);
}

/* STP x29, x30 likewise. */
static bool stores_both(uint32_t word) {
    return loads_both(word | UINT32_C(1) << 22) && (word >> 22 & 1) == 0;
}

static void row(void *context, const struct ash_prof_cfi_answer *answer) {
    struct image *image = context;
    if (answer->start < image->text_start || answer->end > image->text_end ||
        answer->start % 4 != 0 || answer->end % 4 != 0)
        return;
    bool is_live = answer->where == ASH_PROF_CFI_REGISTER && answer->is_frame_callers;
    for (uint64_t pc = answer->start; pc < answer->end; pc += 4)
        mark(image, pc, is_live);
    if (is_live)
        return;
    /* Both registers are what they were until x29 is set, or something is called. */
    bool is_stored =
        answer->start > image->text_start && stores_both(instruction(image, answer->start - 4));
    bool is_loaded = false;
    for (uint64_t pc = answer->start; pc < answer->end; pc += 4) {
        uint32_t word = instruction(image, pc);
        if (is_stored || is_loaded)
            mark(image, pc, true);
        is_stored = is_stored && !sets_frame(word) && !is_branch(word);
        is_loaded = (is_loaded && !is_branch(word)) || loads_both(word);
    }
}

static void write_map(const struct image *image, const char *path) {
    FILE *file = fopen(path, "w");
    if (file == NULL)
        fail(path, "cannot be written");
    uint64_t words = (image->text_end - image->text_start) / 4 / 32;
    fprintf(file, "    .section .link_map, \"a\"\n    .balign 8\n");
    for (uint64_t i = 0; i < words; i++)
        fprintf(file, "    .word %#x\n", image->map[i]);
    if (ferror(file) != 0 || fclose(file) != 0)
        fail(path, "cannot be written");
}

int main(int argc, char **argv) {
    struct image image = {0};
    if (argc != 3) {
        fprintf(stderr, "usage: link-map ELF OUTPUT.S\n");
        return 2;
    }
    read_file(&image, argv[1]);
    const Elf64_Shdr *text = find_section(&image, ".text", argv[1]);
    const Elf64_Shdr *frames = find_section(&image, ".eh_frame", argv[1]);
    if (text->sh_size % 128 != 0)
        fail(argv[1], "its text is not a multiple of 128 bytes: kernel.ld fills up pages");
    image.text_start = text->sh_addr;
    image.text_end = text->sh_addr + text->sh_size;
    image.text = at(&image, text->sh_offset, text->sh_size, argv[1]);
    image.map = malloc((size_t)(text->sh_size / 32 + 4));
    if (image.map == NULL)
        fail(argv[1], "no memory");
    memset(image.map, 0xff, (size_t)(text->sh_size / 32));
    const struct ash_prof_cfi cfi = {at(&image, frames->sh_offset, frames->sh_size, argv[1]),
                                     (size_t)frames->sh_size,
                                     frames->sh_addr,
                                     ASH_PROF_CFI_AARCH64,
                                     NULL,
                                     0};
    ash_prof_cfi_each(&cfi, row, &image);
    write_map(&image, argv[2]);
    return 0;
}
