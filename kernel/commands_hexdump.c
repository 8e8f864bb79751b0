/* SPDX-License-Identifier: MIT */
/* commands_hexdump.c: hexdump, byte for byte what util-linux's `hexdump -C` prints. */
#include "kernel.h"
#include "numbers.h"
#include "shell_disks.h"
#include "shell_files.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { ROW = 16, ROW_TEXT = 96, OUT_BYTES = 4096 };

struct dump {
    struct shell *shell;
    uint64_t offset; /* of the row that is being collected */
    uint8_t row[ROW], previous[ROW];
    uint32_t row_len;
    bool has_previous, squeezing, verbose;
    char out[OUT_BYTES];
    size_t out_len;
};

static void flush(struct dump *dump) {
    shell_write(dump->shell, dump->out, dump->out_len);
    dump->out_len = 0;
}

static char *put_hex(char *at, uint8_t byte) {
    static const char digits[] = "0123456789abcdef";
    *at++ = digits[byte >> 4];
    *at++ = digits[byte & 15];
    return at;
}

/* "00000000  7f 45 4c 46 02 01 01 00  00 00 00 00 00 00 00 00  |.ELF............|" */
static void put_row(struct dump *dump) {
    if (OUT_BYTES - dump->out_len < ROW_TEXT)
        flush(dump);
    char *at = dump->out + dump->out_len;
    at += snprintf(at, 24, "%08" PRIx64, dump->offset);
    for (uint32_t i = 0; i < ROW; i++) {
        *at++ = ' ';
        if (i % 8 == 0)
            *at++ = ' ';
        if (i < dump->row_len) {
            at = put_hex(at, dump->row[i]);
        } else {
            *at++ = ' ';
            *at++ = ' ';
        }
    }
    *at++ = ' ';
    *at++ = ' ';
    *at++ = '|';
    for (uint32_t i = 0; i < dump->row_len; i++)
        *at++ = dump->row[i] >= 0x20 && dump->row[i] < 0x7f ? (char)dump->row[i] : '.';
    *at++ = '|';
    *at++ = '\n';
    dump->out_len = (size_t)(at - dump->out);
}

static void put_star(struct dump *dump) {
    if (OUT_BYTES - dump->out_len < ROW_TEXT)
        flush(dump);
    memcpy(dump->out + dump->out_len, "*\n", 2);
    dump->out_len += 2;
}

/* A row is there: print it, or a star for the first of those that repeat the one before. */
static void end_row(struct dump *dump) {
    bool same = dump->has_previous && dump->row_len == ROW && !dump->verbose &&
                memcmp(dump->row, dump->previous, ROW) == 0;
    if (!same)
        put_row(dump);
    else if (!dump->squeezing)
        put_star(dump);
    dump->squeezing = same;
    dump->has_previous = true;
    memcpy(dump->previous, dump->row, ROW);
    dump->offset += dump->row_len;
    dump->row_len = 0;
}

static void dump_take(void *context, const uint8_t *bytes, size_t len) {
    struct dump *dump = context;
    while (len != 0) {
        size_t part = (size_t)ash_min_u64(len, ROW - dump->row_len);
        memcpy(dump->row + dump->row_len, bytes, part);
        dump->row_len += (uint32_t)part;
        bytes += part;
        len -= part;
        if (dump->row_len == ROW)
            end_row(dump);
    }
}

enum { NO_DISK = DISKS_MAX };

struct hexdump_options {
    uint64_t skip, max, disk; /* disk: NO_DISK for a file */
    bool verbose;
};

static int wrong(struct shell *shell, const char *why) {
    shell_usage(shell, "hexdump", why);
    return 0;
}

