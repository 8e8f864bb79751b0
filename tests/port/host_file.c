/* SPDX-License-Identifier: MIT */
/* Cases that write files on the host; tests/port/host_file.py names them and looks at the files. */
#include <ashlar/error.h>

#include "harness/test.h"
#include "sample.h"

enum { BLOCK_BYTES = 100003, BLOCKS = 20 };

TEST_CASE(_host_file, of_two_megabytes) {
    uint8_t *block = test_alloc(BLOCK_BYTES, 1);
    CHECK_EQ(platform_host_open("out.bin"), 0);
    for (uint32_t i = 0; i < BLOCKS; i++) {
        for (uint32_t at = 0; at < BLOCK_BYTES; at++)
            block[at] = (uint8_t)((i * BLOCK_BYTES + at) % 251);
        CHECK_EQ(platform_host_write(block, BLOCK_BYTES), 0);
    }
    CHECK_EQ(platform_host_write(block, 0), 0);
    CHECK_EQ(platform_host_close(), 0);
    CHECK(platform_host_close() < 0);
}

TEST_CASE(_host_file, is_emptied_by_the_next_open) {
    CHECK_EQ(platform_host_open("out.bin"), 0);
    CHECK_EQ(platform_host_write("first, and longer", 17), 0);
    CHECK_EQ(platform_host_open("out.bin"), 0); /* as a panic in the middle of a dump */
    CHECK_EQ(platform_host_write("second", 6), 0);
    CHECK_EQ(platform_host_close(), 0);
}

TEST_CASE(_host_file, without_room_says_so) {
    CHECK_EQ(platform_host_open("/dev/full"), 0);
    CHECK_EQ(platform_host_write("x", 1), -ASH_ENOSPC);
    CHECK_EQ(platform_host_close(), 0);
}

TEST_CASE(_host_file, that_cannot_be_made_says_so) {
    CHECK_EQ(platform_host_open("no/such/folder"), -ASH_EIO);
    CHECK_EQ(platform_host_open("/"), -ASH_EIO);
}

TEST_CASE(_host_file, is_refused_where_nobody_serves_it) {
    CHECK_EQ(platform_host_open("out.bin"), -ASH_ENOTSUP);
    CHECK(platform_host_write("x", 1) < 0);
    CHECK(platform_host_close() < 0);
}
