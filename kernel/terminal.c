/* SPDX-License-Identifier: MIT */
/* terminal.c: see terminal.h. */
#include "terminal.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "process_wait.h"
#include "wait.h"

enum { ROWS = 24, COLUMNS = 80, READ_ENDS = 0x100 };

static const struct terminal_modes first_modes = {
    .input = TERMINAL_ICRNL,
    .output = 05,    /* OPOST, ONLCR: the console sees to it */
    .control = 0277, /* 38400 baud, CS8, CREAD: for who looks at them */
    .local = TERMINAL_ISIG | TERMINAL_ICANON | TERMINAL_ECHO | 0120 /* ECHOE, ECHOK */,
    .keys = {[TERMINAL_INTERRUPT] = 3,
             [TERMINAL_QUIT] = 0x1c,
             [TERMINAL_ERASE] = 0x7f,
             [TERMINAL_KILL] = 0x15,
             [TERMINAL_EOF] = 4,
             [6] = 1 /* VMIN */}};

void terminal_init(struct terminal *terminal, struct console *console) {
    *terminal = (struct terminal){.console = console, .modes = first_modes};
    mutex_init(&terminal->mutex);
    wait_queue_init(&terminal->readers);
}

static bool is_in_lines(const struct terminal *terminal) {
    return (terminal->modes.local & TERMINAL_ICANON) != 0;
}

/* Typing; the mutex is held */

static void echo(struct terminal *terminal, const char *bytes, size_t len) {
    if (terminal->console->is_terminal && (terminal->modes.local & TERMINAL_ECHO) != 0)
        terminal->console->write(terminal->console->context, bytes, len);
}

static void wake_readers(struct terminal *terminal) {
    wait_queue_wake(&terminal->readers, WAIT_QUEUE_ALL);
    open_file_changed();
}

/* What has no room is lost. */
static void add_input(struct terminal *terminal, uint16_t what) {
    uint32_t used = terminal->used;
    if (used == TERMINAL_INPUT_BYTES)
        return;
    terminal->input[(terminal->first + used) % TERMINAL_INPUT_BYTES] = what;
    ash_store_release(&terminal->used, used + 1);
}

static void end_line(struct terminal *terminal) {
    for (uint32_t i = 0; i < terminal->line_len; i++)
        add_input(terminal, terminal->line[i]);
    terminal->line_len = 0;
    wake_readers(terminal);
}

static void rub_out(struct terminal *terminal, bool whole_line) {
    while (terminal->line_len != 0) {
        uint8_t byte = terminal->line[--terminal->line_len];
        if ((byte & 0xc0) == 0x80) /* of a character of UTF-8, not the first */
            continue;
        echo(terminal, "\b \b", 3);
        if (!whole_line)
            break;
    }
}

/* Of a line; a control character is shown as ^C. */
static void add_to_line(struct terminal *terminal, uint8_t byte) {
    const char shown[2] = {'^', (char)(byte ^ 0x40)};
    if (terminal->line_len + 1 >= TERMINAL_LINE_BYTES && byte != '\n') {
        echo(terminal, "\a", 1);
        return;
    }
    terminal->line[terminal->line_len++] = byte;
    if (byte >= ' ' || byte == '\n' || byte == '\t')
        echo(terminal, (const char *)&byte, 1);
    else
        echo(terminal, shown, sizeof(shown));
}

static void type_in_lines(struct terminal *terminal, uint8_t byte) {
    const uint8_t *keys = terminal->modes.keys;
    if (byte == keys[TERMINAL_ERASE] || byte == '\b') {
        rub_out(terminal, false);
    } else if (byte == keys[TERMINAL_KILL]) {
        rub_out(terminal, true);
    } else if (byte == keys[TERMINAL_EOF]) {
        end_line(terminal);
        add_input(terminal, READ_ENDS);
        wake_readers(terminal);
    } else {
        add_to_line(terminal, byte);
        if (byte == '\n')
            end_line(terminal);
    }
}

