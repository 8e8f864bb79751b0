/* SPDX-License-Identifier: MIT */
/*
 * The front end against devices that break the protocol: at each message of a start, in each way.
 * Every call ends in time, what fails says so, and nothing is left open.
 */
#include "harness/test.h"

#include <ashlar/error.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "vhost/client.h"
#include "vhost/peer.h"

enum {
    SILENCE_MS = 20,    /* the front end's patience where it is in vain, */
    PATIENCE_MS = 5000, /* and where it is not: other processes want the CPU, too */
    IN_TIME_MS = 5000,  /* all calls of a start, all of a reset */
    CAPACITY = 1000,
};

enum crime {
    NONE,
    HANGS_UP,
    KEEPS_SILENT,
    ANSWERS_ANOTHER_QUESTION,
    ANSWERS_WITHOUT_THE_FLAG,
    ANSWERS_TOO_SHORT,
    ANSWERS_TOO_LONG,
    CLAIMS_4_GIB,
    SAYS_NO,
    SENDS_DESCRIPTORS,
    SPEAKS_TWICE,
    STOPS_IN_THE_MIDDLE,
    CRIMES
};

/* A device that knows just enough to be started, and commits its crime at one message. */
static struct {
    char folder[40], path[60];
    int listener, stop;
    pthread_t thread;
    enum crime crime;
    uint32_t at;       /* the message, counted from 0 since the start */
    uint32_t messages; /* so far */
    uint64_t features, protocol, queues;
    bool config_churns;
} device;

static bool answers(uint32_t request) {
    return request == VHOST_USER_GET_FEATURES || request == VHOST_USER_GET_PROTOCOL_FEATURES ||
           request == VHOST_USER_GET_QUEUE_NUM || request == VHOST_USER_GET_VRING_BASE ||
           request == VHOST_USER_GET_CONFIG;
}

static void answer(struct vhost_user_message *message) {
    static const uint64_t capacity = CAPACITY;
    uint64_t number = message->request == VHOST_USER_GET_FEATURES            ? device.features
                      : message->request == VHOST_USER_GET_PROTOCOL_FEATURES ? device.protocol
                                                                             : device.queues;
    if (message->request == VHOST_USER_GET_CONFIG) {
        memset(message->payload.config.bytes, 0, message->payload.config.size_bytes);
        memcpy(message->payload.config.bytes, &capacity, sizeof(capacity));
        if (device.config_churns)
            message->payload.config.bytes[30] = (uint8_t)device.messages;
    } else if (message->request != VHOST_USER_GET_VRING_BASE) {
        message->size_bytes = sizeof(number);
        message->payload.number = answers(message->request) ? number : 0;
    }
    message->flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
}

/* False: the session is over. */
static bool commit(int socket, struct vhost_user_message *message) {
    int fds[2] = {-1, -1};
    bool good = true;
    switch (device.crime) {
    case HANGS_UP:
        return false;
    case KEEPS_SILENT:
        return true;
    case ANSWERS_ANOTHER_QUESTION:
        message->request++;
        break;
    case ANSWERS_WITHOUT_THE_FLAG:
        message->flags = VHOST_USER_VERSION;
        break;
    case ANSWERS_TOO_SHORT:
        message->size_bytes -= message->size_bytes > 4 ? 4 : 0;
        break;
    case ANSWERS_TOO_LONG:
        message->size_bytes += 8;
        break;
    case CLAIMS_4_GIB:
        message->size_bytes = UINT32_MAX;
        break;
    case SAYS_NO:
        message->payload.number = 1;
        message->size_bytes = message->request == VHOST_USER_GET_CONFIG ? 0 : message->size_bytes;
        break;
    case SPEAKS_TWICE:
        good = peer_send_message(socket, message, NULL, 0);
        break;
    case STOPS_IN_THE_MIDDLE:
        return peer_send(socket, message, 5, NULL, 0);
    default:
        fds[0] = eventfd(0, EFD_CLOEXEC);
        fds[1] = eventfd(0, EFD_CLOEXEC);
        break;
    }
    good = good && peer_send_message(socket, message, fds, fds[0] >= 0 ? 2 : 0);
    if (fds[0] >= 0) {
        close(fds[0]);
        close(fds[1]);
    }
    return good;
}

