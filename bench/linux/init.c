/* SPDX-License-Identifier: MIT */
/*
 * init.c: the only program of a Linux guest: loads the two modules of a virtio disk, runs the
 * workloads below against /dev/vda as a program that wants speed would (io_uring, O_DIRECT, buffers
 * and file registered, no I/O scheduler), prints a line for each, powers off.
 *
 *     result read 4096 32 random 61234 IOPS
 *
 * Built statically for the guest by bench/linux-guest, which says how to run it.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum { DEPTH_MAX = 32, SIZE_MAX_BYTES = 131072, SECONDS = 2 };

static const struct workload {
    bool is_write, is_random;
    uint32_t size, depth;
} workloads[] = {
    {false, true, 4096, 1},     {false, true, 4096, 32},   {true, true, 4096, 1},
    {true, true, 4096, 32},     {false, false, 65536, 32}, {true, false, 65536, 32},
    {false, false, 131072, 32},
};

/* The guest has nobody to hand an error to: the host sees the line, and that nothing follows. */
static void die(const char *what) {
    printf("failed %s: %s\n", what, strerror(errno));
    fflush(stdout);
    reboot(RB_POWER_OFF);
    exit(1);
}

static void check(long result, const char *what) {
    if (result < 0)
        die(what);
}

/* Set-up */

static void load_module(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    check(file, path);
    check(syscall(SYS_finit_module, file, "", 0), path);
    close(file);
}

static void write_file(const char *path, const char *text) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    check(file, path);
    check(write(file, text, strlen(text)), path);
    close(file);
}

static int open_disk(uint64_t *bytes) {
    mkdir("/dev", 0755);
    mkdir("/sys", 0755);
    check(mount("devtmpfs", "/dev", "devtmpfs", 0, NULL), "mount /dev");
    check(mount("sysfs", "/sys", "sysfs", 0, NULL), "mount /sys");
    load_module("/virtio_mmio.ko");
    load_module("/virtio_blk.ko");
    int disk = -1;
    for (int tries = 0; disk < 0 && tries < 1000; tries++) {
        disk = open("/dev/vda", O_RDWR | O_DIRECT | O_CLOEXEC);
        usleep(1000);
    }
    check(disk, "/dev/vda");
    write_file("/sys/block/vda/queue/scheduler", "none");
    check(ioctl(disk, 0x80081272 /* BLKGETSIZE64 */, bytes), "its size");
    return disk;
}

/* io_uring: no library, so that nothing but the kernel is measured. */

static struct {
    int fd;
    uint32_t *sq_tail, *sq_mask, *sq_array, *cq_head, *cq_tail, *cq_mask;
    struct io_uring_sqe *sqes;
    struct io_uring_cqe *cqes;
    uint8_t *buffers;
} ring;

static void *map_ring(uint64_t offset, size_t bytes) {
    void *map = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring.fd,
                     (off_t)offset);
    if (map == MAP_FAILED)
        die("mmap of a ring");
    return map;
}

static void start_ring(int disk) {
    struct io_uring_params params = {0};
    ring.fd = (int)syscall(SYS_io_uring_setup, DEPTH_MAX, &params);
    check(ring.fd, "io_uring_setup");
    uint8_t *sq = map_ring(IORING_OFF_SQ_RING, params.sq_off.array + params.sq_entries * 4);
    uint8_t *cq = map_ring(IORING_OFF_CQ_RING,
                           params.cq_off.cqes + params.cq_entries * sizeof(struct io_uring_cqe));
    ring.sqes = map_ring(IORING_OFF_SQES, params.sq_entries * sizeof(struct io_uring_sqe));
    ring.sq_tail = (uint32_t *)(sq + params.sq_off.tail);
    ring.sq_mask = (uint32_t *)(sq + params.sq_off.ring_mask);
    ring.sq_array = (uint32_t *)(sq + params.sq_off.array);
    ring.cq_head = (uint32_t *)(cq + params.cq_off.head);
    ring.cq_tail = (uint32_t *)(cq + params.cq_off.tail);
    ring.cq_mask = (uint32_t *)(cq + params.cq_off.ring_mask);
    ring.cqes = (struct io_uring_cqe *)(cq + params.cq_off.cqes);
    ring.buffers = mmap(NULL, DEPTH_MAX * SIZE_MAX_BYTES, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (ring.buffers == MAP_FAILED)
        die("memory for the buffers");
    struct iovec buffers = {ring.buffers, DEPTH_MAX * SIZE_MAX_BYTES};
    check(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_BUFFERS, &buffers, 1),
          "registering buffers");
    check(syscall(SYS_io_uring_register, ring.fd, IORING_REGISTER_FILES, &disk, 1),
          "registering the disk");
}

