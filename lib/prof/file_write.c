/* SPDX-License-Identifier: MIT */
/*
 * file_write.c: the container is written: all sizes first, then each part from where it lies.
 */
#include "file_internal.h"

static uint64_t contents_offset(uint32_t count) {
    return ash_align_up(sizeof(struct ash_prof_file_header) +
                            (uint64_t)count * sizeof(struct ash_prof_file_section),
                        ASH__PROF_FILE_ALIGN);
}

/* Where the part behind this one begins; false: nowhere. */
static bool advance(uint64_t *offset, const struct ash_prof_part *part) {
    return ash_add_u64(*offset, part->len, offset) &&
           ash_align_up_checked(*offset, ASH__PROF_FILE_ALIGN, offset);
}

uint64_t ash_prof_file_bytes(const struct ash_prof_part *parts, uint32_t count) {
    if (count > ASH_PROF_FILE_SECTIONS_MAX)
        return 0;
    uint64_t offset = contents_offset(count);
    for (uint32_t i = 0; i < count; i++)
        if (!advance(&offset, &parts[i]))
            return 0;
    return ash_add_u64(offset, sizeof(struct ash_prof_file_end), &offset) ? offset : 0;
}

struct output {
    int (*write)(void *context, const void *bytes, size_t len);
    void *context;
    uint32_t crc32; /* since the last part of the file that has its own */
};

static int put(struct output *output, const void *bytes, size_t len) {
    if (len == 0)
        return 0;
    output->crc32 = ash__prof_crc32(output->crc32, bytes, len);
    return output->write(output->context, bytes, len);
}

static int put_padding(struct output *output, uint64_t len) {
    static const uint8_t zeros[ASH__PROF_FILE_ALIGN];
    return put(output, zeros, (size_t)(ash_align_up(len, ASH__PROF_FILE_ALIGN) - len));
}

static struct ash_prof_file_section section_of(const struct ash_prof_part *part, uint64_t offset) {
    return (struct ash_prof_file_section){.type = part->type,
                                          .which = part->which,
                                          .offset = offset,
                                          .bytes = part->len,
                                          .item_bytes = part->item_bytes};
}

/* The check sum stands before what it is of: the table is made twice. */
static uint32_t table_crc32(const struct ash_prof_file_header *header,
                            const struct ash_prof_part *parts, uint32_t count) {
    uint32_t crc = ash__prof_crc32(0, header, sizeof(*header));
    uint64_t offset = contents_offset(count);
    for (uint32_t i = 0; i < count; i++) {
        struct ash_prof_file_section section = section_of(&parts[i], offset);
        crc = ash__prof_crc32(crc, &section, sizeof(section));
        (void)advance(&offset, &parts[i]);
    }
    return crc;
}

static int put_table(struct output *output, const struct ash_prof_part *parts, uint32_t count) {
    uint64_t offset = contents_offset(count);
    int error = 0;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        struct ash_prof_file_section section = section_of(&parts[i], offset);
        error = put(output, &section, sizeof(section));
        (void)advance(&offset, &parts[i]);
    }
    return error;
}

static int put_contents(struct output *output, const struct ash_prof_part *parts, uint32_t count) {
    output->crc32 = 0;
    int error = put_padding(output, sizeof(struct ash_prof_file_header) +
                                        count * sizeof(struct ash_prof_file_section));
    for (uint32_t i = 0; i < count && error == 0; i++) {
        error = put(output, parts[i].bytes, (size_t)parts[i].len);
        if (error == 0)
            error = put_padding(output, parts[i].len);
    }
    return error;
}

int ash_prof_file_write(const struct ash_prof_file_header *clocks,
                        const struct ash_prof_part *parts, uint32_t count,
                        int (*write)(void *context, const void *bytes, size_t len), void *context) {
    struct ash_prof_file_header header = {.magic = ASH_PROF_FILE_MAGIC,
                                          .version = ASH_PROF_FILE_VERSION,
                                          .header_bytes = sizeof(header),
                                          .file_bytes = ash_prof_file_bytes(parts, count),
                                          .section_count = count,
                                          .section_bytes = sizeof(struct ash_prof_file_section),
                                          .clock_hz = clocks->clock_hz,
                                          .clock_origin = clocks->clock_origin,
                                          .clock_now = clocks->clock_now};
    if (header.file_bytes == 0)
        return -ASH_EINVAL;
    header.crc32 = table_crc32(&header, parts, count);

    struct output output = {write, context, 0};
    int error = put(&output, &header, sizeof(header));
    if (error == 0)
        error = put_table(&output, parts, count);
    if (error == 0)
        error = put_contents(&output, parts, count);
    struct ash_prof_file_end end = {.magic = ASH_PROF_FILE_MAGIC, .crc32 = output.crc32};
    return error != 0 ? error : write(context, &end, sizeof(end));
}
