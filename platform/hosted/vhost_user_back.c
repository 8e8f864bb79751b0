/* SPDX-License-Identifier: MIT */
/* vhost_user_back.c: a session with a front end: messages, memory, rings, kicks and calls. */
#include "hosted/vhost_user_back.h"

#include <ashlar/check.h>
#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TIMEOUT_DEFAULT_MS = 2000,
    STEPS_A_TURN = 256, /* ring actions between two looks at the socket */
    RESET_READS_MAX = 1000,
    SENTENCE_BYTES = 200,
};

static const uint64_t protocol_offered =
    VHOST_USER_PROTOCOL_MQ | VHOST_USER_PROTOCOL_REPLY_ACK | VHOST_USER_PROTOCOL_CONFIG;

/* False, for `return say(...)`: the message makes no sense. */
static bool say(const struct vhost_back *back, const char *format, ...) ASH_PRINTF(2, 3);

static bool say(const struct vhost_back *back, const char *format, ...) {
    char sentence[SENTENCE_BYTES];
    va_list args;
    va_start(args, format);
    vsnprintf(sentence, sizeof(sentence), format, args);
    va_end(args);
    if (back->config.say != NULL)
        back->config.say(back->config.context, sentence);
    return false;
}

static uint64_t deadline(const struct vhost_back *back) {
    return vhost_user_now_ms() + back->config.timeout_ms;
}

static void close_fd(int *fd) {
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

/* Memory */

static void forget_memory(struct vhost_back *back) {
    for (uint32_t i = 0; i < back->region_count; i++)
        munmap(back->regions[i].mapping, back->regions[i].mapping_bytes);
    back->region_count = 0;
    guest_memory_init(back->config.memory);
}

static bool overlaps(const struct vhost_back *back, const struct vhost_user_region *region) {
    for (uint32_t i = 0; i < back->region_count; i++) {
        const struct vhost_back_region *other = &back->regions[i];
        if (region->user_address < other->user_address + other->size_bytes &&
            other->user_address < region->user_address + region->size_bytes)
            return true;
    }
    return false;
}

/* From the file's beginning: an offset need not be one of a page. */
static bool map_region(struct vhost_back *back, const struct vhost_user_region *region, int fd) {
    uint64_t end, bytes;
    struct stat status;
    if (region->size_bytes == 0 || !ash_add_u64(region->user_address, region->size_bytes, &end) ||
        !ash_add_u64(region->file_offset, region->size_bytes, &bytes) || overlaps(back, region))
        return say(back, "a memory region is empty, beyond the end of memory, or over another");
    if (fstat(fd, &status) != 0 || status.st_size < 0 || bytes > (uint64_t)status.st_size)
        return say(back, "a memory region's file is smaller than the region");
    void *mapping = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapping == MAP_FAILED)
        return say(back, "a memory region's file cannot be mapped: %s", strerror(errno));
    back->regions[back->region_count++] = (struct vhost_back_region){
        region->guest_address, region->user_address, region->size_bytes, mapping, bytes};
    if (guest_memory_add(back->config.memory, region->guest_address,
                         (uint8_t *)mapping + region->file_offset, region->size_bytes) != 0)
        return say(back, "a memory region is empty, beyond the end of memory, or over another");
    return true;
}

static bool set_memory(struct vhost_back *back, struct vhost_user_message *message) {
    const struct vhost_user_memory *memory = &message->payload.memory;
    bool good = memory->count <= VHOST_USER_REGIONS_MAX && memory->count == message->fd_count &&
                message->size_bytes == VHOST_USER_MEMORY_HEADER_BYTES +
                                           memory->count * sizeof(struct vhost_user_region);
    forget_memory(back);
    if (!good)
        return say(back, "SET_MEM_TABLE with %u regions, %u descriptors and %u bytes",
                   memory->count, message->fd_count, message->size_bytes);
    for (uint32_t i = 0; good && i < memory->count; i++)
        good = map_region(back, &memory->regions[i], message->fds[i]);
    if (!good)
        forget_memory(back);
    return good;
}

/* The guest's address of what the front end has at this one; the engine checks the extent. */
static bool translate(const struct vhost_back *back, uint64_t user_address, ash_paddr_t *address) {
    for (uint32_t i = 0; i < back->region_count; i++) {
        const struct vhost_back_region *region = &back->regions[i];
        if (user_address >= region->user_address &&
            user_address - region->user_address < region->size_bytes) {
            *address = region->guest_address + (user_address - region->user_address);
            return true;
        }
    }
    return false;
}

