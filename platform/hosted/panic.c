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
void (*platform_panic_dump)(const char *message);

/* By the thread that is first; its own second panic, in here, ends it all. */
void hosted_panic_dump(const char *message) {
    static uint32_t has_begun;
    void (*dump)(const char *) = platform_panic_dump;
    if (dump != NULL && ash_exchange(&has_begun, 1u) == 0)
        dump(message);
}

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
    hosted_panic_dump(message);
    abort();
}
