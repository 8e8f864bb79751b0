/* SPDX-License-Identifier: MIT */
/* hosted_disk.c: the hosted machine's disk, driven through platform.h as the kernel does it. */
#define _GNU_SOURCE /* memfd_create */
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/raw_driver.h"
#include "harness/test.h"
#include "hosted/hosted.h"
#include "platform.h"

enum { SLOT = 3, FILE_BYTES = 1000, SIZE = 4 };

/* A file in memory of FILE_BYTES bytes; its path leads through the descriptor. */
static void make_file(char *path, size_t len, int *fd) {
    *fd = memfd_create("disk", 0);
    CHECK(*fd >= 0);
    uint8_t bytes[FILE_BYTES];
    for (uint32_t i = 0; i < FILE_BYTES; i++)
        bytes[i] = raw_pattern(i);
    CHECK_EQ(write(*fd, bytes, sizeof(bytes)), FILE_BYTES);
    snprintf(path, len, "/proc/self/fd/%d", *fd);
}

static void set(uint32_t offset, uint32_t value) {
    platform_virtio_write(SLOT, offset, 4, value);
}

static void put(uint8_t *at, uint64_t value, uint32_t bytes) {
    for (uint32_t i = 0; i < bytes; i++)
        at[i] = (uint8_t)(value >> (8 * i));
}

static void put_desc(uint8_t *page, uint32_t index, uint32_t offset, uint32_t len, uint16_t flags) {
    put(page + 16 * index, platform_address(page + offset), 8);
    put(page + 16 * index + 8, len, 4);
    put(page + 16 * index + 12, flags, 2);
    put(page + 16 * index + 14, index + 1, 2);
}

static void set_address(uint32_t offset, const void *pointer) {
    ash_paddr_t address = platform_address(pointer);
    set(offset, (uint32_t)address);
    set(offset + 4, (uint32_t)(address >> 32));
}

static volatile uint32_t handled;

static void on_interrupt(void *context) {
    (void)context;
    handled++;
    set(RAW_INTERRUPT_ACK, platform_virtio_read(SLOT, RAW_INTERRUPT_STATUS, 4));
}

/* Page: descriptors at 0, avail at 0x100, used at 0x200, header, status and data from 0x400. */
static void start(uint8_t *page) {
    memset(page, 0, 4096);
    set(RAW_STATUS, 0);
    CHECK_EQ(platform_virtio_read(SLOT, RAW_STATUS, 4), 0);
    set(RAW_STATUS, 1);
    set(RAW_STATUS, 3);
    set(RAW_DRIVER_FEATURES_SEL, 0);
    set(RAW_DRIVER_FEATURES, 0);
    set(RAW_DRIVER_FEATURES_SEL, 1);
    set(RAW_DRIVER_FEATURES, 1);
    set(RAW_STATUS, 11);
    CHECK_EQ(platform_virtio_read(SLOT, RAW_STATUS, 4), 11);
    set(RAW_QUEUE_SEL, 0);
    set(RAW_QUEUE_NUM, SIZE);
    set_address(RAW_QUEUE_DESC, page);
    set_address(RAW_QUEUE_DRIVER, page + 0x100);
    set_address(RAW_QUEUE_DEVICE, page + 0x200);
    set(RAW_QUEUE_READY, 1);
    set(RAW_STATUS, 15);
}

TEST_CASE(device_hosted, file_is_read_through_a_slot_and_padded_with_zeros) {
    char path[64], message[200] = "";
    int fd;
    make_file(path, sizeof(path), &fd);
    int error = hosted_disk_attach(SLOT, path, false, message, sizeof(message));
    CHECK_EQ(error, 0);
    CHECK(strstr(message, "1000 bytes are not whole sectors") != NULL);
    uint8_t *page = platform_pointer(HOSTED_MEMORY_BASE);
    start(page);
    handled = 0;
    CHECK(platform_virtio_connect(SLOT, on_interrupt, NULL) == 0);
    page[0x500] = 0xff;
    put_desc(page, 0, 0x400, 16, RAW_NEXT);
    put_desc(page, 1, 0x800, 1024, RAW_NEXT | RAW_WRITE);
    put_desc(page, 2, 0x500, 1, RAW_WRITE);
    put(page + 0x102, 1, 2); /* avail.idx; entry 0 is head 0 */
    set(RAW_QUEUE_NOTIFY, 0);
    ash_ns_t deadline = platform_now_ns() + UINT64_C(2000000000);
    while (page[0x202] != 1 && platform_now_ns() < deadline) {
        uint32_t state = ash_port_irq_save();
        platform_wait(platform_now_ns() + 1000000);
        ash_port_irq_restore(state);
    }
    CHECK_EQ(page[0x202], 1);
    CHECK_EQ(page[0x500], RAW_OK);
    for (uint32_t i = 0; i < 1024; i++)
        CHECK_EQ(page[0x800 + i], i < FILE_BYTES ? raw_pattern(i) : 0);
    CHECK_EQ(handled, 1);
    CHECK_EQ(platform_virtio_read(SLOT, RAW_CONFIG, 4), 2); /* sectors */
    CHECK_EQ(fake_virtio_violations(hosted_disk_device(SLOT)), 0);
    CHECK(platform_virtio_connect(SLOT, NULL, NULL) == 0);
    hosted_disk_detach();
    close(fd);
    CHECK_EQ(platform_virtio_read(SLOT, RAW_DEVICE_ID, 4), 0);
}

