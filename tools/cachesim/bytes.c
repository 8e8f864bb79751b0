/* SPDX-License-Identifier: MIT */
/* bytes.c: reading and unpacking (gzip is RFC 1952: members, one after the other). */
#include "bytes.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

enum { PACKED_ROOM = BYTES_WINDOW, GZIP_WINDOW_BITS = 15 + 16 /* zlib: a gzip header, no other */ };

struct unpacker {
    z_stream stream;
    bool inside; /* a member has begun and not ended */
    unsigned char packed[PACKED_ROOM];
};

static void fail(struct bytes *bytes, const char *why) {
    snprintf(bytes->error, sizeof(bytes->error), "%s", why);
    bytes->ended = true;
}

/* The room behind the window's bytes, all of them moved to its front. */
static size_t make_room(struct bytes *bytes) {
    memmove(bytes->window, bytes->window + bytes->start, bytes->end - bytes->start);
    bytes->end -= bytes->start;
    bytes->start = 0;
    return BYTES_WINDOW - bytes->end;
}

/* What the system gives; 0: the end, or an error that is noted. */
static size_t read_some(struct bytes *bytes, unsigned char *to, size_t room) {
    ssize_t got;
    do
        got = read(bytes->fd, to, room);
    while (got < 0 && errno == EINTR);
    if (got < 0)
        fail(bytes, strerror(errno));
    return got < 0 ? 0 : (size_t)got;
}

static void fill_plain(struct bytes *bytes) {
    size_t room = make_room(bytes);
    size_t got = read_some(bytes, bytes->window + bytes->end, room);
    bytes->end += got;
    if (got == 0)
        bytes->ended = true;
}

static bool begin_unpacking(struct bytes *bytes) {
    struct unpacker *unpacker = calloc(1, sizeof(*unpacker));
    if (unpacker == NULL || inflateInit2(&unpacker->stream, GZIP_WINDOW_BITS) != Z_OK) {
        free(unpacker);
        fail(bytes, "there is no memory to unpack it");
        return false;
    }
    /* What was read to look at is the first of the packed bytes. */
    size_t len = bytes->end - bytes->start;
    memcpy(unpacker->packed, bytes->window + bytes->start, len);
    unpacker->stream.next_in = unpacker->packed;
    unpacker->stream.avail_in = (uInt)len;
    bytes->start = bytes->end = 0;
    bytes->unpacker = unpacker;
    return true;
}

/* False: nothing is left to unpack. */
static bool feed(struct bytes *bytes) {
    struct unpacker *unpacker = bytes->unpacker;
    if (unpacker->stream.avail_in != 0)
        return true;
    unpacker->stream.next_in = unpacker->packed;
    unpacker->stream.avail_in = (uInt)read_some(bytes, unpacker->packed, PACKED_ROOM);
    if (unpacker->stream.avail_in != 0)
        return true;
    if (unpacker->inside && bytes->error[0] == '\0')
        fail(bytes, "the gzip data ends early");
    bytes->ended = true;
    return false;
}

static void fill_unpacked(struct bytes *bytes) {
    struct unpacker *unpacker = bytes->unpacker;
    z_stream *stream = &unpacker->stream;
    size_t room = make_room(bytes);
    stream->next_out = bytes->window + bytes->end;
    stream->avail_out = (uInt)room;
    while (stream->avail_out == (uInt)room && feed(bytes)) {
        unpacker->inside = true;
        int status = inflate(stream, Z_NO_FLUSH);
        if (status == Z_STREAM_END) {
            unpacker->inside = false;
            inflateReset(stream);
        } else if (status != Z_OK && status != Z_BUF_ERROR) {
            snprintf(bytes->error, sizeof(bytes->error), "the gzip data is damaged (%s)",
                     stream->msg != NULL ? stream->msg : "no reason given");
            bytes->ended = true;
            break;
        }
    }
    bytes->end = BYTES_WINDOW - stream->avail_out;
}

static void end_unpacking(struct bytes *bytes) {
    if (bytes->unpacker != NULL)
        inflateEnd(&bytes->unpacker->stream);
    free(bytes->unpacker);
}
static void fill(struct bytes *bytes) {
    if (bytes->unpacker != NULL)
        fill_unpacked(bytes);
    else
        fill_plain(bytes);
}

/* Packed in a way that is known but not read here. */
static const char *foreign_packing(const unsigned char *at, size_t len) {
    static const struct {
        const char *magic;
        size_t len;
        const char *advice;
    } packings[] = {
        {"\x28\xb5\x2f\xfd", 4, "it is packed with zstd: zstd -dc TRACE | ash-cachesim ... -"},
        {"\xfd"
         "7zXZ",
         5, "it is packed with xz: xz -dc TRACE | ash-cachesim ... -"},
        {"BZh", 3, "it is packed with bzip2: bzip2 -dc TRACE | ash-cachesim ... -"}};
    for (size_t i = 0; i < sizeof(packings) / sizeof(packings[0]); i++)
        if (len >= packings[i].len && memcmp(at, packings[i].magic, packings[i].len) == 0)
            return packings[i].advice;
    return NULL;
}

bool bytes_open(struct bytes *bytes, const char *path) {
    const unsigned char *at;
    memset(bytes, 0, sizeof(*bytes));
    bytes->fd = strcmp(path, "-") == 0 ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (bytes->fd < 0) {
        fail(bytes, strerror(errno));
        return false;
    }
    size_t len = bytes_peek(bytes, 8, &at);
    if (bytes->error[0] != '\0')
        return false;
    const char *advice = foreign_packing(at, len);
    if (advice != NULL) {
        fail(bytes, advice);
        return false;
    }
    if (len >= 2 && at[0] == 0x1f && at[1] == 0x8b) {
        bytes->ended = false;
        return begin_unpacking(bytes);
    }
    return true;
}

void bytes_close(struct bytes *bytes) {
    end_unpacking(bytes);
    if (bytes->fd > STDIN_FILENO)
        close(bytes->fd);
}

size_t bytes_peek(struct bytes *bytes, size_t want, const unsigned char **at) {
    while (bytes->end - bytes->start < want && !bytes->ended)
        fill(bytes);
    *at = bytes->window + bytes->start;
    return bytes->end - bytes->start;
}

void bytes_take(struct bytes *bytes, size_t count) {
    bytes->start += count;
}

bool bytes_line(struct bytes *bytes, const char **line, size_t *len) {
    const unsigned char *at, *end = NULL;
    size_t there = bytes_peek(bytes, 1, &at);
    if (there == 0)
        return false;
    end = memchr(at, '\n', there);
    if (end == NULL) {
        there = bytes_peek(bytes, BYTES_PEEK_MAX, &at);
        end = memchr(at, '\n', there);
    }
    if (end == NULL && there >= BYTES_PEEK_MAX) {
        fail(bytes, "the line is longer than 65,536 bytes: this is no text of numbers");
        return false;
    }
    /* A line that the packed data broke off is not a line: it might be a part of a number. */
    if (end == NULL && bytes->error[0] != '\0')
        return false;
    *len = end != NULL ? (size_t)(end - at) : there;
    bytes_take(bytes, *len + (end != NULL ? 1 : 0));
    *line = (const char *)at;
    if (*len > 0 && at[*len - 1] == '\r')
        (*len)--;
    return true;
}

const char *bytes_error(const struct bytes *bytes) {
    return bytes->error[0] != '\0' ? bytes->error : NULL;
}

bool bytes_are_gzip(const struct bytes *bytes) {
    return bytes->unpacker != NULL;
}
