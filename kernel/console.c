/* SPDX-License-Identifier: MIT */
/* console.c: the machine's console as a struct console. */
#include "console.h"

#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

static struct kernel_work console_work;

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
    kernel_wait_and_work(has_byte, &byte, &console_work);
    return byte;
}

struct console kernel_console = {console_write, console_read, console_poll, NULL, false};

void kernel_console_init(const struct kernel_work *work) {
    console_work = *work;
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
