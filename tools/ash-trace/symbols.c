/* SPDX-License-Identifier: MIT */
/*
 * symbols.c: functions from the symbol table of an ELF file, for images of the same build-id. The
 * file may be anything: whatever does not lie inside of it is not there.
 *
 * Source: System V ABI, chapters 4 and 5; <elf.h>.
 */
#include <elf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <ashlar/checked.h>

#include "ash_trace.h"

struct elf {
    const char *path;
    const uint8_t *bytes;
    size_t len;
    Elf64_Ehdr header;
    uint8_t build_id[32];
    uint32_t build_id_bytes;
};

static bool copy(const struct elf *elf, void *item, size_t item_bytes, uint64_t offset) {
    if (!ash_range_fits(offset, item_bytes, elf->len))
        return false;
    memcpy(item, elf->bytes + offset, item_bytes);
    return true;
}

static bool section_at(const struct elf *elf, uint32_t index, Elf64_Shdr *section) {
    return index < elf->header.e_shnum && elf->header.e_shentsize == sizeof(*section) &&
           ash_range_fits(elf->header.e_shoff, (uint64_t)index * sizeof(*section), elf->len) &&
           copy(elf, section, sizeof(*section),
                elf->header.e_shoff + (uint64_t)index * sizeof(*section)) &&
           (section->sh_type == SHT_NOBITS ||
            ash_range_fits(section->sh_offset, section->sh_size, elf->len));
}

static bool open_elf(struct elf *elf) {
    if (!copy(elf, &elf->header, sizeof(elf->header), 0) ||
        memcmp(elf->header.e_ident, ELFMAG, SELFMAG) != 0) {
        say("%s: no ELF file", elf->path);
        return false;
    }
    if (elf->header.e_ident[EI_CLASS] != ELFCLASS64 ||
        elf->header.e_ident[EI_DATA] != ELFDATA2LSB) {
        say("%s: an ELF file, but not one of 64 bits, little-endian", elf->path);
        return false;
    }
    return true;
}

static void take_note(struct elf *elf, const Elf64_Shdr *section) {
    uint64_t at = section->sh_offset, end = at + section->sh_size;
    Elf64_Nhdr note;
    while (at + sizeof(note) <= end && copy(elf, &note, sizeof(note), at)) {
        uint64_t name = at + sizeof(note);
        uint64_t contents = name + ash_align_up(note.n_namesz, 4);
        if (!ash_range_fits(contents, note.n_descsz, end))
            return;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
            memcmp(elf->bytes + name, "GNU", 4) == 0 && note.n_descsz != 0 &&
            note.n_descsz <= sizeof(elf->build_id)) {
            elf->build_id_bytes = note.n_descsz;
            memcpy(elf->build_id, elf->bytes + contents, note.n_descsz);
            return;
        }
        at = contents + ash_align_up(note.n_descsz, 4);
    }
}

static void find_build_id(struct elf *elf) {
    Elf64_Shdr section;
    for (uint32_t i = 0; i < elf->header.e_shnum && elf->build_id_bytes == 0; i++)
        if (section_at(elf, i, &section) && section.sh_type == SHT_NOTE)
            take_note(elf, &section);
}

/* Functions */

struct table {
    struct ash_prof_symbol *symbols;
    uint32_t count;
    Elf64_Shdr strings;
};

/* The string's bytes with its 0, all in the table; 0: it is none. */
static size_t string_len(const struct elf *elf, const Elf64_Shdr *strings, uint32_t offset) {
    if (offset >= strings->sh_size)
        return 0;
    const uint8_t *from = elf->bytes + strings->sh_offset + offset;
    const uint8_t *end = memchr(from, '\0', (size_t)(strings->sh_size - offset));
    return end == NULL ? 0 : (size_t)(end - from) + 1;
}

/* Functions, and what assembly has in code without saying that it is one ("$x" marks no place). */
static bool is_function(const struct elf *elf, const Elf64_Shdr *strings, const Elf64_Sym *symbol) {
    uint32_t type = ELF64_ST_TYPE(symbol->st_info);
    Elf64_Shdr section;
    if (symbol->st_shndx == SHN_UNDEF || (type != STT_FUNC && type != STT_NOTYPE) ||
        !section_at(elf, symbol->st_shndx, &section) || (section.sh_flags & SHF_EXECINSTR) == 0)
        return false;
    return string_len(elf, strings, symbol->st_name) > 1 &&
           elf->bytes[strings->sh_offset + symbol->st_name] != '$';
}

static int by_start(const void *left, const void *right) {
    const struct ash_prof_symbol *a = left, *b = right;
    if (a->start != b->start)
        return a->start < b->start ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes > b->bytes ? -1 : 1;
    return a->name < b->name ? -1 : a->name > b->name;
}

/* Of several at one place the largest stays; each ends where the next one begins. */
static void sort(struct table *table) {
    qsort(table->symbols, table->count, sizeof(*table->symbols), by_start);
    uint32_t kept = 0;
    for (uint32_t i = 0; i < table->count; i++)
        if (kept == 0 || table->symbols[i].start != table->symbols[kept - 1].start)
            table->symbols[kept++] = table->symbols[i];
    table->count = kept;
    for (uint32_t i = 0; i + 1 < kept; i++)
        table->symbols[i].bytes = (uint32_t)ash_min_u64(
            table->symbols[i].bytes, table->symbols[i + 1].start - table->symbols[i].start);
}

