/* SPDX-License-Identifier: MIT */
/* shell.c: see shell.h. */
#include "shell.h"
#include "shell_jobs.h"
#include "printable.h"
#include "words.h"

#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

extern const struct shell_command *const __start_ash_commands[], *const __stop_ash_commands[];

enum { CTRL_C = 3, NEAREST_NAME_MAX = 16 };

/* Commands */

const struct shell_command *shell_find(const char *name) {
    for (const struct shell_command *const *entry = __start_ash_commands;
         entry < __stop_ash_commands; entry++) {
        if (strcmp((*entry)->name, name) == 0)
            return *entry;
    }
    return NULL;
}

const struct shell_command *shell_next(const struct shell_command *previous) {
    const struct shell_command *next = NULL;
    for (const struct shell_command *const *entry = __start_ash_commands;
         entry < __stop_ash_commands; entry++) {
        if (previous != NULL && strcmp((*entry)->name, previous->name) <= 0)
            continue;
        if (next == NULL || strcmp((*entry)->name, next->name) < 0)
            next = *entry;
    }
    return next;
}

const char *shell_option(int argc, char **argv, int *at) {
    if (*at >= argc || argv[*at][0] != '-' || argv[*at][1] == '\0')
        return NULL;
    const char *option = argv[(*at)++];
    return strcmp(option, "--") == 0 ? NULL : option;
}

/* Output */

void shell_write(struct shell *shell, const void *bytes, size_t len) {
    if (len != 0)
        shell->console->write(shell->console->context, bytes, len);
}

void shell_text(struct shell *shell, const char *text) {
    size_t len = strlen(text);
    if (!shell->console->is_terminal) {
        shell_write(shell, text, len);
        return;
    }
    for (size_t start = 0; start < len;) {
        size_t end = start, one;
        while ((one = printable_len(text + end, len - end)) != 0)
            end += one;
        shell_write(shell, text + start, end - start);
        if (end < len)
            shell_write(shell, "?", 1);
        start = end + 1;
    }
}

void shell_print(struct shell *shell, const char *format, ...) {
    char text[512];
    va_list args;
    va_start(args, format);
    int len = vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    if (len >= (int)sizeof(text)) {
        len = (int)sizeof(text) - 1;
        memcpy(text + len - 3, "...", 3);
    }
    if (len > 0)
        shell_write(shell, text, (size_t)len);
}

int shell_error(struct shell *shell, const char *command, const char *subject, const char *why) {
    shell_text(shell, command);
    shell_write(shell, ": ", 2);
    if (subject != NULL) {
        shell_text(shell, *subject == '\0' ? "''" : subject);
        shell_write(shell, ": ", 2);
    }
    shell_text(shell, why);
    shell_write(shell, "\n", 1);
    return 1;
}

int shell_usage(struct shell *shell, const char *command, const char *why) {
    const struct shell_command *entry = shell_find(command);
    shell_error(shell, command, NULL, why);
    if (entry != NULL)
        shell_print(shell, "usage: %s%s%s\n", command, *entry->usage == '\0' ? "" : " ",
                    entry->usage);
    return SHELL_STATUS_USAGE;
}

bool shell_has_kernel(struct shell *shell, const char *command) {
    if (shell->kernel == NULL)
        shell_error(shell, command, NULL, "this shell has no machine below it");
    return shell->kernel != NULL;
}

/* Input */

bool shell_interrupted(struct shell *shell) {
    if (!shell->console->is_terminal)
        return false;
    int byte = 0;
    while ((byte = shell->console->poll(shell->console->context)) >= 0) {
        if (byte == CTRL_C) {
            shell->typed_count = 0;
            shell_write(shell, "^C\n", 3);
            return true;
        }
        if (shell->typed_count < SHELL_TYPED_MAX) {
            uint32_t at = (shell->typed_first + shell->typed_count++) % SHELL_TYPED_MAX;
            shell->typed[at] = (uint8_t)byte;
        }
    }
    return false;
}

static int next_byte(struct shell *shell) {
    if (shell->typed_count == 0)
        return shell->console->read(shell->console->context);
    uint8_t byte = shell->typed[shell->typed_first];
    shell->typed_first = (shell->typed_first + 1) % SHELL_TYPED_MAX;
    shell->typed_count--;
    return byte;
}

/* Running */

/* Levenshtein's distance of two names of at most NEAREST_NAME_MAX characters. */
static uint32_t distance(const char *a, const char *b) {
    uint32_t row[NEAREST_NAME_MAX + 1];
    uint32_t len = (uint32_t)strlen(b);
    for (uint32_t j = 0; j <= len; j++)
        row[j] = j;
    for (uint32_t i = 1; a[i - 1] != '\0'; i++) {
        uint32_t diagonal = row[0];
        row[0] = i;
        for (uint32_t j = 1; j <= len; j++) {
            uint32_t change = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            uint32_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            row[j] = change < best ? change : best;
        }
    }
    return row[len];
}

