/* SPDX-License-Identifier: MIT */
/*
 * The back end against front ends that are broken or hostile: each session ends with a complaint,
 * and the next one works.
 */
#include "harness/test.h"

#include <ashlar/error.h>
#include <fcntl.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "vhost/client.h"
#include "vhost/peer.h"
#include "vhost/served.h"

enum { LIMIT_MS = 5000, MEMORY_BYTES = 1 << 16, MANY = 0x1000 };

/* Kinds of descriptors that a row sends. */
enum fds { NO_FD, EVENT, PIPE, MEMORY, MEMORIES_2, EVENTS_2, EVENTS_9, EVENTS_40 };

static int fds_of(enum fds kind, int *fds) {
    switch (kind) {
    case NO_FD:
        return 0;
    case PIPE:
        CHECK_EQ(pipe2(fds, O_CLOEXEC), 0);
        return 2;
    case MEMORY:
    case MEMORIES_2:
        fds[0] = memfd_create("peer", MFD_CLOEXEC);
        CHECK(fds[0] >= 0);
        CHECK_EQ(ftruncate(fds[0], MEMORY_BYTES), 0);
        fds[1] = dup(fds[0]);
        return 2;
    default:
        break;
    }
    int count = kind == EVENT ? 1 : kind == EVENTS_2 ? 2 : kind == EVENTS_9 ? 9 : 40;
    for (int i = 0; i < count; i++) {
        fds[i] = eventfd(0, EFD_CLOEXEC);
        CHECK(fds[i] >= 0);
    }
    return count;
}

