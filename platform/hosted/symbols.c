/* SPDX-License-Identifier: MIT */
/*
 * symbols.c: where the process's code is, and its functions, of sample.h. Its own ELF header and
 * program headers lie in its memory; the symbols are in the file alone, which is mapped and sorted
 * once. System calls only: also a panic may be the first to ask.
 */
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hosted_internal.h"
#include "sample.h"

/* The linker's, at the begin of the image. */
extern const ElfW(Ehdr) __ehdr_start __attribute__((visibility("hidden")));

static const ElfW(Phdr) * segment(uint32_t i) {
    const char *image = (const char *)&__ehdr_start;
    return (const ElfW(Phdr) *)(image + __ehdr_start.e_phoff) + i;
}

const void *hosted_image_address(uint64_t linked) {
    uint64_t base = 0;
    for (uint32_t i = 0; i < __ehdr_start.e_phnum; i++) {
        if (segment(i)->p_type == PT_LOAD && segment(i)->p_offset == 0)
            base = segment(i)->p_vaddr;
    }
    return (const char *)&__ehdr_start + (linked - base);
}

const void *hosted_image_segment(uint32_t type, uint64_t *bytes) {
    for (uint32_t i = 0; i < __ehdr_start.e_phnum; i++) {
        if (segment(i)->p_type == type) {
            *bytes = segment(i)->p_memsz;
            return hosted_image_address(segment(i)->p_vaddr);
        }
    }
    return NULL;
}

/* Notes: gABI, "Note Section". */
void hosted_find_build_id(const void *segment, uint64_t bytes, const uint8_t **build_id,
                          uint32_t *len) {
    const char *notes = segment;
    ElfW(Nhdr) note;
    for (uint64_t at = 0; bytes - at > sizeof(note);) {
        memcpy(&note, notes + at, sizeof(note));
        const char *name = notes + at + sizeof(note);
        uint64_t description = sizeof(note) + ash_align_up(note.n_namesz, 4);
        uint64_t size = description + ash_align_up(note.n_descsz, 4);
        if (size > bytes - at)
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 && memcmp(name, "GNU", 4) == 0) {
            *build_id = (const uint8_t *)notes + at + description;
            *len = note.n_descsz;
        }
        at += size;
    }
}

void platform_code(uint64_t *start, uint64_t *end, const uint8_t **build_id, uint32_t *len) {
    *start = *end = 0;
    *build_id = NULL;
    *len = 0;
    for (uint32_t i = 0; i < __ehdr_start.e_phnum; i++) {
        const ElfW(Phdr) *phdr = segment(i);
        const void *address = hosted_image_address(phdr->p_vaddr);
        if (phdr->p_type == PT_LOAD && (phdr->p_flags & PF_X) != 0) {
            *start = (uintptr_t)address;
            *end = *start + phdr->p_memsz;
        } else if (phdr->p_type == PT_NOTE && *len == 0) {
            hosted_find_build_id(address, phdr->p_memsz, build_id, len);
        }
    }
}

/* Functions */

static struct {
    struct ash_spinlock lock; /* taken masked */
    bool is_read;             /* or cannot be read */
    const char *file;
    uint64_t file_bytes;
    struct hosted_function *functions;
    uint32_t count;
} symbols;

static bool map_file(void) {
    struct stat status;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return false;
    if (fstat(file, &status) == 0 && status.st_size > (off_t)sizeof(ElfW(Ehdr))) {
        void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        symbols.file = bytes == MAP_FAILED ? NULL : bytes;
        symbols.file_bytes = (uint64_t)status.st_size;
    }
    (void)close(file);
    return symbols.file != NULL;
}

/* It is the file of this image only if nobody has put another one in its place. */
static const void *in_file(uint64_t offset, uint64_t bytes) {
    bool is_inside = offset <= symbols.file_bytes && bytes <= symbols.file_bytes - offset;
    return is_inside && ash_is_aligned(offset, 8) ? symbols.file + offset : NULL;
}

static const ElfW(Shdr) * find_section(uint32_t type, const ElfW(Shdr) * *sections) {
    const ElfW(Ehdr) *header = (const ElfW(Ehdr) *)symbols.file;
    *sections = in_file(header->e_shoff, header->e_shnum * sizeof(ElfW(Shdr)));
    for (uint32_t i = 0; *sections != NULL && i < header->e_shnum; i++) {
        if ((*sections)[i].sh_type == type && (*sections)[i].sh_link < header->e_shnum)
            return &(*sections)[i];
    }
    return NULL;
}

