/* SPDX-License-Identifier: MIT */
/*
 * Cases of kernel/tarfs.h: disks that are no archive, archives that are damaged or made to harm.
 * The fixture fails a case when anything outside of the disk is read.
 */
#include "kernel/fixture.h"

#include <ashlar/error.h>

/* One good file in front of whatever comes. */
static struct image image_with_good(void) {
    struct image image = image_new(64 << 10);
    image_text(&image, "good", "kept");
    return image;
}

static void check_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", text, part);
}

/* Mounted with the good file, one report that contains `part`, and damage that says the same. */
static struct mounted *check_damaged(struct image *image, const char *part) {
    struct mounted *mounted = mount_image(image);
    CHECK_EQ(mounted->error, 0);
    CHECK_EQ(mounted->reports, 1);
    check_contains(mounted->report, part);
    CHECK(mounted->fs.interface.damage(&mounted->fs.interface) != NULL);
    CHECK_STR_EQ(text_at(mounted, "good"), "kept");
    tarfs_unmount(&mounted->fs);
    CHECK_EQ(mounted->memory.live, 0);
    return mounted;
}

/* Mounted and undamaged, the good file there, one entry left out for the reason. */
static struct mounted *check_refused(struct image *image, const char *part) {
    struct mounted *mounted = mount_image(image);
    CHECK_EQ(mounted->error, 0);
    CHECK_EQ(mounted->fs.refused, 1);
    CHECK_EQ(mounted->reports, 1);
    check_contains(mounted->report, part);
    CHECK(mounted->fs.interface.damage(&mounted->fs.interface) == NULL);
    CHECK_STR_EQ(text_at(mounted, "good"), "kept");
    return mounted;
}

static void check_no_archive(const void *bytes, size_t len, size_t disk, const char *part) {
    struct image image = image_new(disk);
    memcpy(image.bytes, bytes, len);
    image.len = disk;
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, -ASH_EBADMSG);
    CHECK_EQ(mounted->reports, 1);
    check_contains(mounted->report, part);
    CHECK_EQ(mounted->memory.live, 0);
}

TEST_CASE(tarfs_hostile, names_what_is_no_archive) {
    check_no_archive("\x1f\x8b\x08", 3, 4096, "a gzip file");
    check_no_archive("\xfd"
                     "7zXZ",
                     6, 4096, "an xz file");
    check_no_archive("PK\x03\x04", 4, 4096, "a zip file");
    check_no_archive("BZh9", 4, 4096, "a bzip2 file");
    check_no_archive("\x28\xb5\x2f\xfd", 4, 4096, "a zstd file");
    check_no_archive("\x7f"
                     "ELF",
                     4, 4096, "an ELF file");
    check_no_archive("#!/bin/sh\n", 10, 4096, "something else");
    check_no_archive("", 0, 20480, "zeros");
    check_no_archive("short", 5, 100, "100 bytes only");
    check_no_archive("", 0, 0, "0 bytes only");
}

TEST_CASE(tarfs_hostile, zeros_of_one_record_are_an_empty_archive) {
    struct image image = image_new(10240);
    image.len = 10240;
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, 0);
    CHECK_EQ(mounted->fs.entries, 0);
    CHECK_STR_EQ(mounted->report, "");
}

TEST_CASE(tarfs_hostile, wrong_checksum_ends_the_mount_there) {
    struct image image = image_with_good();
    image_header(&image, '0', "bad", 0)[0] = 'B';
    image_text(&image, "after", "x");
    image_end(&image);
    struct mounted *mounted = check_damaged(&image, "byte 1024: the header's checksum is wrong");
    CHECK_EQ(mounted->fs.entries, 1);
}

TEST_CASE(tarfs_hostile, first_header_with_a_wrong_checksum_is_no_archive) {
    struct image image = image_new(8192);
    image_text(&image, "x", "y");
    image.bytes[0] = 'z';
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, -ASH_EBADMSG);
    check_contains(mounted->report, "a tar header with a wrong checksum");
}

/* The size field, spoilt, of a file that is followed by another. */
static void check_size_field(const char *field, size_t len, const char *part) {
    struct image image = image_with_good();
    uint8_t *header = image_header(&image, '0', "bad", 4);
    memcpy(header + 124, field, len);
    image_seal(header);
    image_data(&image, "data", 4);
    image_text(&image, "after", "x");
    image_end(&image);
    check_damaged(&image, part);
}

