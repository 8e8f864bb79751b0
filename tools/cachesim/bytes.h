/* SPDX-License-Identifier: MIT */
/*
 * bytes.h: the bytes of a trace, one window after the other: of a file or of standard input,
 * unpacked on the way where they are gzipped. Memory is bounded by the window, whatever the file.
 */
#ifndef CACHESIM_BYTES_H
#define CACHESIM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { BYTES_WINDOW = 1 << 17, BYTES_PEEK_MAX = BYTES_WINDOW / 2 };

struct unpacker; /* private: of gzip */

struct bytes {
    /* All private. */
    int fd;
    bool ended; /* no byte comes any more */
    struct unpacker *unpacker;
    size_t start, end;
    char error[160];
    unsigned char window[BYTES_WINDOW];
};

/* Opens `path` ("-" is standard input) and looks whether it is packed. False: see bytes_error. */
bool bytes_open(struct bytes *bytes, const char *path);
void bytes_close(struct bytes *bytes);

/*
 * The next bytes, without taking them: at least `want` (at most BYTES_PEEK_MAX) unless fewer are
 * left. Returns how many there are at *at.
 */
size_t bytes_peek(struct bytes *bytes, size_t want, const unsigned char **at);

/* Takes `count` of the bytes that the last peek showed. */
void bytes_take(struct bytes *bytes, size_t count);

/*
 * Takes a line, without its end (LF or CRLF; the last one may have none). False: there is none, or
 * it is longer than BYTES_PEEK_MAX, which is an error. Good until the next call.
 */
bool bytes_line(struct bytes *bytes, const char **line, size_t *len);

/* Why the bytes ended before their end; NULL when they did not. */
const char *bytes_error(const struct bytes *bytes);
bool bytes_are_gzip(const struct bytes *bytes);

#endif
