/* SPDX-License-Identifier: MIT */
/*
 * file_system.h: files as the shell sees them, and the bytes below a file system. Read-only.
 *
 * Rules
 *  - A path is slash-separated; with a leading slash, or where no directory is named, it is from
 *    the file system's root; "." and ".." mean what they mean, ".." of the root is the root.
 *  - Nodes are owned by the file system and stay where they are until it is unmounted.
 *  - Any thread; calls may wait for a disk. Who has a page gives it back before the next call.
 */
#ifndef KERNEL_FILE_SYSTEM_H
#define KERNEL_FILE_SYSTEM_H

#include <ashlar/base.h>

/* Bytes at offsets: a disk, or an image in memory. */
struct byte_source {
    /* All of [offset, offset + len), which lies inside size_bytes; 0 or a negative error. */
    int (*read)(void *context, uint64_t offset, void *buffer, size_t len);
    void *context;
    uint64_t size_bytes;
};

/* Bytes of a file where they lie in memory, and stay until they are given back. */
struct file_page {
    const uint8_t *bytes;
    size_t len;     /* at least 1 */
    uint32_t frame; /* the source's own */
};

/* Pages of files below a file system, kept in memory. */
struct page_source {
    /*
     * Of the file of size_bytes at `start` of the bytes below: those from `offset`, inside it, to
     * the end of their page or of the file. -ASH_ENOTSUP, -ASH_EAGAIN: not this way now, read them.
     */
    int (*get)(void *context, uint64_t start, uint64_t size_bytes, uint64_t offset,
               struct file_page *page);
    void (*put)(void *context, const struct file_page *page);
    void *context;
};

enum { FILE_PATH_MAX = 4096 }; /* of a path, its NUL included */

enum file_type { FILE_REGULAR, FILE_DIRECTORY, FILE_SYMLINK, FILE_UNREADABLE };

struct file_node; /* the file system's own */

struct file_info {
    enum file_type type;
    uint64_t number; /* no other file's of this file system */
    uint64_t size_bytes;
    const char *name;   /* the last component; "" for the root */
    const char *target; /* of a symbolic link, else NULL */
    const char *reason; /* why a FILE_UNREADABLE cannot be opened, else NULL */
};

struct file_system {
    /*
     * The node of a path from the directory `from`; NULL: from the root. A symbolic link as its
     * last component is followed when `follow` is set.
     * -ASH_ENOENT; -ASH_ENOTDIR: a component before the last, or one with a slash after it, is not
     * a directory; -ASH_ELOOP: more than 40 symbolic links; -ASH_ENAMETOOLONG: links make it so.
     */
    int (*look_up)(struct file_system *fs, struct file_node *from, const char *path, bool follow,
                   struct file_node **node);

    /* The directory that a node is in; the root's is itself. */
    struct file_node *(*parent)(struct file_system *fs, const struct file_node *node);

    void (*describe)(struct file_system *fs, const struct file_node *node, struct file_info *info);

    /* A directory's entries in the order of their bytes: after `previous`, NULL for the first. */
    struct file_node *(*next)(struct file_system *fs, struct file_node *directory,
                              struct file_node *previous);

    /*
     * Reads up to len bytes of a regular file; *got is less than len at the end of the file only.
     * -ASH_EISDIR, -ASH_ENOTSUP for what is not a regular file; the disk's errors.
     */
    int (*read)(struct file_system *fs, struct file_node *node, uint64_t offset, void *buffer,
                size_t len, size_t *got);

    /*
     * The bytes of a regular file from `offset`, inside of it, without a copy: some of them, at
     * least one, until page_put. Both NULL: it has no such thing. -ASH_ENOTSUP, -ASH_EAGAIN: read
     * them instead; and the errors of read.
     */
    int (*page_get)(struct file_system *fs, struct file_node *node, uint64_t offset,
                    struct file_page *page);
    void (*page_put)(struct file_system *fs, const struct file_page *page);

    /* Says what is wrong with the whole ("ends inside of an entry"), NULL when nothing is. */
    const char *(*damage)(struct file_system *fs);

    /* The first broken invariant, or NULL. */
    const char *(*check)(struct file_system *fs);
};

#endif