TEST_CASE(tarfs_hostile, size_that_is_no_number_ends_the_mount) {
    check_size_field("99999999999", 12, "the size is not a number");
    check_size_field("garbage\0\0\0\0", 12, "the size is not a number");
    check_size_field("-0000000001", 12, "the size is not a number");
}

TEST_CASE(tarfs_hostile, negative_base_256_size_ends_the_mount) {
    check_size_field("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12,
                     "the size is not a number");
}

TEST_CASE(tarfs_hostile, size_past_the_end_ends_the_mount) {
    check_size_field("00000010000", 12, "\"bad\" claims 4096 bytes, 2560 are left");
    check_size_field("112402762000", 12, "\"bad\" claims 10000000000 bytes");
    check_size_field("777777777777", 12, "are left");
    check_size_field("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", 12,
                     "claims 9223372036854775807 bytes");
    check_size_field("\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xfe\0", 12, "are left");
}

TEST_CASE(tarfs_hostile, pax_size_past_the_end_ends_the_mount) {
    struct image image = image_with_good();
    image_pax(&image, 'x', "size", "10000000000");
    image_text(&image, "bad", "data");
    image_end(&image);
    check_damaged(&image, "claims 10000000000 bytes");
}

TEST_CASE(tarfs_hostile, malformed_pax_header_ends_the_mount) {
    static const char *const bad[] = {"99 path=x\n", "garbage", "9 path=x", "0 path=x\n"};
    for (size_t i = 0; i < ASH_ARRAY_LEN(bad); i++) {
        struct image image = image_with_good();
        image_header(&image, 'x', "pax", strlen(bad[i]));
        image_data(&image, bad[i], strlen(bad[i]));
        image_text(&image, "file", "data");
        image_end(&image);
        check_damaged(&image, "a malformed record in a pax header");
    }
}

TEST_CASE(tarfs_hostile, pax_size_that_is_no_number_ends_the_mount) {
    struct image image = image_with_good();
    image_pax(&image, 'x', "size", "-1");
    image_text(&image, "file", "data");
    image_end(&image);
    check_damaged(&image, "a size in a pax header is not a number");
}

TEST_CASE(tarfs_hostile, nul_in_a_pax_path_ends_the_mount) {
    struct image image = image_with_good();
    image_header(&image, 'x', "pax", 12);
    image_data(&image, "12 path=a\0b\n", 12);
    image_text(&image, "file", "data");
    image_end(&image);
    check_damaged(&image, "a NUL byte in a name");
}

TEST_CASE(tarfs_hostile, extended_header_of_a_gigabyte_ends_the_mount) {
    struct image image = image_with_good();
    image_header(&image, 'L', "long", TARFS_EXTENDED_MAX + 1);
    image_end(&image);
    check_damaged(&image, "claims 1048577 bytes");
    /* The same on a disk that is large enough for it. */
    struct image large = image_new((size_t)TARFS_EXTENDED_MAX + 8192);
    image_text(&large, "good", "kept");
    image_header(&large, 'L', "long", TARFS_EXTENDED_MAX + 1);
    large.len = large.capacity;
    check_damaged(&large, "an extended header of more than 1 MiB");
}

TEST_CASE(tarfs_hostile, long_name_without_its_entry_is_damage) {
    struct image image = image_with_good();
    image_header(&image, 'L', "long", 5);
    image_data(&image, "name", 5);
    image_end(&image);
    check_damaged(&image, "between a long name and its entry");
}

TEST_CASE(tarfs_hostile, sparse_map_that_does_not_end_is_damage) {
    struct image image = image_with_good();
    uint8_t *header = image_header(&image, 'S', "sparse", 0);
    header[482] = 1;
    image_seal(header);
    memset(image.bytes + image.len, 1, 1024);
    image.len += 1024;
    check_damaged(&image, "the archive ends in a sparse file's map");
}

TEST_CASE(tarfs_hostile, missing_end_blocks_are_said) {
    struct image image = image_with_good();
    struct mounted *mounted = check_damaged(&image, "without end-of-archive blocks");
    CHECK_EQ(mounted->fs.entries, 1);
}

TEST_CASE(tarfs_hostile, lone_zero_block_before_data_is_said) {
    struct image image = image_with_good();
    image.len += TAR_BLOCK;
    image_text(&image, "after", "x");
    image_end(&image);
    check_damaged(&image, "one block of zeros");
}

