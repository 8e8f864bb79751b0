/* SPDX-License-Identifier: MIT */
/* wc [FILE]...: lines, words and bytes of each, and of all where there are several. */
#include "../lib/program.h"

struct counts {
    uint64_t lines, words, bytes;
};

static bool is_space(char byte) {
    return byte == ' ' || (byte >= '\t' && byte <= '\r');
}

static struct counts count(const char *name) {
    static char buffer[65536];
    struct counts counts = {0, 0, 0};
    bool in_word = false;
    int file = open_argument(name);
    size_t got;
    while ((got = read_some(file, buffer, sizeof(buffer))) != 0) {
        counts.bytes += got;
        for (size_t i = 0; i < got; i++) {
            bool space = is_space(buffer[i]);
            counts.lines += buffer[i] == '\n';
            counts.words += !space && !in_word;
            in_word = !space;
        }
    }
    if (file != 0)
        must(sys_close(file), "close");
    return counts;
}

static void say(const struct counts *counts, const char *name) {
    printf("%llu %llu %llu%s%s\n", (unsigned long long)counts->lines,
           (unsigned long long)counts->words, (unsigned long long)counts->bytes,
           name[0] != '\0' ? " " : "", name);
}

int main(int argc, char **argv) {
    struct counts all = {0, 0, 0};
    for (int i = 1; i < argc; i++) {
        struct counts one = count(argv[i]);
        say(&one, argv[i]);
        all.lines += one.lines;
        all.words += one.words;
        all.bytes += one.bytes;
    }
    if (argc < 2)
        all = count("-");
    if (argc != 2)
        say(&all, argc < 2 ? "" : "total");
    return 0;
}