static bool read_table(const struct elf *elf, const Elf64_Shdr *section, struct table *table) {
    uint64_t count = section->sh_size / sizeof(Elf64_Sym);
    if (!section_at(elf, section->sh_link, &table->strings) ||
        table->strings.sh_type != SHT_STRTAB || count > UINT32_MAX)
        return false;
    table->symbols = calloc((size_t)count + 1, sizeof(*table->symbols));
    if (table->symbols == NULL)
        return false;
    for (uint64_t i = 0; i < count; i++) {
        Elf64_Sym symbol;
        uint64_t end;
        if (copy(elf, &symbol, sizeof(symbol), section->sh_offset + i * sizeof(symbol)) &&
            is_function(elf, &table->strings, &symbol) && symbol.st_size <= UINT32_MAX &&
            ash_add_u64(symbol.st_value, symbol.st_size + 1, &end))
            table->symbols[table->count++] =
                (struct ash_prof_symbol){symbol.st_value, (uint32_t)symbol.st_size, symbol.st_name};
    }
    sort(table);
    return table->count != 0;
}

static bool find_table(const struct elf *elf, struct table *table) {
    static const uint32_t types[] = {SHT_SYMTAB, SHT_DYNSYM};
    for (uint32_t kind = 0; kind < 2; kind++)
        for (uint32_t i = 0; i < elf->header.e_shnum; i++) {
            Elf64_Shdr section;
            if (section_at(elf, i, &section) && section.sh_type == types[kind] &&
                read_table(elf, &section, table))
                return true;
        }
    return false;
}

/* Into the view */

static const char *hex(const uint8_t *bytes, uint32_t count, char *text) {
    for (uint32_t i = 0; i < count; i++)
        snprintf(text + 2 * (size_t)i, 3, "%02x", bytes[i]);
    return count == 0 ? "(none)" : text;
}

static bool is_of(const struct elf *elf, const struct ash_prof_image *image) {
    return image->build_id_bytes == elf->build_id_bytes &&
           memcmp(image->build_id, elf->build_id, elf->build_id_bytes) == 0;
}

static bool say_other_build(const struct ash_prof_view *view, const struct elf *elf) {
    char text[65] = "", other[65] = "";
    say("%s: symbols of another build: its build-id is %s", elf->path,
        hex(elf->build_id, elf->build_id_bytes, text));
    for (uint32_t i = 0; i < view->image_count; i++)
        say("  the trace has %s of %s",
            hex(view->images[i].build_id, view->images[i].build_id_bytes, other),
            ash_prof_view_string(view, view->images[i].name));
    return false;
}

/* The file's strings behind those of the view. */
static bool add_strings(struct ash_prof_view *view, const struct elf *elf, struct table *table) {
    size_t old = view->string_bytes, more = (size_t)table->strings.sh_size;
    char *strings = old + more + 1 > UINT32_MAX ? NULL : malloc(old + more + 1);
    if (strings == NULL) {
        say("%s: no memory for its strings", elf->path);
        return false;
    }
    memcpy(strings, view->strings, old);
    memcpy(strings + old, elf->bytes + table->strings.sh_offset, more);
    strings[old + more] = '\0';
    for (uint32_t i = 0; i < table->count; i++)
        table->symbols[i].name += (uint32_t)old;
    view->strings = strings;
    view->string_bytes = old + more + 1;
    return true;
}

static bool add_table(struct ash_prof_view *view, const struct elf *elf, struct table *table) {
    uint32_t which = 0;
    while (which < ASH_PROF_FILE_SYMBOLS_MAX && view->symbols[which] != NULL)
        which++;
    struct ash_prof_image *images = malloc((size_t)view->image_count * sizeof(*images));
    if (which == ASH_PROF_FILE_SYMBOLS_MAX || images == NULL) {
        say("%s: there is no room for more symbols", elf->path);
        free(images);
        return false;
    }
    memcpy(images, view->images, (size_t)view->image_count * sizeof(*images));
    for (uint32_t i = 0; i < view->image_count; i++)
        if (is_of(elf, &images[i]))
            images[i].symbols = which + 1;
    view->images = images;
    view->symbols[which] = table->symbols;
    view->symbol_counts[which] = table->count;
    return add_strings(view, elf, table);
}

/* Where its last byte is, only who has read it all knows. */
static uint64_t wanted_of_elf(const uint8_t *bytes, size_t len) {
    return len >= 4 && memcmp(bytes, "\177ELF", 4) == 0 ? UINT64_MAX : 0;
}

bool symbols_add(struct ash_prof_view *view, const char *path) {
    struct input input;
    struct elf elf = {.path = path};
    struct table table = {0};
    if (!input_read(&input, path, wanted_of_elf))
        return false;
    elf.bytes = input.bytes;
    elf.len = input.len;
    if (!open_elf(&elf))
        return false;
    find_build_id(&elf);
    if (elf.build_id_bytes == 0) {
        say("%s: it has no build-id, so nobody knows whether it is what ran", path);
        return false;
    }
    bool is_known = false;
    for (uint32_t i = 0; i < view->image_count; i++)
        is_known = is_known || is_of(&elf, &view->images[i]);
    if (!is_known)
        return say_other_build(view, &elf);
    if (!find_table(&elf, &table)) {
        say("%s: it has no symbols of functions; was it stripped?", path);
        return false;
    }
    return add_table(view, &elf, &table);
}
