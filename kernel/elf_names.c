/* SPDX-License-Identifier: MIT */
/* elf_names.c: see elf_names.h. */
#include "elf_names.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <string.h>

/* Where the fields are: gABI, "ELF Header", "Section Header", "Symbol Table", "Note Section". */
enum {
    HEADER_BYTES = 64,
    PROGRAM_HEADERS = 32,
    SECTIONS = 40,
    PROGRAM_HEADER_BYTES = 56,
    PROGRAM_HEADER_COUNT = 56,
    SECTION_COUNT = 60,
    SECTION_OF_NAMES = 62,

    KIND_NOTE = 4,
    NOTE_OFFSET = 8,
    NOTE_BYTES = 32,
    NOTE_HEADER_BYTES = 12,
    NOTE_BUILD_ID = 3,
    NOTE_READ_BYTES = 256, /* of a segment of notes: it stands among the first ones */

    SECTION_BYTES = 64,
    SECTION_NAME = 0,
    SECTION_KIND = 4,
    SECTION_ADDRESS = 16,
    SECTION_OFFSET = 24,
    SECTION_SIZE = 32,
    SECTION_LINK = 40,
    KIND_PROGRAM = 1,
    KIND_SYMBOLS = 2,
    SECTIONS_MAX = 1024,

    SYMBOL_BYTES = 24,
    SYMBOL_INFO = 4,
    SYMBOL_SECTION = 6,
    SYMBOL_VALUE = 8,
    SYMBOL_SIZE = 16,
    SYMBOL_FUNCTION = 2,
    SYMBOL_INDIRECT = 10, /* GNU's: a function that chooses one */
    SYMBOLS_AT_ONCE = 16,
    INSTRUCTION_BYTES = 4,
};

static uint64_t get(const uint8_t *bytes, uint32_t width) {
    uint64_t value = 0;
    for (uint32_t i = width; i-- != 0;)
        value = value << 8 | bytes[i];
    return value;
}

/* -ASH_EINVAL: the file has not got them. */
static int read_bytes(const struct byte_source *file, uint64_t offset, void *buffer, size_t len) {
    if (!ash_range_fits(offset, len, file->size_bytes))
        return -ASH_EINVAL;
    return file->read(file->context, offset, buffer, len);
}

static int read_header(const struct byte_source *file, uint8_t header[HEADER_BYTES]) {
    int error = read_bytes(file, 0, header, HEADER_BYTES);
    return error == 0 && memcmp(header, "\177ELF\2\1", 6) != 0 ? -ASH_EINVAL : error;
}

/* Build-id */

/* Its length in a segment of notes, 0: it is not there. */
static int find_id(const uint8_t *notes, size_t len, uint8_t id[ELF_BUILD_ID_BYTES]) {
    for (size_t at = 0; len - at >= NOTE_HEADER_BYTES;) {
        uint64_t name_bytes = get(notes + at, 4), id_bytes = get(notes + at + 4, 4);
        uint64_t name = at + NOTE_HEADER_BYTES, value = name + ash_align_up(name_bytes, 4);
        uint64_t next = value + ash_align_up(id_bytes, 4);
        if (next > len)
            return 0;
        if (get(notes + at + 8, 4) == NOTE_BUILD_ID && name_bytes == 4 &&
            memcmp(notes + name, "GNU", 4) == 0 && id_bytes <= ELF_BUILD_ID_BYTES) {
            memcpy(id, notes + value, (size_t)id_bytes);
            return (int)id_bytes;
        }
        at = (size_t)next;
    }
    return 0;
}

int elf_build_id(const struct byte_source *file, uint8_t id[ELF_BUILD_ID_BYTES]) {
    uint8_t header[HEADER_BYTES], notes[NOTE_READ_BYTES];
    int found = 0, error = read_header(file, header);
    memset(id, 0, ELF_BUILD_ID_BYTES);
    uint64_t at = get(header + PROGRAM_HEADERS, 8), count = get(header + PROGRAM_HEADER_COUNT, 2);
    for (uint64_t i = 0; i < count && error == 0 && found == 0; i++, at += PROGRAM_HEADER_BYTES) {
        error = read_bytes(file, at, header, PROGRAM_HEADER_BYTES);
        if (error != 0 || get(header, 4) != KIND_NOTE)
            continue;
        size_t len = (size_t)ash_min_u64(get(header + NOTE_BYTES, 8), sizeof(notes));
        error = read_bytes(file, get(header + NOTE_OFFSET, 8), notes, len);
        if (error == 0)
            found = find_id(notes, len, id);
    }
    return error == -ASH_EINVAL ? 0 : error != 0 ? error : found;
}

