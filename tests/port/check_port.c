/* SPDX-License-Identifier: MIT */
/*
 * check_port.c: the smallest program that judges a port header: primitives.c, the harness on one
 * CPU, a C library. A porter compiles it against the new port.h; the build does it for
 * platform/template.
 */
#include <ashlar/check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/one_cpu.h"
#include "platform.h"

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[256];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (platform_panic_hook != NULL)
        platform_panic_hook(file, line, message);
    printf("# panic at %s:%u: %s\n", file, line, message);
    exit(99);
}

int main(void) {
    return one_cpu_run("");
}
