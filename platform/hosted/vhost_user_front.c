/* SPDX-License-Identifier: MIT */
/* vhost_user_front.c: the registers of a virtio device as messages to the process that is it. */
#include "hosted/vhost_user_front.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    TIMEOUT_DEFAULT_MS = 2000,
    CONNECT_PAUSE_MS = 1,
    DRIVER_OK = 4, /* virtio 1.2, 2.1 */
    FEATURES_OK = 8,
    NEEDS_RESET = 64,
    INTERRUPT_USED = 1,
    INTERRUPT_CONFIG = 2,
};

#define RING_PACKED (UINT64_C(1) << 34) /* virtio 1.2, 6 */

/* Talking */

static void hang_up(struct vhost_front *front) {
    if (front->socket >= 0)
        close(front->socket);
    front->socket = -1;
    front->is_hanging_up = false;
}

/* The first failure stays, until a reset. The device is spoken to no more, but stays connected: its
 * hanging up tells when it is done with the memory. */
static void fail(struct vhost_front *front, const char *failure) {
    if (front->failure == NULL)
        front->failure = failure;
}

static void fail_by(struct vhost_front *front, int error) {
    fail(front, error == -ASH_EPIPE       ? "the device hung up"
                : error == -ASH_ETIMEDOUT ? "the device does not answer"
                : error == -ASH_EBADMSG   ? "the device sent what is no vhost-user message"
                                          : "the socket to the device failed");
    if (error == -ASH_EPIPE)
        hang_up(front);
}

static uint64_t deadline(const struct vhost_front *front) {
    return vhost_user_now_ms() + front->config.timeout_ms;
}

static bool send_message(struct vhost_front *front, struct vhost_user_message *message) {
    if (front->socket < 0 || front->failure != NULL)
        return false;
    message->flags |= VHOST_USER_VERSION;
    int error = vhost_user_send(front->socket, message, deadline(front));
    if (error != 0)
        fail_by(front, error);
    return error == 0;
}

/* The answer to `request`, with a payload of this size; anything else is a failure. */
static bool receive_reply(struct vhost_front *front, uint32_t request, uint32_t size_bytes,
                          struct vhost_user_message *reply) {
    int error = vhost_user_receive(front->socket, reply, deadline(front));
    if (error != 0) {
        fail_by(front, error);
        return false;
    }
    vhost_user_close_fds(reply); /* no answer that is asked for here has any */
    if (reply->request != request || (reply->flags & VHOST_USER_REPLY) == 0 ||
        reply->size_bytes != size_bytes) {
        fail(front, "the device's answer does not fit the question");
        return false;
    }
    return true;
}

/* A message that asks for nothing. With REPLY_ACK the device says how it went. */
static bool tell(struct vhost_front *front, struct vhost_user_message *message) {
    bool acknowledged = (front->protocol & VHOST_USER_PROTOCOL_REPLY_ACK) != 0;
    struct vhost_user_message reply;
    message->flags = acknowledged ? (uint32_t)VHOST_USER_NEED_REPLY : 0;
    if (!send_message(front, message))
        return false;
    if (!acknowledged)
        return true;
    if (!receive_reply(front, message->request, sizeof(reply.payload.number), &reply))
        return false;
    if (reply.payload.number != 0)
        fail(front, "the device refused a message");
    return reply.payload.number == 0;
}

static bool tell_number(struct vhost_front *front, enum vhost_user_request request,
                        uint64_t number) {
    struct vhost_user_message message = {
        .request = request, .size_bytes = sizeof(uint64_t), .payload.number = number};
    return tell(front, &message);
}

static bool tell_state(struct vhost_front *front, enum vhost_user_request request, uint32_t index,
                       uint32_t number) {
    struct vhost_user_message message = {.request = request,
                                         .size_bytes = sizeof(struct vhost_user_vring_state),
                                         .payload.state = {index, number}};
    return tell(front, &message);
}

static bool ask_number(struct vhost_front *front, enum vhost_user_request request,
                       uint64_t *number) {
    struct vhost_user_message message = {.request = request}, reply;
    if (!send_message(front, &message) ||
        !receive_reply(front, request, sizeof(reply.payload.number), &reply))
        return false;
    *number = reply.payload.number;
    return true;
}

/* Connecting */