static void serve_session(int socket) {
    struct vhost_user_message message;
    bool good = true;
    while (good) {
        struct pollfd pollers[2] = {{.fd = socket, .events = POLLIN},
                                    {.fd = device.stop, .events = POLLIN}};
        poll(pollers, 2, -1);
        if (pollers[1].revents != 0 || vhost_user_receive(socket, &message, UINT64_MAX) != 0)
            return;
        vhost_user_close_fds(&message);
        bool wanted = answers(message.request) || (message.flags & VHOST_USER_NEED_REPLY) != 0;
        bool is_time = device.messages++ == device.at;
        answer(&message);
        if (is_time && device.crime != NONE)
            good = commit(socket, &message);
        else if (wanted)
            good = peer_send_message(socket, &message, NULL, 0);
    }
}

static void *serve(void *context) {
    (void)context;
    for (;;) {
        struct pollfd pollers[2] = {{.fd = device.listener, .events = POLLIN},
                                    {.fd = device.stop, .events = POLLIN}};
        poll(pollers, 2, -1);
        if (pollers[1].revents != 0)
            return NULL;
        int session = accept4(device.listener, NULL, NULL, SOCK_CLOEXEC);
        if (session < 0)
            continue;
        serve_session(session);
        close(session);
    }
}

static void device_start(enum crime crime, uint32_t at) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    device.crime = crime;
    device.at = at;
    device.messages = 0;
    device.features = VHOST_USER_F_PROTOCOL_FEATURES | ASH_VIRTIO_F_VERSION_1;
    device.protocol =
        VHOST_USER_PROTOCOL_CONFIG | VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK;
    device.queues = 1;
    device.config_churns = false;
    snprintf(device.folder, sizeof(device.folder), "/tmp/ashlar-hostile-XXXXXX");
    CHECK(mkdtemp(device.folder) != NULL);
    snprintf(device.path, sizeof(device.path), "%s/socket", device.folder);
    memcpy(address.sun_path, device.path, strlen(device.path));
    device.listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(bind(device.listener, (const struct sockaddr *)&address, sizeof(address)), 0);
    CHECK_EQ(listen(device.listener, 4), 0);
    device.stop = eventfd(0, EFD_CLOEXEC);
    CHECK_EQ(pthread_create(&device.thread, NULL, serve, NULL), 0);
}

static void device_end(void) {
    static const uint64_t one = 1;
    (void)!write(device.stop, &one, sizeof(one));
    pthread_join(device.thread, NULL);
    close(device.stop);
    close(device.listener);
    (void)unlink(device.path);
    (void)rmdir(device.folder);
}

/* Takes the device over, looks at it, gives it up. False: it could not be taken over, or failed
 * before it was given up, which is waited for if `fails`. Each step within its time. */
static bool use_device(bool fails) {
    bool silent = device.crime == KEEPS_SILENT || device.crime == STOPS_IN_THE_MIDDLE;
    uint64_t start = vhost_user_now_ms();
    struct client *client = client_try(device.path, fails && silent ? SILENCE_MS : PATIENCE_MS);
    CHECK(vhost_user_now_ms() - start < IN_TIME_MS);
    if (client == NULL)
        return false;
    start = vhost_user_now_ms();
    while (fails && client_status(client) == 0 && vhost_user_now_ms() - start < IN_TIME_MS)
        (void)client_sleep(client, IN_TIME_MS);
    bool works = client_status(client) == 0;
    if (silent)
        client->foreign.front.config.timeout_ms = SILENCE_MS;
    start = vhost_user_now_ms();
    if (ash_virtio_blk_fini(&client->blk) != 0)
        CHECK_EQ(ash_virtio_blk_fini(&client->blk), -ASH_ETIMEDOUT);
    CHECK(vhost_user_now_ms() - start < IN_TIME_MS);
    foreign_close(&client->foreign);
    return works;
}

/* The messages until the device is up; one more stops its ring. */
static uint32_t messages_of_start(void) {
    device_start(NONE, 0);
    CHECK(use_device(false));
    device_end();
    CHECK(device.messages > 10);
    return device.messages - 1;
}

