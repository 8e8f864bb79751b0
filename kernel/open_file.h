/* SPDX-License-Identifier: MIT */
/*
 * open_file.h: what a file descriptor stands for: a place in a file, an end of a pipe, a terminal.
 * Several descriptors, of several processes, may stand for the same one and then share its offset
 * and flags (POSIX.1-2017, 2.14 "open file description").
 *
 * Rules
 *  - Counted: who keeps a pointer has a reference. The last one closes it.
 *  - Calls may block, and then end with -ASH_EINTR when a signal comes; from threads only. What is
 *    read and written is the kernel's memory.
 */
#ifndef KERNEL_OPEN_FILE_H
#define KERNEL_OPEN_FILE_H

#include "allocator.h"
#include "file_system.h"
#include "mutex.h"

/* Flags of open and fcntl, with Linux's values for this processor. */
enum {
    OPEN_READ_ONLY = 0,
    OPEN_WRITE_ONLY = 1,
    OPEN_READ_WRITE = 2,
    OPEN_ACCESS = 3, /* the mask of these */
    OPEN_CREATE = 0100,
    OPEN_EXCLUSIVE = 0200,
    OPEN_TRUNCATE = 01000,
    OPEN_APPEND = 02000,
    OPEN_NONBLOCK = 04000,
    OPEN_DIRECTORY = 040000,
    OPEN_NOFOLLOW = 0100000,
    OPEN_CLOEXEC = 02000000,
    OPEN_PATH = 010000000,
    OPEN_SETTABLE = OPEN_APPEND | OPEN_NONBLOCK, /* by fcntl */
};

/* What poll asks for and answers, with Linux's values. */
enum {
    OPEN_POLL_IN = 1,
    OPEN_POLL_OUT = 4,
    OPEN_POLL_ERROR = 8,
    OPEN_POLL_HANG_UP = 16,
    OPEN_POLL_INVALID = 32,
};

/* Types of files, as st_mode has them. */
enum {
    MODE_PIPE = 0010000,
    MODE_CHARACTER = 0020000,
    MODE_DIRECTORY = 0040000,
    MODE_REGULAR = 0100000,
    MODE_SYMLINK = 0120000,
};

/* What stat says. */
struct file_status {
    uint64_t number; /* of the file in its file system */
    uint32_t device; /* which one that is */
    uint32_t mode;
    uint64_t size_bytes;
};

struct open_file;

struct open_file_type {
    /* Bytes, 0 at the end; or a negative error. At `offset`, where it is seekable. NULL: not so. */
    int64_t (*read)(struct open_file *file, uint64_t offset, void *buffer, size_t len);
    int64_t (*write)(struct open_file *file, uint64_t offset, const void *buffer, size_t len);
    void (*describe)(struct open_file *file, struct file_status *status);
    /* OPEN_POLL_* that hold now; NULL: it can always be read and written. */
    uint32_t (*ready)(struct open_file *file);
    /* A request of a driver's; the argument is the program's, see terminal.c. NULL: -ASH_ENOTTY. */
    int64_t (*control)(struct open_file *file, uint64_t request, void *argument);
    void (*close)(struct open_file *file);
    bool is_seekable;
};

struct open_file {
    const struct open_file_type *type;
    struct allocator allocator; /* that it came from */
    uint32_t references;
    uint32_t flags;         /* OPEN_*: access, and those that can be set */
    struct mutex mutex;     /* one at a time uses the offset */
    uint64_t offset;        /* below 2^63 */
    void *object;           /* the type's own */
    struct file_system *fs; /* of a file or directory on a disk, else NULL */
    struct file_node *node;
};

/* One reference, the caller's. NULL: no memory. */
struct open_file *open_file_new(const struct allocator *allocator,
                                const struct open_file_type *type, uint32_t flags, void *object);

struct open_file *open_file_get(struct open_file *file); /* one more; returns it */
void open_file_put(struct open_file *file);

/*
 * At the file's offset, which goes on by what was done. 0 bytes: end of the file. -ASH_EBADF: not
 * open for that; -ASH_EISDIR; -ASH_EAGAIN: it would block, and was opened not to; -ASH_EINTR;
 * -ASH_EPIPE: nobody reads; the disk's errors.
 */
int64_t open_file_read(struct open_file *file, void *buffer, size_t len);
int64_t open_file_write(struct open_file *file, const void *buffer, size_t len);

/* At an offset of the caller's. -ASH_ESPIPE: it has none; -ASH_EINVAL: at or above 2^63. */
int64_t open_file_read_at(struct open_file *file, uint64_t offset, void *buffer, size_t len);

/* The new offset; whence: 0 from the begin, 1 from where it is, 2 from the end. -ASH_ESPIPE;
 * -ASH_EINVAL: another whence, or before the begin; -ASH_EOVERFLOW. */
int64_t open_file_seek(struct open_file *file, int64_t offset, uint32_t whence);

/* What stat says; what the type does not know is 0. */
void open_file_describe(struct open_file *file, struct file_status *status);
/* OPEN_POLL_* that hold now. */
uint32_t open_file_ready(struct open_file *file);

/* Who waits until one of several files is ready. */

/* Until condition(context) is true: as process_wait. It is looked at whenever a file may have
 * become ready. */
int open_file_poll(bool (*condition)(void *context), void *context,
                   ash_ns_t deadline_ns) ASH_MUST_CHECK;

/* By types: something may be ready now that was not. */
void open_file_changed(void);

#endif
