/* SPDX-License-Identifier: MIT */
/* cat [FILE]...: their bytes, one after the other; "-" and no argument are standard input. */
#include "../lib/program.h"

static void copy(const char *name) {
    static char buffer[65536];
    int file = open_argument(name);
    size_t got;
    while ((got = read_some(file, buffer, sizeof(buffer))) != 0)
        write_all(1, buffer, got);
    if (file != 0)
        must(sys_close(file), "close");
}

int main(int argc, char **argv) {
    if (argc < 2)
        copy("-");
    for (int i = 1; i < argc; i++)
        copy(argv[i]);
    return 0;
}
