/* SPDX-License-Identifier: MIT */
/* spin [MILLIONS]: so many million turns of a loop without a call; without end if none is given. */
#include "../lib/program.h"

int main(int argc, char **argv) {
    uint64_t millions = argument_number(argc, argv, 1, UINT64_MAX);
    for (uint64_t i = 0; i < millions; i++) {
        for (uint32_t turn = 0; turn < 1000000; turn++)
            __asm__ volatile("");
    }
    printf("spin: %llu million turns\n", (unsigned long long)millions);
    return 0;
}