/* One message of the table as it goes out. */
static void send_row(int socket, const struct vhost_user_message *row, enum fds kind) {
    struct vhost_user_message message = *row;
    int fds[64] = {0};
    int count = fds_of(kind, fds);
    CHECK(peer_send_message(socket, &message, fds,
                            (uint32_t)(kind == PIPE || kind == MEMORY ? 1 : count)));
    if (message.size_bytes > sizeof(message.payload)) { /* what it claims, or a good part of it */
        static const uint8_t more[8192];
        (void)peer_send(socket, more, sizeof(more), NULL, 0);
    }
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

#define REGION(guest, size, user, offset) \
    { (guest), (size), (user), (offset) }

#define OUTSIDE   "a memory region is empty, beyond the end of memory, or over another"
#define TOO_SMALL "a memory region's file is smaller than the region"

static const struct row {
    struct vhost_user_message message;
    enum fds fds;
    const char *complaint; /* "": it was not read as a message */
} rows[] = {
    /* headers */
    {{.request = VHOST_USER_GET_FEATURES, .flags = 2}, NO_FD, ""},
    {{.request = VHOST_USER_GET_FEATURES, .flags = 1, .size_bytes = UINT32_MAX}, NO_FD, ""},
    {{.request = VHOST_USER_GET_FEATURES, .flags = 1, .size_bytes = 400}, NO_FD, ""},
    {{.request = VHOST_USER_GET_FEATURES, .flags = 1}, EVENTS_9, ""},
    {{.request = VHOST_USER_GET_FEATURES, .flags = 1}, EVENTS_40, ""},
    {{.request = 0, .flags = 1}, NO_FD, "message 0, which this device does not know"},
    {{.request = 77, .flags = 1}, EVENT, "message 77, which this device does not know"},
    {{.request = UINT32_MAX, .flags = 1},
     NO_FD,
     "message 4294967295, which this device does not know"},
    /* sizes */
    {{.request = VHOST_USER_SET_FEATURES, .flags = 1, .size_bytes = 4},
     NO_FD,
     "SET_FEATURES with 4 bytes, not 8"},
    {{.request = VHOST_USER_SET_PROTOCOL_FEATURES, .flags = 1, .size_bytes = 0},
     NO_FD,
     "SET_PROTOCOL_FEATURES with 0 bytes, not 8"},
    {{.request = VHOST_USER_SET_VRING_NUM, .flags = 1, .size_bytes = 4},
     NO_FD,
     "SET_VRING_NUM with 4 bytes, not 8"},
    {{.request = VHOST_USER_SET_VRING_ADDR, .flags = 1, .size_bytes = 39},
     NO_FD,
     "SET_VRING_ADDR with 39 bytes, not 40"},
    {{.request = VHOST_USER_SET_VRING_KICK, .flags = 1, .size_bytes = 4},
     EVENT,
     "SET_VRING_KICK with 4 bytes, not 8"},
    {{.request = VHOST_USER_GET_VRING_BASE, .flags = 1, .size_bytes = 9},
     NO_FD,
     "GET_VRING_BASE with 9 bytes, not 8"},
    {{.request = VHOST_USER_GET_CONFIG, .flags = 1, .size_bytes = 11},
     NO_FD,
     "GET_CONFIG with 11 bytes, not 12"},
    {{.request = VHOST_USER_GET_CONFIG,
      .flags = 1,
      .size_bytes = 12,
      .payload.config = {.size_bytes = 257}},
     NO_FD,
     "GET_CONFIG of 257 bytes, not up to 256"},
    {{.request = VHOST_USER_GET_CONFIG,
      .flags = 1,
      .size_bytes = 20,
      .payload.config = {.size_bytes = 60}},
     NO_FD,
     "GET_CONFIG with 20 bytes, not 72"},
    /* rings that do not exist */
    {{.request = VHOST_USER_SET_VRING_NUM,
      .flags = 1,
      .size_bytes = 8,
      .payload.state = {.index = 1, .number = 8}},
     NO_FD,
     "SET_VRING_NUM for ring 1, which does not exist"},
    {{.request = VHOST_USER_SET_VRING_ENABLE,
      .flags = 1,
      .size_bytes = 8,
      .payload.state = {.index = UINT32_MAX}},
     NO_FD,
     "SET_VRING_ENABLE for ring 4294967295, which does not exist"},
    {{.request = VHOST_USER_GET_VRING_BASE,
      .flags = 1,
      .size_bytes = 8,
      .payload.state = {.index = 4}},
     NO_FD,
     "GET_VRING_BASE for ring 4, which does not exist"},
    {{.request = VHOST_USER_SET_VRING_ADDR,
      .flags = 1,
      .size_bytes = 40,
      .payload.address = {.index = 99}},
     NO_FD,
     "SET_VRING_ADDR for ring 99, which does not exist"},
    {{.request = VHOST_USER_SET_VRING_CALL, .flags = 1, .size_bytes = 8, .payload.number = 200},
     EVENT,
     "SET_VRING_CALL for ring 200, which does not exist"},
    /* descriptors */
    {{.request = VHOST_USER_SET_VRING_KICK, .flags = 1, .size_bytes = 8},
     NO_FD,
     "SET_VRING_KICK without its eventfd, or with something else"},
    {{.request = VHOST_USER_SET_VRING_KICK, .flags = 1, .size_bytes = 8},
     PIPE,
     "SET_VRING_KICK without its eventfd, or with something else"},
    {{.request = VHOST_USER_SET_VRING_CALL, .flags = 1, .size_bytes = 8},
     EVENTS_2,
     "SET_VRING_CALL without its eventfd, or with something else"},
    {{.request = VHOST_USER_SET_VRING_ERR, .flags = 1, .size_bytes = 8},
     MEMORY,
     "SET_VRING_ERR without its eventfd, or with something else"},
    {{.request = VHOST_USER_SET_VRING_CALL, .flags = 1, .size_bytes = 8, .payload.number = 0x100},
     EVENT,
     "SET_VRING_CALL without its eventfd, or with something else"},
    /* the protocol's features */
    {{.request = VHOST_USER_SET_PROTOCOL_FEATURES,
      .flags = 1,
      .size_bytes = 8,
      .payload.number = UINT64_MAX},
     NO_FD,
     "protocol features 0xfffffffffffffdf6, which were not offered"},
    /* memory */
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, MEMORY_BYTES, 0, 0)}}},
     NO_FD,
     "SET_MEM_TABLE with 1 regions, 0 descriptors and 40 bytes"},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 8,
      .payload.memory = {.count = 1, .regions = {REGION(0, MEMORY_BYTES, 0, 0)}}},
     MEMORY,
     "SET_MEM_TABLE with 1 regions, 1 descriptors and 8 bytes"},
    {{.request = VHOST_USER_SET_MEM_TABLE, .flags = 1, .size_bytes = 8},
     MEMORY,
     "SET_MEM_TABLE with 0 regions, 1 descriptors and 8 bytes"},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 264,
      .payload.memory = {.count = UINT32_MAX}},
     MEMORY,
     "SET_MEM_TABLE with 4294967295 regions, 1 descriptors and 264 bytes"},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 72,
      .payload.memory = {.count = 2,
                         .regions = {REGION(0, MANY, 0, 0), REGION(MANY, MANY, MANY, 0)}}},
     MEMORY,
     "SET_MEM_TABLE with 2 regions, 1 descriptors and 72 bytes"},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 72,
      .payload.memory = {.count = 2, .regions = {REGION(0, MANY, 0, 0), REGION(1, MANY, MANY, 0)}}},
     MEMORIES_2,
     OUTSIDE},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 72,
      .payload.memory = {.count = 2, .regions = {REGION(0, MANY, 0, 0), REGION(MANY, MANY, 1, 0)}}},
     MEMORIES_2,
     OUTSIDE},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, 0, 0, 0)}}},
     MEMORY,
     OUTSIDE},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(UINT64_MAX - 1, MANY, 0, 0)}}},
     MEMORY,
     OUTSIDE},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, MANY, UINT64_MAX - 1, 0)}}},
     MEMORY,
     OUTSIDE},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, MANY, 0, UINT64_MAX - 1)}}},
     MEMORY,
     OUTSIDE},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, MEMORY_BYTES + 1, 0, 0)}}},
     MEMORY,
     TOO_SMALL},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, MANY, 0, MEMORY_BYTES)}}},
     MEMORY,
     TOO_SMALL},
    {{.request = VHOST_USER_SET_MEM_TABLE,
      .flags = 1,
      .size_bytes = 40,
      .payload.memory = {.count = 1, .regions = {REGION(0, MANY, 0, 0)}}},
     EVENT,
     TOO_SMALL},
};

