/* SPDX-License-Identifier: MIT */
/*
 * kernel.h: what is built out of the parts: memory, a disk, files, a shell. Runs unchanged on every
 * platform that has platform.h.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "disk.h"
#include "memory.h"
#include "tarfs.h"

struct kernel {
    struct kernel_memory memory;
    struct disk *disk;       /* NULL: none that can be read */
    const char *disk_reason; /* then: why, a sentence */
    struct memory_cache file_nodes;
    struct tarfs *files; /* NULL: nothing is mounted */
    const char *files_reason;
};

/*
 * Called once, on CPU 0, interrupts enabled, the platform ready. Does what platform_arguments()
 * asks for and returns the status for platform_exit.
 */
int kernel_main(void);

#endif
