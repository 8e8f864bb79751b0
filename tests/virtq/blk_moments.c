/* SPDX-License-Identifier: MIT */
/*
 * Cases of what comes at the worst moment: answers during a reset and after it, interrupts and
 * errors in the middle of a handshake, a completion beside a deadline, a device that is gone.
 */
#include "virtq/rig.h"

enum { STATUS = 0x070, BUFFER_BYTES = 512, READS = 4 };

/* Something between the driver and the registers. */
struct between {
    struct rig *rig;
    struct ash_virtio_regs regs; /* the device's */
    uint32_t count, at;          /* it happens at the at-th; 0: never */
    bool inside;
};

static void put_between(struct between *between, struct rig *rig,
                        uint32_t (*read)(void *, uint32_t, uint32_t),
                        void (*write)(void *, uint32_t, uint32_t, uint32_t)) {
    *between = (struct between){.rig = rig, .regs = rig->regs};
    rig->regs = (struct ash_virtio_regs){read, write, between};
}

static uint32_t pass_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct between *between = context;
    return between->regs.read(between->regs.context, offset, width_bytes);
}

static void pass_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct between *between = context;
    between->regs.write(between->regs.context, offset, width_bytes, value);
}

/* Reads in the device's hands, of sector i into buffer i. */
static uint8_t *start_reads(struct rig *rig) {
    uint8_t *buffers = test_alloc(READS * BUFFER_BYTES, 64);
    for (uint32_t i = 0; i < READS; i++)
        rig_read(rig, i, buffers + i * BUFFER_BYTES, BUFFER_BYTES, (void *)(uintptr_t)i);
    ash_virtio_blk_kick(rig->queue);
    return buffers;
}

/* All of them are back by now, each once, with this status, and nothing else is. */
static void take_reads(struct rig *rig, const uint8_t *buffers, int status) {
    uint32_t seen = 0;
    for (uint32_t i = 0; i < READS; i++) {
        struct ash_virtio_blk_done done = rig_reap_one(rig);
        uint32_t which = (uint32_t)(uintptr_t)done.cookie;
        CHECK_EQ(done.status, status);
        CHECK_EQ(seen >> which & 1, 0);
        seen |= 1u << which;
        if (status == 0)
            rig_check_data(buffers + which * BUFFER_BYTES, which, BUFFER_BYTES);
    }
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 0);
}

/* Resets */

/* The device goes on until Status reads 0: an answer at each look. */
static uint32_t answering_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct between *between = context;
    struct mini_device *device = &between->rig->device;
    if (offset == STATUS && between->count != 0) {
        if (device->held_count != 0)
            mini_device_complete(device, 0);
        if (--between->count == 0)
            pass_write(context, STATUS, 4, 0);
    }
    return pass_read(context, offset, width_bytes);
}

static void answering_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct between *between = context;
    if (offset == STATUS && value == 0 && between->at != 0)
        between->count = between->at;
    else
        pass_write(context, offset, width_bytes, value);
}

TEST_CASE(virtio_blk, answers_while_a_reset_lasts_are_not_taken_beside_it) {
    for (uint32_t i = 0; i < RIG_MODES * 2; i++) {
        struct rig *rig = rig_new_as(i / 2);
        struct between between;
        put_between(&between, rig, answering_read, answering_write);
        rig_must_init(rig);
        const uint8_t *buffers = start_reads(rig);
        while (mini_device_fetch(&rig->device)) {}
        mini_device_complete(&rig->device, 2); /* one before it */
        between.at = READS;
        bool again = i % 2 != 0;
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk,
                                      again ? ASH_VIRTIO_BLK_RESUBMIT : ASH_VIRTIO_BLK_FAIL, 0),
                 0);
        CHECK_EQ(between.count, 0);
        between.at = 0;
        mini_device_run(&rig->device);
        take_reads(rig, buffers, again ? 0 : -ASH_EIO);
        CHECK_EQ(rig_counters(rig).completions, again ? READS : 0);
        rig_check(rig);
    }
}