/* A good session, with data, after whatever was before. */
static void check_works(const char *path) {
    struct client *client = client_start(path, LIMIT_MS);
    client_read(client, 0, 17, 512);
    client_kick(client);
    client_wait(client, 0, LIMIT_MS);
    uint64_t number;
    memcpy(&number, client->jobs[0].buffer, sizeof(number));
    CHECK_EQ(number, 17);
    client_end(client);
}

static void check_complaint(uint32_t row, int expected) {
    char complaint[200];
    int error = served_take_complaint(complaint, sizeof(complaint));
    if (strcmp(complaint, rows[row].complaint) != 0 || error != expected)
        test_fail(__FILE__, __LINE__, "row %u, request %u: \"%s\", and error %d", row,
                  rows[row].message.request, complaint, error);
}

TEST_CASE(hostile_front, each_senseless_message_ends_the_session_and_nothing_else) {
    const char *path = served_start(NULL, 1, 0);
    uint32_t before = peer_descriptors();
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        int socket = peer_connect(path);
        send_row(socket, &rows[i].message, rows[i].fds);
        peer_await_end(socket);
        close(socket);
        check_complaint(i, -ASH_EBADMSG);
        if (i % 8 == 0)
            check_works(path);
    }
    check_works(path);
    CHECK_EQ(peer_descriptors(), before);
    served_end();
    CHECK_STR_EQ(served_complaint(), "");
    CHECK_STR_EQ(served_violation(), "");
}

static void ask_for_replies(int socket) {
    struct vhost_user_message message = {.request = VHOST_USER_SET_PROTOCOL_FEATURES,
                                         .flags = VHOST_USER_VERSION,
                                         .size_bytes = sizeof(uint64_t),
                                         .payload.number = VHOST_USER_PROTOCOL_REPLY_ACK};
    CHECK(peer_send_message(socket, &message, NULL, 0));
}

