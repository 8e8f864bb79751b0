/* SPDX-License-Identifier: MIT */
/* commands_shell.c: the shell's own: help, echo, history, poweroff, panic. */
#include "shell.h"

#include <ashlar/check.h>
#include <string.h>

static int help_one(struct shell *shell, const char *name) {
    const struct shell_command *command = shell_find(name);
    if (command == NULL)
        return shell_error(shell, "help", name, "no such command; help lists all");
    shell_print(shell, "usage: %s%s%s\n", command->name, *command->usage == '\0' ? "" : " ",
                command->usage);
    shell_write(shell, command->help, strlen(command->help)); /* shell_print would cut it */
    shell_print(shell, "\n");
    return 0;
}

/* The help text's first line. */
static void print_summary(struct shell *shell, const struct shell_command *command) {
    size_t len = strcspn(command->help, "\n");
    shell_print(shell, "%-9s ", command->name);
    shell_write(shell, command->help, len);
    shell_write(shell, "\n", 1);
}

SHELL_COMMAND(help, "[COMMAND...]", "Lists the commands, or says how one is used.") {
    const struct shell_command *command = NULL;
    int status = 0;
    for (int i = 1; i < argc; i++)
        status |= help_one(shell, argv[i]);
    if (argc > 1)
        return status;
    while ((command = shell_next(command)) != NULL)
        print_summary(shell, command);
    return 0;
}

SHELL_COMMAND(echo, "[WORD...]", "Prints the words, with one space between them.") {
    for (int i = 1; i < argc; i++) {
        if (i > 1)
            shell_write(shell, " ", 1);
        shell_text(shell, argv[i]);
    }
    shell_write(shell, "\n", 1);
    return 0;
}

SHELL_COMMAND(history, "", "Prints the lines typed so far, oldest first, this one included.") {
    const char *line = NULL;
    uint32_t number = 0;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    while ((line = line_editor_history(&shell->editor, line)) != NULL) {
        shell_print(shell, "%5u  ", (unsigned)++number);
        shell_text(shell, line);
        shell_write(shell, "\n", 1);
    }
    return 0;
}

static bool parse_status(const char *text, int *status) {
    *status = 0;
    if (*text == '\0' || strlen(text) > 3)
        return false;
    for (; *text != '\0'; text++) {
        if (*text < '0' || *text > '9')
            return false;
        *status = *status * 10 + (*text - '0');
    }
    return *status <= 125;
}

SHELL_COMMAND(poweroff, "[STATUS]", "Ends the machine with a status of 0..125; without one, 0.") {
    int status = 0;
    if (argc > 2 || (argc == 2 && !parse_status(argv[1], &status)))
        return shell_usage(shell, "poweroff", "STATUS is a number from 0 to 125");
    shell->done = true;
    return status;
}

SHELL_COMMAND(panic, "[WORD]", "Panics, to show what that looks like.") {
    (void)shell;
    ash_panic(__FILE__, __LINE__, "asked for at the shell: %.100s", argc > 1 ? argv[1] : "panic");
}