/* Signals to the front end */

static void signal_fd(int fd) {
    static const uint64_t one = 1;
    if (fd < 0)
        return;
    ssize_t written = write(fd, &one, sizeof(one)); /* full: it is signalled */
    (void)written;
}

static void on_interrupt(void *context, bool asserted) {
    struct vhost_back *back = context;
    back->interrupt_due = back->interrupt_due || asserted;
}

/* After each step: there is no status register that would keep an interrupt, so it is passed on and
 * acknowledged. The engine has one line for all queues; an interrupt too many is legal. */
static void pass_signals_on(struct vhost_back *back) {
    struct fake_virtio *device = back->config.device;
    bool needs_reset = (device->status & FAKE_VIRTIO_NEEDS_RESET) != 0 && !back->error_told;
    bool used = back->interrupt_due && device->interrupt_status != FAKE_VIRTIO_INTERRUPT_CONFIG;
    for (uint32_t i = 0; i < FAKE_VIRTIO_QUEUES_MAX; i++) {
        if (used)
            signal_fd(back->rings[i].call);
        if (needs_reset)
            signal_fd(back->rings[i].error);
    }
    back->error_told |= needs_reset;
    back->interrupt_due = false;
    fake_virtio_acknowledge(device, device->interrupt_status);
}

/* True: it did something. */
static bool step(struct vhost_back *back) {
    bool moved = fake_virtio_step(back->config.device);
    pass_signals_on(back);
    return moved;
}

/* Starting and stopping: what a driver's register writes would do */

static bool await_reset(struct vhost_back *back) {
    fake_virtio_write_status(back->config.device, 0);
    for (uint32_t reads = 0; reads < RESET_READS_MAX; reads++) {
        if (fake_virtio_read_status(back->config.device) == 0)
            return true;
    }
    return say(back, "the device does not finish its reset");
}

static bool negotiate(struct vhost_back *back) {
    struct fake_virtio *device = back->config.device;
    uint32_t status = FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER | FAKE_VIRTIO_FEATURES_OK;
    uint64_t features = back->accepted & ~VHOST_USER_F_PROTOCOL_FEATURES;
    if (!await_reset(back))
        return false;
    fake_virtio_write_status(device, FAKE_VIRTIO_ACKNOWLEDGE);
    fake_virtio_write_status(device, FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER);
    fake_virtio_write_features(device, 0, (uint32_t)features);
    fake_virtio_write_features(device, 1, (uint32_t)(features >> 32));
    fake_virtio_write_status(device, status);
    if ((fake_virtio_read_status(device) & FAKE_VIRTIO_FEATURES_OK) == 0)
        return say(back, "the device refuses the features 0x%llx", (unsigned long long)features);
    return true;
}

static bool configure_ring(struct vhost_back *back, uint32_t index) {
    struct vhost_back_ring *ring = &back->rings[index];
    struct fake_virtio_queue *queue = fake_virtio_queue(back->config.device, index);
    bool packed = (back->accepted & FAKE_VIRTIO_F_RING_PACKED) != 0;
    if (!ring->has_size || !ring->has_address)
        return true; /* the guest does not use it */
    if (ring->base != (packed ? VHOST_USER_BASE_PACKED : VHOST_USER_BASE_SPLIT))
        return say(back, "ring %u goes on at 0x%x: this device can only start at the beginning",
                   index, ring->base);
    fake_virtio_write_queue_size(back->config.device, queue, ring->size);
    if (!translate(back, ring->desc, &queue->desc) ||
        !translate(back, ring->avail, &queue->avail) || !translate(back, ring->used, &queue->used))
        return say(back, "ring %u is not in the guest's memory", index);
    fake_virtio_write_queue_ready(back->config.device, queue, 1);
    return true;
}

static bool start(struct vhost_back *back) {
    bool good = negotiate(back);
    for (uint32_t i = 0; good && i < back->config.device->type.queue_count; i++)
        good = configure_ring(back, i);
    if (good)
        fake_virtio_write_status(back->config.device, FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER |
                                                          FAKE_VIRTIO_FEATURES_OK |
                                                          FAKE_VIRTIO_DRIVER_OK);
    back->is_running = good;
    back->start_failed = !good;
    back->error_told = false;
    back->starts += good;
    for (uint32_t i = 0; !good && i < FAKE_VIRTIO_QUEUES_MAX; i++)
        signal_fd(back->rings[i].error);
    return good;
}

