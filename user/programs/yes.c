/* SPDX-License-Identifier: MIT */
/* yes [WORD]: a line of it, again and again, until nobody reads it any more. */
#include "../lib/program.h"

int main(int argc, char **argv) {
    static char buffer[8192];
    const char *word = argc > 1 ? argv[1] : "y";
    size_t len = strlen(word), used = 0;
    if (len + 1 > sizeof(buffer))
        die("the word has %zu bytes, %zu at most", len, sizeof(buffer) - 1);
    while (used + len + 1 <= sizeof(buffer)) {
        memcpy(buffer + used, word, len);
        buffer[used + len] = '\n';
        used += len + 1;
    }
    for (;;)
        write_all(1, buffer, used);
}
