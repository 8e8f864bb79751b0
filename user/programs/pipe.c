/* SPDX-License-Identifier: MIT */
/*
 * pipe [MEGABYTES [SEED]]: a child writes so many bytes into a pipe, in pieces of random sizes; the
 * parent reads them in pieces of other sizes and checks each.
 */
#include "../lib/program.h"

enum { BUFFER = 128 << 10 };

/* The bytes of the stream from `offset` on: each 8 of them are a hash of where they are. */
static void make_bytes(char *to, uint64_t offset, size_t len) {
    for (size_t i = 0; i < len;) {
        uint64_t word = (offset + i) / 8 * UINT64_C(0x9e3779b97f4a7c15);
        size_t skip = (offset + i) % 8, count = 8 - skip < len - i ? 8 - skip : len - i;
        word ^= word >> 29;
        memcpy(to + i, (char *)&word + skip, count);
        i += count;
    }
}

static size_t any_len(uint64_t *state, uint64_t left) {
    uint64_t random = random_next(state);
    uint64_t len = 1 + (random >> 32) % (random % 4 == 0 ? 64 : BUFFER);
    return len < left ? len : left;
}

static void write_stream(int file, uint64_t bytes, uint64_t seed) {
    static char buffer[BUFFER];
    for (uint64_t at = 0; at < bytes;) {
        size_t len = any_len(&seed, bytes - at);
        make_bytes(buffer, at, len);
        write_all(file, buffer, len);
        at += len;
    }
}

static uint64_t check_stream(int file, uint64_t seed) {
    static char buffer[BUFFER], expected[BUFFER];
    uint64_t at = 0;
    for (;;) {
        size_t got = read_some(file, buffer, any_len(&seed, BUFFER));
        if (got == 0)
            return at;
        make_bytes(expected, at, got);
        if (memcmp(buffer, expected, got) != 0)
            die("wrong bytes between %llu and %llu", (unsigned long long)at,
                (unsigned long long)(at + got));
        at += got;
    }
}

int main(int argc, char **argv) {
    uint64_t bytes = argument_number(argc, argv, 1, 100) << 20;
    uint64_t seed = argument_number(argc, argv, 2, 1);
    int ends[2];
    must(sys_pipe2(ends, 0), "pipe2");
    int64_t child = must(sys_fork(), "fork");
    if (child == 0) {
        sys_close(ends[0]);
        write_stream(ends[1], bytes, seed);
        exit(0);
    }
    sys_close(ends[1]);
    uint64_t got = check_stream(ends[0], seed + 1);
    wait_for_success(child);
    if (got != bytes)
        die("%llu bytes of %llu came", (unsigned long long)got, (unsigned long long)bytes);
    printf("pipe: %llu bytes, all as written\n", (unsigned long long)got);
    return 0;
}
