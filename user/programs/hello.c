/* SPDX-License-Identifier: MIT */
/* hello: says so; with arguments, to each. */
#include "../lib/program.h"

int main(int argc, char **argv) {
    if (argc < 2)
        printf("Hello from EL0, process %lld\n", (long long)sys_getpid());
    for (int i = 1; i < argc; i++)
        printf("Hello, %s\n", argv[i]);
    return 0;
}
