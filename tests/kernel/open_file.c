/* SPDX-License-Identifier: MIT */
/* open_file.c: descriptors, and what they stand for: files and directories of an archive, the files
 * that no disk has. */
#include "kernel/open_file.h"

#include <ashlar/error.h>
#include <string.h>

#include "fixture.h"
#include "kernel/file_disk.h"
#include "kernel/file_special.h"
#include "kernel/file_table.h"
#include "kernel/pipe.h"

static void *counted_alloc(void *context, size_t size) {
    struct test_memory *memory = context;
    if (++memory->calls == memory->fail_at)
        return NULL;
    memory->live++;
    return test_alloc(size, 16);
}

static void counted_free(void *context, void *pointer) {
    struct test_memory *memory = context;
    if (pointer != NULL)
        memory->live--;
}

static struct allocator counted(struct test_memory *memory) {
    return (struct allocator){counted_alloc, counted_free, memory};
}

static struct mounted *some_files(void) {
    struct image image = image_new(16384);
    image_text(&image, "a/b/text", "0123456789");
    image_text(&image, "a/c", "c");
    image_link(&image, '2', "a/link", "c");
    image_end(&image);
    return mount_image(&image);
}

static struct open_file *opened(struct mounted *mounted, struct test_memory *memory,
                                const char *path) {
    struct allocator allocator = counted(memory);
    struct open_file *file = NULL;
    CHECK_EQ(file_disk_open(&mounted->fs.interface, node_at(mounted, path), 0, &allocator, &file),
             0);
    return file;
}

TEST_CASE(open_file, reads_and_seeks_as_one_offset_says) {
    struct test_memory memory = {0};
    struct open_file *file = opened(some_files(), &memory, "a/b/text");
    char buffer[16];
    CHECK_EQ(open_file_read(file, buffer, 4), 4);
    CHECK_MEM_EQ(buffer, "0123", 4);
    struct open_file *other = open_file_get(file);
    CHECK_EQ(open_file_read(other, buffer, 2), 2);
    CHECK_MEM_EQ(buffer, "45", 2);
    CHECK_EQ(open_file_read_at(file, 9, buffer, 5), 1);
    CHECK_EQ(open_file_seek(file, -3, 2), 7);
    CHECK_EQ(open_file_read(file, buffer, 16), 3);
    CHECK_EQ(open_file_read(file, buffer, 16), 0);
    CHECK_EQ(open_file_seek(file, -1, 0), -ASH_EINVAL);
    CHECK_EQ(open_file_seek(file, 0, 3), -ASH_EINVAL);
    CHECK_EQ(open_file_seek(file, INT64_MAX, 0), INT64_MAX);
    CHECK_EQ(open_file_seek(file, 1, 1), -ASH_EOVERFLOW);
    CHECK_EQ(open_file_seek(file, INT64_MIN, 1), -ASH_EINVAL);
    CHECK_EQ(open_file_read(file, buffer, 16), 0);
    CHECK_EQ(open_file_write(file, "x", 1), -ASH_EBADF);
    open_file_put(file);
    CHECK_EQ(memory.live, 1);
    open_file_put(other);
    CHECK_EQ(memory.live, 0);
}

TEST_CASE(open_file, is_refused_what_an_archive_cannot_do) {
    struct mounted *mounted = some_files();
    struct test_memory memory = {0};
    struct allocator allocator = counted(&memory);
    struct file_system *fs = &mounted->fs.interface;
    struct file_node *text = node_at(mounted, "a/b/text"), *directory = node_at(mounted, "a");
    struct file_node *link;
    struct open_file *file;
    CHECK_EQ(fs->look_up(fs, NULL, "a/link", false, &link), 0);
    CHECK_EQ(file_disk_open(fs, text, OPEN_READ_WRITE, &allocator, &file), -ASH_EROFS);
    CHECK_EQ(file_disk_open(fs, text, OPEN_TRUNCATE, &allocator, &file), -ASH_EROFS);
    CHECK_EQ(file_disk_open(fs, text, OPEN_DIRECTORY, &allocator, &file), -ASH_ENOTDIR);
    CHECK_EQ(file_disk_open(fs, directory, OPEN_WRITE_ONLY, &allocator, &file), -ASH_EISDIR);
    CHECK_EQ(file_disk_open(fs, link, OPEN_NOFOLLOW, &allocator, &file), -ASH_ELOOP);
    CHECK_EQ(memory.live, 0);
    file = opened(mounted, &memory, "a");
    char byte;
    CHECK_EQ(open_file_read(file, &byte, 1), -ASH_EISDIR);
    open_file_put(file);
    CHECK_EQ(memory.live, 0);
}

struct listing {
    char text[128];
    uint32_t room, calls;
};

static bool list(void *context, const struct file_entry *entry, uint64_t next) {
    struct listing *listing = context;
    CHECK(next != 0 && entry->number != 0);
    if (listing->room == 0)
        return false;
    listing->room--;
    strcat(listing->text, entry->name);
    strcat(listing->text, entry->type == FILE_DIRECTORY ? "/ " : " ");
    return true;
}

