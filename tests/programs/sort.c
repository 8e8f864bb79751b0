/* SPDX-License-Identifier: MIT */
/* sort [-r] [FILE]: the lines in the order of their bytes, by a C library's getline and qsort. */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int order = 1;

static int compare(const void *a, const void *b) {
    return order * strcmp(*(char *const *)a, *(char *const *)b);
}

int main(int argc, char **argv) {
    char **lines = NULL, *line = NULL;
    size_t count = 0, room = 0, line_room = 0;
    int first = 1;
    ssize_t len;
    if (argc > 1 && strcmp(argv[1], "-r") == 0) {
        order = -1;
        first = 2;
    }
    FILE *file = argc > first ? fopen(argv[first], "r") : stdin;
    if (file == NULL) {
        perror(argv[first]);
        return 2;
    }
    while ((len = getline(&line, &line_room, file)) >= 0) {
        if (count == room) {
            room = room * 2 + 64;
            lines = realloc(lines, room * sizeof(*lines));
            if (lines == NULL)
                return 3;
        }
        if (len > 0 && line[len - 1] == '\n')
            line[len - 1] = '\0';
        lines[count++] = strdup(line);
    }
    qsort(lines, count, sizeof(*lines), compare);
    for (size_t i = 0; i < count; i++)
        puts(lines[i]);
    return ferror(file) || fflush(stdout) != 0;
}
