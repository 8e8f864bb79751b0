/* SPDX-License-Identifier: MIT */
/* elf.c: see elf.h. */
#include "elf.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>

#include <string.h>

/* Where the fields are: gABI, "ELF Header" and "Program Header". */
enum {
    HEADER_BYTES = 64,
    CLASS = 4,
    CLASS_64 = 2,
    DATA = 5,
    DATA_LITTLE = 1,
    IDENT_VERSION = 6,
    VERSION_CURRENT = 1,
    OS_ABI = 7,
    OS_ABI_NONE = 0,
    OS_ABI_GNU = 3, /* that of glibc's programs with indirect functions */
    TYPE = 16,
    TYPE_RELOCATABLE = 1,
    TYPE_EXECUTABLE = 2,
    TYPE_SHARED = 3,
    TYPE_CORE = 4,
    MACHINE = 18,
    MACHINE_AARCH64 = 183,
    VERSION = 20,
    ENTRY = 24,
    HEADERS_OFFSET = 32,
    HEADERS_BYTES = 54,
    HEADERS_COUNT = 56,

    PROGRAM_HEADER_BYTES = 56,
    KIND = 0,
    KIND_LOAD = 1,
    KIND_INTERPRETER = 3,
    KIND_HEADERS = 6,
    KIND_GNU_STACK = 0x6474e551,
    FLAGS = 4,
    FLAG_EXECUTE = 1,
    FLAG_WRITE = 2,
    FLAG_READ = 4,
    OFFSET = 8,
    ADDRESS = 16,
    FILE_BYTES = 32,
    MEMORY_BYTES = 40,
    ALIGNMENT = 48,
};

/* One file that is being read. */
struct reader {
    const struct byte_source *file;
    struct elf_image *image;
    const char **reason;
    uint64_t headers_offset;
    uint64_t headers_said; /* PT_PHDR's address */
    bool says_headers;
    bool has_interpreter, has_executable_stack;
};

static uint64_t get(const uint8_t *bytes, uint32_t width) {
    uint64_t value = 0;
    for (uint32_t i = width; i-- != 0;)
        value = value << 8 | bytes[i];
    return value;
}

static uint16_t get_16(const uint8_t *bytes) {
    return (uint16_t)get(bytes, 2);
}

static uint32_t get_32(const uint8_t *bytes) {
    return (uint32_t)get(bytes, 4);
}

static uint64_t get_64(const uint8_t *bytes) {
    return get(bytes, 8);
}

static int refuse(struct reader *reader, const char *reason) {
    *reader->reason = reason;
    return -ASH_ENOEXEC;
}

static int read_bytes(struct reader *reader, uint64_t offset, void *buffer, size_t len) {
    int error = reader->file->read(reader->file->context, offset, buffer, len);
    if (error != 0)
        *reader->reason = "cannot be read";
    return error;
}

/* The header */

static const char *refuse_type(uint16_t type) {
    switch (type) {
    case TYPE_EXECUTABLE:
    case TYPE_SHARED:
        return NULL;
    case TYPE_RELOCATABLE:
        return "is an object file, to be linked first";
    case TYPE_CORE:
        return "is a core dump";
    default:
        return "is no program";
    }
}

/* What is wrong with the header, in the order in which it says what the rest of it means. */
static const char *refuse_header(const uint8_t *header) {
    if (header[CLASS] != CLASS_64)
        return "is a 32-bit program";
    if (header[DATA] != DATA_LITTLE)
        return "is a big-endian program";
    if (header[IDENT_VERSION] != VERSION_CURRENT || get_32(header + VERSION) != VERSION_CURRENT)
        return "is of an unknown version of ELF";
    if (header[OS_ABI] != OS_ABI_NONE && header[OS_ABI] != OS_ABI_GNU)
        return "is for another operating system";
    if (get_16(header + MACHINE) != MACHINE_AARCH64)
        return "is for another processor than aarch64";
    return refuse_type(get_16(header + TYPE));
}

