/* SPDX-License-Identifier: MIT */
/* host_file.c: files on the host, of sample.h: Linux's own. System calls alone, so any context;
 * masked, for errno is the thread's. */
#include <ashlar/error.h>
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "hosted_internal.h"
#include "sample.h"

static int file = -1;

static int from_errno(int error) {
    return error == ENOSPC || error == EDQUOT || error == EFBIG ? -ASH_ENOSPC : -ASH_EIO;
}

int platform_host_open(const char *path) {
    ash_irq_t state = ash_port_irq_save();
    if (file >= 0)
        (void)close(file);
    file = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    ash_port_irq_restore(state);
    return file >= 0 ? 0 : -ASH_EIO;
}

int platform_host_write(const void *bytes, size_t len) {
    enum { MASKED_BYTES = 1 << 20 };
    const char *next = bytes;
    int error = file < 0 ? EBADF : 0;
    while (error == 0 && len != 0) {
        size_t count = len < MASKED_BYTES ? len : MASKED_BYTES;
        ash_irq_t state = ash_port_irq_save();
        error = hosted_write_all(file, next, count);
        ash_port_irq_restore(state);
        next += count;
        len -= count;
    }
    return error == 0 ? 0 : from_errno(error);
}

int platform_host_close(void) {
    if (file < 0)
        return -ASH_EIO;
    ash_irq_t state = ash_port_irq_save();
    int error = close(file) == 0 ? 0 : errno;
    ash_port_irq_restore(state);
    file = -1;
    return error == 0 ? 0 : from_errno(error);
}