TEST_CASE(device_hosted, slot_that_is_taken_or_not_there_is_refused_with_the_reason) {
    char path[64], message[200] = "";
    int fd;
    make_file(path, sizeof(path), &fd);
    CHECK_EQ(hosted_disk_attach(SLOT, path, false, message, sizeof(message)), 0);
    CHECK_EQ(hosted_disk_attach(SLOT, path, false, message, sizeof(message)), -ASH_EBUSY);
    CHECK_STR_EQ(message, "device slot 3 is taken, or there is none");
    CHECK_EQ(hosted_disk_attach(HOSTED_MMIO_SLOTS, path, false, message, sizeof(message)),
             -ASH_EINVAL);
    CHECK_STR_EQ(message, "device slot 8 is taken, or there is none");
    hosted_disk_detach();
    close(fd);
}

/* FLUSH is offered by a disk that can be written to, RO by one that cannot. */
TEST_CASE(device_hosted, second_disk_may_be_written_to) {
    char path[64], message[200] = "";
    int fd;
    make_file(path, sizeof(path), &fd);
    CHECK_EQ(hosted_disk_attach(SLOT, path, false, message, sizeof(message)), 0);
    CHECK_EQ(hosted_disk_attach(SLOT - 1, path, true, message, sizeof(message)), 0);
    for (uint32_t slot = SLOT - 1; slot <= SLOT; slot++) {
        platform_virtio_write(slot, RAW_DEVICE_FEATURES_SEL, 4, 0);
        uint32_t features = platform_virtio_read(slot, RAW_DEVICE_FEATURES, 4);
        CHECK_EQ((features & FAKE_VIRTIO_BLK_F_RO) != 0, slot == SLOT);
        CHECK_EQ((features & FAKE_VIRTIO_BLK_F_DISCARD) != 0, slot != SLOT);
    }
    hosted_disk_detach();
    close(fd);
    CHECK_EQ(platform_virtio_read(SLOT - 1, RAW_DEVICE_ID, 4), 0);
}

TEST_CASE(device_hosted, missing_disk_is_an_error_with_its_name) {
    char message[200] = "";
    int error = hosted_disk_attach(SLOT, "/nonexistent.tar", false, message, sizeof(message));
    CHECK_EQ(error, -ASH_ENOENT);
    CHECK_STR_EQ(message, "cannot open the disk /nonexistent.tar: No such file or directory");
    CHECK_EQ(hosted_disk_attach(SLOT, "/", false, message, sizeof(message)), -ASH_EISDIR);
    CHECK_EQ(hosted_disk_attach(SLOT, "/dev/null", false, message, sizeof(message)), -ENOTBLK);
}

/* Opening one waits for who writes into it, for ever. */
TEST_CASE(device_hosted, pipe_with_a_name_is_no_disk) {
    char folder[] = "/tmp/ashlar-disk-XXXXXX", path[64], message[200] = "";
    CHECK(mkdtemp(folder) != NULL);
    snprintf(path, sizeof(path), "%s/pipe", folder);
    int made = mkfifo(path, 0600);
    int error = hosted_disk_attach(SLOT, path, false, message, sizeof(message));
    unlink(path);
    rmdir(folder);
    CHECK_EQ(made, 0);
    CHECK_EQ(error, -ENOTBLK);
    CHECK(strstr(message, "Block device required") != NULL);
}
