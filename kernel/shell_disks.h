/* SPDX-License-Identifier: MIT */
/* shell_disks.h: what the commands that use disks share. */
#ifndef KERNEL_SHELL_DISKS_H
#define KERNEL_SHELL_DISKS_H

#include "disk.h"
#include "shell.h"

/* The disk of this number, as large as it is now. NULL: a message was printed. */
struct disk *shell_disk(struct shell *shell, const char *command, uint64_t number);

/* "COMMAND: disk N: WHY\n". Returns 1, for a command's status. */
int shell_disk_error(struct shell *shell, const char *command, uint64_t number, const char *why);

/* threads_alone for what uses disks: no other thread is inside of a call that does. */
void shell_disks_alone(struct shell *shell, void (*fn)(void *context), void *context);

/* May a command write to it? Only with `force` to the first one, which holds the archive, and never
 * to one that is read-only. False: a message was printed. */
bool shell_disk_may_write(struct shell *shell, const char *command, const struct disk *disk,
                          bool force);

/* The disk that is written to when none is named: the second one, if there is one. */
uint64_t shell_disk_to_write(const struct shell *shell);

/* "--disk N" and "--force". */
struct shell_disk_options {
    uint64_t disk;
    bool force;
};

/* Reads them off argv, from argv[first] on: the index of the first operand, or 0, and a message was
 * printed in the name of argv[0]. */
int shell_disk_options(struct shell *shell, int argc, char **argv, int first,
                       struct shell_disk_options *options);

/* "delayed:8" and its like to a policy; false: it is none. */
bool shell_disk_policy(const char *word, enum ash_virtio_blk_policy *policy, uint32_t *amount);
const char *shell_disk_policy_text(enum ash_virtio_blk_policy policy, uint32_t amount,
                                   char text[24]);

/* `blk bench ...`: argv[0] is the first word behind. */
int shell_blk_bench(struct shell *shell, int argc, char **argv);

#endif