/* The number of the key that sends a signal; UINT32_MAX: none. */
static uint32_t signal_key(const struct terminal *terminal, uint8_t byte) {
    if ((terminal->modes.local & TERMINAL_ISIG) != 0 && terminal->console->is_terminal) {
        for (uint32_t key = TERMINAL_INTERRUPT; key <= TERMINAL_QUIT; key++) {
            if (byte == terminal->modes.keys[key])
                return key;
        }
    }
    return UINT32_MAX;
}

/* A script's line has no keys: its bytes are the line's. */
static void type_script(struct terminal *terminal, uint8_t byte) {
    terminal->line[terminal->line_len++] = byte;
    if (byte == '\n' || terminal->line_len == TERMINAL_LINE_BYTES)
        end_line(terminal);
}

static uint32_t type(struct terminal *terminal, uint8_t byte) {
    mutex_lock(&terminal->mutex);
    if (byte == '\r' && (terminal->modes.input & TERMINAL_ICRNL) != 0)
        byte = '\n';
    uint32_t key = signal_key(terminal, byte);
    if (key != UINT32_MAX) {
        const char shown[] = {'^', (char)(byte ^ 0x40), '\n'};
        terminal->line_len = 0;
        echo(terminal, shown, sizeof(shown));
    } else if (!terminal->console->is_terminal) {
        type_script(terminal, byte);
    } else if (is_in_lines(terminal)) {
        type_in_lines(terminal, byte);
    } else {
        echo(terminal, (const char *)&byte, 1);
        add_input(terminal, byte);
        wake_readers(terminal);
    }
    mutex_unlock(&terminal->mutex);
    return key;
}

static void type_end(struct terminal *terminal) {
    mutex_lock(&terminal->mutex);
    end_line(terminal);
    ash_store_release(&terminal->is_over, true);
    wake_readers(terminal);
    mutex_unlock(&terminal->mutex);
}

/* Serving */

struct service {
    struct terminal *terminal;
    const struct terminal_job *job;
    int byte; /* -ASH_EAGAIN: none */
};

/* Bytes of a script are taken one line at a time, and only when a program waits for them. */
static bool wants_line(const struct terminal *terminal) {
    return ash_load_acquire(&terminal->wanted) != 0 && ash_load_acquire(&terminal->used) == 0;
}

static bool has_work(void *context) {
    struct service *service = context;
    struct terminal *terminal = service->terminal;
    if (service->job->is_done(service->job->context))
        return true;
    if (ash_load_relaxed(&terminal->is_over) ||
        (!terminal->console->is_terminal && !wants_line(terminal)))
        return false;
    service->byte = terminal->console->poll(terminal->console->context);
    return service->byte != -ASH_EAGAIN;
}

/* False: the job is done. */
static bool next_byte(struct service *service) {
    service->byte = -ASH_EAGAIN;
    return kernel_wait(has_work, service, KERNEL_WAIT_FOR_EVER) == 0 &&
           service->byte != -ASH_EAGAIN;
}

void terminal_serve(struct terminal *terminal, const struct terminal_job *job) {
    struct service service = {terminal, job, -ASH_EAGAIN};
    while (next_byte(&service)) {
        uint32_t key = UINT32_MAX;
        if (service.byte < 0)
            type_end(terminal);
        else
            key = type(terminal, (uint8_t)service.byte);
        if (key != UINT32_MAX)
            job->on_key(job->context, key);
    }
}

/* As an open file */

static bool has_input(void *context) {
    struct terminal *terminal = context;
    return ash_load_acquire(&terminal->used) != 0 || ash_load_acquire(&terminal->is_over);
}

