/* SPDX-License-Identifier: MIT */
/* kill [-NUMBER] PROCESS...: sends a signal, 15 unless it is given. */
#include "../lib/program.h"

int main(int argc, char **argv) {
    int signal = SIGNAL_TERM, first = 1;
    if (argc > 1 && argv[1][0] == '-') {
        signal = atoi(argv[1] + 1);
        first = 2;
    }
    if (first == argc)
        die("usage: kill [-NUMBER] PROCESS...");
    for (int i = first; i < argc; i++)
        must(sys_kill((int64_t)argument_number(argc, argv, i, 0), signal), argv[i]);
    return 0;
}