TEST_CASE(open_file, lists_a_directory_in_pieces_of_any_size) {
    struct mounted *mounted = some_files();
    for (uint32_t step = 1; step <= 6; step++) {
        struct test_memory memory = {0};
        struct open_file *file = opened(mounted, &memory, "a");
        struct listing listing = {.text = ""};
        for (uint32_t i = 0; i < 6; i++) {
            listing.room = step;
            CHECK_EQ(file_disk_entries(file, list, &listing), 0);
        }
        CHECK_STR_EQ(listing.text, "./ ../ b/ c link ");
        open_file_put(file);
        CHECK_EQ(memory.live, 0);
    }
}

TEST_CASE(open_file, knows_the_files_that_no_disk_has) {
    struct test_memory memory = {0};
    struct allocator allocator = counted(&memory);
    struct open_file *null, *zero, *none;
    struct file_status status;
    uint8_t bytes[4] = {1, 2, 3, 4};
    CHECK_EQ(file_special_open("/dev/null", OPEN_READ_WRITE, &allocator, &null), 0);
    CHECK_EQ(file_special_open("/dev/zero", OPEN_READ_ONLY, &allocator, &zero), 0);
    CHECK_EQ(file_special_open("/dev/nul", OPEN_READ_ONLY, &allocator, &none), -ASH_ENOENT);
    CHECK_EQ(open_file_read(null, bytes, 4), 0);
    CHECK_EQ(open_file_write(null, bytes, 4), 4);
    CHECK_EQ(open_file_read(zero, bytes, 3), 3);
    CHECK(bytes[2] == 0 && bytes[3] == 4);
    CHECK_EQ(open_file_write(zero, bytes, 4), -ASH_EBADF);
    CHECK_EQ(open_file_seek(null, 0, 0), -ASH_ESPIPE);
    open_file_describe(null, &status);
    CHECK_EQ(status.mode & MODE_CHARACTER, MODE_CHARACTER);
    open_file_put(null);
    open_file_put(zero);
    CHECK_EQ(memory.live, 0);
}

TEST_CASE(file_table, gives_the_lowest_number_that_is_free) {
    struct file_table *table = test_alloc(sizeof(*table), 16),
                      *child = test_alloc(sizeof(*child), 16);
    struct test_memory memory = {0};
    struct allocator allocator = counted(&memory);
    struct open_file *file, *other;
    memset(table, 0, sizeof(*table));
    memset(child, 0, sizeof(*child));
    CHECK_EQ(file_special_open("/dev/null", OPEN_READ_WRITE, &allocator, &file), 0);
    CHECK_EQ(file_table_add(table, file, 0, false), 0);
    CHECK_EQ(file_table_add(table, open_file_get(file), 0, true), 1);
    CHECK_EQ(file_table_add(table, open_file_get(file), 7, true), 7);
    CHECK_EQ(file_table_add(table, open_file_get(file), 1, false), 2);
    CHECK_EQ(file_table_close(table, 1), 0);
    CHECK_EQ(file_table_close(table, 1), -ASH_EBADF);
    CHECK_EQ(file_table_close(table, UINT64_MAX), -ASH_EBADF);
    CHECK(!file_table_closes_on_exec(table, 1) && file_table_closes_on_exec(table, 7));
    CHECK_EQ(file_special_open("/dev/zero", OPEN_READ_ONLY, &allocator, &other), 0);
    CHECK_EQ(file_table_put(table, other, 2, true), 2);
    CHECK_EQ(file->references, 2);
    file_table_fork(child, table);
    CHECK_EQ(file_table_count(child), 3);
    file_table_exec(child);
    CHECK_EQ(file_table_count(child), 1);
    CHECK(file_table_find(child, 0) == file && file_table_find(child, 2) == NULL);
    file_table_close_all(child);
    file_table_close_all(table);
    CHECK_EQ(memory.live, 0);
}

TEST_CASE(file_table, ends_at_its_limit) {
    struct file_table *table = test_alloc(sizeof(*table), 16);
    struct test_memory memory = {0};
    struct allocator allocator = counted(&memory);
    struct open_file *file;
    memset(table, 0, sizeof(*table));
    table->limit = 3;
    CHECK_EQ(file_special_open("/dev/null", OPEN_READ_WRITE, &allocator, &file), 0);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(file_table_add(table, open_file_get(file), 0, false), i);
    CHECK_EQ(file_table_add(table, file, 0, false), -ASH_EMFILE);
    CHECK_EQ(file_table_add(table, file, 3, false), -ASH_EINVAL);
    CHECK_EQ(file_table_put(table, file, 3, false), -ASH_EBADF);
    file_table_close_all(table);
    open_file_put(file);
    CHECK_EQ(memory.live, 0);
}

TEST_CASE(open_file, that_finds_no_memory_leaves_nothing_behind) {
    struct mounted *mounted = some_files();
    for (uint64_t n = 1; n <= 4; n++) {
        struct test_memory memory = {.fail_at = n};
        struct allocator allocator = counted(&memory);
        struct open_file *file, *writer;
        int error = pipe_new(&allocator, 0, &file, &writer);
        CHECK_EQ(error, -ASH_ENOMEM);
        CHECK_EQ(memory.live, 0);
        memory = (struct test_memory){.fail_at = n};
        error = file_disk_open(&mounted->fs.interface, node_at(mounted, "a"), 0, &allocator, &file);
        CHECK_EQ(error, n <= 1 ? -ASH_ENOMEM : 0);
        if (error == 0)
            open_file_put(file);
        CHECK_EQ(memory.live, 0);
    }
}