TEST_CASE(tarfs_hostile, truncation_anywhere_is_said_or_no_archive) {
    struct image image = image_with_good();
    image_pax(&image, 'x', "path", "a-name-by-pax");
    image_text(&image, "cut", "some data");
    image_end(&image);
    size_t whole = image.len;
    for (size_t len = 0; len < whole; len += 128) {
        image.len = len;
        struct mounted *mounted = mount_image(&image);
        bool ends_well = len >= whole - TAR_BLOCK; /* one end block is enough at the disk's end */
        CHECK_EQ(mounted->error, len < TAR_BLOCK ? -ASH_EBADMSG : 0);
        CHECK_EQ(mounted->reports, ends_well ? 0 : 1);
        if (mounted->error == 0 && mounted->fs.entries == 2)
            CHECK_STR_EQ(text_at(mounted, "a-name-by-pax"), "some data");
        if (mounted->error == 0)
            CHECK_EQ(look_up_error(mounted, "cut"), -ASH_ENOENT);
    }
}

TEST_CASE(tarfs_hostile, dot_dot_in_a_name_is_refused) {
    struct image image = image_with_good();
    image_text(&image, "a/../../b", "x");
    image_end(&image);
    check_refused(&image, "entry \"a/../../b\" is left out: \"..\" in its name");
}

TEST_CASE(tarfs_hostile, absolute_names_lie_in_the_archive) {
    struct image image = image_with_good();
    image_text(&image, "///etc/passwd", "x");
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_STR_EQ(mounted->report, "");
    CHECK_STR_EQ(text_at(mounted, "etc/passwd"), "x");
}

TEST_CASE(tarfs_hostile, empty_name_is_refused) {
    struct image image = image_with_good();
    image_text(&image, "", "x");
    image_end(&image);
    check_refused(&image, "its name is empty");
}

TEST_CASE(tarfs_hostile, file_in_a_file_is_refused) {
    struct image image = image_with_good();
    image_text(&image, "good/inside", "x");
    image_end(&image);
    check_refused(&image, "what its path has as a directory is none");
}

TEST_CASE(tarfs_hostile, file_in_a_symbolic_link_is_refused) {
    struct image image = image_with_good();
    image_link(&image, '2', "l", "/");
    image_text(&image, "l/inside", "x");
    image_end(&image);
    check_refused(&image, "what its path has as a directory is none");
}

TEST_CASE(tarfs_hostile, file_over_a_full_directory_is_refused) {
    struct image image = image_with_good();
    image_text(&image, "d/x", "x");
    image_text(&image, "d", "y");
    image_end(&image);
    struct mounted *mounted = check_refused(&image, "replace a directory that has entries");
    CHECK_STR_EQ(text_at(mounted, "d/x"), "x");
}

TEST_CASE(tarfs_hostile, many_refusals_are_counted_not_listed) {
    struct image image = image_with_good();
    for (uint32_t i = 0; i < 50; i++)
        image_header(&image, '0', "../x", 0);
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->reports, TARFS_REFUSED_REPORTED + 1);
    CHECK_EQ(mounted->fs.refused, 50);
    check_contains(mounted->report, "42 more entries are left out");
}

TEST_CASE(tarfs_hostile, names_in_messages_are_printable_and_short) {
    struct image image = image_with_good();
    uint8_t *header = image_header(&image, '0', "..", 0);
    memset(header + 2, '\x1b', 98);
    header[2] = '/';
    image_seal(header);
    image_end(&image);
    struct mounted *mounted = check_refused(&image, "\"../???");
    CHECK(strchr(mounted->report, '\x1b') == NULL);
    CHECK(strlen(mounted->report) < 200);
}

TEST_CASE(tarfs_hostile, names_in_messages_hold_no_c1_control_and_are_cut_between_characters) {
    struct image image = image_with_good();
    uint8_t *header = image_header(&image, '0', "..", 0);
    memcpy(header + 2, "/\xc2\x9b", 3);
    for (int i = 5; i + 3 <= 98; i += 3)
        memcpy(header + i, "\xe2\x82\xac", 3);
    image_seal(header);
    image_end(&image);
    struct mounted *mounted = check_refused(&image, "\"../??\xe2\x82\xac");
    check_contains(mounted->report, "\xe2\x82\xac...\"");
}

/* Failing disks and memory */

