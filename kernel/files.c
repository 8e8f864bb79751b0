/* SPDX-License-Identifier: MIT */
/* files.c: see files.h. */
#include "files.h"

#include <ashlar/error.h>
#include <string.h>

#include "file_disk.h"
#include "file_special.h"

static struct files_config files;

void files_init(const struct files_config *config) {
    files = *config;
}

const struct allocator *files_allocator(void) {
    return &files.allocator;
}

struct file_system *files_system(void) {
    return files.fs;
}

int files_look_up(const struct open_file *base, const char *path, bool follow,
                  struct file_node **node) {
    struct file_node *from = base == NULL ? NULL : base->node;
    if (*path == '\0')
        return -ASH_ENOENT;
    if (base != NULL && from == NULL && *path != '/')
        return -ASH_ENOTDIR;
    return files.fs == NULL ? -ASH_ENOENT : files.fs->look_up(files.fs, from, path, follow, node);
}

static int open_device(const char *path, uint32_t flags, struct open_file **file) {
    bool is_terminal = strcmp(path, "/dev/tty") == 0 || strcmp(path, "/dev/console") == 0;
    if (!is_terminal || files.terminal == NULL)
        return file_special_open(path, flags, &files.allocator, file);
    return terminal_open(files.terminal, flags, &files.allocator, file);
}

int files_open(const struct open_file *base, const char *path, uint32_t flags,
               struct open_file **file) {
    struct file_node *node;
    int error = open_device(path, flags, file);
    if (error != -ASH_ENOENT)
        return error;
    error = files_look_up(base, path, (flags & OPEN_NOFOLLOW) == 0, &node);
    if (error == -ASH_ENOENT && (flags & OPEN_CREATE) != 0)
        return -ASH_EROFS;
    if (error != 0)
        return error;
    if ((flags & (OPEN_CREATE | OPEN_EXCLUSIVE)) == (OPEN_CREATE | OPEN_EXCLUSIVE))
        return -ASH_EEXIST;
    return file_disk_open(files.fs, node, flags, &files.allocator, file);
}

int files_describe(const struct open_file *base, const char *path, bool follow,
                   struct file_status *status) {
    struct open_file *device;
    struct file_node *node;
    int error = open_device(path, OPEN_READ_ONLY, &device);
    if (error == 0) {
        open_file_describe(device, status);
        open_file_put(device);
    }
    if (error != -ASH_ENOENT)
        return error;
    error = files_look_up(base, path, follow, &node);
    if (error == 0)
        file_disk_describe(files.fs, node, status);
    return error;
}

/* From the end of the buffer towards its begin, one directory at a time. */
int files_path(const struct open_file *directory, char *path, size_t size) {
    size_t at = size;
    struct file_info info;
    if (size < 2)
        return -ASH_ERANGE;
    path[--at] = '\0';
    const struct file_node *node = directory == NULL ? NULL : directory->node, *parent;
    while (node != NULL && (parent = files.fs->parent(files.fs, node)) != node) {
        files.fs->describe(files.fs, node, &info);
        size_t len = strlen(info.name);
        if (len + 1 > at)
            return -ASH_ERANGE;
        at -= len;
        memcpy(path + at, info.name, len);
        path[--at] = '/';
        node = parent;
    }
    if (at == size - 1)
        path[--at] = '/';
    memmove(path, path + at, size - at);
    return (int)(size - at - 1);
}