static int open_socket(const struct vhost_front *front) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    memcpy(address.sun_path, front->config.path, strlen(front->config.path));
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    uint64_t until = deadline(front);
    /* EAGAIN: its queue of callers is full. */
    while (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) != 0) {
        if ((errno == EAGAIN || errno == EINTR) && vhost_user_now_ms() < until) {
            poll(NULL, 0, CONNECT_PAUSE_MS);
            continue;
        }
        close(fd);
        fd = -1;
    }
    return fd;
}

/* 0, -ASH_ENOTSUP, or -ASH_EIO. */
static int greet(struct vhost_front *front) {
    const uint64_t wanted =
        VHOST_USER_PROTOCOL_CONFIG | VHOST_USER_PROTOCOL_REPLY_ACK | VHOST_USER_PROTOCOL_MQ;
    struct vhost_user_message owner = {.request = VHOST_USER_SET_OWNER};
    uint64_t offered = 0, queues = 1;
    if (!tell(front, &owner) || !ask_number(front, VHOST_USER_GET_FEATURES, &front->features))
        return -ASH_EIO;
    if ((front->features & VHOST_USER_F_PROTOCOL_FEATURES) != 0 &&
        !ask_number(front, VHOST_USER_GET_PROTOCOL_FEATURES, &offered))
        return -ASH_EIO;
    if ((offered & VHOST_USER_PROTOCOL_CONFIG) == 0) {
        fail(front, "the device has no configuration space (it does not offer CONFIG)");
        return -ASH_ENOTSUP;
    }
    if (!tell_number(front, VHOST_USER_SET_PROTOCOL_FEATURES, offered & wanted))
        return -ASH_EIO;
    front->protocol = offered & wanted;
    if ((front->protocol & VHOST_USER_PROTOCOL_MQ) != 0 &&
        !ask_number(front, VHOST_USER_GET_QUEUE_NUM, &queues))
        return -ASH_EIO;
    front->queue_count = (uint32_t)ash_min_u64(queues, VHOST_FRONT_QUEUES_MAX);
    return 0;
}

/* A new conversation; what failed before is forgotten. */
static int connect_device(struct vhost_front *front) {
    front->failure = NULL;
    front->failure_told = false;
    front->features = front->protocol = 0;
    front->queue_count = 0;
    front->socket = open_socket(front);
    if (front->socket >= 0)
        return greet(front);
    fail(front, "nobody listens at the device's socket");
    return -ASH_ENODEV;
}

/* Memory */

