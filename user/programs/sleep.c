/* SPDX-License-Identifier: MIT */
/* sleep SECONDS: waits so long; a fraction like 0.25 is a number, too. */
#include "../lib/program.h"

int main(int argc, char **argv) {
    if (argc != 2)
        die("usage: sleep SECONDS");
    char *end;
    uint64_t ms = strtoull(argv[1], &end, 10) * 1000;
    if (*end == '.') {
        end++;
        for (uint64_t unit = 100; *end >= '0' && *end <= '9'; unit /= 10)
            ms += unit * (uint64_t)(*end++ - '0');
    }
    if (end == argv[1] || *end != '\0')
        die("%s is no number of seconds", argv[1]);
    sleep_ms(ms);
    return 0;
}
