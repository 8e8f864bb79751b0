/* SPDX-License-Identifier: MIT */
/* console.c: the machine's console as a struct console. */
#include "console.h"

#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"
#include "thread.h"
#include "wait_queue.h"

static struct kernel_work console_work;

/* Lines */

static struct {
    struct wait_queue waiting;   /* its lock protects the next */
    const struct thread *writer; /* who has begun a line; NULL: nobody has */
} line = {.waiting.waiters = ASH_LIST_INIT(line.waiting.waiters)};

static bool takes_line(void *context) {
    if (line.writer != NULL && line.writer != context)
        return false;
    ash_store_relaxed(&line.writer, context);
    return true;
}

static void end_line(const struct thread *self) {
    if (ash_load_relaxed(&line.writer) != self)
        return;
    ash_store_relaxed(&line.writer, NULL);
    wait_queue_wake(&line.waiting, 1);
}

static void write_line(const void *bytes, size_t len) {
    struct thread *self = thread_current();
    if (self != NULL && ash_load_relaxed(&line.writer) != self &&
        wait_queue_wait(&line.waiting, takes_line, self, platform_now_ns() + CONSOLE_LINE_NS) != 0)
        ash_store_relaxed(&line.writer, self);
    platform_console_write(bytes, len);
    if (self != NULL && len != 0 && ((const char *)bytes)[len - 1] == '\n')
        end_line(self);
}

/* The console */

static void console_write(void *context, const void *bytes, size_t len) {
    (void)context;
    write_line(bytes, len);
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
    struct thread *self = thread_current();
    (void)context;
    if (self != NULL)
        end_line(self);
    kernel_wait_and_work(has_byte, &byte, &console_work);
    return byte;
}

struct console kernel_console = {console_write, console_read, console_poll, NULL, false};

void kernel_console_init(const struct kernel_work *work) {
    console_work = *work;
    kernel_console.is_terminal = platform_console_is_terminal();
}

static int no_byte(void *context) {
    (void)context;
    return -ASH_EPIPE;
}

void kernel_console_close_input(void) {
    kernel_console.read = kernel_console.poll = no_byte;
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
        write_line(text, (size_t)len);
}