static const char *nearest_name(const char *name) {
    const struct shell_command *command = NULL;
    const char *nearest = NULL;
    uint32_t least = 3; /* more than two slips of the finger is another word */
    if (strlen(name) > NEAREST_NAME_MAX)
        return NULL;
    while ((command = shell_next(command)) != NULL) {
        uint32_t d =
            strlen(command->name) > NEAREST_NAME_MAX ? least : distance(name, command->name);
        if (d < least && d < strlen(command->name)) {
            least = d;
            nearest = command->name;
        }
    }
    return nearest;
}

static int unknown_command(struct shell *shell, const char *name) {
    char why[80];
    const char *nearest = nearest_name(name);
    if (nearest != NULL)
        snprintf(why, sizeof(why), "no such command; did you mean %s?", nearest);
    else
        snprintf(why, sizeof(why), "no such command; help lists all");
    shell_error(shell, *name == '\0' ? "''" : name, NULL, why);
    return SHELL_STATUS_UNKNOWN;
}

int shell_run_command(struct shell *shell, int argc, char **argv) {
    const struct shell_command *command = shell_find(argv[0]);
    if (command != NULL)
        return command->run(shell, argc, argv);
    if (shell_is_program(shell, argv[0]))
        return shell_run_programs(shell, argc, argv);
    return unknown_command(shell, argv[0]);
}

static void run_command(struct shell *shell, int argc, char **argv) {
    shell->status = shell_run_command(shell, argc, argv);
    if (shell->after_command != NULL)
        shell->after_command(shell);
}

/* Runs one line, which is rewritten; the status is that of its last command. */
static void execute(struct shell *shell, char *line) {
    size_t count, end;
    int error = words_split(line, shell->words, SHELL_WORDS_MAX, &count);
    if (error != 0) {
        shell_error(shell, "shell", NULL,
                    error == -ASH_E2BIG ? "the line has more than 256 words; nothing was run"
                                        : "a quote is not closed; nothing was run");
        shell->status = SHELL_STATUS_USAGE;
        return;
    }
    for (size_t start = 0; start < count && !shell->done; start = end + 1) {
        for (end = start; end < count && shell->words[end] != NULL; end++) {}
        if (end != start)
            run_command(shell, (int)(end - start), shell->words + start);
        if (shell->status == SHELL_STATUS_STOPPED)
            break;
    }
}

/* One whole line, in whatever way it ended. */
static void take_line(struct shell *shell, enum line_event event) {
    switch (event) {
    case LINE_READY:
        if (shell->console->is_terminal)
            line_editor_remember(&shell->editor);
        execute(shell, shell->editor.line);
        break;
    case LINE_TOO_LONG:
        shell->status = SHELL_STATUS_USAGE;
        shell_error(shell, "shell", NULL,
                    "a line of more than 4096 bytes; it was dropped, nothing was run");
        break;
    case LINE_HAS_NUL:
        shell->status = SHELL_STATUS_USAGE;
        shell_error(shell, "shell", NULL, "a line with a NUL byte; it was dropped");
        break;
    case LINE_DROPPED:
        shell->status = SHELL_STATUS_STOPPED;
        break;
    case LINE_END:
    case LINE_MORE:
        return;
    }
    if (!shell->done)
        line_editor_begin(&shell->editor);
}

void shell_init(struct shell *shell) {
    shell->status = 0;
    shell->done = false;
    shell->typed_first = shell->typed_count = 0;
    line_editor_init(&shell->editor, shell->console, "ashlar> ");
    shell->editor.complete = shell_complete;
    shell->editor.context = shell;
}

int shell_run(struct shell *shell) {
    line_editor_begin(&shell->editor);
    while (!shell->done) {
        int byte = next_byte(shell);
        enum line_event event = byte < 0 ? line_editor_finish(&shell->editor)
                                         : line_editor_feed(&shell->editor, (uint8_t)byte);
        take_line(shell, event);
        if (byte < 0 || event == LINE_END)
            break;
    }
    return shell->status;
}

int shell_run_script(struct shell *shell, const char *text) {
    size_t len = strlen(text);
    if (len >= 2 && text[0] == '"' && text[len - 1] == '"') {
        text++;
        len -= 2;
    }
    if (len > LINE_MAX_BYTES) {
        take_line(shell, LINE_TOO_LONG);
        return shell->status;
    }
    memcpy(shell->editor.line, text, len);
    shell->editor.line[len] = '\0';
    execute(shell, shell->editor.line);
    return shell->status;
}
