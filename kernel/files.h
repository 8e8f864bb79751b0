/* SPDX-License-Identifier: MIT */
/*
 * files.h: what programs' paths lead to: the mounted archive, the terminal, the files that no disk
 * has. The file system is read-only, so whatever would change it is -ASH_EROFS.
 */
#ifndef KERNEL_FILES_H
#define KERNEL_FILES_H

#include "file_table.h"
#include "terminal.h"

struct files_config {
    struct file_system *fs;     /* NULL: there is none */
    struct terminal *terminal;  /* NULL: there is none */
    struct allocator allocator; /* of all open files */
};

/* Once, before the first process. *config is copied. */
void files_init(const struct files_config *config);
/* That of files_config. */
const struct allocator *files_allocator(void);

/* A node of the archive. base: an open directory; NULL: the root. -ASH_ENOENT, -ASH_ENOTDIR,
 * -ASH_ELOOP, -ASH_ENAMETOOLONG. */
int files_look_up(const struct open_file *base, const char *path, bool follow,
                  struct file_node **node) ASH_MUST_CHECK;

/* What a program opens: also /dev/null, /dev/zero, /dev/tty, /dev/console. Errors of look_up and of
 * file_disk_open; -ASH_EROFS: it would be made. */
int files_open(const struct open_file *base, const char *path, uint32_t flags,
               struct open_file **file) ASH_MUST_CHECK;

/* The same for stat. */
int files_describe(const struct open_file *base, const char *path, bool follow,
                   struct file_status *status) ASH_MUST_CHECK;

/* The file system of all nodes. */
struct file_system *files_system(void);

/* Where a directory is, from the root: "/", "/a/b". NULL: the root. The length; or
 * -ASH_ERANGE: it does not fit. */
int files_path(const struct open_file *directory, char *path, size_t size) ASH_MUST_CHECK;

#endif