static struct image varied_image(void) {
    struct image image = image_new(64 << 10);
    image_pax(&image, 'g', "comment", "c");
    image_text(&image, "good", "kept");
    image_directory(&image, "d/");
    image_pax(&image, 'x', "path", "d/by-pax");
    image_text(&image, "n", "some data");
    image_header(&image, 'L', "long", 8);
    image_data(&image, "d/longer", 8);
    image_text(&image, "m", "more data");
    image_link(&image, '2', "link", "d/longer");
    image_link(&image, '1', "hard", "good");
    image_link(&image, '1', "dangling", "nowhere");
    image_header(&image, 'Z', "odd", 0);
    image_text(&image, "d/e/f/g", "deep");
    image_end(&image);
    return image;
}

TEST_CASE(tarfs_hostile, memory_that_ends_at_any_call_is_said) {
    struct image image = varied_image();
    uint64_t fail_at = 1;
    for (;; fail_at++) {
        struct mounted *mounted = mounted_new(&image);
        mounted->memory.fail_at = fail_at;
        mounted_mount(mounted);
        bool failed = mounted->memory.calls >= fail_at;
        if (mounted->error == 0)
            tarfs_unmount(&mounted->fs);
        CHECK_EQ(mounted->memory.live, 0);
        if (!failed)
            break;
        CHECK(mounted->error == 0 || mounted->error == -ASH_ENOMEM);
        CHECK_EQ(mounted->reports, 1);
        check_contains(mounted->report, "no memory");
    }
    CHECK(fail_at > 10);
}

TEST_CASE(tarfs_hostile, disk_that_fails_at_any_read_is_said) {
    struct image image = varied_image();
    uint64_t fail_at = 1;
    for (;; fail_at++) {
        struct mounted *mounted = mounted_new(&image);
        mounted->fail_read_at = fail_at;
        mounted_mount(mounted);
        if (mounted->reads < fail_at)
            break;
        CHECK(mounted->error == (fail_at == 1 ? -ASH_EIO : 0));
        CHECK_EQ(mounted->reports, 1);
        check_contains(mounted->report, "the device reported an error");
    }
    CHECK(fail_at > 3);
}

/* Every file can be read to its end, every link followed; nothing outside of the disk is
 * touched. */
static void read_all(struct mounted *mounted) {
    struct file_system *fs = &mounted->fs.interface;
    struct file_node *top = node_at(mounted, "/"), *node = NULL;
    uint8_t bytes[256];
    while ((node = fs->next(fs, top, node)) != NULL) {
        struct file_info info;
        struct file_node *end;
        size_t got = 1;
        fs->describe(fs, node, &info);
        (void)fs->look_up(fs, NULL, info.name, true, &end);
        for (uint64_t offset = 0; info.type == FILE_REGULAR && got != 0; offset += got)
            CHECK_EQ(fs->read(fs, node, offset, bytes, sizeof(bytes), &got), 0);
    }
}

TEST_CASE(tarfs_hostile, mutated_archives_never_harm) {
    enum { ROUNDS = 400 };
    struct image original = varied_image();
    struct image image = image_new(original.len);
    struct mounted *mounted = mounted_new(&image);
    struct test_random random = test_random_from(test_seed());
    for (uint32_t round = 0; round < ROUNDS; round++) {
        memcpy(image.bytes, original.bytes, original.len);
        image.len = original.len - (size_t)test_random_below(&random, 3) * 512;
        uint64_t changes = 1 + test_random_below(&random, 4);
        for (uint64_t i = 0; i < changes; i++) {
            size_t block = (size_t)test_random_below(&random, image.len / TAR_BLOCK) * TAR_BLOCK;
            size_t at = (size_t)test_random_below(&random, TAR_BLOCK);
            static const uint8_t odd[] = {0, 0xff, 0x80, '/', '.', '7', '9', ' ', 'L', 'x'};
            image.bytes[block + at] = test_random_chance(&random, 50)
                                          ? odd[test_random_below(&random, sizeof(odd))]
                                          : (uint8_t)test_random_u64(&random);
            /* Half of them with a checksum that holds, so that what is behind it is reached. */
            if (test_random_chance(&random, 50))
                image_seal(image.bytes + block);
        }
        memset(mounted, 0, sizeof(*mounted));
        *mounted = (struct mounted){.image = image, .source = mounted_new(&image)->source};
        mounted->source.context = mounted;
        mounted_mount(mounted);
        if (mounted->error == 0) {
            read_all(mounted);
            tarfs_unmount(&mounted->fs);
        }
        CHECK_EQ(mounted->memory.live, 0);
    }
}
