/* SPDX-License-Identifier: MIT */
/* file_disk.h: regular files and directories of a file system as open files. */
#ifndef KERNEL_FILE_DISK_H
#define KERNEL_FILE_DISK_H

#include "open_file.h"

/*
 * A node that look_up found. -ASH_EROFS: to be written; -ASH_EISDIR: the same, of a directory;
 * -ASH_ENOTDIR: flags has OPEN_DIRECTORY, and it is none; -ASH_ELOOP: a symbolic link; -ASH_EACCES:
 * it is not to be read; -ASH_ENOMEM.
 */
int file_disk_open(struct file_system *fs, struct file_node *node, uint32_t flags,
                   const struct allocator *allocator, struct open_file **file) ASH_MUST_CHECK;

/* What stat says of a node. */
void file_disk_describe(struct file_system *fs, const struct file_node *node,
                        struct file_status *status);

/* An entry of a directory. */
struct file_entry {
    const char *name; /* the file system's */
    uint64_t number;
    enum file_type type;
};

/*
 * The entries of an open directory from its offset on, which counts them, "." and ".." first: add
 * is called for each until it says false, and the offset goes on by those for which it said true.
 * -ASH_ENOTDIR.
 */
int file_disk_entries(struct open_file *directory,
                      bool (*add)(void *context, const struct file_entry *entry, uint64_t next),
                      void *context) ASH_MUST_CHECK;

#endif