/* What is in flight is dropped: from the answer on, the memory is the driver's. */
static void stop_ring(struct vhost_back *back, uint32_t index) {
    struct fake_virtio *device = back->config.device;
    struct vhost_back_ring *ring = &back->rings[index];
    bool any_runs = false;
    if (device->queues[index].ready)
        fake_virtio_write_queue_ready(device, &device->queues[index], 0);
    close_fd(&ring->kick);
    close_fd(&ring->call);
    close_fd(&ring->error);
    *ring = (struct vhost_back_ring){.kick = -1, .call = -1, .error = -1};
    for (uint32_t i = 0; i < device->type.queue_count; i++)
        any_runs |= device->queues[i].ready;
    back->start_failed = false;
    back->is_running &= any_runs;
}

/* Messages. Each handler returns whether the message made sense. */

static bool has_size(const struct vhost_back *back, const struct vhost_user_message *message,
                     size_t bytes) {
    if (message->size_bytes == bytes)
        return true;
    return say(back, "%s with %u bytes, not %zu", vhost_user_request_name(message->request),
               message->size_bytes, bytes);
}

static struct vhost_back_ring *ring_of(struct vhost_back *back,
                                       const struct vhost_user_message *message, uint64_t index) {
    if (index < back->config.device->type.queue_count)
        return &back->rings[index];
    say(back, "%s for ring %llu, which does not exist", vhost_user_request_name(message->request),
        (unsigned long long)index);
    return NULL;
}

/* A running ring's place and size are fixed. */
static struct vhost_back_ring *stopped_ring(struct vhost_back *back,
                                            const struct vhost_user_message *message,
                                            uint64_t index) {
    struct vhost_back_ring *ring = ring_of(back, message, index);
    if (ring == NULL || !back->config.device->queues[index].ready)
        return ring;
    say(back, "%s for ring %llu while it runs", vhost_user_request_name(message->request),
        (unsigned long long)index);
    return NULL;
}

static bool set_address(struct vhost_back *back, const struct vhost_user_message *message) {
    const struct vhost_user_vring_address *address = &message->payload.address;
    if (!has_size(back, message, sizeof(*address)))
        return false;
    struct vhost_back_ring *ring = stopped_ring(back, message, address->index);
    if (ring == NULL)
        return false;
    ring->desc = address->descriptor;
    ring->avail = address->available;
    ring->used = address->used;
    ring->has_address = true;
    return true;
}

static bool set_state(struct vhost_back *back, const struct vhost_user_message *message) {
    const struct vhost_user_vring_state *state = &message->payload.state;
    if (!has_size(back, message, sizeof(*state)))
        return false;
    if (message->request == VHOST_USER_SET_VRING_ENABLE) {
        struct vhost_back_ring *ring = ring_of(back, message, state->index);
        if (ring != NULL)
            ring->is_enabled = state->number != 0;
        return ring != NULL;
    }
    struct vhost_back_ring *ring = stopped_ring(back, message, state->index);
    if (ring == NULL)
        return false;
    if (message->request == VHOST_USER_SET_VRING_NUM) {
        ring->size = state->number;
        ring->has_size = true;
    } else {
        ring->base = state->number;
    }
    return true;
}

/* Anything else might block, or raise a signal. */
static bool is_eventfd(int fd) {
    static const char expected[] = "anon_inode:[eventfd]";
    char path[40], target[sizeof(expected) + 1];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    ssize_t len = readlink(path, target, sizeof(target));
    return len == (ssize_t)sizeof(expected) - 1 && memcmp(target, expected, (size_t)len) == 0;
}

/* An eventfd of the front end's, or none. */
static bool set_fd(struct vhost_back *back, struct vhost_user_message *message) {
    uint64_t number = message->payload.number;
    if (!has_size(back, message, sizeof(number)))
        return false;
    struct vhost_back_ring *ring = ring_of(back, message, number & VHOST_USER_VRING_INDEX_MASK);
    if (ring == NULL)
        return false;
    bool none = (number & VHOST_USER_VRING_NO_FD) != 0;
    int fd = vhost_user_take_fd(message);
    if (none != (fd < 0) || (fd >= 0 && !is_eventfd(fd))) {
        close_fd(&fd);
        return say(back, "%s without its eventfd, or with something else",
                   vhost_user_request_name(message->request));
    }
    int *place = message->request == VHOST_USER_SET_VRING_KICK   ? &ring->kick
                 : message->request == VHOST_USER_SET_VRING_CALL ? &ring->call
                                                                 : &ring->error;
    close_fd(place);
    if (fd >= 0)
        fcntl(fd, F_SETFL, O_NONBLOCK);
    *place = fd;
    if (message->request == VHOST_USER_SET_VRING_KICK &&
        (back->accepted & VHOST_USER_F_PROTOCOL_FEATURES) == 0)
        ring->is_enabled = true;
    return true;
}

