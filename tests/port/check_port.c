/* SPDX-License-Identifier: MIT */
/*
 * check_port.c: the smallest program that judges a port header: primitives.c, the harness on one
 * CPU, a C library. A porter compiles it against the new port.h; the build does it for
 * platform/template.
 */
#include "harness/one_cpu.h"

int main(void) {
    return one_cpu_run("");
}
