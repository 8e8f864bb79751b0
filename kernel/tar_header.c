/* SPDX-License-Identifier: MIT */
/* tar_header.c: see tar_header.h. */
#include "tar_header.h"

#include <string.h>

/* Where the fields are: POSIX.1-2017 pax, "ustar Header Block". */
enum {
    NAME = 0,
    NAME_LEN = 100,
    SIZE = 124,
    CHECKSUM = 148,
    CHECKSUM_LEN = 8,
    TYPE = 156,
    LINK = 157,
    LINK_LEN = 100,
    MAGIC = 257,
    PREFIX = 345,
    PREFIX_LEN = 155,
    NUMBER_LEN = 12,
    STAR_PREFIX_LEN = 131, /* star keeps two times behind a shorter prefix, and "tar" at the end */
    STAR_MAGIC = 508,
    GNU_MAP_CONTINUES = 482,
    GNU_EXPANDED_SIZE = 483,
};

static bool base_256_parse(const uint8_t *field, size_t len, uint64_t *value) {
    uint64_t number = field[0] & 0x3f; /* bit 7 marks the form, bit 6 is the sign */
    if ((field[0] & 0x40) != 0)
        return false;
    for (size_t i = 1; i < len; i++) {
        if (number > (uint64_t)INT64_MAX >> 8)
            return false;
        number = number << 8 | field[i];
    }
    *value = number;
    return true;
}

bool tar_number_parse(const uint8_t *field, size_t len, uint64_t *value) {
    uint64_t number = 0;
    size_t i = 0;
    if (len != 0 && (field[0] & 0x80) != 0)
        return base_256_parse(field, len, value);
    while (i < len && (field[i] == ' ' || field[i] == '\0'))
        i++;
    for (; i < len && field[i] >= '0' && field[i] <= '7'; i++) {
        if (number > (uint64_t)INT64_MAX >> 3)
            return false;
        number = number << 3 | (uint64_t)(field[i] - '0');
    }
    while (i < len && (field[i] == ' ' || field[i] == '\0'))
        i++;
    *value = number;
    return i == len;
}

bool tar_block_is_zero(const uint8_t block[TAR_BLOCK]) {
    uint8_t any = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        any |= block[i];
    return any == 0;
}

bool tar_checksum_holds(const uint8_t block[TAR_BLOCK]) {
    uint64_t stored;
    uint32_t sum = 0;
    int32_t signed_sum = 0; /* some old tars added signed characters */
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        uint8_t byte = i >= CHECKSUM && i < CHECKSUM + CHECKSUM_LEN ? ' ' : block[i];
        sum += byte;
        signed_sum += (int8_t)byte;
    }
    if (!tar_number_parse(block + CHECKSUM, CHECKSUM_LEN, &stored))
        return false;
    return stored == sum || (signed_sum >= 0 && stored == (uint32_t)signed_sum);
}

static enum tar_kind kind_of(char letter) {
    switch (letter) {
    case '\0':
    case '0':
    case '7': /* "contiguous" */
        return TAR_FILE;
    case '1':
        return TAR_HARD_LINK;
    case '2':
        return TAR_SYMLINK;
    case '3':
    case '4':
    case '6':
        return TAR_DEVICE;
    case '5':
    case 'D': /* GNU: with a list of its files as data */
        return TAR_DIRECTORY;
    case 'S':
        return TAR_SPARSE;
    case 'M':
        return TAR_CONTINUED;
    case 'V':
        return TAR_LABEL;
    case 'L':
        return TAR_LONG_NAME;
    case 'K':
        return TAR_LONG_LINK;
    case 'x':
    case 'X': /* Solaris */
        return TAR_PAX_NEXT;
    case 'g':
        return TAR_PAX_GLOBAL;
    default:
        return TAR_UNKNOWN;
    }
}

/* Copies a field that ends at its first NUL or at its full length. */
static size_t copy_field(char *to, const uint8_t *field, size_t max) {
    size_t len = 0;
    while (len < max && field[len] != '\0')
        len++;
    memcpy(to, field, len);
    to[len] = '\0';
    return len;
}

static void parse_name(const uint8_t *block, struct tar_header *header) {
    size_t len = 0;
    /* GNU's own format ("ustar  ") keeps other things where ustar has the prefix. */
    if (memcmp(block + MAGIC, "ustar", 6) == 0) {
        bool star = memcmp(block + STAR_MAGIC, "tar", 4) == 0;
        len = copy_field(header->name, block + PREFIX, star ? STAR_PREFIX_LEN : PREFIX_LEN);
        if (len != 0)
            header->name[len++] = '/';
    }
    copy_field(header->name + len, block + NAME, NAME_LEN);
    copy_field(header->target, block + LINK, LINK_LEN);
}

