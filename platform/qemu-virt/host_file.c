/* SPDX-License-Identifier: MIT */
/* host_file.c: files on the host, of sample.h, by semihosting: no interrupt, no lock. */
#include <ashlar/error.h>

#include "sample.h"
#include "semihosting.h"

static int64_t file = -1;

int platform_host_open(const char *path) {
    if (file >= 0)
        (void)semihosting_close(file);
    file = semihosting_open(path);
    if (file >= 0)
        return 0;
    return semihosting_is_off() ? -ASH_ENOTSUP : -ASH_EIO;
}

/* QEMU does not say why it has written less: mostly for want of room. */
int platform_host_write(const void *bytes, size_t len) {
    if (file < 0)
        return -ASH_EIO;
    return semihosting_write(file, bytes, len) == 0 ? 0 : -ASH_ENOSPC;
}

int platform_host_close(void) {
    if (file < 0)
        return -ASH_EIO;
    bool is_closed = semihosting_close(file);
    file = -1;
    return is_closed ? 0 : -ASH_EIO;
}
