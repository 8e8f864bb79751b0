/* SPDX-License-Identifier: MIT */
/* Cases of kernel/tarfs.h: archives as tars write them, and how they are looked at. */
#include "kernel/fixture.h"

#include <ashlar/error.h>
#include <stdio.h>

/* The names of a directory, each with a space after it, directories with a slash. */
static const char *names_of(struct mounted *mounted, const char *path) {
    struct file_system *fs = &mounted->fs.interface;
    struct file_node *directory = node_at(mounted, path), *node = NULL;
    struct file_info info;
    char *text = test_alloc(4096, 1);
    size_t len = 0;
    while ((node = fs->next(fs, directory, node)) != NULL) {
        fs->describe(fs, node, &info);
        len += (size_t)snprintf(text + len, 4096 - len, "%s%s ", info.name,
                                info.type == FILE_DIRECTORY ? "/" : "");
    }
    return text;
}

TEST_CASE(tarfs, shows_a_small_archive) {
    struct image image = image_new(16384);
    image_directory(&image, "./");
    image_directory(&image, "./sub/");
    image_text(&image, "./sub/b", "second");
    image_text(&image, "./a", "first");
    image_file(&image, "./empty", "", 0);
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, 0);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(names_of(mounted, "/"), "a empty sub/ ");
    CHECK_STR_EQ(names_of(mounted, "sub"), "b ");
    CHECK_STR_EQ(text_at(mounted, "a"), "first");
    CHECK_STR_EQ(text_at(mounted, "/sub/b"), "second");
    CHECK_STR_EQ(text_at(mounted, "sub/../sub/./b"), "second");
    CHECK_STR_EQ(text_at(mounted, "../../a"), "first");
    CHECK_EQ(info_at(mounted, "empty").size_bytes, 0);
    CHECK_EQ(look_up_error(mounted, "nosuch"), -ASH_ENOENT);
    CHECK_EQ(look_up_error(mounted, "a/b"), -ASH_ENOTDIR);
    CHECK_EQ(look_up_error(mounted, "a/"), -ASH_ENOTDIR);
    CHECK_EQ(look_up_error(mounted, "sub/"), 0);
    CHECK_EQ(mounted->fs.entries, 5);
}

TEST_CASE(tarfs, reads_any_part_of_a_file) {
    enum { SIZE = 1500 };
    uint8_t *bytes = test_alloc(SIZE, 1), *got_bytes = test_alloc(SIZE, 1);
    struct image image = image_new(8192);
    size_t got;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (uint8_t)(i * 7);
    image_file(&image, "f", bytes, SIZE);
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    struct file_system *fs = &mounted->fs.interface;
    struct file_node *node = node_at(mounted, "f");
    for (uint64_t offset = 0; offset <= SIZE + 1; offset += 499) {
        for (size_t len = 0; len <= SIZE; len += 251) {
            CHECK_EQ(fs->read(fs, node, offset, got_bytes, len, &got), 0);
            CHECK_EQ(got, offset >= SIZE ? 0 : ash_min_u64(len, SIZE - offset));
            CHECK_MEM_EQ(got_bytes, bytes + offset, got);
        }
    }
    CHECK_EQ(fs->read(fs, node, UINT64_MAX, got_bytes, 1, &got), 0);
    CHECK_EQ(got, 0);
    CHECK_EQ(fs->read(fs, node_at(mounted, "/"), 0, got_bytes, 1, &got), -ASH_EISDIR);
}

TEST_CASE(tarfs, implies_directories_by_paths) {
    struct image image = image_new(8192);
    image_text(&image, "a/b/c", "x");
    image_text(&image, "a//./d", "y");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(names_of(mounted, "a"), "b/ d ");
    CHECK_STR_EQ(text_at(mounted, "a/b/c"), "x");
    CHECK_EQ(mounted->fs.nodes, 5);
}