TEST_CASE(hostile_front, senseless_message_is_refused_where_a_reply_is_wanted) {
    const char *path = served_start(NULL, 1, 0);
    int socket = peer_connect(path);
    ask_for_replies(socket);
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct vhost_user_message message = rows[i].message, reply;
        bool is_question = message.request == VHOST_USER_GET_FEATURES ||
                           message.request == VHOST_USER_GET_CONFIG ||
                           message.request == VHOST_USER_GET_VRING_BASE;
        if (is_question || message.flags != VHOST_USER_VERSION)
            continue;
        message.flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY;
        send_row(socket, &message, rows[i].fds);
        CHECK_EQ(vhost_user_receive(socket, &reply, vhost_user_now_ms() + LIMIT_MS), 0);
        CHECK_EQ(reply.request, message.request);
        CHECK_EQ(reply.flags, VHOST_USER_VERSION | VHOST_USER_REPLY);
        CHECK_EQ(reply.payload.number, 1);
        check_complaint(i, 0);
    }
    close(socket);
    check_works(path);
    served_end();
}

TEST_CASE(hostile_front, message_that_stops_in_its_middle_is_waited_for_in_vain_and_not_for_long) {
    const char *path = served_start(NULL, 1, 0);
    static const uint32_t header[3] = {VHOST_USER_SET_FEATURES, VHOST_USER_VERSION, 8};
    for (size_t len = 1; len <= sizeof(header); len++) {
        int socket = peer_connect(path);
        CHECK(peer_send(socket, header, len, NULL, 0));
        if (len > 4) /* else hung up on */
            peer_await_end(socket);
        close(socket);
    }
    check_works(path);
    served_end();
}

TEST_CASE(hostile_front, config_beyond_its_end_is_answered_with_nothing) {
    const char *path = served_start(NULL, 1, 0);
    int socket = peer_connect(path);
    struct vhost_user_message reply,
        message = {.request = VHOST_USER_GET_CONFIG,
                   .flags = VHOST_USER_VERSION,
                   .size_bytes = VHOST_USER_CONFIG_HEADER_BYTES + 8,
                   .payload.config = {.offset = UINT32_MAX, .size_bytes = 8}};
    CHECK(peer_send_message(socket, &message, NULL, 0));
    CHECK_EQ(vhost_user_receive(socket, &reply, vhost_user_now_ms() + LIMIT_MS), 0);
    CHECK_EQ(reply.size_bytes, 0);
    close(socket);
    served_end();
}

TEST_CASE(hostile_front, garbage_harms_nobody) {
    const char *path = served_start(NULL, 1, 0);
    struct test_random random = test_random_from(test_seed());
    uint32_t before = peer_descriptors();
    for (uint32_t round = 0; round < 100; round++) {
        uint8_t bytes[64];
        int socket = peer_connect(path);
        for (size_t i = 0; i < sizeof(bytes); i++)
            bytes[i] = (uint8_t)test_random_u64(&random);
        /* Half of them look like a message up to their payload. */
        if (test_random_chance(&random, 50))
            memcpy(bytes, (const uint32_t[3]){(uint32_t)test_random_below(&random, 42), 1, 8}, 12);
        (void)peer_send(socket, bytes, sizeof(bytes), NULL, 0);
        shutdown(socket, SHUT_WR);
        peer_await_end(socket);
        close(socket);
    }
    check_works(path);
    CHECK_EQ(peer_descriptors(), before);
    served_end();
}

/* Messages that are well made, in any order, with numbers that are right, nearly right or wild,
 * over a memory full of anything: what a front end that has lost its mind would do. */

struct fuzz {
    struct test_random random;
    int socket, memory_fd, kicks[2];
    uint8_t *memory;
};

static uint64_t some_number(struct fuzz *fuzz, uint64_t usual) {
    static const uint64_t odd[] = {0, 1, 2, 255, 256, 4096, UINT32_MAX, UINT64_MAX, 1 << 15};
    if (test_random_chance(&fuzz->random, 85))
        return test_random_below(&fuzz->random, usual + 1);
    return odd[test_random_below(&fuzz->random, ASH_ARRAY_LEN(odd))];
}

static void fill_memory(struct fuzz *fuzz) {
    for (size_t i = 0; i < MEMORY_BYTES; i += sizeof(uint16_t)) {
        uint16_t word = (uint16_t)some_number(fuzz, 16);
        memcpy(fuzz->memory + i, &word, sizeof(word));
    }
}