static bool make_memory(struct vhost_front *front) {
    uint64_t bytes = front->config.memory_bytes;
    front->memory_fd = memfd_create("virtio", MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (front->memory_fd < 0)
        return false;
    /* Sealed: a device that shrinks the file would make the driver's next access a SIGBUS. */
    void *memory = MAP_FAILED;
    if (ftruncate(front->memory_fd, (off_t)bytes) == 0 &&
        fcntl(front->memory_fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, front->memory_fd, 0);
    if (memory == MAP_FAILED) {
        close(front->memory_fd);
        return false;
    }
    front->memory = memory;
    return true;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

static void forget_queues(struct vhost_front *front) {
    for (uint32_t i = 0; i < VHOST_FRONT_QUEUES_MAX; i++) {
        struct vhost_front_queue *queue = &front->queues[i];
        close_fd(&queue->kick);
        close_fd(&queue->call);
        close_fd(&queue->error);
        queue->is_set_up = queue->is_running = false;
    }
}

int vhost_front_open(struct vhost_front *front, const struct vhost_front_config *config,
                     const char **reason) {
    memset(front, 0, sizeof(*front));
    front->config = *config;
    front->socket = -1;
    for (uint32_t i = 0; i < VHOST_FRONT_QUEUES_MAX; i++)
        front->queues[i].kick = front->queues[i].call = front->queues[i].error = -1;
    if (config->timeout_ms == 0)
        front->config.timeout_ms = TIMEOUT_DEFAULT_MS;
    *reason = "no path, or too long a one; memory of no whole pages; or too large a configuration";
    if (config->path == NULL || config->path[0] == '\0' ||
        strlen(config->path) >= sizeof(((struct sockaddr_un *)0)->sun_path) ||
        config->memory_bytes == 0 || !ash_is_aligned(config->memory_bytes, ASH_PAGE_SIZE) ||
        config->memory_bytes > UINT64_C(1) << 40 || config->config_bytes == 0 ||
        config->config_bytes > VHOST_USER_CONFIG_BYTES_MAX)
        return -ASH_EINVAL;
    *reason = "no shared memory of this size";
    if (!make_memory(front))
        return -ASH_ENOMEM;
    int error = connect_device(front);
    *reason = vhost_front_failure(front);
    if (error != 0)
        vhost_front_close(front);
    return error;
}

void vhost_front_close(struct vhost_front *front) {
    hang_up(front);
    forget_queues(front);
    munmap(front->memory, front->config.memory_bytes);
    close(front->memory_fd);
}

ash_paddr_t vhost_front_address(const struct vhost_front *front, const void *pointer, size_t len) {
    uint64_t offset = (uint64_t)((uintptr_t)pointer - (uintptr_t)front->memory);
    return ash_range_fits(offset, len, front->config.memory_bytes) ? VHOST_FRONT_GUEST_BASE + offset
                                                                   : VHOST_FRONT_NO_ADDRESS;
}

/* Status */

/* Looks whether the device is still there: it never speaks unasked, so what can be read is its
 * end, or nonsense. */
static void look_at_socket(struct vhost_front *front) {
    char byte;
    if (front->socket < 0 || front->failure != NULL)
        return;
    ssize_t got = recv(front->socket, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    if (got > 0)
        fail(front, "the device speaks without being asked");
    else if (got == 0 || (errno != EAGAIN && errno != EINTR))
        fail_by(front, -ASH_EPIPE);
}

static bool is_signalled(int fd) {
    uint64_t count;
    return fd >= 0 && read(fd, &count, sizeof(count)) == sizeof(count);
}

static void look_at_device(struct vhost_front *front) {
    look_at_socket(front);
    for (uint32_t i = 0; i < front->queue_count; i++) {
        if (is_signalled(front->queues[i].error))
            fail(front, "the device met an error in a queue and stopped");
    }
}

/* The device hangs up after it has finished, or dropped, all requests and let go of the memory:
 * its silence before that says nothing. What it still sends is thrown away. */
static void await_end(struct vhost_front *front, uint64_t until) {
    while (front->is_hanging_up) {
        char bytes[256];
        ssize_t got = recv(front->socket, bytes, sizeof(bytes), MSG_DONTWAIT);
        if (got == 0 || (got < 0 && errno != EAGAIN && errno != EINTR)) {
            hang_up(front);
            return;
        }
        uint64_t now = vhost_user_now_ms();
        if (now >= until)
            return;
        struct pollfd poller = {.fd = front->socket, .events = POLLIN};
        poll(&poller, 1, (int)(until - now));
    }
}

/* Politely: a device that cannot answer this will not hang up either. */
static void stop_rings(struct vhost_front *front) {
    for (uint32_t i = 0; i < VHOST_FRONT_QUEUES_MAX; i++) {
        struct vhost_user_message message = {.request = VHOST_USER_GET_VRING_BASE,
                                             .size_bytes = sizeof(message.payload.state),
                                             .payload.state = {i, 0}};
        struct vhost_user_message reply;
        if (front->queues[i].is_running && send_message(front, &message))
            (void)receive_reply(front, message.request, sizeof(reply.payload.state), &reply);
    }
}

static void reset(struct vhost_front *front) {
    if (front->status == 0 && front->failure == NULL && !front->is_hanging_up)
        return; /* the device was told nothing since it was connected */
    stop_rings(front);
    forget_queues(front);
    front->status = 0;
    front->accepted = 0;
    front->failure = NULL;
    if (front->socket < 0)
        return;
    shutdown(front->socket, SHUT_WR);
    front->is_hanging_up = true;
    await_end(front, deadline(front));
}

/* Starting */

static bool tell_memory(struct vhost_front *front) {
    struct vhost_user_message message = {
        .request = VHOST_USER_SET_MEM_TABLE,
        .size_bytes = VHOST_USER_MEMORY_HEADER_BYTES + sizeof(struct vhost_user_region),
        .payload.memory = {.count = 1,
                           .regions[0] = {.guest_address = VHOST_FRONT_GUEST_BASE,
                                          .size_bytes = front->config.memory_bytes,
                                          .user_address = (uintptr_t)front->memory}},
        .fds[0] = front->memory_fd,
        .fd_count = 1};
    return tell(front, &message);
}

static bool tell_fd(struct vhost_front *front, enum vhost_user_request request, uint32_t index,
                    int *fd) {
    *fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (*fd < 0) {
        fail(front, "no descriptor is left for an eventfd");
        return false;
    }
    struct vhost_user_message message = {.request = request,
                                         .size_bytes = sizeof(uint64_t),
                                         .payload.number = index,
                                         .fds[0] = *fd,
                                         .fd_count = 1};
    return tell(front, &message);
}

/* Where this process has it: rings are named so, buffers by guest addresses. */
static uint64_t user_address(const struct vhost_front *front, uint64_t guest_address) {
    return (uintptr_t)front->memory + (guest_address - VHOST_FRONT_GUEST_BASE);
}

static bool tell_addresses(struct vhost_front *front, uint32_t index) {
    const struct vhost_front_queue *queue = &front->queues[index];
    struct vhost_user_message message = {
        .request = VHOST_USER_SET_VRING_ADDR,
        .size_bytes = sizeof(struct vhost_user_vring_address),
        .payload.address = {.index = index,
                            .descriptor = user_address(front, queue->desc),
                            .used = user_address(front, queue->used),
                            .available = user_address(front, queue->avail)}};
    return tell(front, &message);
}

/* The kick comes last: with it the ring is started. */
static bool start_queue(struct vhost_front *front, uint32_t index) {
    struct vhost_front_queue *queue = &front->queues[index];
    uint32_t base =
        (front->accepted & RING_PACKED) != 0 ? VHOST_USER_BASE_PACKED : VHOST_USER_BASE_SPLIT;
    queue->is_running = tell_state(front, VHOST_USER_SET_VRING_NUM, index, queue->size) &&
                        tell_state(front, VHOST_USER_SET_VRING_BASE, index, base) &&
                        tell_addresses(front, index) &&
                        tell_fd(front, VHOST_USER_SET_VRING_ERR, index, &queue->error) &&
                        tell_fd(front, VHOST_USER_SET_VRING_CALL, index, &queue->call) &&
                        tell_fd(front, VHOST_USER_SET_VRING_KICK, index, &queue->kick);
    return queue->is_running;
}

static void start(struct vhost_front *front) {
    bool good = tell_memory(front);
    for (uint32_t i = 0; good && i < front->queue_count; i++)
        good = !front->queues[i].is_set_up || start_queue(front, i);
    for (uint32_t i = 0; good && i < front->queue_count; i++)
        good = !front->queues[i].is_running || tell_state(front, VHOST_USER_SET_VRING_ENABLE, i, 1);
}

/* Registers */

uint32_t vhost_front_status(struct vhost_front *front) {
    if (front->status == 0) {
        await_end(front, 0);
        return front->is_hanging_up ? NEEDS_RESET : 0;
    }
    look_at_device(front);
    return front->status | (front->failure != NULL ? (uint32_t)NEEDS_RESET : 0);
}

void vhost_front_set_status(struct vhost_front *front, uint32_t status) {
    if (status == 0) {
        reset(front);
        return;
    }
    if (front->is_hanging_up)
        fail(front, "the device has not finished its reset");
    else if (front->socket < 0 && front->status == 0)
        (void)connect_device(front); /* Status says how it went */
    uint32_t added = status & ~front->status;
    if ((added & FEATURES_OK) != 0 &&
        !tell_number(front, VHOST_USER_SET_FEATURES,
                     front->accepted | VHOST_USER_F_PROTOCOL_FEATURES))
        status &= ~(uint32_t)FEATURES_OK;
    front->status = status & ~(uint32_t)NEEDS_RESET;
    if ((added & DRIVER_OK) != 0)
        start(front);
}

uint64_t vhost_front_features(struct vhost_front *front) {
    return front->features & ~VHOST_USER_F_PROTOCOL_FEATURES;
}

void vhost_front_set_features(struct vhost_front *front, uint64_t features) {
    front->accepted = features & ~VHOST_USER_F_PROTOCOL_FEATURES;
}

uint32_t vhost_front_queue_size_max(const struct vhost_front *front, uint32_t queue) {
    return queue < front->queue_count ? VHOST_FRONT_QUEUE_SIZE_MAX : 0;
}

static bool is_inside(const struct vhost_front *front, ash_paddr_t address) {
    return address >= VHOST_FRONT_GUEST_BASE &&
           address - VHOST_FRONT_GUEST_BASE < front->config.memory_bytes;
}

int vhost_front_queue_setup(struct vhost_front *front, uint32_t queue, uint32_t size,
                            ash_paddr_t desc, ash_paddr_t avail, ash_paddr_t used) {
    if (queue >= front->queue_count || size == 0 || size > VHOST_FRONT_QUEUE_SIZE_MAX ||
        !is_inside(front, desc) || !is_inside(front, avail) || !is_inside(front, used))
        return -ASH_EINVAL;
    if (front->queues[queue].is_set_up)
        return -ASH_EBUSY;
    front->queues[queue].is_set_up = true;
    front->queues[queue].size = size;
    front->queues[queue].desc = desc;
    front->queues[queue].avail = avail;
    front->queues[queue].used = used;
    return 0;
}

void vhost_front_notify(struct vhost_front *front, uint32_t queue) {
    static const uint64_t one = 1;
    if (queue >= VHOST_FRONT_QUEUES_MAX || front->queues[queue].kick < 0)
        return;
    /* What does not fit was notified 2^64 times already. */
    ssize_t written = write(front->queues[queue].kick, &one, sizeof(one));
    (void)written;
}

uint32_t vhost_front_interrupt_ack(struct vhost_front *front) {
    uint32_t pending = 0;
    for (uint32_t i = 0; i < VHOST_FRONT_QUEUES_MAX; i++) {
        if (is_signalled(front->queues[i].call))
            pending |= INTERRUPT_USED;
    }
    look_at_device(front);
    if (front->failure != NULL && !front->failure_told) {
        front->failure_told = true;
        pending |= INTERRUPT_CONFIG;
    }
    return pending;
}

uint32_t vhost_front_config_generation(struct vhost_front *front) {
    uint32_t bytes = front->config.config_bytes;
    struct vhost_user_message message = {.request = VHOST_USER_GET_CONFIG,
                                         .size_bytes = VHOST_USER_CONFIG_HEADER_BYTES + bytes,
                                         .payload.config.size_bytes = bytes};
    struct vhost_user_message reply;
    if (!send_message(front, &message) ||
        !receive_reply(front, message.request, message.size_bytes, &reply))
        return front->generation;
    if (reply.payload.config.size_bytes != bytes || reply.payload.config.offset != 0) {
        fail(front, "the device's answer does not fit the question");
        return front->generation;
    }
    if (memcmp(front->space, reply.payload.config.bytes, bytes) != 0)
        front->generation++;
    memcpy(front->space, reply.payload.config.bytes, bytes);
    return front->generation;
}

uint32_t vhost_front_config_read(const struct vhost_front *front, uint32_t offset,
                                 uint32_t width_bytes) {
    uint32_t value = 0;
    if (width_bytes > sizeof(value) ||
        !ash_range_fits(offset, width_bytes, front->config.config_bytes))
        return 0;
    for (uint32_t i = 0; i < width_bytes; i++)
        value |= (uint32_t)front->space[offset + i] << (8 * i);
    return value;
}

bool vhost_front_wait(struct vhost_front *front, uint32_t timeout_ms) {
    struct pollfd pollers[2 * VHOST_FRONT_QUEUES_MAX + 1];
    nfds_t count = 0;
    if (front->failure != NULL && !front->failure_told)
        return true;
    for (uint32_t i = 0; i < front->queue_count; i++) {
        pollers[count++] = (struct pollfd){.fd = front->queues[i].call, .events = POLLIN};
        pollers[count++] = (struct pollfd){.fd = front->queues[i].error, .events = POLLIN};
    }
    if (front->failure == NULL)
        pollers[count++] = (struct pollfd){.fd = front->socket, .events = POLLIN};
    return poll(pollers, count, (int)ash_min_u64(timeout_ms, 1000000)) > 0;
}

const char *vhost_front_failure(const struct vhost_front *front) {
    return front->failure == NULL ? "" : front->failure;
}