/* Returns the index of the first operand; 0: a message was printed. */
static int parse_options(struct shell *shell, int argc, char **argv,
                         struct hexdump_options *options) {
    int at = 1;
    const char *option;
    while ((option = shell_option(argc, argv, &at)) != NULL) {
        char letter = option[1];
        if ((letter == 'C' || letter == 'v') && option[2] == '\0') {
            options->verbose |= letter == 'v';
            continue;
        }
        const char *value = option[2] != '\0' ? option + 2 : at < argc ? argv[at++] : "";
        if (letter == 'd') {
            if (!number_parse_within(value, 0, DISKS_MAX - 1, &options->disk))
                return wrong(shell, "-d takes the number of a disk, such as 0; `blk` lists them");
            continue;
        }
        if (letter != 'n' && letter != 's')
            return wrong(shell, "unknown option");
        if (!number_parse(value, letter == 'n' ? &options->max : &options->skip))
            return wrong(shell, "-n and -s take a number, such as 64, 0x40 or 4k");
    }
    return at;
}

static void begin(struct dump *dump, struct shell *shell, const struct hexdump_options *options,
                  uint64_t offset) {
    memset(dump, 0, sizeof(*dump));
    dump->shell = shell;
    dump->verbose = options->verbose;
    dump->offset = offset;
}

/* The end's offset, but nothing for nothing: that is what hexdump does. */
static int end(struct dump *dump, int status, bool has_end, uint64_t end_offset) {
    if (status == 0 && dump->row_len != 0)
        end_row(dump);
    flush(dump);
    if (status == 0 && has_end)
        shell_print(dump->shell, "%08" PRIx64 "\n", end_offset);
    return status;
}

static int hexdump_file(struct shell *shell, const char *path,
                        const struct hexdump_options *options) {
    struct dump dump;
    struct shell_file_range range;
    struct file_info info;
    if (!shell_file_open(shell, "hexdump", path, &range.node, &info))
        return 1;
    range.start = ash_min_u64(options->skip, info.size_bytes);
    range.end = range.start + ash_min_u64(options->max, info.size_bytes - range.start);
    begin(&dump, shell, options, range.start);
    int status = shell_file_each(shell, "hexdump", path, &range, dump_take, &dump);
    return end(&dump, status, options->max != 0 && info.size_bytes != 0, range.end);
}

static int disk_each(struct shell *shell, struct disk *disk, uint64_t offset, uint64_t end_offset,
                     struct dump *dump) {
    while (offset < end_offset) {
        size_t part = (size_t)ash_min_u64(shell->chunk_bytes, end_offset - offset);
        int error = block_cache_read(&shell->kernel->cache, disk, offset, shell->chunk, part);
        if (error != 0)
            return shell_error(shell, "hexdump", NULL, disk_explain(disk, error));
        dump_take(dump, shell->chunk, part);
        offset += part;
        if (shell_interrupted(shell))
            return SHELL_STATUS_STOPPED;
    }
    return 0;
}

static int hexdump_disk(struct shell *shell, const struct hexdump_options *options) {
    struct dump dump;
    struct disk *disk = shell_disk(shell, "hexdump", options->disk);
    if (disk == NULL)
        return 1;
    uint64_t start = ash_min_u64(options->skip, disk->size_bytes);
    uint64_t end_offset = start + ash_min_u64(options->max, disk->size_bytes - start);
    begin(&dump, shell, options, start);
    int status = disk_each(shell, disk, start, end_offset, &dump);
    return end(&dump, status, options->max != 0 && disk->size_bytes != 0, end_offset);
}

SHELL_COMMAND(
    hexdump, "[-C] [-v] [-n LEN] [-s SKIP] FILE|-d DISK",
    "Prints a file's bytes, or a disk's, in hexadecimal and as characters.\n"
    "It is what the host's `hexdump -C` prints: repeated rows become one `*` (-v: they do not).\n"
    "LEN and SKIP are numbers of bytes: 64, 0x40, 4k, 1m, 2b (of 512). `blk` lists the disks.") {
    struct hexdump_options options = {.max = UINT64_MAX, .disk = NO_DISK};
    int first = parse_options(shell, argc, argv, &options);
    if (first == 0)
        return SHELL_STATUS_USAGE;
    if (argc - first != (options.disk == NO_DISK))
        return shell_usage(shell, "hexdump", "give one file, or the number of a disk with -d");
    if (options.disk != NO_DISK)
        return hexdump_disk(shell, &options);
    if (!shell_has_files(shell, "hexdump"))
        return 1;
    return hexdump_file(shell, argv[first], &options);
}
