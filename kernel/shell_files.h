/* SPDX-License-Identifier: MIT */
/* shell_files.h: what the commands that read files share. */
#ifndef KERNEL_SHELL_FILES_H
#define KERNEL_SHELL_FILES_H

#include "shell.h"

struct shell_file_range {
    struct file_node *node;
    uint64_t start, end; /* bytes of the file, end <= its size */
};

/* Is a file system mounted? If not, says why. */
bool shell_has_files(struct shell *shell, const char *command);

/* A regular file by its path, links followed. False: a message was printed. */
bool shell_file_open(struct shell *shell, const char *command, const char *path,
                     struct file_node **node, struct file_info *info);

/* Hands the range over in order, in pieces, without a copy where the file system keeps pages. A
 * command's status. */
int shell_file_each(struct shell *shell, const char *command, const char *path,
                    const struct shell_file_range *range,
                    void (*take)(void *context, const uint8_t *bytes, size_t len), void *context);

#endif