const char *tar_header_parse(const uint8_t block[TAR_BLOCK], struct tar_header *header) {
    memset(header, 0, sizeof(*header));
    if (!tar_checksum_holds(block))
        return "the header's checksum is wrong";
    header->letter = (char)block[TYPE];
    header->kind = kind_of(header->letter);
    parse_name(block, header);
    if (!tar_number_parse(block + SIZE, NUMBER_LEN, &header->size_bytes))
        return "the size is not a number";
    /* These have no data whatever their size field says, for GNU tar as for libarchive. */
    if (header->kind == TAR_SYMLINK || header->kind == TAR_HARD_LINK || header->kind == TAR_DEVICE)
        header->size_bytes = 0;
    if (header->letter == '5')
        header->size_bytes = 0;
    if (header->kind == TAR_SPARSE) {
        header->map_continues = block[GNU_MAP_CONTINUES] != 0;
        if (!tar_number_parse(block + GNU_EXPANDED_SIZE, NUMBER_LEN, &header->expanded_bytes))
            return "the size of a sparse file is not a number";
    }
    return NULL;
}

/* pax records */

static bool decimal_parse(const char *digits, size_t len, uint64_t *value) {
    uint64_t number = 0;
    for (size_t i = 0; i < len; i++) {
        if (digits[i] < '0' || digits[i] > '9' || number > ((uint64_t)INT64_MAX - 9) / 10)
            return false;
        number = number * 10 + (uint64_t)(digits[i] - '0');
    }
    *value = number;
    return len != 0;
}

bool pax_record_parse(const char **cursor, const char *end, struct pax_record *record) {
    const char *start = *cursor;
    const char *space = memchr(start, ' ', (size_t)(end - start));
    uint64_t len;
    if (space == NULL || !decimal_parse(start, (size_t)(space - start), &len))
        return false;
    /* The length counts itself, the space and the newline. */
    if (len > (uint64_t)(end - start) || len < (uint64_t)(space - start) + 2)
        return false;
    const char *last = start + len - 1;
    if (*last != '\n')
        return false;
    const char *key = space + 1;
    const char *equals = memchr(key, '=', (size_t)(last - key));
    if (equals == NULL || equals == key)
        return false;
    *record = (struct pax_record){.key = key,
                                  .key_len = (size_t)(equals - key),
                                  .value = equals + 1,
                                  .value_len = (size_t)(last - equals - 1)};
    *cursor = last + 1;
    return true;
}

bool pax_key_is(const struct pax_record *record, const char *key) {
    return record->key_len == strlen(key) && memcmp(record->key, key, record->key_len) == 0;
}

bool pax_number_parse(const struct pax_record *record, uint64_t *value) {
    return decimal_parse(record->value, record->value_len, value);
}

/* What it is instead */

const char *tar_guess_content(const uint8_t block[TAR_BLOCK]) {
    static const struct {
        const char *what;
        uint8_t len;
        uint8_t magic[7];
    } known[] = {
        {"a gzip file; unpack it first (gunzip)", 2, {0x1f, 0x8b}},
        {"an xz file; unpack it first (unxz)", 6, {0xfd, '7', 'z', 'X', 'Z', 0}},
        {"a bzip2 file; unpack it first (bunzip2)", 3, {'B', 'Z', 'h'}},
        {"a zstd file; unpack it first (unzstd)", 4, {0x28, 0xb5, 0x2f, 0xfd}},
        {"a zip file; make a tar archive of it", 4, {'P', 'K', 3, 4}},
        {"a 7z file; make a tar archive of it", 6, {'7', 'z', 0xbc, 0xaf, 0x27, 0x1c}},
        {"a qcow2 image; convert it to raw", 4, {'Q', 'F', 'I', 0xfb}},
        {"an ELF file", 4, {0x7f, 'E', 'L', 'F'}},
        {"a cpio archive; make a tar archive of it", 5, {'0', '7', '0', '7', '0'}},
    };
    for (size_t i = 0; i < ASH_ARRAY_LEN(known); i++) {
        if (memcmp(block, known[i].magic, known[i].len) == 0)
            return known[i].what;
    }
    if (tar_block_is_zero(block))
        return "zeros: a blank disk, perhaps";
    if (memcmp(block + MAGIC, "ustar", 5) == 0)
        return "a tar header with a wrong checksum";
    return "something else";
}
