/* SPDX-License-Identifier: MIT */
/*
 * input.c: the bytes of a dump: mapped, read from a pipe, or decoded from a console's log.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ash_trace.h"

#define BEGIN_LINE "-----BEGIN ASHLAR TRACE-----"
#define END_LINE   "-----END ASHLAR TRACE-----"

enum { ALIGN = 64, CHUNK = 1 << 16 };

/* Of what has no end of its own: more is somebody's mistake, and would be held in memory. */
#define PIPE_BYTES_MAX (UINT64_C(1) << 28)

/* What read_pipe has read; NULL: a file was mapped instead. */
static uint8_t *piped;

/* Control characters are rare in what was printed, and one in nine of what is random. */
static bool is_text(const uint8_t *bytes, size_t len) {
    size_t looked = len < INPUT_LOOK_BYTES ? len : INPUT_LOOK_BYTES, strange = 0;
    for (size_t i = 0; i < looked; i++)
        strange +=
            bytes[i] < ' ' && (bytes[i] == '\0' || strchr("\b\t\n\f\r\033", bytes[i]) == NULL);
    return strange <= looked / 32;
}

static bool is_dump(const uint8_t *bytes, size_t len) {
    uint64_t magic = ASH_PROF_FILE_MAGIC;
    return len >= sizeof(magic) && memcmp(bytes, &magic, sizeof(magic)) == 0;
}

/* One byte more than a dump has says that there is too much. */
uint64_t input_wanted_of_dump(const uint8_t *bytes, size_t len) {
    struct ash_prof_file_header header;
    if (!is_dump(bytes, len))
        return is_text(bytes, len) ? UINT64_MAX : 0;
    if (len < sizeof(header))
        return 0;
    memcpy(&header, bytes, sizeof(header));
    return header.version == ASH_PROF_FILE_VERSION && header.file_bytes < UINT64_MAX
               ? header.file_bytes + 1
               : 0;
}

/* Room for more; false: there is no memory. */
static bool grow(uint8_t **bytes, size_t *room, size_t len) {
    *room = *room * 2 + CHUNK;
    uint8_t *larger = aligned_alloc(ALIGN, *room);
    if (larger != NULL && len != 0)
        memcpy(larger, *bytes, len);
    free(*bytes);
    *bytes = larger;
    return larger != NULL;
}

/* As much of it as is wanted; *len of them. False: it has been said why not. */
static bool read_some(uint8_t **bytes, size_t *len, int file, const char *path,
                      uint64_t (*wanted)(const uint8_t *bytes, size_t len)) {
    size_t room = 0;
    uint64_t want = INPUT_LOOK_BYTES;
    while (*len < want) {
        if (room - *len < CHUNK && !grow(bytes, &room, *len)) {
            say("%s: no memory for it", path);
            return false;
        }
        uint64_t most = ash_min_u64(want - *len, room - *len);
        ssize_t got = read(file, *bytes + *len, (size_t)most);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            say("%s: %s", path, strerror(errno));
            return false;
        }
        if (got == 0)
            return true;
        *len += (size_t)got;
        if (*len < INPUT_LOOK_BYTES)
            continue;
        want = wanted(*bytes, *len);
        if (*len >= PIPE_BYTES_MAX && want > *len) {
            say("%s: no end of it after %u MiB; what is longer must be a file", path,
                (unsigned)(PIPE_BYTES_MAX >> 20));
            return false;
        }
    }
    return true;
}

static bool read_pipe(struct input *input, int file, const char *path,
                      uint64_t (*wanted)(const uint8_t *bytes, size_t len)) {
    uint8_t *bytes = NULL;
    size_t len = 0;
    if (!read_some(&bytes, &len, file, path, wanted)) {
        free(bytes);
        return false;
    }
    piped = bytes;
    *input = (struct input){bytes, len};
    return true;
}

static bool read_file(struct input *input, int file, const char *path,
                      uint64_t (*wanted)(const uint8_t *bytes, size_t len)) {
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
        return read_pipe(input, file, path, wanted);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        return read_pipe(input, file, path, wanted);
    *input = (struct input){bytes, (size_t)status.st_size};
    return true;
}

bool input_read(struct input *input, const char *path,
                uint64_t (*wanted)(const uint8_t *bytes, size_t len)) {
    if (strcmp(path, "-") == 0)
        return read_pipe(input, STDIN_FILENO, "standard input", wanted);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        say("%s: %s", path, strerror(errno));
        return false;
    }
    bool good = read_file(input, file, path, wanted);
    close(file);
    return good;
}

/* Consoles */

static const uint8_t *find(const uint8_t *from, const uint8_t *end, const char *words) {
    return memmem(from, (size_t)(end - from), words, strlen(words));
}

static int digit_of(uint8_t c) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const char *at = c == '\0' ? NULL : strchr(digits, c);
    return at == NULL ? -1 : (int)(at - digits);
}

struct decoder {
    uint8_t *bytes;
    size_t len;
    uint32_t bits, held; /* held: how many of the bits count */
    bool padded;
};

/* One line's characters; false: they are not all digits, or something comes behind the padding. */
static bool decode_line(struct decoder *decoder, const uint8_t *from, const uint8_t *end) {
    for (; from < end; from++) {
        if (*from == '=') {
            decoder->padded = true;
            continue;
        }
        int digit = digit_of(*from);
        if (digit < 0 || decoder->padded)
            return false;
        decoder->bits = decoder->bits << 6 | (uint32_t)digit;
        decoder->held += 6;
        if (decoder->held >= 8) {
            decoder->held -= 8;
            decoder->bytes[decoder->len++] = (uint8_t)(decoder->bits >> decoder->held);
        }
    }
    return true;
}

static bool decode(struct decoder *decoder, const uint8_t *from, const uint8_t *end,
                   const char *path) {
    for (uint32_t line = 0; from < end; line++) {
        const uint8_t *behind = memchr(from, '\n', (size_t)(end - from));
        behind = behind == NULL ? end : behind;
        const uint8_t *last = behind;
        while (last > from && (last[-1] == '\r' || last[-1] == ' '))
            last--;
        if (!decode_line(decoder, from, last)) {
            say("%s: the trace in this log is damaged: line %u of its text is no base64; was "
                "something else printed meanwhile?",
                path, line);
            return false;
        }
        from = behind == end ? end : behind + 1;
    }
    return true;
}

bool input_unwrap(struct input *input, const char *path) {
    const uint8_t *end = input->bytes + input->len, *begin = NULL;
    if (is_dump(input->bytes, input->len) || !is_text(input->bytes, input->len))
        return true;
    uint32_t count = 0;
    for (const uint8_t *at = input->bytes; (at = find(at, end, BEGIN_LINE)) != NULL; count++)
        begin = at += strlen(BEGIN_LINE);
    if (begin == NULL)
        return true;
    if (count > 1)
        say("%s: there are %u traces in this log: the last one is taken", path, count);
    const uint8_t *finish = find(begin, end, END_LINE);
    if (finish == NULL) {
        say("%s: the trace in this log is cut short: there is no line \"" END_LINE "\"", path);
        return false;
    }
    size_t room = (size_t)ash_align_up((uint64_t)(finish - begin) + 1, ALIGN);
    struct decoder decoder = {.bytes = aligned_alloc(ALIGN, room)};
    if (decoder.bytes == NULL) {
        say("%s: no memory for it", path);
        return false;
    }
    if (!decode(&decoder, begin, finish, path)) {
        free(decoder.bytes);
        return false;
    }
    free(piped);
    *input = (struct input){decoder.bytes, decoder.len};
    return true;
}
