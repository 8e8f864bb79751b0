/* SPDX-License-Identifier: MIT */
#include "vhost/served.h"

#include "harness/test.h"
#include "hosted/vhost_user_back.h"

#include <ashlar/atomic.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static struct {
    bool is_running;
    struct fake_virtio_blk blk;
    struct fake_virtio_blk_memory disk;
    struct guest_memory memory;
    struct vhost_back back;
    pthread_t thread;
    int listener, stop;
    char folder[40], path[60];
    int error;
    char complaint[200];
} served;

static pthread_mutex_t complaint_lock = PTHREAD_MUTEX_INITIALIZER; /* served.error's too */

static uint64_t sectors[SERVED_SECTORS][64];

static void on_complaint(void *context, const char *sentence) {
    (void)context;
    pthread_mutex_lock(&complaint_lock);
    snprintf(served.complaint, sizeof(served.complaint), "%s", sentence);
    pthread_mutex_unlock(&complaint_lock);
}

static void *serve(void *context) {
    (void)context;
    for (;;) {
        struct pollfd pollers[2] = {{.fd = served.listener, .events = POLLIN},
                                    {.fd = served.stop, .events = POLLIN}};
        if (poll(pollers, 2, -1) < 0)
            continue;
        if (pollers[1].revents != 0)
            return NULL;
        int session = accept4(served.listener, NULL, NULL, SOCK_CLOEXEC);
        if (session < 0)
            continue;
        int error = vhost_back_serve(&served.back, session, served.stop);
        pthread_mutex_lock(&complaint_lock);
        served.error = error;
        pthread_mutex_unlock(&complaint_lock);
        close(session);
    }
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, path, strlen(path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK(fd >= 0);
    CHECK_EQ(bind(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(fd, 16), 0);
    return fd;
}

const char *served_start(const struct fake_virtio_policy *policy, uint32_t queues,
                         uint64_t features) {
    served_end();
    for (uint32_t sector = 0; sector < SERVED_SECTORS; sector++) {
        for (uint32_t i = 0; i < 64; i++)
            sectors[sector][i] = sector;
    }
    memset(&served, 0, sizeof(served));
    served.disk = (struct fake_virtio_blk_memory){(uint8_t *)sectors, sizeof(sectors)};
    guest_memory_init(&served.memory);
    struct fake_virtio_blk_config config = {.backing = fake_virtio_blk_memory(&served.disk),
                                            .queue_size_max = FAKE_VIRTIO_QUEUE_SIZE_MAX,
                                            .queue_count = queues,
                                            .features_with = features};
    fake_virtio_blk_init(&served.blk, &config, &served.memory);
    if (policy != NULL)
        fake_virtio_set_policy(&served.blk.device, policy);
    vhost_back_init(&served.back, &(struct vhost_back_config){.device = &served.blk.device,
                                                              .memory = &served.memory,
                                                              .timeout_ms = SERVED_TIMEOUT_MS,
                                                              .say = on_complaint});
    snprintf(served.folder, sizeof(served.folder), "/tmp/ashlar-served-XXXXXX");
    CHECK(mkdtemp(served.folder) != NULL);
    snprintf(served.path, sizeof(served.path), "%s/socket", served.folder);
    served.listener = listen_at(served.path);
    served.stop = eventfd(0, EFD_CLOEXEC);
    CHECK(served.stop >= 0);
    CHECK_EQ(pthread_create(&served.thread, NULL, serve, NULL), 0);
    served.is_running = true;
    return served.path;
}

void served_end(void) {
    static const uint64_t one = 1;
    if (!served.is_running)
        return;
    served.is_running = false;
    ssize_t written = write(served.stop, &one, sizeof(one));
    pthread_join(served.thread, NULL);
    close(served.stop);
    close(served.listener);
    (void)unlink(served.path);
    (void)rmdir(served.folder);
    CHECK_EQ(written, sizeof(one));
}

const uint64_t (*served_sectors(void))[64] {
    return (const uint64_t(*)[64])sectors;
}

const char *served_violation(void) {
    const char *text = fake_virtio_violation_text(&served.blk.device, 0);
    return text == NULL ? "" : text;
}

const char *served_complaint(void) {
    return served.complaint;
}

int served_take_complaint(char *complaint, size_t len) {
    pthread_mutex_lock(&complaint_lock);
    int error = served.error;
    snprintf(complaint, len, "%s", served.complaint);
    served.complaint[0] = '\0';
    pthread_mutex_unlock(&complaint_lock);
    return error;
}

uint64_t served_sessions(void) {
    return served.back.sessions;
}

uint64_t served_starts(void) {
    return ash_load_relaxed(&served.back.starts);
}
