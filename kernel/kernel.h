/* SPDX-License-Identifier: MIT */
/*
 * kernel.h: what is built out of the parts: memory, disks, files, a shell. Runs unchanged on every
 * platform that has platform.h.
 */
#ifndef KERNEL_KERNEL_H
#define KERNEL_KERNEL_H

#include "block_cache.h"
#include "disk.h"
#include "memory.h"
#include "jobs.h"
#include "spawned.h"
#include "tarfs.h"

struct kernel {
    struct kernel_memory memory;
    struct disk *disks[DISKS_MAX]; /* in the order in which the machine was given them */
    uint32_t disk_count;
    const char *disk_reason; /* of none: why, a sentence */
    struct block_cache cache;
    struct memory_cache file_nodes;
    struct tarfs *files;   /* NULL: nothing is mounted */
    struct disk *files_on; /* the disk that it is on */
    const char *files_reason;
    struct spawned_list spawned; /* by the shell */
    struct terminal terminal;    /* of programs */
    struct job_list jobs;        /* programs that the shell has started */
    const char *script;          /* what the shell runs instead of what it reads; or NULL */
    int status;                  /* that the shell ended with */
};

/*
 * Called once, on CPU 0, interrupts enabled, the platform ready. Does what platform_arguments()
 * asks for and returns the status for platform_exit.
 */
int kernel_main(void);

#endif
