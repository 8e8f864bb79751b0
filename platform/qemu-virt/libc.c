/* SPDX-License-Identifier: MIT */
/*
 * libc.c: the printf family over picolibc's integer-only formatter. picolibc's own vsnprintf would
 * bring its floating-point one and, with it, SIMD registers.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>

int __i_vfprintf(FILE *stream, const char *format, va_list args);

struct string_file {
    FILE file; /* first: put gets a pointer to it */
    char *next, *end;
};

static int put(char c, FILE *file) {
    struct string_file *string = (struct string_file *)file;
    if (string->next < string->end)
        *string->next++ = c;
    return (unsigned char)c;
}

/* C11 7.21.6.12: returns the length that the whole text has; always ends in NUL if size > 0. */
int vsnprintf(char *text, size_t size, const char *format, va_list args) {
    struct string_file string = {.file = {.flags = __SWR, .put = put},
                                 .next = text,
                                 .end = size == 0 ? text : text + size - 1};
    int len = __i_vfprintf(&string.file, format, args);
    if (size != 0)
        *string.next = '\0';
    return len;
}

int snprintf(char *text, size_t size, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, size, format, args);
    va_end(args);
    return len;
}
