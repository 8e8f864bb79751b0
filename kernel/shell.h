/* SPDX-License-Identifier: MIT */
/*
 * shell.h: reads lines, finds commands, runs them. It knows a console and a file system as
 * interfaces only, so the same shell runs on a serial line, in a Linux process and in a test.
 *
 *     SHELL_COMMAND(echo, "[WORD...]", "Prints the words.") {
 *         ...
 *         return 0;
 *     }
 *
 * Rules
 *  - A command gets argc and argv, though no NULL after the last, and returns its status (README.md
 *    lists what they say), 0..125. Messages
 *    about what went wrong begin with its name: shell_error.
 *  - There is one shell, and it is one thread's: its lines, its chunk and its words are shared with
 *    nobody.
 *  - What a command writes is its answer and nothing else: prompts and echo are for terminals.
 *  - A command that runs long asks shell_interrupted now and then.
 */
#ifndef KERNEL_SHELL_H
#define KERNEL_SHELL_H

#include "console.h"
#include "file_system.h"
#include "line_editor.h"

enum {
    SHELL_WORDS_MAX = 256,
    SHELL_TYPED_MAX = 256,         /* bytes kept that were typed while a command ran */
    SHELL_STATUS_USAGE = 2,        /* a command was called in a wrong way */
    SHELL_STATUS_CANNOT_RUN = 126, /* a program is there, and could not be started */
    SHELL_STATUS_UNKNOWN = 127,    /* there is no such command */
    SHELL_STATUS_STOPPED = 130,    /* by Ctrl-C: 128 + SIGINT, as a POSIX shell says */
};

struct kernel;

struct shell {
    /* Filled in by who starts it. */
    struct console *console;
    struct file_system *fs; /* NULL: none is mounted */
    const char *no_fs;      /* then: why */
    struct kernel *kernel;  /* what the commands about the machine look at; NULL: there is none */
    uint8_t *chunk;         /* files pass through this; page-aligned memory avoids copies */
    size_t chunk_bytes;     /* at least 16 */
    void (*after_command)(struct shell *shell); /* may be NULL */

    /* private but status */
    int status; /* of the last command */
    bool done;
    uint32_t typed_first, typed_count;
    uint8_t typed[SHELL_TYPED_MAX];
    char *words[SHELL_WORDS_MAX];
    struct line_editor editor;
};

struct shell_command {
    const char *name, *usage, *help;
    int (*run)(struct shell *shell, int argc, char **argv);
};

#define SHELL_COMMAND(command, usage_text, help_text)                                     \
    static int command_##command(struct shell *shell, int argc, char **argv);             \
    static const struct shell_command entry_##command = {#command, usage_text, help_text, \
                                                         command_##command};              \
    static const struct shell_command *const pointer_##command                            \
        __attribute__((section("ash_commands"), used)) = &entry_##command;                \
    static int command_##command(struct shell *shell, int argc, char **argv)

/* Call it once the fields above are filled in. */
void shell_init(struct shell *shell);

/* Runs lines until the end of input or `poweroff`; returns the status to end with. */
int shell_run(struct shell *shell);

/* Runs one line, of as many commands as there are ';' in it, and reads nothing; returns the status
 * of the last one. Double quotes around the whole of it are passed over. */
int shell_run_script(struct shell *shell, const char *text);

/* Runs one command or program from within another; returns its status. argc is at least 1. */
int shell_run_command(struct shell *shell, int argc, char **argv);

/* The command of this name, or NULL. */
const struct shell_command *shell_find(const char *name);

/* Commands in the order of their names: the one after `previous`, NULL for the first; or NULL. */
const struct shell_command *shell_next(const struct shell_command *previous);

/*
 * The next option, such as "-l" or "-n4", or NULL with *at at the first operand; *at is 1 at first.
 * "--" ends the options and is passed over; "-" is an operand (POSIX.1-2017, XBD 12.2, guidelines
 * 10 and 13).
 */
const char *shell_option(int argc, char **argv, int *at);

/* Output */

void shell_write(struct shell *shell, const void *bytes, size_t len);

/* A string from outside (a file's name): on a terminal, control characters become '?'. */
void shell_text(struct shell *shell, const char *text);

/* printf; cut, with "...", at 511 bytes: no text of unbounded length goes through it. */
void shell_print(struct shell *shell, const char *format, ...) ASH_PRINTF(2, 3);

/* "COMMAND: SUBJECT: WHY\n", without the subject if it is NULL. Returns 1, for a command's
 * status. */
int shell_error(struct shell *shell, const char *command, const char *subject, const char *why);

/* "COMMAND: WHY" and how it is called. Returns SHELL_STATUS_USAGE. */
int shell_usage(struct shell *shell, const char *command, const char *why);

/* False, with a message, where the shell runs without a kernel: a command then ends with 1. */
bool shell_has_kernel(struct shell *shell, const char *command);

/* Has Ctrl-C been typed since the command began? Terminals only; never waits. */
bool shell_interrupted(struct shell *shell);

/* What the line editor calls on Tab (shell_complete.c). */
void shell_complete(void *context, struct line_editor *editor);

#endif