/* Questions: the answer takes the place of the message. */

static void answer_number(struct vhost_user_message *message, uint64_t number) {
    message->size_bytes = sizeof(number);
    message->payload.number = number;
}

/* Where a driver that goes on would: behind what came back, when not all did. */
static bool get_base(struct vhost_back *back, struct vhost_user_message *message) {
    struct vhost_user_vring_state *state = &message->payload.state;
    if (!has_size(back, message, sizeof(*state)) || ring_of(back, message, state->index) == NULL)
        return false;
    const struct fake_virtio_queue *queue = &back->config.device->queues[state->index];
    state->number = (uint16_t)(queue->in_flight == 0 ? queue->avail_next : queue->used_published);
    stop_ring(back, state->index);
    return true;
}

/* An empty answer is the protocol's way to say no. */
static bool get_config(struct vhost_back *back, struct vhost_user_message *message) {
    struct vhost_user_config *config = &message->payload.config;
    if (config->size_bytes > VHOST_USER_CONFIG_BYTES_MAX)
        return say(back, "GET_CONFIG of %u bytes, not up to %u", config->size_bytes,
                   (unsigned)VHOST_USER_CONFIG_BYTES_MAX);
    if (!has_size(back, message, VHOST_USER_CONFIG_HEADER_BYTES + config->size_bytes))
        return false;
    if (!ash_range_fits(config->offset, config->size_bytes, FAKE_VIRTIO_CONFIG_BYTES_MAX)) {
        message->size_bytes = 0;
        return true;
    }
    memcpy(config->bytes, back->config.device->config + config->offset, config->size_bytes);
    return true;
}

static bool set_protocol(struct vhost_back *back, const struct vhost_user_message *message) {
    if (!has_size(back, message, sizeof(uint64_t)))
        return false;
    if ((message->payload.number & ~protocol_offered) != 0)
        return say(back, "protocol features 0x%llx, which were not offered",
                   (unsigned long long)(message->payload.number & ~protocol_offered));
    back->protocol = message->payload.number;
    return true;
}

static bool set_features(struct vhost_back *back, const struct vhost_user_message *message) {
    if (!has_size(back, message, sizeof(uint64_t)))
        return false;
    back->accepted = message->payload.number;
    return true;
}

/* What to send back: nothing, the answer in the message, or whether it made sense. */
enum reply { SILENCE, ANSWER };

static bool handle(struct vhost_back *back, struct vhost_user_message *message, enum reply *reply) {
    const struct fake_virtio_type *type = &back->config.device->type;
    *reply = SILENCE;
    switch (message->request) {
    case VHOST_USER_GET_FEATURES:
        answer_number(message, type->features | VHOST_USER_F_PROTOCOL_FEATURES);
        *reply = ANSWER;
        return true;
    case VHOST_USER_GET_PROTOCOL_FEATURES:
        answer_number(message, protocol_offered);
        *reply = ANSWER;
        return true;
    case VHOST_USER_GET_QUEUE_NUM:
        answer_number(message, type->queue_count);
        *reply = ANSWER;
        return true;
    case VHOST_USER_GET_VRING_BASE:
        *reply = ANSWER;
        return get_base(back, message);
    case VHOST_USER_GET_CONFIG:
        *reply = ANSWER;
        return get_config(back, message);
    case VHOST_USER_SET_OWNER:
        return true;
    case VHOST_USER_SET_FEATURES:
        return set_features(back, message);
    case VHOST_USER_SET_PROTOCOL_FEATURES:
        return set_protocol(back, message);
    case VHOST_USER_SET_MEM_TABLE:
        return set_memory(back, message);
    case VHOST_USER_SET_VRING_ADDR:
        return set_address(back, message);
    case VHOST_USER_SET_VRING_NUM:
    case VHOST_USER_SET_VRING_BASE:
    case VHOST_USER_SET_VRING_ENABLE:
        return set_state(back, message);
    case VHOST_USER_SET_VRING_KICK:
    case VHOST_USER_SET_VRING_CALL:
    case VHOST_USER_SET_VRING_ERR:
        return set_fd(back, message);
    default:
        return say(back, "message %u, which this device does not know", message->request);
    }
}

