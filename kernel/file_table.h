/* SPDX-License-Identifier: MIT */
/*
 * file_table.h: a process's file descriptors. Numbers from 0, always the lowest that is free
 * (POSIX.1-2017, 2.14). Its process's thread alone uses it: no lock.
 */
#ifndef KERNEL_FILE_TABLE_H
#define KERNEL_FILE_TABLE_H

#include "open_file.h"

enum { FILE_TABLE_MAX = 256 };

/* Begins as all zeros: nothing is open. */
struct file_table {
    struct open_file *files[FILE_TABLE_MAX];
    uint64_t close_on_exec[FILE_TABLE_MAX / 64];
    uint32_t limit;              /* numbers are below it; 0: FILE_TABLE_MAX */
    struct open_file *directory; /* from which paths begin; NULL: the root */
};

/* NULL: not open. It is the table's reference: good until the process closes it. */
struct open_file *file_table_find(const struct file_table *table, uint64_t number);

/*
 * The lowest free number from `lowest` on; the table takes the caller's reference if it succeeds.
 * -ASH_EMFILE: there is none; -ASH_EINVAL: `lowest` is no number.
 */
int file_table_add(struct file_table *table, struct open_file *file, uint64_t lowest,
                   bool close_on_exec) ASH_MUST_CHECK;

/* As this number; what was open as it is closed. -ASH_EBADF: no number. */
int file_table_put(struct file_table *table, struct open_file *file, uint64_t number,
                   bool close_on_exec) ASH_MUST_CHECK;

int file_table_close(struct file_table *table, uint64_t number) ASH_MUST_CHECK; /* -ASH_EBADF */

/* Of an open number. */
bool file_table_closes_on_exec(const struct file_table *table, uint64_t number);
void file_table_set_close_on_exec(struct file_table *table, uint64_t number, bool close_on_exec);

/* child, all zeros, has the same open files. */
void file_table_fork(struct file_table *child, const struct file_table *parent);

/* What is to be closed by exec is closed. */
void file_table_exec(struct file_table *table);

void file_table_close_all(struct file_table *table);

/* How many are open. */
uint32_t file_table_count(const struct file_table *table);

#endif
