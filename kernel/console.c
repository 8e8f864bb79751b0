/* SPDX-License-Identifier: MIT */
/* console.c: the machine's console as a struct console. */
#include "console.h"
#include "wait.h"

#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

static void console_write(void *context, const void *bytes, size_t len) {
    (void)context;
    platform_console_write(bytes, len);
}

static int console_poll(void *context) {
    (void)context;
    return platform_console_read();
}

static bool has_byte(void *context) {
    int *byte = context;
    *byte = platform_console_read();
    return *byte != -ASH_EAGAIN;
}

static int console_read(void *context) {
    int byte = -ASH_EPIPE;
    (void)context;
    int error = kernel_wait(has_byte, &byte, KERNEL_WAIT_FOR_EVER);
    return error != 0 ? error : byte;
}

struct console kernel_console = {console_write, console_read, console_poll, NULL, false};

void kernel_console_init(void) {
    kernel_console.is_terminal = platform_console_is_terminal();
}

void kernel_print(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len >= (int)sizeof(text)) {
        len = (int)sizeof(text) - 1;
        memcpy(text + len - 4, "...\n", 4);
    }
    if (len > 0)
        platform_console_write(text, (size_t)len);
}
