/* SPDX-License-Identifier: MIT */
/* file_disk.c: see file_disk.h. */
#include "file_disk.h"

#include <ashlar/error.h>
#include <string.h>

enum { DISK_DEVICE = 1 };

void file_disk_describe(struct file_system *fs, const struct file_node *node,
                        struct file_status *status) {
    static const uint32_t modes[] = {[FILE_REGULAR] = MODE_REGULAR | 0555,
                                     [FILE_DIRECTORY] = MODE_DIRECTORY | 0555,
                                     [FILE_SYMLINK] = MODE_SYMLINK | 0777,
                                     [FILE_UNREADABLE] = MODE_REGULAR};
    struct file_info info;
    fs->describe(fs, node, &info);
    *status = (struct file_status){.number = info.number,
                                   .device = DISK_DEVICE,
                                   .mode = modes[info.type],
                                   .size_bytes = info.type == FILE_SYMLINK ? strlen(info.target)
                                                                           : info.size_bytes};
}

static void describe(struct open_file *file, struct file_status *status) {
    file_disk_describe(file->fs, file->node, status);
}

static int64_t read_file(struct open_file *file, uint64_t offset, void *buffer, size_t len) {
    size_t got;
    int error = file->fs->read(file->fs, file->node, offset, buffer, len, &got);
    return error != 0 ? error : (int64_t)got;
}

static const struct open_file_type regular_type = {
    .read = read_file, .describe = describe, .is_seekable = true};
static const struct open_file_type directory_type = {.describe = describe, .is_seekable = true};

/* What of it the flags ask for and cannot have. */
static int refuse(enum file_type type, uint32_t flags) {
    bool writes = (flags & OPEN_ACCESS) != OPEN_READ_ONLY || (flags & OPEN_TRUNCATE) != 0;
    if ((flags & OPEN_DIRECTORY) != 0 && type != FILE_DIRECTORY)
        return -ASH_ENOTDIR;
    if ((flags & OPEN_PATH) != 0)
        return 0;
    if (writes)
        return type == FILE_DIRECTORY ? -ASH_EISDIR : -ASH_EROFS;
    if (type == FILE_SYMLINK)
        return -ASH_ELOOP;
    return type == FILE_UNREADABLE ? -ASH_EACCES : 0;
}

int file_disk_open(struct file_system *fs, struct file_node *node, uint32_t flags,
                   const struct allocator *allocator, struct open_file **file) {
    struct file_info info;
    fs->describe(fs, node, &info);
    int error = refuse(info.type, flags);
    if (error != 0)
        return error;
    bool is_directory = info.type == FILE_DIRECTORY;
    *file = open_file_new(allocator, is_directory ? &directory_type : &regular_type, flags, NULL);
    if (*file == NULL)
        return -ASH_ENOMEM;
    (*file)->fs = fs;
    (*file)->node = node;
    return 0;
}

/* Directories */

static struct file_entry entry_of(struct file_system *fs, const struct file_node *node,
                                  const char *name) {
    struct file_info info;
    fs->describe(fs, node, &info);
    return (struct file_entry){name != NULL ? name : info.name, info.number, info.type};
}

/* Linear in what is passed over: a directory is read once, in large pieces. */
static int add_entries(struct open_file *directory,
                       bool (*add)(void *context, const struct file_entry *entry, uint64_t next),
                       void *context) {
    struct file_system *fs = directory->fs;
    struct file_node *node = directory->node;
    uint64_t at = 0;
    struct file_entry entry = entry_of(fs, node, ".");
    for (;;) {
        if (at >= directory->offset) {
            if (!add(context, &entry, at + 1))
                return 0;
            directory->offset = at + 1;
        }
        at++;
        if (at == 1) {
            entry = entry_of(fs, fs->parent(fs, directory->node), "..");
            continue;
        }
        node = fs->next(fs, directory->node, at == 2 ? NULL : node);
        if (node == NULL)
            return 0;
        entry = entry_of(fs, node, NULL);
    }
}

int file_disk_entries(struct open_file *directory,
                      bool (*add)(void *context, const struct file_entry *entry, uint64_t next),
                      void *context) {
    if (directory->type != &directory_type)
        return -ASH_ENOTDIR;
    mutex_lock(&directory->mutex);
    int error = add_entries(directory, add, context);
    mutex_unlock(&directory->mutex);
    return error;
}