/* One message from start to answer: 0, or why the session ends. */
static int take_message(struct vhost_back *back) {
    struct vhost_user_message message;
    enum reply reply;
    int error = vhost_user_receive(back->socket, &message, deadline(back));
    if (error != 0)
        return error;
    back->messages++;
    bool good = handle(back, &message, &reply);
    vhost_user_close_fds(&message);
    bool acknowledge = reply == SILENCE && (message.flags & VHOST_USER_NEED_REPLY) != 0 &&
                       (back->protocol & VHOST_USER_PROTOCOL_REPLY_ACK) != 0;
    if (!good && !acknowledge)
        return -ASH_EBADMSG;
    if (acknowledge)
        answer_number(&message, !good);
    else if (reply == SILENCE)
        return 0;
    message.flags = VHOST_USER_VERSION | VHOST_USER_REPLY;
    return vhost_user_send(back->socket, &message, deadline(back));
}

/* Kicks */

static void take_kick(struct vhost_back *back, uint32_t index) {
    struct vhost_back_ring *ring = &back->rings[index];
    uint64_t count;
    if (read(ring->kick, &count, sizeof(count)) != sizeof(count))
        return;
    if (!back->is_running && (back->start_failed || !start(back)))
        return;
    if (back->config.device->queues[index].ready)
        fake_virtio_notify(back->config.device, index);
    pass_signals_on(back);
}

/* The session */

enum { SOCKET, STOP, KICKS, POLLERS = KICKS + FAKE_VIRTIO_QUEUES_MAX };

/* Waits for something to do, unless the device is busy. 0, or why the session ends. */
static int wait_and_handle(struct vhost_back *back, int stop_fd, bool busy) {
    struct pollfd pollers[POLLERS] = {[SOCKET] = {.fd = back->socket, .events = POLLIN},
                                      [STOP] = {.fd = stop_fd, .events = POLLIN}};
    for (uint32_t i = 0; i < FAKE_VIRTIO_QUEUES_MAX; i++) {
        int kick = back->rings[i].is_enabled ? back->rings[i].kick : -1;
        pollers[KICKS + i] = (struct pollfd){.fd = kick, .events = POLLIN};
    }
    if (poll(pollers, POLLERS, busy ? 0 : -1) < 0)
        return errno == EINTR ? 0 : -ASH_EIO;
    if (pollers[STOP].revents != 0)
        return -ASH_EAGAIN;
    for (uint32_t i = 0; i < FAKE_VIRTIO_QUEUES_MAX; i++) {
        if (pollers[KICKS + i].revents != 0)
            take_kick(back, i);
    }
    return pollers[SOCKET].revents != 0 ? take_message(back) : 0;
}

void vhost_back_init(struct vhost_back *back, const struct vhost_back_config *config) {
    ASH_REQUIRE(config->device != NULL && config->memory != NULL &&
                    config->device->memory == config->memory,
                "vhost-user back end: the device has another memory than the session");
    *back = (struct vhost_back){.config = *config, .socket = -1};
    if (config->timeout_ms == 0)
        back->config.timeout_ms = TIMEOUT_DEFAULT_MS;
    for (uint32_t i = 0; i < FAKE_VIRTIO_QUEUES_MAX; i++)
        back->rings[i] = (struct vhost_back_ring){.kick = -1, .call = -1, .error = -1};
    fake_virtio_on_interrupt(config->device, on_interrupt, back);
    config->device->heard_late = true; /* at the first kick */
}

int vhost_back_serve(struct vhost_back *back, int socket, int stop_fd) {
    int error = 0;
    back->socket = socket;
    back->protocol = back->accepted = 0;
    back->sessions++;
    while (error == 0) {
        uint32_t steps = 0;
        while (steps < STEPS_A_TURN && step(back))
            steps++;
        error = wait_and_handle(back, stop_fd, steps == STEPS_A_TURN);
    }
    for (uint32_t i = 0; i < FAKE_VIRTIO_QUEUES_MAX; i++)
        stop_ring(back, i);
    forget_memory(back);
    back->socket = -1;
    return error == -ASH_EPIPE ? 0 : error;
}
