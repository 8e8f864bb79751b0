/* SPDX-License-Identifier: MIT */
/*
 * tar_header.h: one 512-byte header of a tar archive, and the records of a pax extended header, as
 * pure functions of bytes: nothing in them is trusted.
 *
 * Formats: POSIX.1-2017 pax, "ustar Interchange Format" and "pax Extended Header"; GNU tar 1.34
 * manual, "Basic Tar Format"; V7 (no magic).
 */
#ifndef KERNEL_TAR_HEADER_H
#define KERNEL_TAR_HEADER_H

#include <ashlar/base.h>

enum { TAR_BLOCK = 512 };

enum tar_kind {
    TAR_FILE,
    TAR_DIRECTORY,
    TAR_SYMLINK,
    TAR_HARD_LINK,
    TAR_DEVICE,     /* character, block, FIFO: no data */
    TAR_SPARSE,     /* GNU 'S': data, perhaps behind blocks of a longer map */
    TAR_CONTINUED,  /* GNU 'M': the rest of a file that began on another volume */
    TAR_LABEL,      /* GNU 'V': names the volume, is not an entry */
    TAR_LONG_NAME,  /* GNU 'L': the data is the next entry's name */
    TAR_LONG_LINK,  /* GNU 'K': the data is the next entry's link target */
    TAR_PAX_NEXT,   /* 'x', 'X': records about the next entry */
    TAR_PAX_GLOBAL, /* 'g': records about all that follow */
    TAR_UNKNOWN,    /* any other letter; has data */
};

struct tar_header {
    enum tar_kind kind;
    char letter;             /* the type flag as it stands */
    uint64_t size_bytes;     /* of the data that follows; 0 where the kind has none */
    uint64_t expanded_bytes; /* of a TAR_SPARSE file when read by a tar that can */
    bool map_continues;      /* TAR_SPARSE: blocks of its map come before the data */
    char name[155 + 1 + 100 + 1];
    char target[100 + 1];
};

/*
 * A number field: octal digits between blanks or NULs (nothing but those counts as 0), or GNU's
 * base 256. False for anything else, for a negative value and for one above INT64_MAX.
 */
bool tar_number_parse(const uint8_t *field, size_t len, uint64_t *value);

bool tar_block_is_zero(const uint8_t block[TAR_BLOCK]);

/* Does the checksum field hold the sum of the block's bytes, signed or unsigned? */
bool tar_checksum_holds(const uint8_t block[TAR_BLOCK]);

/* Takes a header apart; NULL, or what is wrong with it: "the checksum is wrong". */
const char *tar_header_parse(const uint8_t block[TAR_BLOCK], struct tar_header *header);

/* "LEN KEY=VALUE\n" */
struct pax_record {
    const char *key, *value; /* not NUL-terminated */
    size_t key_len, value_len;
};

/* The record at *cursor, which moves behind it; false when none can be read there. */
bool pax_record_parse(const char **cursor, const char *end, struct pax_record *record);

bool pax_key_is(const struct pax_record *record, const char *key);
bool pax_number_parse(const struct pax_record *record, uint64_t *value);

/* What the first bytes of something that is no archive look like: "a gzip file". */
const char *tar_guess_content(const uint8_t block[TAR_BLOCK]);

#endif
