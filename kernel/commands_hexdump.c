/* SPDX-License-Identifier: MIT */
/* commands_hexdump.c: hexdump, byte for byte what util-linux's `hexdump -C` prints. */
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

/* Decimal, 0x... or 0..., then b (512), k, m or g. */
static bool parse_number(const char *text, uint64_t *value) {
    uint64_t base = 10, number = 0;
    const char *digit = text;
    if (digit[0] == '0' && (digit[1] == 'x' || digit[1] == 'X')) {
        base = 16;
        digit += 2;
    } else if (digit[0] == '0') {
        base = 8;
    }
    const char *first = digit;
    for (;; digit++) {
        uint64_t d = *digit >= '0' && *digit <= '9'                 ? (uint64_t)(*digit - '0')
                     : base == 16 && *digit >= 'a' && *digit <= 'f' ? (uint64_t)(*digit - 'a' + 10)
                     : base == 16 && *digit >= 'A' && *digit <= 'F' ? (uint64_t)(*digit - 'A' + 10)
                                                                    : 16;
        if (d >= base)
            break;
        if (number > (UINT64_MAX - d) / base)
            return false;
        number = number * base + d;
    }
    const char *letters = "bkmg", *letter = *digit == '\0' ? NULL : strchr(letters, *digit);
    uint32_t shift = letter == NULL      ? 0u
                     : letter == letters ? 9u
                                         : 10u * (uint32_t)(letter - letters);
    if (digit == first || digit[letter != NULL] != '\0' || number > UINT64_MAX >> shift)
        return false;
    *value = number << shift;
    return true;
}

struct hexdump_options {
    uint64_t skip, max;
    bool verbose;
};

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
        uint64_t *number = letter == 'n' ? &options->max : &options->skip;
        if (letter != 'n' && letter != 's') {
            shell_usage(shell, "hexdump", "unknown option");
            return 0;
        }
        if (!parse_number(value, number)) {
            shell_usage(shell, "hexdump", "-n and -s take a number, such as 64, 0x40 or 4k");
            return 0;
        }
    }
    return at;
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
    memset(&dump, 0, sizeof(dump));
    dump.shell = shell;
    dump.verbose = options->verbose;
    dump.offset = range.start;
    int status = shell_file_each(shell, "hexdump", path, &range, dump_take, &dump);
    if (status == 0 && dump.row_len != 0)
        end_row(&dump);
    flush(&dump);
    /* The end's offset, but nothing for nothing: that is what hexdump does. */
    if (status == 0 && options->max != 0 && info.size_bytes != 0)
        shell_print(shell, "%08" PRIx64 "\n", range.end);
    return status;
}

SHELL_COMMAND(
    hexdump, "[-C] [-v] [-n LEN] [-s SKIP] FILE",
    "Prints a file's bytes in hexadecimal and as characters.\n"
    "It is what the host's `hexdump -C` prints: repeated rows become one `*` (-v: they do not).\n"
    "LEN and SKIP are numbers of bytes: 64, 0x40, 4k, 1m, 2b (of 512).") {
    struct hexdump_options options = {.skip = 0, .max = UINT64_MAX, .verbose = false};
    int first = parse_options(shell, argc, argv, &options);
    if (first == 0)
        return SHELL_STATUS_USAGE;
    if (argc - first != 1)
        return shell_usage(shell, "hexdump", "give one file");
    if (!shell_has_files(shell, "hexdump"))
        return 1;
    return hexdump_file(shell, argv[first], &options);
}
