/* SPDX-License-Identifier: MIT */
/* virtio_blk_file.c: a file as the backing of a fake block device. */
#include <ashlar/error.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "hosted/virtio_blk_device.h"

static int file_read(void *context, uint64_t offset, void *bytes, uint64_t len) {
    const struct fake_virtio_blk_file *file = context;
    uint8_t *to = bytes;
    while (len != 0) {
        ssize_t got = pread(file->fd, to, (size_t)len, (off_t)offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0) /* shorter than when it was opened, or a bad medium */
            return -ASH_EIO;
        to += got;
        offset += (uint64_t)got;
        len -= (uint64_t)got;
    }
    return 0;
}

static int file_write(void *context, uint64_t offset, const void *bytes, uint64_t len) {
    const struct fake_virtio_blk_file *file = context;
    const uint8_t *from = bytes;
    while (len != 0) {
        ssize_t put = pwrite(file->fd, from, (size_t)len, (off_t)offset);
        if (put < 0 && errno == EINTR)
            continue;
        if (put <= 0)
            return -ASH_EIO;
        from += put;
        offset += (uint64_t)put;
        len -= (uint64_t)put;
    }
    return 0;
}

static int file_flush(void *context) {
    const struct fake_virtio_blk_file *file = context;
    return fdatasync(file->fd) == 0 ? 0 : -ASH_EIO;
}

/* Its size by seeking: a block device's st_size is 0. */
static int file_size(int fd, uint64_t *size_bytes) {
    struct stat status;
    if (fstat(fd, &status) != 0)
        return -errno;
    if (S_ISDIR(status.st_mode))
        return -ASH_EISDIR;
    if (!S_ISREG(status.st_mode) && !S_ISBLK(status.st_mode))
        return -ENOTBLK;
    off_t end = lseek(fd, 0, SEEK_END);
    if (end < 0)
        return -errno;
    *size_bytes = (uint64_t)end;
    return 0;
}

int fake_virtio_blk_file_open(struct fake_virtio_blk_file *file, const char *path, bool may_write,
                              struct fake_virtio_blk_backing *backing) {
    /* O_NONBLOCK: a pipe with a name would wait for its writer, only to be refused. */
    const int flags = O_CLOEXEC | O_NONBLOCK;
    *backing = (struct fake_virtio_blk_backing){.read = file_read, .context = file};
    file->fd = may_write ? open(path, O_RDWR | flags) : -1;
    if (file->fd >= 0) {
        backing->write = file_write;
        backing->flush = file_flush;
    } else {
        file->fd = open(path, O_RDONLY | flags);
    }
    if (file->fd < 0)
        return -errno;
    int error = file_size(file->fd, &backing->size_bytes);
    if (error != 0)
        fake_virtio_blk_file_close(file);
    return error;
}

void fake_virtio_blk_file_close(struct fake_virtio_blk_file *file) {
    if (file->fd >= 0)
        close(file->fd);
    file->fd = -1;
}
