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

/* What read_pipe has read; NULL: a file was mapped instead. */
static uint8_t *piped;

static bool read_pipe(struct input *input, int file, const char *path) {
    size_t room = 0, len = 0;
    uint8_t *bytes = NULL;
    for (;;) {
        if (room - len < CHUNK) {
            room = room * 2 + CHUNK;
            uint8_t *larger = aligned_alloc(ALIGN, room);
            if (larger == NULL) {
                say("%s: no memory for it", path);
                free(bytes);
                return false;
            }
            if (len != 0)
                memcpy(larger, bytes, len);
            free(bytes);
            bytes = larger;
        }
        ssize_t got = read(file, bytes + len, room - len);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0) {
            say("%s: %s", path, strerror(errno));
            free(bytes);
            return false;
        }
        if (got == 0)
            break;
        len += (size_t)got;
    }
    piped = bytes;
    *input = (struct input){bytes, len};
    return true;
}

static bool read_file(struct input *input, int file, const char *path) {
    struct stat status;
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode) || status.st_size == 0)
        return read_pipe(input, file, path);
    void *bytes = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (bytes == MAP_FAILED)
        return read_pipe(input, file, path);
    *input = (struct input){bytes, (size_t)status.st_size};
    return true;
}

bool input_read(struct input *input, const char *path) {
    if (strcmp(path, "-") == 0)
        return read_pipe(input, STDIN_FILENO, "standard input");
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        say("%s: %s", path, strerror(errno));
        return false;
    }
    bool good = read_file(input, file, path);
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
    uint64_t magic = ASH_PROF_FILE_MAGIC;
    const uint8_t *end = input->bytes + input->len, *begin = NULL;
    if (input->len >= sizeof(magic) && memcmp(input->bytes, &magic, sizeof(magic)) == 0)
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
