/* SPDX-License-Identifier: MIT */
/* panic.c: ash_panic on Linux: the message on standard error, then SIGABRT. */
#include <ashlar/check.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "hosted_internal.h"
#include "platform.h"

void (*platform_panic_hook)(const char *file, uint32_t line, const char *message);

void ash_panic(const char *file, uint32_t line, const char *format, ...) {
    char message[512], report[700];
    va_list args;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (platform_panic_hook != NULL)
        platform_panic_hook(file, line, message);
    (void)ash_port_irq_save(); /* nobody else runs here, and perhaps panics too */
    hosted_console_restore();
    snprintf(report, sizeof(report), "panic at %s:%u: %s\n", file, line, message);
    (void)hosted_write_all(STDERR_FILENO, report, strlen(report));
    abort();
}