static void fill_payload(struct fuzz *fuzz, struct vhost_user_message *message, int *fd) {
    switch (message->request) {
    case VHOST_USER_SET_MEM_TABLE:
        message->size_bytes = 40;
        message->payload.memory =
            (struct vhost_user_memory){.count = 1, .regions = {REGION(0, MEMORY_BYTES, 0, 0)}};
        *fd = fuzz->memory_fd;
        break;
    case VHOST_USER_SET_VRING_ADDR:
        message->size_bytes = 40;
        message->payload.address =
            (struct vhost_user_vring_address){.index = (uint32_t)some_number(fuzz, 1),
                                              .descriptor = 16 * some_number(fuzz, 512),
                                              .available = 2 * some_number(fuzz, 4096),
                                              .used = 4 * some_number(fuzz, 2048)};
        break;
    case VHOST_USER_SET_VRING_KICK:
        message->size_bytes = 8;
        message->payload.number = test_random_below(&fuzz->random, 2);
        *fd = fuzz->kicks[message->payload.number];
        break;
    case VHOST_USER_SET_FEATURES:
        message->size_bytes = 8;
        message->payload.number = VHOST_USER_F_PROTOCOL_FEATURES | ASH_VIRTIO_F_VERSION_1 |
                                  test_random_below(&fuzz->random, 4) << 28;
        break;
    default:
        message->size_bytes = 8;
        message->payload.state = (struct vhost_user_vring_state){
            (uint32_t)some_number(fuzz, 1), (uint32_t)(1u << test_random_below(&fuzz->random, 5))};
        if (message->request == VHOST_USER_SET_VRING_BASE && test_random_chance(&fuzz->random, 90))
            message->payload.state.number = 0;
        break;
    }
}

static void send_any(struct fuzz *fuzz) {
    static const uint32_t requests[] = {VHOST_USER_SET_FEATURES,     VHOST_USER_SET_MEM_TABLE,
                                        VHOST_USER_SET_VRING_NUM,    VHOST_USER_SET_VRING_ADDR,
                                        VHOST_USER_SET_VRING_BASE,   VHOST_USER_SET_VRING_KICK,
                                        VHOST_USER_SET_VRING_ENABLE, VHOST_USER_GET_VRING_BASE};
    static const uint64_t one = 1;
    struct vhost_user_message reply,
        message = {.request = requests[test_random_below(&fuzz->random, ASH_ARRAY_LEN(requests))],
                   .flags = VHOST_USER_VERSION | VHOST_USER_NEED_REPLY};
    int fd = -1;
    if (test_random_chance(&fuzz->random, 10))
        fill_memory(fuzz);
    fill_payload(fuzz, &message, &fd);
    (void)!write(fuzz->kicks[test_random_below(&fuzz->random, 2)], &one, sizeof(one));
    if (peer_send_message(fuzz->socket, &message, &fd, fd >= 0) &&
        vhost_user_receive(fuzz->socket, &reply, vhost_user_now_ms() + LIMIT_MS) == 0)
        return;
    /* A question without sense ended the session. */
    peer_await_end(fuzz->socket);
    close(fuzz->socket);
    fuzz->socket = -1;
}

TEST_CASE(hostile_front, any_order_of_messages_over_any_memory_harms_nobody) {
    const char *path = served_start(NULL, 2, 0);
    struct fuzz fuzz = {.random = test_random_from(test_seed()), .socket = -1};
    fuzz.memory_fd = memfd_create("peer", MFD_CLOEXEC);
    CHECK_EQ(ftruncate(fuzz.memory_fd, MEMORY_BYTES), 0);
    fuzz.memory = mmap(NULL, MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fuzz.memory_fd, 0);
    CHECK(fuzz.memory != MAP_FAILED);
    for (uint32_t i = 0; i < 2; i++)
        fuzz.kicks[i] = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    for (uint32_t round = 0; round < 3000; round++) {
        if (fuzz.socket < 0) {
            fuzz.socket = peer_connect(path);
            ask_for_replies(fuzz.socket);
        }
        send_any(&fuzz);
    }
    if (fuzz.socket >= 0)
        close(fuzz.socket);
    munmap(fuzz.memory, MEMORY_BYTES);
    close(fuzz.memory_fd);
    close(fuzz.kicks[0]);
    close(fuzz.kicks[1]);
    CHECK(served_starts() > 0);
    check_works(path);
    served_end();
}