/* Against the rules: what was taken before a reset is answered after it, beside its twin. */
TEST_CASE(virtio_hostile, answer_after_a_reset_and_that_of_its_twin_are_one_token) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        struct mini_device *device = &rig->device;
        struct ash_virtio_blk_done done;
        rig_must_init(rig);
        uint8_t buffer[BUFFER_BYTES];
        uint64_t events = test_event_count("virtq.broken");
        uint32_t token = rig_read(rig, 7, buffer, BUFFER_BYTES, NULL);
        ash_virtio_blk_kick(rig->queue);
        CHECK(mini_device_fetch(device));
        struct mini_request late = device->held[0];
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        CHECK(mini_device_fetch(device));
        device->held[device->held_count++] = late;
        mini_device_complete(device, 1);
        CHECK_EQ(rig_reap_one(rig).token, token);
        rig_check_data(buffer, 7, BUFFER_BYTES);
        mini_device_complete(device, 0);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
        CHECK_EQ(test_event_count("virtq.broken"), events + 1);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), 0);
        const uint8_t *buffers = start_reads(rig);
        mini_device_run(device);
        take_reads(rig, buffers, 0);
    }
}

/* The capacity changes and an interrupt says so, at one access of a register. */
static void meddle(struct between *between) {
    struct rig *rig = between->rig;
    if (between->inside || ++between->count != between->at)
        return;
    between->inside = true;
    rig->device.capacity_sectors = 2 * RIG_CAPACITY_SECTORS;
    rig->device.config_generation++;
    mini_device_interrupt(&rig->device, ASH_VIRTIO_INTERRUPT_CONFIG);
    CHECK(ash_virtio_blk_interrupt(&rig->blk));
    between->inside = false;
}

static uint32_t meddling_read(void *context, uint32_t offset, uint32_t width_bytes) {
    meddle(context);
    return pass_read(context, offset, width_bytes);
}

static void meddling_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    meddle(context);
    pass_write(context, offset, width_bytes, value);
}

TEST_CASE(virtio_blk, configuration_interrupt_at_any_moment_of_a_reset_is_seen_and_breaks_nothing) {
    uint32_t n = 0;
    for (bool was_reached = true; was_reached;) {
        struct rig *rig = rig_new_as(n % RIG_MODES);
        struct between between;
        put_between(&between, rig, meddling_read, meddling_write);
        rig_must_init(rig);
        const uint8_t *buffers = start_reads(rig);
        bool changed;
        between.count = 0;
        between.at = ++n;
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        was_reached = between.count >= n;
        between.at = 0;
        CHECK_STR_EQ(ash_virtio_blk_reason(&rig->blk), "");
        CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), 0);
        if (was_reached && rig->blk.capacity_sectors != 2 * RIG_CAPACITY_SECTORS)
            test_fail(__FILE__, __LINE__, "access %u: the change was lost", n);
        mini_device_run(&rig->device);
        take_reads(rig, buffers, 0);
        rig_check(rig);
    }
    CHECK(n > 40);
    CHECK_EQ(test_event_count("virtq.broken"), 0);
}

/* The device meets its error right after the at-th step of the handshake. */
static void failing_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct between *between = context;
    pass_write(context, offset, width_bytes, value);
    if (offset == STATUS && value != 0 && ++between->count == between->at)
        between->rig->device.status |= ASH_VIRTIO_STATUS_NEEDS_RESET;
}

TEST_CASE(virtio_blk, error_in_the_middle_of_a_handshake_ends_it_and_the_next_is_good) {
    enum { STEPS = 4 }; /* ACKNOWLEDGE, DRIVER, FEATURES_OK, DRIVER_OK */
    for (uint32_t step = 1; step <= STEPS; step++) {
        struct rig *rig = rig_new_as(step % RIG_MODES);
        struct between between;
        put_between(&between, rig, pass_read, failing_write);
        between.at = step;
        CHECK_EQ(rig_init(rig), -ASH_EIO);
        CHECK(strstr(ash_virtio_blk_reason(&rig->blk), "asks for a reset") != NULL);
        CHECK_EQ(rig->device.status, 0);
        between.at = 0;
        rig_must_init(rig);
        const uint8_t *buffers = start_reads(rig);
        between.count = 0;
        between.at = step;
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), -ASH_EIO);
        CHECK_EQ(rig->device.status, 0);
        take_reads(rig, buffers, -ASH_EIO);
        between.at = 0;
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        buffers = start_reads(rig);
        mini_device_run(&rig->device);
        take_reads(rig, buffers, 0);
        rig_check(rig);
    }
}