TEST_CASE(tarfs, sorts_by_bytes) {
    struct image image = image_new(16384);
    static const char *const names[] = {"b", "a.b", "a", "a-", "B", "\xc3\xa9", "ab", "a0"};
    for (size_t i = 0; i < ASH_ARRAY_LEN(names); i++)
        image_text(&image, names[i], "");
    image_end(&image);
    CHECK_STR_EQ(names_of(mount_image(&image), ""), "B a a- a.b a0 ab b \xc3\xa9 ");
}

TEST_CASE(tarfs, keeps_names_of_every_length) {
    struct image image = image_new(1 << 18);
    char name[101];
    for (uint32_t len = 1; len <= 100; len++) {
        memset(name, 'a' + (int)(len % 26), len);
        name[len] = '\0';
        image_text(&image, name, name);
    }
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    for (uint32_t len = 1; len <= 100; len++) {
        memset(name, 'a' + (int)(len % 26), len);
        name[len] = '\0';
        CHECK_STR_EQ(text_at(mounted, name), name);
    }
    tarfs_unmount(&mounted->fs);
    CHECK_EQ(mounted->memory.live, 0);
}

TEST_CASE(tarfs, joins_prefix_and_name) {
    struct image image = image_new(8192);
    uint8_t *header = image_header(&image, '0', "name", 1);
    memcpy(header + 345, "dir/sub", 7);
    image_seal(header);
    image_data(&image, "x", 1);
    image_end(&image);
    CHECK_STR_EQ(text_at(mount_image(&image), "dir/sub/name"), "x");
}

TEST_CASE(tarfs, reads_v7_headers) {
    struct image image = image_new(8192);
    uint8_t *header = image_header(&image, '\0', "dir/", 0);
    memset(header + 257, 0, 8);
    image_seal(header);
    header = image_header(&image, '\0', "dir/f", 1);
    memset(header + 257, 0, 8);
    image_seal(header);
    image_data(&image, "x", 1);
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, "dir/f"), "x");
    CHECK_EQ(info_at(mounted, "dir").type, FILE_DIRECTORY);
}

static const char *long_name(void) {
    char *name = test_alloc(400, 1);
    memset(name, 'n', 300);
    name[150] = '/';
    return name;
}

TEST_CASE(tarfs, reads_gnu_long_names_and_links) {
    struct image image = image_new(16384);
    const char *name = long_name();
    image_header(&image, 'L', "././@LongLink", strlen(name) + 1);
    image_data(&image, name, strlen(name) + 1);
    image_text(&image, "nnn", "long");
    image_header(&image, 'K', "././@LongLink", strlen(name) + 1);
    image_data(&image, name, strlen(name) + 1);
    image_link(&image, '2', "link", "nnn");
    image_text(&image, "short", "s"); /* the long name is used up */
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, name), "long");
    CHECK_STR_EQ(text_at(mounted, "link"), "long");
    CHECK_STR_EQ(text_at(mounted, "short"), "s");
}

TEST_CASE(tarfs, reads_pax_path_and_linkpath) {
    struct image image = image_new(16384);
    const char *name = long_name();
    image_pax(&image, 'x', "path", name);
    image_text(&image, "cut", "long");
    image_pax(&image, 'x', "linkpath", name);
    image_link(&image, '2', "link", "cut");
    image_text(&image, "short", "s");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, name), "long");
    CHECK_STR_EQ(text_at(mounted, "link"), "long");
    CHECK_STR_EQ(text_at(mounted, "short"), "s");
    CHECK_EQ(look_up_error(mounted, "cut"), -ASH_ENOENT);
}

TEST_CASE(tarfs, takes_the_size_of_a_pax_header) {
    struct image image = image_new(16384);
    image_pax(&image, 'x', "size", "3");
    image_header(&image, '0', "f", 0);
    image_data(&image, "abc", 3);
    image_text(&image, "g", "next");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, "f"), "abc");
    CHECK_STR_EQ(text_at(mounted, "g"), "next");
}

