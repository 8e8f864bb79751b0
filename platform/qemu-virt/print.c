/* SPDX-License-Identifier: MIT */
/* print.c: see print.h. */
#include "print.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "uart.h"

void print(const char *format, ...) {
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    uart_write(text, strlen(text));
}

void print_without_lock(void) {
    uart_write_without_lock();
}
