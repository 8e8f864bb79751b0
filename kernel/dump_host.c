/* SPDX-License-Identifier: MIT */
/* dump_host.c: a dump to a file on the host, or, where nobody serves files, to the console; of a
 * command, and of a panic. */
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "dump_internal.h"
#include "kernel.h"
#include "platform.h"
#include "platform/sample.h"
#include "trace.h"

#define PANIC_PATH "ashlar-panic.ash"

enum { LINE_CHARS = 76, LINE_BYTES = LINE_CHARS / 4 * 3 };

/* The console: base64 (RFC 4648, 4) between two lines, by `print`. */
struct console_dump {
    void (*print)(void *context, const char *text, size_t len);
    void *context;
    uint8_t bytes[LINE_BYTES]; /* of a line that is not full yet */
    uint32_t used;
};

static void print_line(struct console_dump *to) {
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    char line[LINE_CHARS + 1];
    size_t len = 0;
    for (uint32_t i = 0; i < to->used; i += 3) {
        uint32_t left = to->used - i, word = (uint32_t)to->bytes[i] << 16;
        if (left > 1)
            word |= (uint32_t)to->bytes[i + 1] << 8;
        if (left > 2)
            word |= to->bytes[i + 2];
        line[len++] = digits[word >> 18];
        line[len++] = digits[word >> 12 & 63];
        line[len++] = left > 1 ? digits[word >> 6 & 63] : '=';
        line[len++] = left > 2 ? digits[word & 63] : '=';
    }
    line[len++] = '\n';
    to->print(to->context, line, len);
    to->used = 0;
}

static int write_console(void *context, const void *bytes, size_t len) {
    struct console_dump *to = context;
    const uint8_t *from = bytes;
    for (size_t i = 0; i < len; i++) {
        to->bytes[to->used++] = from[i];
        if (to->used == LINE_BYTES)
            print_line(to);
    }
    return 0;
}

static int dump_console(const struct dump *dump, struct console_dump *to) {
    static const char begin[] = "-----BEGIN ASHLAR TRACE-----\n";
    static const char end[] = "-----END ASHLAR TRACE-----\n";
    to->print(to->context, begin, sizeof(begin) - 1);
    int error = dump_write(dump, write_console, to);
    if (to->used != 0)
        print_line(to);
    to->print(to->context, end, sizeof(end) - 1);
    return error;
}

/* The host */

static int write_host(void *context, const void *bytes, size_t len) {
    uint64_t *written = context;
    int error = platform_host_write(bytes, len);
    *written += error == 0 ? len : 0;
    return error;
}

/* -ASH_ENOTSUP: not begun. */
static int dump_file(const struct dump *dump, const char *path, uint64_t *written) {
    *written = 0;
    int error = platform_host_open(path);
    if (error != 0)
        return error;
    error = dump_write(dump, write_host, written);
    int closed = platform_host_close();
    return error != 0 ? error : closed;
}

/* Of a command */

static void print_shell(void *context, const char *text, size_t len) {
    shell_write(context, text, len);
}

static uint64_t records_of(const struct dump *dump) {
    uint64_t records = 0;
    for (uint32_t cpu = 0; cpu < trace_get()->cpus; cpu++) {
        const struct ash_prof_trace *trace = &dump->traces[cpu];
        records += ash_min_u64(trace->emitted - trace->dropped, trace->capacity);
    }
    return records;
}

static int say_failure(struct shell *shell, const char *command, const char *path, int error,
                       uint64_t written, uint64_t bytes) {
    char why[240];
    if (written == 0)
        snprintf(why, sizeof(why), "cannot be written on the host: %s",
                 error == -ASH_EIO ? "is its folder there, and may files be made in it?"
                                   : ash_strerror(error));
    else
        snprintf(why, sizeof(why),
                 "%s on the host after %" PRIu64 " of %" PRIu64
                 " KiB: the file is not whole; nothing is lost here, dump it again elsewhere",
                 error == -ASH_ENOSPC ? "no space" : ash_strerror(error), written >> 10,
                 bytes >> 10);
    return shell_error(shell, command, path, why);
}

static int write_for(struct shell *shell, const char *command, const char *path,
                     const struct dump *dump) {
    uint64_t written, bytes = dump_bytes(dump);
    int error = dump_file(dump, path, &written);
    if (error == -ASH_ENOTSUP) {
        struct console_dump console = {.print = print_shell, .context = shell};
        shell_print(shell, "%s: nobody serves files here: ash-trace reads it out of this log\n",
                    command);
        error = dump_console(dump, &console);
        path = "on the console";
    }
    if (error != 0)
        return say_failure(shell, command, path, error, written, bytes);
    shell_print(shell, "%s: ", command);
    shell_text(shell, path);
    shell_print(shell, ": %" PRIu64 " KiB", (bytes + 1023) >> 10);
    if ((dump->what & DUMP_TRACE) != 0)
        shell_print(shell, ", %" PRIu64 " events%s", records_of(dump),
                    trace_get()->state == TRACE_RUNNING ? "; paused meanwhile, it goes on" : "");
    shell_print(shell, "\n");
    return 0;
}

int dump_to_host(struct shell *shell, const char *command, const char *path, uint32_t what) {
    struct dump dump;
    if (!shell_has_kernel(shell, command))
        return 1;
    if (dump_begin(&dump, &shell->kernel->memory, what) != 0)
        return shell_error(shell, command, path, "not enough memory for the names in it");
    int status = write_for(shell, command, path, &dump);
    dump_end(&dump);
    return status;
}

/* Of a panic: nothing is allocated, nobody is asked for a lock. */

static struct {
    struct dump dump;
    struct dump_room room;
} panic;

static void print_panic(void *context, const char *text, size_t len) {
    (void)context;
    platform_console_write(text, len);
}

/* To the host, or, where that does not take it, to the console: there is no later. */
static void dump_panic(const char *message) {
    struct console_dump console = {.print = print_panic};
    char line[96];
    uint64_t written;
    if (trace_get()->state != TRACE_RUNNING)
        return;
    trace_freeze();
    dump_fill(&panic.dump, &panic.room, message, true);
    int error = dump_file(&panic.dump, PANIC_PATH, &written);
    if (error == 0)
        snprintf(line, sizeof(line),
                 "trace: the last events are in " PANIC_PATH " (%" PRIu64 " KiB)\n", written >> 10);
    else
        snprintf(line, sizeof(line), "trace: " PANIC_PATH " cannot be written: %s\n",
                 ash_strerror(error));
    if (error != -ASH_ENOTSUP)
        platform_console_write(line, strlen(line));
    if (error != 0)
        (void)dump_console(&panic.dump, &console);
}

void dump_prepare(struct kernel_memory *memory) {
    if (panic.dump.book.pages == NULL) {
        panic.dump.what = DUMP_TRACE;
        (void)!dump_book_make(&panic.dump.book, memory, false);
    }
    platform_panic_dump = dump_panic;
}
