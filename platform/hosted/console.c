/* SPDX-License-Identifier: MIT */
/*
 * console.c: standard input and output as the kernel's serial line.
 *
 * A terminal is put into raw mode at the first read, but for Ctrl-], which ends the process as the
 * terminal's own quit character: it works also when the kernel hangs. However the process ends, the
 * terminal is as it was.
 */
#include <ashlar/error.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <termios.h>
#include <unistd.h>

#include "hosted.h"
#include "hosted_internal.h"
#include "platform.h"

enum { CTRL_BRACKET = 0x1d };

static struct {
    uint8_t buffer[4096];
    size_t start, end;
    bool ended;
    uint32_t wanted; /* the last read found nothing; CPU 0 looks at it before it sleeps */
    bool opened;
    volatile sig_atomic_t raw;
    struct termios before, during;
    int write_error; /* the first errno that lost output; 0: none */
} console;

/* Async-signal-safe. */
void hosted_console_restore(void) {
    if (console.raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &console.before);
    console.raw = 0;
}

static void on_quit(int number) {
    (void)number;
    hosted_console_restore();
    (void)hosted_write_all(STDOUT_FILENO, "\n", 1);
    _exit(0);
}

static void on_fatal(int number) {
    hosted_console_restore();
    signal(number, SIG_DFL);
    raise(number);
}

static void on_continue(int number) {
    (void)number;
    if (console.raw)
        tcsetattr(STDIN_FILENO, TCSANOW, &console.during);
}

static void handle(int number, void (*handler)(int number)) {
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    sigaction(number, &action, NULL);
}

static void open_terminal(void) {
    console.opened = true;
    if (!isatty(STDIN_FILENO) || tcgetattr(STDIN_FILENO, &console.before) != 0)
        return;
    struct termios *raw = &console.during;
    *raw = console.before;
    cfmakeraw(raw);
    raw->c_oflag |= OPOST; /* a newline starts at the left */
    raw->c_lflag |= ISIG | NOFLSH;
    raw->c_cc[VQUIT] = CTRL_BRACKET;
    raw->c_cc[VINTR] = raw->c_cc[VSUSP] = _POSIX_VDISABLE;
    raw->c_cc[VMIN] = 1;
    raw->c_cc[VTIME] = 0;
    const int fatal[] = {SIGTERM, SIGHUP, SIGINT, SIGPIPE};
    for (size_t i = 0; i < ASH_ARRAY_LEN(fatal); i++)
        handle(fatal[i], on_fatal);
    handle(SIGQUIT, on_quit);
    handle(SIGCONT, on_continue);
    atexit(hosted_console_restore);
    console.raw = 1;
    tcsetattr(STDIN_FILENO, TCSANOW, raw);
}

bool platform_console_is_terminal(void) {
    return isatty(STDIN_FILENO) == 1;
}

/* Input */

/* poll, because O_NONBLOCK would also hold for whoever shares this open file: the shell outside. */
static void fill_buffer(void) {
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    if (poll(&input, 1, 0) <= 0)
        return;
    ssize_t got = read(STDIN_FILENO, console.buffer, sizeof(console.buffer));
    console.start = 0;
    console.end = got > 0 ? (size_t)got : 0;
    console.ended = got == 0 || (got < 0 && errno != EINTR && errno != EAGAIN);
}

static int read_byte(void) {
    if (!console.opened)
        open_terminal();
    if (console.start == console.end && !console.ended)
        fill_buffer();
    bool found = console.start < console.end;
    ash_store_relaxed(&console.wanted, (uint32_t)(!found && !console.ended));
    if (found)
        return console.buffer[console.start++];
    return console.ended ? -ASH_EPIPE : -ASH_EAGAIN;
}

/* Masked, like what writes: errno is the thread's, and the buffer has one reader at a time. */
int platform_console_read(void) {
    ash_irq_t state = ash_port_irq_save();
    int byte = read_byte();
    ash_port_irq_restore(state);
    return byte;
}

bool hosted_console_poll_wanted(void) {
    return ash_load_relaxed(&console.wanted) != 0;
}

void hosted_console_woken(void) {
    ash_store_relaxed(&console.wanted, 0u);
}

/* Output */

int hosted_write_all(int descriptor, const void *bytes, size_t len) {
    const char *next = bytes;
    while (len != 0) {
        ssize_t written = write(descriptor, next, len);
        if (written >= 0) {
            next += written;
            len -= (size_t)written;
        } else if (errno == EAGAIN) {
            poll(&(struct pollfd){.fd = descriptor, .events = POLLOUT}, 1, -1);
        } else if (errno != EINTR) {
            return errno;
        }
    }
    return 0;
}

void platform_console_write(const void *bytes, size_t len) {
    ash_irq_t state = ash_port_irq_save();
    int error = console.write_error == 0 ? hosted_write_all(STDOUT_FILENO, bytes, len) : 0;
    if (error != 0)
        console.write_error = error;
    ash_port_irq_restore(state);
}

int hosted_console_write_error(void) {
    return console.write_error;
}