/* Sections */

struct sections {
    const struct byte_source *file;
    uint64_t at, count, names; /* names: the file's offset of theirs */
};

static int read_section(const struct sections *sections, uint64_t index,
                        uint8_t section[SECTION_BYTES]) {
    if (index >= sections->count)
        return -ASH_EINVAL;
    return read_bytes(sections->file, sections->at + index * SECTION_BYTES, section, SECTION_BYTES);
}

/* One that the file has not got all of is none. */
static struct elf_section section_of(const struct sections *sections, const uint8_t *section) {
    struct elf_section it = {get(section + SECTION_OFFSET, 8), get(section + SECTION_SIZE, 8),
                             get(section + SECTION_ADDRESS, 8)};
    if (!ash_range_fits(it.offset, it.bytes, sections->file->size_bytes))
        it.bytes = 0;
    return it;
}

static int take_symbols(const struct sections *sections, const uint8_t *section,
                        struct elf_names *names) {
    uint8_t strings[SECTION_BYTES];
    int error = read_section(sections, get(section + SECTION_LINK, 4), strings);
    if (error != 0)
        return error;
    names->symbols = section_of(sections, section);
    names->strings = section_of(sections, strings);
    return 0;
}

static int take_frames(const struct sections *sections, const uint8_t *section,
                       struct elf_names *names) {
    static const char wanted[] = ".eh_frame";
    char name[sizeof(wanted)];
    uint64_t at;
    if (!ash_add_u64(sections->names, get(section + SECTION_NAME, 4), &at))
        return 0;
    int error = read_bytes(sections->file, at, name, sizeof(name));
    if (error == 0 && memcmp(name, wanted, sizeof(wanted)) == 0)
        names->frames = section_of(sections, section);
    return error == -ASH_EINVAL ? 0 : error; /* the last names may be shorter than this one */
}

int elf_names_find(const struct byte_source *file, struct elf_names *names) {
    uint8_t header[HEADER_BYTES], section[SECTION_BYTES];
    struct sections sections = {.file = file};
    memset(names, 0, sizeof(*names));
    int error = read_header(file, header);
    if (error != 0)
        return error;
    sections.at = get(header + SECTIONS, 8);
    sections.count = get(header + SECTION_COUNT, 2);
    if (sections.count == 0)
        return 0;
    if (sections.count > SECTIONS_MAX ||
        !ash_range_fits(sections.at, sections.count * SECTION_BYTES, file->size_bytes))
        return -ASH_EINVAL;
    error = read_section(&sections, get(header + SECTION_OF_NAMES, 2), section);
    sections.names = error == 0 ? section_of(&sections, section).offset : 0;
    for (uint64_t i = 0; i < sections.count && error == 0; i++) {
        error = read_section(&sections, i, section);
        if (error == 0 && get(section + SECTION_KIND, 4) == KIND_SYMBOLS)
            error = take_symbols(&sections, section, names);
        else if (error == 0 && get(section + SECTION_KIND, 4) == KIND_PROGRAM)
            error = take_frames(&sections, section, names);
    }
    return error;
}

/* Functions */

static bool is_before(const struct elf_function *a, const struct elf_function *b) {
    if (a->start != b->start)
        return a->start < b->start;
    if (a->end != b->end)
        return a->end > b->end; /* the longest first: it stays */
    return a->name < b->name;
}

/* Williams's heapsort: no memory, no worst case. */
static void sift(struct elf_function *heap, uint32_t at, uint32_t count) {
    struct elf_function moving = heap[at];
    for (uint32_t child; (child = 2 * at + 1) < count; at = child) {
        if (child + 1 < count && is_before(&heap[child], &heap[child + 1]))
            child++;
        if (!is_before(&moving, &heap[child]))
            break;
        heap[at] = heap[child];
    }
    heap[at] = moving;
}

static void sort(struct elf_function *functions, uint32_t count) {
    for (uint32_t i = count / 2; i-- != 0;)
        sift(functions, i, count);
    for (uint32_t left = count; left-- > 1;) {
        struct elf_function last = functions[0];
        functions[0] = functions[left];
        functions[left] = last;
        sift(functions, 0, left);
    }
}

