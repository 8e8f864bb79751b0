/* SPDX-License-Identifier: MIT */
/* plain_panic.c: see one_cpu.h. */
#include <ashlar/check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "platform.h"

enum { PANICKED = 99 };

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[512];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (platform_panic_hook != NULL)
        platform_panic_hook(file, line, message);
    printf("# panic at %s:%u: %s\n", file, line, message);
    exit(PANICKED);
}