static void commit_at(enum crime crime, uint32_t at, bool is_seen) {
    uint32_t before = peer_descriptors();
    device_start(crime, at);
    bool works = use_device(is_seen);
    device_end();
    if (works == is_seen)
        test_fail(__FILE__, __LINE__, "crime %d at message %u: the device %s", crime, at,
                  works ? "works" : "is refused");
    CHECK_EQ(peer_descriptors(), before);
}

static bool is_harmless(enum crime crime, uint32_t at) {
    enum { OWNER = 0, PROTOCOL = 3, QUEUES = 4 }; /* messages of a start */
    if (at == OWNER || at == PROTOCOL)
        return crime == KEEPS_SILENT; /* there is nothing to be said */
    /* Descriptors are closed; a "no" to how many queues there are is a "one". */
    return crime == SENDS_DESCRIPTORS || (crime == SAYS_NO && at == QUEUES);
}

TEST_CASE(hostile_back, each_crime_at_each_message_of_a_start_is_seen_in_time) {
    uint32_t count = messages_of_start();
    for (uint32_t crime = HANGS_UP; crime < CRIMES; crime++) {
        for (uint32_t at = 0; at < count; at++)
            commit_at((enum crime)crime, at, !is_harmless((enum crime)crime, at));
        commit_at((enum crime)crime, count, false); /* at the end: the reset is done all the same */
    }
}

TEST_CASE(hostile_back, configuration_that_changes_at_each_look_is_given_up) {
    device_start(NONE, 0);
    device.config_churns = true;
    struct client *client = client_try(device.path, PATIENCE_MS);
    CHECK(client == NULL);
    device_end();
}

TEST_CASE(hostile_back, device_without_what_is_needed_is_refused_with_the_reason) {
    static const struct {
        uint64_t features, protocol, queues;
        const char *reason;
    } rows[] = {
        {0, 0, 1, "no configuration space"},
        {VHOST_USER_F_PROTOCOL_FEATURES, 0, 1, "no configuration space"},
        {VHOST_USER_F_PROTOCOL_FEATURES, VHOST_USER_PROTOCOL_MQ, 1, "no configuration space"},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct foreign_transport foreign;
        device_start(NONE, 0);
        device.features = rows[i].features;
        device.protocol = rows[i].protocol;
        CHECK_EQ(foreign_open(&foreign, &(struct vhost_front_config){.path = device.path,
                                                                     .memory_bytes = 4096,
                                                                     .config_bytes = 60,
                                                                     .timeout_ms = PATIENCE_MS}),
                 -ASH_ENOTSUP);
        CHECK(strstr(foreign.transport.reason, rows[i].reason) != NULL);
        device_end();
    }
    /* No queue, or more than anybody has: the driver's own words. */
    for (uint64_t queues = 0; queues != 2; queues++) {
        device_start(NONE, 0);
        device.queues = queues == 0 ? 0 : UINT64_MAX;
        CHECK_EQ(use_device(false), queues != 0);
        device_end();
    }
}

TEST_CASE(hostile_back, place_without_a_device_is_told) {
    struct foreign_transport foreign;
    struct vhost_front_config config = {
        .path = "/tmp/ashlar-nobody", .memory_bytes = 4096, .config_bytes = 60};
    CHECK_EQ(foreign_open(&foreign, &config), -ASH_ENODEV);
    CHECK_STR_EQ(foreign.transport.reason, "nobody listens at the device's socket");
    static const struct vhost_front_config bad[] = {
        {.path = NULL, .memory_bytes = 4096, .config_bytes = 60},
        {.path = "", .memory_bytes = 4096, .config_bytes = 60},
        {.path = "/a", .memory_bytes = 0, .config_bytes = 60},
        {.path = "/a", .memory_bytes = 4097, .config_bytes = 60},
        {.path = "/a", .memory_bytes = UINT64_MAX & ~UINT64_C(4095), .config_bytes = 60},
        {.path = "/a", .memory_bytes = 4096, .config_bytes = 0},
        {.path = "/a", .memory_bytes = 4096, .config_bytes = 257},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(bad); i++)
        CHECK_EQ(foreign_open(&foreign, &bad[i]), -ASH_EINVAL);
    char path[300];
    memset(path, 'a', sizeof(path) - 1);
    path[sizeof(path) - 1] = '\0';
    config.path = path;
    CHECK_EQ(foreign_open(&foreign, &config), -ASH_EINVAL);
}