/* Sorted ones without those that lie in another; one of no size reaches to the next. */
static uint32_t make_disjoint(struct elf_function *functions, uint32_t count) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < count; i++) {
        struct elf_function *last = kept == 0 ? NULL : &functions[kept - 1];
        if (last != NULL && last->start == functions[i].start)
            continue;
        if (last != NULL && (last->end == last->start || last->end > functions[i].start))
            last->end = functions[i].start;
        functions[kept++] = functions[i];
    }
    if (kept != 0 && functions[kept - 1].end == functions[kept - 1].start)
        functions[kept - 1].end += INSTRUCTION_BYTES;
    return kept;
}

static bool is_function(const struct elf_names *names, const uint8_t *symbol,
                        struct elf_function *function) {
    uint32_t kind = symbol[SYMBOL_INFO] & 15;
    uint64_t name = get(symbol, 4), bytes = get(symbol + SYMBOL_SIZE, 8);
    function->start = get(symbol + SYMBOL_VALUE, 8);
    function->name = names->strings.offset + name;
    return (kind == SYMBOL_FUNCTION || kind == SYMBOL_INDIRECT) && name != 0 &&
           get(symbol + SYMBOL_SECTION, 2) != 0 && name < names->strings.bytes &&
           function->start < UINT64_MAX - INSTRUCTION_BYTES &&
           ash_add_u64(function->start, bytes, &function->end);
}

static uint64_t symbols_in(const struct elf_names *names) {
    return ash_min_u64(names->symbols.bytes / SYMBOL_BYTES, ELF_SYMBOLS_MAX);
}

uint32_t elf_functions_max(const struct elf_names *names) {
    return (uint32_t)ash_min_u64(names->symbols.bytes / SYMBOL_BYTES, ELF_FUNCTIONS_MAX);
}

int elf_functions(const struct byte_source *file, const struct elf_names *names,
                  struct elf_function *functions, uint32_t max, uint32_t *count) {
    uint8_t symbols[SYMBOLS_AT_ONCE * SYMBOL_BYTES];
    uint64_t left = symbols_in(names), at = names->symbols.offset;
    uint32_t found = 0;
    int error = 0;
    while (left != 0 && found < max && error == 0) {
        uint32_t some = (uint32_t)ash_min_u64(left, SYMBOLS_AT_ONCE);
        error = read_bytes(file, at, symbols, (size_t)some * SYMBOL_BYTES);
        for (uint32_t i = 0; i < some && found < max && error == 0; i++)
            found += is_function(names, symbols + (size_t)i * SYMBOL_BYTES, &functions[found]);
        left -= some;
        at += (uint64_t)some * SYMBOL_BYTES;
    }
    sort(functions, found);
    *count = make_disjoint(functions, found);
    return error;
}

/* Of those that begin at the address or below, the last; of several there, the one that stays. */
static void take_if_nearer(struct elf_place *place, const struct elf_function *function) {
    const struct elf_function *best = &place->function;
    if (function->start > place->address || function->start < best->start)
        return;
    if (best->name == 0 || function->start > best->start || is_before(function, best))
        place->function = *function;
}

int elf_functions_at(const struct byte_source *file, const struct elf_names *names,
                     struct elf_place *places, uint32_t count) {
    uint8_t symbols[SYMBOLS_AT_ONCE * SYMBOL_BYTES];
    struct elf_function function;
    uint64_t left = symbols_in(names), at = names->symbols.offset;
    int error = 0;
    for (uint32_t i = 0; i < count; i++)
        places[i].function = (struct elf_function){0, 0, 0};
    while (left != 0 && error == 0) {
        uint32_t some = (uint32_t)ash_min_u64(left, SYMBOLS_AT_ONCE);
        error = read_bytes(file, at, symbols, (size_t)some * SYMBOL_BYTES);
        for (uint32_t i = 0; i < some && error == 0; i++) {
            if (!is_function(names, symbols + (size_t)i * SYMBOL_BYTES, &function))
                continue;
            for (uint32_t j = 0; j < count; j++)
                take_if_nearer(&places[j], &function);
        }
        left -= some;
        at += (uint64_t)some * SYMBOL_BYTES;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct elf_function *it = &places[i].function;
        if (it->end == it->start && it->name != 0)
            it->end = places[i].address + 1;
        if (error != 0 || it->end <= places[i].address)
            *it = (struct elf_function){0, 0, 0};
    }
    return error;
}

int elf_function_name(const struct byte_source *file, const struct elf_names *names,
                      const struct elf_function *function, char name[ELF_NAME_BYTES]) {
    uint64_t end = names->strings.offset + names->strings.bytes;
    size_t len = (size_t)ash_min_u64(end - function->name, ELF_NAME_BYTES - 1);
    int error = read_bytes(file, function->name, name, len);
    name[error == 0 ? len : 0] = '\0';
    return error;
}
