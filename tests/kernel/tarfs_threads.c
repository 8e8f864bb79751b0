/* SPDX-License-Identifier: MIT */
/* tarfs_threads.c: several threads in one archive. What they find is counted: a CHECK belongs to
 * the case's own stack. */
#include "kernel/fixture.h"
#include "kernel/threads_fixture.h"

#include <ashlar/port.h>

enum { READERS = 4, ROUNDS = 200 };

struct readers {
    struct file_system *fs;
    uint32_t wrong, ended;
};

struct reader {
    struct readers *all;
    uint32_t number, id;
};

/* By a chain of links of its own, which each look-up spells out. */
static void look_up_often(void *context) {
    const struct reader *reader = context;
    struct file_system *fs = reader->all->fs;
    const char expected[2] = {(char)('a' + reader->number), '\0'};
    char path[] = "0/link/./link/file";
    path[0] = (char)('0' + reader->number);
    for (uint32_t i = 0; i < ROUNDS; i++) {
        struct file_node *node;
        char got = 0;
        size_t len = 0;
        bool found = fs->look_up(fs, NULL, path, true, &node) == 0 &&
                     fs->read(fs, node, 0, &got, 1, &len) == 0 && len == 1;
        if (!found || got != expected[0])
            ash_fetch_add(&reader->all->wrong, 1u);
    }
    ash_fetch_add(&reader->all->ended, 1u);
}

static void start_readers(void *context) {
    struct readers *all = context;
    struct reader readers[READERS];
    const struct thread_options options = {.name = "reader"};
    for (uint32_t i = 0; i < READERS; i++) {
        readers[i] = (struct reader){all, i, 0};
        if (thread_create(&options, look_up_often, &readers[i], &readers[i].id, NULL) != 0)
            ash_fetch_add(&all->wrong, 1u);
    }
    for (uint32_t i = 0; i < READERS; i++)
        (void)!thread_join(readers[i].id, UINT64_MAX);
}

static void check_look_ups(uint32_t cpus) {
    struct image image = image_new(READERS * 8192);
    for (uint32_t i = 0; i < READERS; i++) {
        char name[] = "0/file", link[] = "0/link", target[] = "../0", text[] = "a";
        name[0] = link[0] = target[3] = (char)('0' + i);
        text[0] = (char)('a' + i);
        image_text(&image, name, text);
        image_link(&image, '2', link, target);
    }
    image_end(&image);
    struct mounted *mounted = mount_image(&image);
    CHECK_EQ(mounted->error, 0);
    struct readers all = {.fs = &mounted->fs.interface};
    test_threads_run(cpus, start_readers, &all);
    CHECK_EQ(all.ended, READERS);
    CHECK_EQ(all.wrong, 0);
    CHECK(mounted->fs.interface.check(&mounted->fs.interface) == NULL);
}

TEST_CASE(tarfs_threads, look_names_up_beside_each_other) {
    check_look_ups(1);
}

TEST_CASE(tarfs_threads, look_names_up_beside_each_other_on_four_cpus) {
    check_look_ups(4);
}