static void queue_request(const struct workload *work, uint32_t buffer, uint64_t offset) {
    uint32_t tail = *ring.sq_tail, index = tail & *ring.sq_mask;
    struct io_uring_sqe *sqe = &ring.sqes[index];
    memset(sqe, 0, sizeof(*sqe));
    sqe->opcode = work->is_write ? IORING_OP_WRITE_FIXED : IORING_OP_READ_FIXED;
    sqe->flags = IOSQE_FIXED_FILE;
    sqe->addr = (uint64_t)(uintptr_t)(ring.buffers + (size_t)buffer * SIZE_MAX_BYTES);
    sqe->len = work->size;
    sqe->off = offset;
    sqe->user_data = buffer;
    ring.sq_array[index] = index;
    __atomic_store_n(ring.sq_tail, tail + 1, __ATOMIC_RELEASE);
}

/* The workloads */

static uint64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static uint64_t next_offset(const struct workload *work, uint64_t disk_bytes, uint64_t *state) {
    uint64_t blocks = disk_bytes / work->size;
    if (!work->is_random)
        return (*state)++ % blocks * work->size;
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (*state >> 33) % blocks * work->size;
}

static void run(const struct workload *work, uint64_t disk_bytes) {
    uint64_t state = 1, done = 0, end = now_ns() + SECONDS * UINT64_C(1000000000);
    uint64_t start = now_ns();
    uint32_t in_flight = 0, fresh = work->depth;
    for (uint32_t i = 0; i < work->depth; i++)
        queue_request(work, i, next_offset(work, disk_bytes, &state));
    do {
        in_flight += fresh;
        check(syscall(SYS_io_uring_enter, ring.fd, fresh, 1, IORING_ENTER_GETEVENTS, NULL, 0),
              "io_uring_enter");
        fresh = 0;
        bool is_over = now_ns() >= end;
        uint32_t head = *ring.cq_head;
        for (; head != __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE); head++) {
            const struct io_uring_cqe *cqe = &ring.cqes[head & *ring.cq_mask];
            if (cqe->res != (int)work->size) {
                errno = cqe->res < 0 ? -cqe->res : EIO;
                die("a request");
            }
            done++;
            in_flight--;
            if (is_over)
                continue;
            queue_request(work, (uint32_t)cqe->user_data, next_offset(work, disk_bytes, &state));
            fresh++;
        }
        __atomic_store_n(ring.cq_head, head, __ATOMIC_RELEASE);
    } while (in_flight != 0 || fresh != 0);
    uint64_t elapsed = now_ns() - start;
    printf("result %s %u %u %s %llu IOPS\n", work->is_write ? "write" : "read", work->size,
           work->depth, work->is_random ? "random" : "sequential",
           (unsigned long long)(done * UINT64_C(1000000000) / elapsed));
    fflush(stdout);
}

int main(void) {
    uint64_t bytes = 0;
    int disk = open_disk(&bytes);
    start_ring(disk);
    for (size_t i = 0; i < sizeof(workloads) / sizeof(workloads[0]); i++)
        run(&workloads[i], bytes);
    reboot(RB_POWER_OFF);
    return 0;
}