static int read_header(struct reader *reader) {
    struct elf_image *image = reader->image;
    uint8_t header[HEADER_BYTES] = {0};
    uint64_t size = reader->file->size_bytes;
    int error = read_bytes(reader, 0, header, (size_t)ash_min_u64(size, HEADER_BYTES));
    if (error != 0)
        return error;
    if (memcmp(header, "#!", 2) == 0)
        return refuse(reader, "is a script, and scripts are not run");
    if (memcmp(header, "\177ELF", 4) != 0)
        return refuse(reader, "is not an ELF file");
    if (size < HEADER_BYTES)
        return refuse(reader, "ends inside of its header");
    const char *reason = refuse_header(header);
    if (reason != NULL)
        return refuse(reader, reason);
    image->is_anywhere = get_16(header + TYPE) == TYPE_SHARED;
    image->entry = get_64(header + ENTRY);
    image->header_count = get_16(header + HEADERS_COUNT);
    image->header_bytes = get_16(header + HEADERS_BYTES);
    reader->headers_offset = get_64(header + HEADERS_OFFSET);
    if (image->header_count == 0)
        return refuse(reader, "has no segment to load");
    if (image->header_bytes != PROGRAM_HEADER_BYTES)
        return refuse(reader, "has program headers of a strange size");
    if (image->header_count > ELF_HEADERS_MAX)
        return refuse(reader, "has too many program headers");
    if (!ash_range_fits(reader->headers_offset,
                        (uint64_t)image->header_count * PROGRAM_HEADER_BYTES, size))
        return refuse(reader, "ends inside of its program headers");
    return 0;
}

/* A segment that is loaded */

static const char *refuse_load(const uint8_t *header, uint64_t file_size) {
    uint64_t offset = get_64(header + OFFSET), address = get_64(header + ADDRESS);
    uint64_t file_bytes = get_64(header + FILE_BYTES), bytes = get_64(header + MEMORY_BYTES);
    uint64_t alignment = get_64(header + ALIGNMENT);
    uint32_t flags = get_32(header + FLAGS);
    if (file_bytes > bytes)
        return "has a segment with more bytes in the file than in memory";
    if (file_bytes != 0 && !ash_range_fits(offset, file_bytes, file_size))
        return "has a segment whose bytes the file has not got";
    if (file_bytes != 0 && (offset ^ address) % ELF_PAGE_BYTES != 0)
        return "has a segment at an address that its place in the file does not match";
    if (alignment != 0 && (!ash_is_pow2(alignment) || alignment > ELF_ALIGNMENT_MAX))
        return "has a segment whose alignment is no power of two up to 1 GiB";
    if (!ash_range_fits(address, bytes, ELF_ADDRESS_END))
        return "has a segment outside of a program's addresses";
    if ((flags & FLAG_WRITE) != 0 && (flags & FLAG_EXECUTE) != 0)
        return "has a segment that is both writable and executable";
    return NULL;
}

static struct elf_segment segment_of(const uint8_t *header) {
    uint64_t offset = get_64(header + OFFSET), address = get_64(header + ADDRESS);
    uint64_t file_bytes = get_64(header + FILE_BYTES), bytes = get_64(header + MEMORY_BYTES);
    uint64_t before = address % ELF_PAGE_BYTES; /* of the first page, that comes with it */
    uint32_t flags = get_32(header + FLAGS);
    return (struct elf_segment){.start = address - before,
                                .end = ash_align_up(address + bytes, ELF_PAGE_BYTES),
                                .offset = file_bytes == 0 ? 0 : offset - before,
                                .file_bytes = file_bytes == 0 ? 0 : before + file_bytes,
                                .has_zeros = file_bytes < bytes,
                                .is_readable = (flags & (FLAG_READ | FLAG_WRITE)) != 0,
                                .is_writable = (flags & FLAG_WRITE) != 0,
                                .is_executable = (flags & FLAG_EXECUTE) != 0};
}

static int take_load(struct reader *reader, const uint8_t *header) {
    struct elf_image *image = reader->image;
    if (get_64(header + MEMORY_BYTES) == 0)
        return 0;
    const char *reason = refuse_load(header, reader->file->size_bytes);
    if (reason != NULL)
        return refuse(reader, reason);
    struct elf_segment segment = segment_of(header);
    if (!image->is_anywhere && segment.start < ELF_ADDRESS_MIN)
        return refuse(reader, "has a segment outside of a program's addresses");
    if (image->segment_count != 0 && segment.start < image->high)
        return refuse(reader, "has segments that are out of order, or share a page");
    if (image->segment_count == ELF_SEGMENTS_MAX)
        return refuse(reader, "has too many segments to load");
    if (image->segment_count == 0)
        image->low = segment.start;
    image->high = segment.end;
    image->alignment = ash_max_u64(image->alignment, get_64(header + ALIGNMENT));
    image->segments[image->segment_count++] = segment;
    return 0;
}