/* All ones are read, and nothing is written: unplugged. */
static uint32_t gone_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct between *between = context;
    return between->at != 0 ? UINT32_MAX : pass_read(context, offset, width_bytes);
}

static void gone_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct between *between = context;
    if (between->at == 0)
        pass_write(context, offset, width_bytes, value);
}

TEST_CASE(virtio_blk, device_that_is_gone_keeps_its_tokens_until_it_is_back) {
    struct rig *rig = rig_new();
    struct between between;
    struct ash_virtio_blk_done done;
    bool changed;
    put_between(&between, rig, gone_read, gone_write);
    rig_must_init(rig);
    const uint8_t *buffers = start_reads(rig);
    between.at = 1;
    CHECK(ash_virtio_blk_interrupt(&rig->blk)); /* a line that others pull, too */
    CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 0), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_refresh(&rig->blk, &changed), -ASH_EBADMSG);
    CHECK_EQ(rig->blk.capacity_sectors, RIG_CAPACITY_SECTORS);
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), -ASH_ETIMEDOUT);
    CHECK_EQ(ash_virtio_blk_fini(&rig->blk), -ASH_ETIMEDOUT);
    CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), READS);
    between.at = 0;
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
    mini_device_run(&rig->device);
    take_reads(rig, buffers, 0);
    rig_check(rig);
}

TEST_CASE(virtio_blk, fini_that_does_not_finish_takes_nothing_new_and_gives_nothing_back) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        struct ash_virtio_blk_done done;
        uint8_t buffer[BUFFER_BYTES];
        uint32_t token;
        rig_must_init(rig);
        const uint8_t *buffers = start_reads(rig);
        mini_device_run(&rig->device);
        rig->device.never_resets = true;
        CHECK_EQ(ash_virtio_blk_fini(&rig->blk), -ASH_ETIMEDOUT);
        CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, BUFFER_BYTES, &token), -ASH_EIO);
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
        CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), READS);
        rig->device.never_resets = false;
        CHECK_EQ(ash_virtio_blk_fini(&rig->blk), 0);
        take_reads(rig, buffers, -ASH_EIO);
        CHECK_EQ(test_event_count("virtq.broken"), 0);
    }
}

TEST_CASE(virtio_blk, status_without_sense_is_found_by_a_watchdog) {
    static const uint32_t statuses[] = {0x4f, 0, 0x0b, 0x40, 0xff, UINT32_MAX};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(statuses); i++) {
        struct rig *rig = rig_start();
        const uint8_t *buffers = start_reads(rig);
        rig->device.status = statuses[i];
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 0), -ASH_EIO);
        CHECK_STR_EQ(ash_virtio_blk_reason(&rig->blk),
                     ash_virtq_fault_text(ASH_VIRTQ_FAULT_NEEDS_RESET));
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        mini_device_run(&rig->device);
        take_reads(rig, buffers, 0);
    }
}

TEST_CASE(virtio_blk, nothing_is_written_for_the_device_once_fini_is_done) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        const uint8_t *buffers = start_reads(rig);
        CHECK(ash_virtio_blk_may_sleep(rig->queue));
        CHECK_EQ(ash_virtio_blk_fini(&rig->blk), 0);
        uint8_t *shared = rig->memory.dma.pointer;
        memset(shared, 0x5a, rig->memory.dma.bytes);
        take_reads(rig, buffers, -ASH_EIO);
        ash_virtio_blk_kick(rig->queue);
        CHECK(!ash_virtio_blk_may_sleep(rig->queue));
        for (size_t i = 0; i < rig->memory.dma.bytes; i++)
            CHECK(shared[i] == 0x5a);
    }
}

/* Deadlines */