/* In lines: up to the end of the first; else what is there. */
static int64_t take_input(struct terminal *terminal, uint8_t *to, size_t len) {
    uint32_t used = terminal->used, taken = 0, got = 0;
    bool is_over = false;
    while (taken < used && !is_over) {
        uint16_t next = terminal->input[(terminal->first + taken) % TERMINAL_INPUT_BYTES];
        if (next != READ_ENDS && got == len)
            break;
        taken++;
        is_over = next == READ_ENDS || (is_in_lines(terminal) && next == '\n');
        if (next != READ_ENDS)
            to[got++] = (uint8_t)next;
    }
    terminal->first = (terminal->first + taken) % TERMINAL_INPUT_BYTES;
    ash_store_release(&terminal->used, used - taken);
    return got;
}

static int wait_for_input(struct terminal *terminal) {
    ash_fetch_add(&terminal->wanted, 1u);
    kernel_wait_look();
    int error = process_wait(&terminal->readers, has_input, terminal, UINT64_MAX);
    __atomic_fetch_sub(&terminal->wanted, 1u, __ATOMIC_RELEASE);
    return error;
}

static int64_t terminal_read(struct open_file *file, uint64_t offset, void *buffer, size_t len) {
    struct terminal *terminal = file->object;
    (void)offset;
    while (len != 0) {
        mutex_lock(&terminal->mutex);
        bool is_there = has_input(terminal);
        int64_t got = is_there ? take_input(terminal, buffer, len) : 0;
        mutex_unlock(&terminal->mutex);
        if (is_there)
            return got;
        if ((ash_load_relaxed(&file->flags) & OPEN_NONBLOCK) != 0)
            return -ASH_EAGAIN;
        int error = wait_for_input(terminal);
        if (error != 0)
            return error;
    }
    return 0;
}

static int64_t terminal_write(struct open_file *file, uint64_t offset, const void *buffer,
                              size_t len) {
    struct terminal *terminal = file->object;
    (void)offset;
    terminal->console->write(terminal->console->context, buffer, len);
    return (int64_t)len;
}

static void describe(struct open_file *file, struct file_status *status) {
    (void)file;
    status->number = 1;
    status->mode = MODE_CHARACTER | 0620;
}

static uint32_t ready(struct open_file *file) {
    return has_input(file->object) ? OPEN_POLL_IN | OPEN_POLL_OUT : OPEN_POLL_OUT;
}

static void set_modes(struct terminal *terminal, const struct terminal_modes *modes, bool flush) {
    mutex_lock(&terminal->mutex);
    terminal->modes = *modes;
    if (flush) {
        terminal->line_len = 0;
        ash_store_release(&terminal->used, 0u);
    }
    if (!is_in_lines(terminal))
        end_line(terminal); /* what has been typed of a line can be read now */
    mutex_unlock(&terminal->mutex);
}

static int64_t control(struct open_file *file, uint64_t request, void *argument) {
    static const uint16_t size[4] = {ROWS, COLUMNS, 0, 0};
    struct terminal *terminal = file->object;
    int32_t count = (int32_t)ash_load_relaxed(&terminal->used);
    if (!terminal->console->is_terminal)
        return -ASH_ENOTTY;
    switch (request) {
    case TERMINAL_GET_MODES:
        memcpy(argument, &terminal->modes, sizeof(terminal->modes));
        return 0;
    case TERMINAL_SET_MODES:
    case TERMINAL_SET_MODES_DRAIN:
    case TERMINAL_SET_MODES_FLUSH:
        set_modes(terminal, argument, request == TERMINAL_SET_MODES_FLUSH);
        return 0;
    case TERMINAL_GET_SIZE:
        memcpy(argument, size, sizeof(size));
        return 0;
    case TERMINAL_GET_COUNT:
        memcpy(argument, &count, sizeof(count));
        return 0;
    default:
        return -ASH_ENOTTY;
    }
}

static const struct open_file_type terminal_type = {.read = terminal_read,
                                                    .write = terminal_write,
                                                    .describe = describe,
                                                    .ready = ready,
                                                    .control = control};

int terminal_open(struct terminal *terminal, uint32_t flags, const struct allocator *allocator,
                  struct open_file **file) {
    *file = open_file_new(allocator, &terminal_type, flags, terminal);
    return *file == NULL ? -ASH_ENOMEM : 0;
}
