/* SPDX-License-Identifier: MIT */
/* shell_jobs.h: programs of the disk, to the shell: commands_run.c. */
#ifndef KERNEL_SHELL_JOBS_H
#define KERNEL_SHELL_JOBS_H

#include "shell.h"

/* A line for each that ran beside it and has ended since. */
void shell_tell_jobs(struct shell *shell);

/* False, with a message, where no programs run: a command then ends with 1. */
bool shell_has_programs(struct shell *shell, const char *command);

/* Is that the name of a program here? Without / it is looked for in bin. */
bool shell_is_program(struct shell *shell, const char *name);

/* "PROGRAM [WORD...] [| PROGRAM [WORD...]]... [< FILE] [&]": returns its status. */
int shell_run_programs(struct shell *shell, int argc, char **argv);

#endif
