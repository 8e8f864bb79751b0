/* SPDX-License-Identifier: MIT */
/* A program for any C library: numbers of all kinds, memory, time and the environment. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
    char *block = malloc(5 << 20);
    double root = sqrt((double)argc + 1.0);
    if (block == NULL || time(NULL) == (time_t)-1)
        return 1;
    memset(block, 'x', 5 << 20);
    printf("hello: %d arguments, root %.6f, pi %.10Lf\n", argc - 1, root, 3.14159265358979323846L);
    for (int i = 1; i < argc; i++)
        printf("%s\n", argv[i]);
    if (getppid() < 0 || isatty(3))
        return 2;
    free(block);
    fprintf(stderr, "on standard error\n");
    return 7;
}