TEST_CASE(tarfs, lets_a_global_pax_header_hold_until_overridden) {
    struct image image = image_new(32768);
    image_pax(&image, 'g', "comment", "0123456789abcdef");
    image_pax(&image, 'g', "linkpath", "one");
    image_text(&image, "one", "1");
    image_text(&image, "two", "2");
    image_link(&image, '2', "a", "nowhere");
    image_pax(&image, 'x', "linkpath", "two");
    image_link(&image, '2', "b", "nowhere");
    image_link(&image, '2', "c", "nowhere");
    image_pax(&image, 'g', "linkpath", "");
    image_link(&image, '2', "d", "two");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, "a"), "1");
    CHECK_STR_EQ(text_at(mounted, "b"), "2");
    CHECK_STR_EQ(text_at(mounted, "c"), "1");
    CHECK_STR_EQ(text_at(mounted, "d"), "2");
}

TEST_CASE(tarfs, lets_the_last_of_a_name_win) {
    struct image image = image_new(16384);
    image_text(&image, "a", "old");
    image_link(&image, '1', "kept", "a");
    image_text(&image, "a", "new");
    image_text(&image, "d", "a file first");
    image_directory(&image, "d");
    image_text(&image, "d/x", "x");
    image_directory(&image, "e");
    image_text(&image, "e", "an empty directory first");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, "a"), "new");
    CHECK_STR_EQ(text_at(mounted, "kept"), "old"); /* as tar's hard link would */
    CHECK_STR_EQ(text_at(mounted, "d/x"), "x");
    CHECK_STR_EQ(text_at(mounted, "e"), "an empty directory first");
}

TEST_CASE(tarfs, resolves_hard_links_against_what_is_before_them) {
    struct image image = image_new(16384);
    struct file_node *node;
    image_text(&image, "d/a", "data");
    image_link(&image, '1', "b", "./d//a");
    image_link(&image, '1', "c", "b");
    image_link(&image, '1', "self", "self");
    image_link(&image, '1', "early", "late");
    image_text(&image, "late", "x");
    image_link(&image, '1', "dir", "d");
    image_link(&image, '1', "out", "../../etc/passwd");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, 0);
    CHECK_STR_EQ(text_at(mounted, "c"), "data");
    CHECK_EQ(info_at(mounted, "self").type, FILE_UNREADABLE);
    CHECK_STR_EQ(info_at(mounted, "early").reason,
                 "a hard link to late, which the archive does not have before it");
    CHECK_STR_EQ(info_at(mounted, "dir").reason, "a hard link to d, which is a directory");
    CHECK_EQ(info_at(mounted, "out").type, FILE_UNREADABLE);
    node = node_at(mounted, "self");
    size_t got;
    char byte;
    CHECK_EQ(mounted->fs.interface.read(&mounted->fs.interface, node, 0, &byte, 1, &got),
             -ASH_ENOTSUP);
}

TEST_CASE(tarfs, follows_symbolic_links) {
    struct image image = image_new(32768);
    image_text(&image, "d/e/f", "data");
    image_link(&image, '2', "d/up", "../d/e");
    image_link(&image, '2', "abs", "/d/up/f");
    image_link(&image, '2', "d/e/abs", "/d/up/f");
    image_link(&image, '2', "dir", "d");
    image_link(&image, '2', "dangling", "nowhere");
    image_link(&image, '2', "empty", "");
    image_link(&image, '2', "loop1", "loop2");
    image_link(&image, '2', "loop2", "./loop1");
    image_link(&image, '2', "grow", "grow/x");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(text_at(mounted, "d/up/f"), "data");
    CHECK_STR_EQ(text_at(mounted, "abs"), "data");
    CHECK_STR_EQ(text_at(mounted, "d/e/abs"), "data");
    CHECK_STR_EQ(text_at(mounted, "dir/up/f"), "data");
    CHECK_EQ(look_up_error(mounted, "abs/"), -ASH_ENOTDIR);
    CHECK_EQ(look_up_error(mounted, "dir/"), 0);
    CHECK_EQ(look_up_error(mounted, "dangling"), -ASH_ENOENT);
    CHECK_EQ(look_up_error(mounted, "empty"), -ASH_ENOENT);
    CHECK_EQ(look_up_error(mounted, "loop1"), -ASH_ELOOP);
    CHECK_EQ(look_up_error(mounted, "grow"), -ASH_ELOOP);
}