TEST_CASE(virtio_blk, completion_beside_its_deadline_is_one_token) {
    enum { DEADLINE_NS = 1000 };
    static const struct {
        bool done_first, reaped_first; /* before the watchdog looks */
        enum ash_virtio_blk_after_reset after;
        int watch, status;
    } rows[] = {
        {true, true, ASH_VIRTIO_BLK_FAIL, 0, 0},
        {true, false, ASH_VIRTIO_BLK_FAIL, -ASH_ETIMEDOUT, -ASH_EIO},
        {true, false, ASH_VIRTIO_BLK_RESUBMIT, -ASH_ETIMEDOUT, 0},
        {false, true, ASH_VIRTIO_BLK_FAIL, -ASH_ETIMEDOUT, -ASH_EIO},
        {false, false, ASH_VIRTIO_BLK_RESUBMIT, -ASH_ETIMEDOUT, 0},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows) * RIG_MODES; i++) {
        uint32_t row = i / RIG_MODES;
        struct rig *rig = rig_new_as(i % RIG_MODES);
        rig_must_init(rig);
        uint8_t buffer[BUFFER_BYTES];
        const struct ash_dma_segment segment = rig_segment(buffer, BUFFER_BYTES);
        const struct ash_virtio_blk_request request = {
            .sector = 3, .segments = &segment, .segment_count = 1, .deadline_ns = DEADLINE_NS};
        struct ash_virtio_blk_done done = {.status = 1};
        uint32_t token = rig_submit(rig, &request), count = 0;
        ash_virtio_blk_kick(rig->queue);
        CHECK(mini_device_fetch(&rig->device));
        if (rows[row].done_first)
            mini_device_complete(&rig->device, 0);
        if (rows[row].reaped_first)
            count += (uint32_t)ash_virtio_blk_reap(rig->queue, &done, 1);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, DEADLINE_NS), rows[row].watch);
        if (!rows[row].done_first)
            mini_device_complete(&rig->device, 0); /* just too late */
        if (rows[row].watch != 0) {
            CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), -ASH_EIO);
            CHECK_EQ(ash_virtio_blk_reset(&rig->blk, rows[row].after, 0), 0);
        }
        mini_device_run(&rig->device);
        for (int more; (more = ash_virtio_blk_reap(rig->queue, &done, 1)) != 0;)
            count += (uint32_t)more;
        CHECK_EQ(count, 1);
        CHECK(done.token == token && done.status == rows[row].status);
        rig_check(rig);
    }
}

/* A device that asks for no kick ever again, whichever way its format has. */
static void ask_for_no_kick(struct rig *rig, enum rig_mode mode) {
    const struct mini_queue *queue = &rig->device.queues[0];
    if (mode == RIG_SPLIT_EVENTS)
        mini_device_store(queue->device + 4 + 8 * (uint64_t)queue->size, 0x8000, 2);
    else if (mode == RIG_SPLIT)
        mini_device_store(queue->device, 1, 2); /* NO_NOTIFY */
    else
        mini_device_store(queue->device + 2, 1, 2); /* DISABLE */
}

TEST_CASE(virtio_hostile, kick_that_a_lie_suppresses_is_made_up_for_by_the_deadline) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        uint8_t buffer[BUFFER_BYTES];
        const struct ash_dma_segment segment = rig_segment(buffer, BUFFER_BYTES);
        const struct ash_virtio_blk_request request = {
            .sector = 3, .segments = &segment, .segment_count = 1, .deadline_ns = 1000};
        ask_for_no_kick(rig, mode);
        rig_submit(rig, &request);
        ash_virtio_blk_kick(rig->queue);
        CHECK_EQ(rig->device.notifications, 0);
        CHECK(ash_virtio_blk_may_sleep(rig->queue)); /* for good, were it not for the watchdog */
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 999), 0);
        CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 1000), -ASH_ETIMEDOUT);
        CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_RESUBMIT, 0), 0);
        CHECK_EQ(rig->device.notifications, 1);
        mini_device_run(&rig->device);
        CHECK_EQ(rig_reap_one(rig).status, 0);
        rig_check_data(buffer, 3, BUFFER_BYTES);
        rig_check(rig);
    }
}

/* Completions */

