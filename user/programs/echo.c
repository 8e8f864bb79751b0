/* SPDX-License-Identifier: MIT */
/* echo [-n] [WORD]...: the words, with a space between two; -n: without an end of line. */
#include "../lib/program.h"

int main(int argc, char **argv) {
    bool ends = argc < 2 || strcmp(argv[1], "-n") != 0;
    for (int i = ends ? 1 : 2; i < argc; i++)
        printf("%s%s", argv[i], i + 1 < argc ? " " : "");
    if (ends)
        printf("\n");
    return 0;
}