TEST_CASE(tarfs, bounds_the_length_of_a_path_with_its_links) {
    struct image image = image_new(32768);
    char *path = test_alloc(TARFS_PATH_MAX + 16, 1), *target = test_alloc(3001, 1);
    struct file_node *node;
    memset(target, '/', 3000);
    image_pax(&image, 'x', "linkpath", target);
    image_link(&image, '2', "l", "");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(look_up_error(mounted, "l"), 0);
    memset(path, '/', 2000);
    path[0] = 'l';
    CHECK_EQ(look_up_error(mounted, path), -ASH_ENAMETOOLONG);
    memset(path, '/', TARFS_PATH_MAX);
    CHECK_EQ(look_up_error(mounted, path), -ASH_ENAMETOOLONG);
    CHECK_EQ(mounted->fs.interface.look_up(&mounted->fs.interface, NULL, "l", false, &node), 0);
}

TEST_CASE(tarfs, lists_what_it_cannot_open_with_the_reason) {
    struct image image = image_new(32768);
    image_header(&image, '3', "device", 0);
    image_header(&image, '6', "fifo", 0);
    image_header(&image, 'Q', "odd", 3);
    image_data(&image, "abc", 3);
    uint8_t *sparse = image_header(&image, 'S', "sparse", 512);
    sparse[482] = 1; /* its map goes on in a block of its own, and in another */
    image_octal(sparse + 483, 12, 1 << 20);
    image_seal(sparse);
    uint8_t map[TAR_BLOCK] = {0};
    map[504] = 1;
    image_data(&image, map, sizeof(map));
    map[504] = 0;
    image_data(&image, map, sizeof(map));
    image_data(&image, map, sizeof(map));
    image_pax(&image, 'x', "GNU.sparse.name", "real-name");
    image_text(&image, "GNUSparseFile.0/real-name", "map and data");
    image_header(&image, 'V', "a label", 0);
    image_header(&image, 'M', "continued", 0);
    image_text(&image, "last", "still here");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(names_of(mounted, ""), "continued device fifo last odd real-name sparse ");
    CHECK_STR_EQ(info_at(mounted, "odd").reason, "an entry of the unknown type 'Q'");
    CHECK_STR_EQ(info_at(mounted, "sparse").reason,
                 "a sparse file, which this kernel does not expand");
    CHECK_EQ(info_at(mounted, "sparse").size_bytes, 1 << 20);
    CHECK_EQ(info_at(mounted, "real-name").type, FILE_UNREADABLE);
    CHECK_EQ(info_at(mounted, "fifo").type, FILE_UNREADABLE);
    CHECK_STR_EQ(text_at(mounted, "last"), "still here");
}

TEST_CASE(tarfs, holds_many_entries_and_gives_all_memory_back) {
    enum { COUNT = 1500 };
    struct image image = image_new((size_t)(COUNT + 2) * TAR_BLOCK);
    char name[32];
    for (uint32_t i = 0; i < COUNT; i++) {
        snprintf(name, sizeof(name), "d%u/f%u", (unsigned)(i * 7 % 13),
                 (unsigned)(i * 7919 % COUNT));
        image_header(&image, '0', name, 0);
    }
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, 0);
    CHECK_EQ(mounted->fs.entries, COUNT);
    CHECK_EQ(mounted->fs.nodes, COUNT + 13 + 1);
    CHECK(mounted->reads < COUNT / 32); /* headers come by the window, not one by one */
    tarfs_unmount(&mounted->fs);
    CHECK_EQ(mounted->memory.live, 0);
}