/* In the order of addresses; of one place the shortest name first. */
static bool is_before(const struct hosted_function *a, const struct hosted_function *b) {
    if (a->start != b->start)
        return a->start < b->start;
    size_t a_len = strlen(a->name), b_len = strlen(b->name);
    return a_len != b_len ? a_len < b_len : strcmp(a->name, b->name) < 0;
}

/* Shell 1959, with the gaps of Ciura 2001 and their like: libc's sort may call malloc. */
static void sort(struct hosted_function *functions, uint32_t count) {
    uint32_t gap = 1;
    while (gap < count / 3)
        gap = gap * 9 / 4 + 1;
    for (; gap != 0; gap = gap == 1 ? 0 : gap * 4 / 9 + 1) {
        for (uint32_t i = gap; i < count; i++) {
            struct hosted_function moved = functions[i];
            uint32_t at = i;
            for (; at >= gap && is_before(&moved, &functions[at - gap]); at -= gap)
                functions[at] = functions[at - gap];
            functions[at] = moved;
        }
    }
}

/* Disjoint: one name for each place; what has no size (assembly) reaches to the next. */
static uint32_t tidy(struct hosted_function *functions, uint32_t count, uint64_t text_end) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        if (kept == 0 || functions[kept - 1].start != functions[i].start)
            functions[kept++] = functions[i];
        else
            functions[kept - 1].end = ash_max_u64(functions[kept - 1].end, functions[i].end);
    }
    for (uint32_t i = 0; i < kept; i++) {
        uint64_t next = i + 1 < kept ? functions[i + 1].start : text_end;
        bool has_size = functions[i].end > functions[i].start;
        functions[i].end = has_size ? ash_min_u64(functions[i].end, next) : next;
    }
    return kept;
}

uint32_t hosted_functions_sort(struct hosted_function *functions, uint32_t count, uint64_t end) {
    sort(functions, count);
    return tidy(functions, count, end);
}

static void read_functions(void) {
    uint64_t text_start, text_end;
    const uint8_t *build_id;
    uint32_t len, count = 0;
    const ElfW(Shdr) * sections;
    if (!map_file())
        return;
    const ElfW(Shdr) *table = find_section(SHT_SYMTAB, &sections);
    const ElfW(Sym) *entries = table == NULL ? NULL : in_file(table->sh_offset, table->sh_size);
    if (entries == NULL)
        return;
    const ElfW(Shdr) *strings = &sections[table->sh_link];
    uint64_t entry_count = table->sh_size / sizeof(entries[0]);
    size_t bytes = (size_t)(entry_count + 1) * sizeof(struct hosted_function);
    struct hosted_function *functions =
        mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (functions == MAP_FAILED || strings->sh_size == 0 ||
        strings->sh_offset > symbols.file_bytes ||
        strings->sh_size > symbols.file_bytes - strings->sh_offset ||
        symbols.file[strings->sh_offset + strings->sh_size - 1] != '\0')
        return;
    platform_code(&text_start, &text_end, &build_id, &len);
    for (uint64_t i = 0; i < entry_count; i++) {
        uint64_t start = (uintptr_t)hosted_image_address(entries[i].st_value);
        if (ELF64_ST_TYPE(entries[i].st_info) == STT_FUNC && entries[i].st_shndx != SHN_UNDEF &&
            start >= text_start && start < text_end && entries[i].st_name < strings->sh_size)
            functions[count++] =
                (struct hosted_function){start, start + entries[i].st_size,
                                         symbols.file + strings->sh_offset + entries[i].st_name};
    }
    symbols.count = hosted_functions_sort(functions, count, text_end);
    symbols.functions = functions;
}

void hosted_symbols_prepare(void) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&symbols.lock);
    if (!symbols.is_read)
        read_functions();
    ash_store_release(&symbols.is_read, true);
    ash_spin_unlock(&symbols.lock);
    ash_port_irq_restore(state);
}

bool platform_code_function(uint32_t i, uint64_t *start, uint64_t *end, const char **name) {
    if (!ash_load_acquire(&symbols.is_read))
        hosted_symbols_prepare();
    if (i >= symbols.count)
        return false;
    *start = symbols.functions[i].start;
    *end = symbols.functions[i].end;
    *name = symbols.functions[i].name;
    return true;
}
