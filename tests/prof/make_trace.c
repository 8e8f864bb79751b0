/* SPDX-License-Identifier: MIT */
/*
 * make_trace.c: the containers of made.h as files: make-trace NAME FILE.
 */
#include <stdio.h>

#include "made.h"

int main(int argc, char **argv) {
    static uint8_t bytes[MADE_BYTES] __attribute__((aligned(64)));
    if (argc != 3) {
        fputs("usage: make-trace NAME FILE, where NAME is one of:", stderr);
        for (const char *const *name = made_names; *name != NULL; name++)
            fprintf(stderr, " %s", *name);
        fputc('\n', stderr);
        return 2;
    }
    size_t len = made_container(argv[1], bytes);
    if (len == 0) {
        fprintf(stderr, "make-trace: there is no \"%s\"\n", argv[1]);
        return 2;
    }
    FILE *file = fopen(argv[2], "wb");
    if (file == NULL || fwrite(bytes, 1, len, file) != len || fclose(file) != 0) {
        perror(argv[2]);
        return 1;
    }
    return 0;
}
