/* SPDX-License-Identifier: MIT */
/* print.c: see print.h. */
#include "print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "uart.h"

static bool is_unlocked;

void print(const char *format, ...) {
    char line[256];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof(line), format, args);
    va_end(args);
    if (is_unlocked)
        uart_write_unlocked(line, strlen(line));
    else
        uart_write(line, strlen(line));
}

void print_without_lock(void) {
    is_unlocked = true;
}