static int read_program_headers(struct reader *reader) {
    for (uint32_t i = 0; i < reader->image->header_count; i++) {
        uint8_t header[PROGRAM_HEADER_BYTES];
        uint64_t offset = reader->headers_offset + (uint64_t)i * PROGRAM_HEADER_BYTES;
        int error = read_bytes(reader, offset, header, sizeof(header));
        if (error != 0)
            return error;
        switch (get_32(header + KIND)) {
        case KIND_LOAD:
            error = take_load(reader, header);
            break;
        case KIND_INTERPRETER:
            reader->has_interpreter = true;
            break;
        case KIND_HEADERS:
            reader->says_headers = true;
            reader->headers_said = get_64(header + ADDRESS);
            break;
        case KIND_GNU_STACK:
            reader->has_executable_stack = (get_32(header + FLAGS) & FLAG_EXECUTE) != 0;
            break;
        default:
            break;
        }
        if (error != 0)
            return error;
    }
    return 0;
}

/* The whole */

/* Where the program headers are in memory: where some segment takes all of them from the file. */
static uint64_t find_headers(const struct reader *reader) {
    const struct elf_image *image = reader->image;
    uint64_t len = (uint64_t)image->header_count * PROGRAM_HEADER_BYTES;
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (segment->is_readable && reader->headers_offset >= segment->offset &&
            ash_range_fits(reader->headers_offset - segment->offset, len, segment->file_bytes))
            return segment->start + (reader->headers_offset - segment->offset);
    }
    return 0;
}

static bool is_executable_at(const struct elf_image *image, uint64_t address) {
    for (uint32_t i = 0; i < image->segment_count; i++) {
        const struct elf_segment *segment = &image->segments[i];
        if (address >= segment->start && address < segment->end)
            return segment->is_executable;
    }
    return false;
}

int elf_read(const struct byte_source *file, struct elf_image *image, const char **reason) {
    struct reader reader = {.file = file, .image = image, .reason = reason};
    *image = (struct elf_image){.alignment = ELF_PAGE_BYTES};
    int error = read_header(&reader);
    if (error == 0)
        error = read_program_headers(&reader);
    if (error != 0)
        return error;
    if (reader.has_interpreter)
        return refuse(&reader, "is linked dynamically, and there is no dynamic linker: link it "
                               "with -static");
    if (image->segment_count == 0)
        return refuse(&reader, "has no segment to load");
    if (reader.has_executable_stack)
        return refuse(&reader, "wants a stack that is executable (-z execstack)");
    if (image->entry % 4 != 0 || !is_executable_at(image, image->entry))
        return refuse(&reader, "has its entry outside of executable memory");
    image->headers = find_headers(&reader);
    if (reader.says_headers && reader.headers_said != image->headers)
        return refuse(&reader, "has its program headers loaded elsewhere than PT_PHDR says");
    return 0;
}

/* The rules again, from what is given out. */

static const char *check_segment(const struct elf_image *image, uint32_t index,
                                 uint64_t file_bytes) {
    const struct elf_segment *segment = &image->segments[index];
    if (!ash_is_aligned(segment->start | segment->end | segment->offset, ELF_PAGE_BYTES))
        return "a segment is not of whole pages";
    if (segment->start >= segment->end || segment->end > ELF_ADDRESS_END ||
        (!image->is_anywhere && segment->start < ELF_ADDRESS_MIN))
        return "a segment is outside of the addresses of programs";
    if (index != 0 && segment->start < image->segments[index - 1].end)
        return "segments overlap";
    if (segment->is_writable && segment->is_executable)
        return "a segment is both writable and executable";
    if (segment->file_bytes > segment->end - segment->start ||
        !ash_range_fits(segment->offset, segment->file_bytes, file_bytes))
        return "a segment takes what the file has not got";
    if (!segment->has_zeros &&
        segment->end - segment->start - segment->file_bytes >= ELF_PAGE_BYTES)
        return "a segment has a page of nothing";
    return NULL;
}

const char *elf_image_check(const struct elf_image *image, uint64_t file_bytes) {
    uint32_t count = image->segment_count;
    if (count == 0 || count > ELF_SEGMENTS_MAX)
        return "there are no segments, or too many";
    for (uint32_t i = 0; i < count; i++) {
        const char *broken = check_segment(image, i, file_bytes);
        if (broken != NULL)
            return broken;
    }
    if (image->low != image->segments[0].start || image->high != image->segments[count - 1].end)
        return "low and high are not those of the segments";
    if (!ash_is_pow2(image->alignment) || image->alignment < ELF_PAGE_BYTES ||
        image->alignment > ELF_ALIGNMENT_MAX)
        return "the alignment is none";
    if (image->entry % 4 != 0 || !is_executable_at(image, image->entry))
        return "the entry is not executable";
    uint64_t headers = (uint64_t)image->header_count * image->header_bytes;
    if (image->headers != 0 && (image->headers < image->low || image->headers > image->high ||
                                headers > image->high - image->headers))
        return "the program headers are not in memory";
    return NULL;
}
