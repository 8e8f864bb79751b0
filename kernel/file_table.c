/* SPDX-License-Identifier: MIT */
/* file_table.c: see file_table.h. */
#include "file_table.h"

#include <ashlar/error.h>
#include <string.h>

static uint32_t limit_of(const struct file_table *table) {
    return table->limit == 0 ? FILE_TABLE_MAX : table->limit;
}

struct open_file *file_table_find(const struct file_table *table, uint64_t number) {
    return number < FILE_TABLE_MAX ? table->files[number] : NULL;
}

bool file_table_closes_on_exec(const struct file_table *table, uint64_t number) {
    return (table->close_on_exec[number / 64] >> number % 64 & 1) != 0;
}

void file_table_set_close_on_exec(struct file_table *table, uint64_t number, bool close_on_exec) {
    uint64_t bit = UINT64_C(1) << number % 64;
    uint64_t *word = &table->close_on_exec[number / 64];
    *word = close_on_exec ? *word | bit : *word & ~bit;
}

int file_table_add(struct file_table *table, struct open_file *file, uint64_t lowest,
                   bool close_on_exec) {
    uint32_t limit = limit_of(table);
    if (lowest >= limit)
        return -ASH_EINVAL;
    while (lowest < limit && table->files[lowest] != NULL)
        lowest++;
    if (lowest == limit)
        return -ASH_EMFILE;
    table->files[lowest] = file;
    file_table_set_close_on_exec(table, lowest, close_on_exec);
    return (int)lowest;
}

int file_table_put(struct file_table *table, struct open_file *file, uint64_t number,
                   bool close_on_exec) {
    if (number >= limit_of(table))
        return -ASH_EBADF;
    struct open_file *before = table->files[number];
    table->files[number] = file;
    file_table_set_close_on_exec(table, number, close_on_exec);
    if (before != NULL)
        open_file_put(before);
    return (int)number;
}

static void close_file(struct file_table *table, uint64_t number) {
    struct open_file *file = table->files[number];
    table->files[number] = NULL;
    file_table_set_close_on_exec(table, number, false);
    open_file_put(file);
}

int file_table_close(struct file_table *table, uint64_t number) {
    if (file_table_find(table, number) == NULL)
        return -ASH_EBADF;
    close_file(table, number);
    return 0;
}

void file_table_fork(struct file_table *child, const struct file_table *parent) {
    *child = *parent;
    for (uint32_t i = 0; i < FILE_TABLE_MAX; i++) {
        if (child->files[i] != NULL)
            open_file_get(child->files[i]);
    }
    if (child->directory != NULL)
        open_file_get(child->directory);
}

void file_table_exec(struct file_table *table) {
    for (uint32_t i = 0; i < FILE_TABLE_MAX; i++) {
        if (table->files[i] != NULL && file_table_closes_on_exec(table, i))
            close_file(table, i);
    }
}

void file_table_close_all(struct file_table *table) {
    for (uint32_t i = 0; i < FILE_TABLE_MAX; i++) {
        if (table->files[i] != NULL)
            close_file(table, i);
    }
    if (table->directory != NULL)
        open_file_put(table->directory);
    table->directory = NULL;
}

uint32_t file_table_count(const struct file_table *table) {
    uint32_t count = 0;
    for (uint32_t i = 0; i < FILE_TABLE_MAX; i++)
        count += table->files[i] != NULL;
    return count;
}