TEST_CASE(virtio_hostile, completion_that_claims_nothing_written_is_no_success_of_a_read) {
    static const struct {
        enum ash_virtio_blk_op op;
        uint8_t status_byte;
        int reaped, status;
    } rows[] = {
        {ASH_VIRTIO_BLK_READ, 0, 1, -ASH_EIO},
        {ASH_VIRTIO_BLK_READ, 1, 1, -ASH_EIO},
        {ASH_VIRTIO_BLK_READ, 2, 1, -ASH_ENOTSUP},
        {ASH_VIRTIO_BLK_READ, MINI_STATUS_NONE, -ASH_EIO, 0},
        {ASH_VIRTIO_BLK_FLUSH, 0, 1, 0},
        {ASH_VIRTIO_BLK_FLUSH, 1, 1, -ASH_EIO},
        {ASH_VIRTIO_BLK_FLUSH, 2, 1, -ASH_ENOTSUP},
        {ASH_VIRTIO_BLK_FLUSH, MINI_STATUS_NONE, -ASH_EIO, 0},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows) * RIG_MODES; i++) {
        uint32_t row = i / RIG_MODES, token;
        struct rig *rig = rig_new_as(i % RIG_MODES);
        rig_must_init(rig);
        uint8_t buffer[BUFFER_BYTES];
        bool reads = rows[row].op == ASH_VIRTIO_BLK_READ;
        rig->device.status_byte = rows[row].status_byte;
        rig->device.used_len_less = reads ? BUFFER_BYTES + 1 : 1;
        CHECK_EQ(rig_try(rig, rows[row].op, 0, buffer, reads ? BUFFER_BYTES : 0, &token), 0);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        struct ash_virtio_blk_done done = {.token = ~token};
        CHECK_EQ(ash_virtio_blk_reap(rig->queue, &done, 1), rows[row].reaped);
        CHECK_EQ(ash_virtio_blk_pending(rig->queue, token), rows[row].reaped < 0);
        if (rows[row].reaped > 0)
            CHECK(done.token == token && done.status == rows[row].status && done.bytes == 0);
    }
}

/* Interrupts */

TEST_CASE(virtio_blk, devices_of_one_interrupt_line_each_take_their_own) {
    struct rig *rigs[2] = {rig_start(), rig_start()};
    for (uint32_t i = 0; i < 6; i++) {
        bool causes[2] = {i % 3 != 0, i % 3 != 1};
        const uint8_t *buffers[2];
        for (uint32_t n = 0; n < 2; n++) {
            CHECK(ash_virtio_blk_may_sleep(rigs[n]->queue));
            if (causes[n]) {
                buffers[n] = start_reads(rigs[n]);
                mini_device_run(&rigs[n]->device);
            }
        }
        for (uint32_t round = 0; round < 2; round++) { /* the second time it is for nobody */
            for (uint32_t n = 0; n < 2; n++)
                CHECK_EQ(ash_virtio_blk_interrupt(&rigs[n]->blk), round == 0 && causes[n]);
        }
        for (uint32_t n = 0; n < 2; n++) {
            CHECK_EQ(rigs[n]->device.interrupt_status, 0);
            if (causes[n])
                take_reads(rigs[n], buffers[n], 0);
        }
    }
    CHECK_EQ(rig_counters(rigs[0]).interrupts, 4);
    CHECK_EQ(rig_counters(rigs[1]).interrupts, 4);
}

TEST_CASE(virtio_blk, interrupt_causes_that_nobody_knows_are_left_alone) {
    static const uint32_t causes[] = {4, 0x80000000, 0xfffffffc};
    struct rig *rig = rig_start();
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(causes); i++) {
        rig->device.interrupt_status = causes[i];
        CHECK(!ash_virtio_blk_interrupt(&rig->blk));
        CHECK_EQ(rig->device.interrupt_status, causes[i]);
        mini_device_interrupt(&rig->device, ASH_VIRTIO_INTERRUPT_USED);
        CHECK(ash_virtio_blk_interrupt(&rig->blk));
        CHECK_EQ(rig->device.interrupt_status, causes[i]);
    }
    CHECK_EQ(rig_counters(rig).interrupts, ASH_ARRAY_LEN(causes));
}
