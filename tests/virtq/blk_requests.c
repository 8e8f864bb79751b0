/* SPDX-License-Identifier: MIT */
/* Cases of ash_virtio_blk_submit: every operation, every refusal, data in many pieces. */
#include "virtq/rig.h"

/* What came back must be good; its bytes. */
static uint32_t good(struct rig *rig) {
    ash_virtio_blk_kick(rig->queue);
    mini_device_run(&rig->device);
    struct ash_virtio_blk_done done = rig_reap_one(rig);
    CHECK_EQ(done.status, 0);
    return done.bytes;
}

static struct rig *start_with_image(enum rig_mode mode) {
    struct rig *rig = rig_new_as(mode);
    rig_add_image(rig);
    rig_must_init(rig);
    return rig;
}

/* Operations */

TEST_CASE(virtio_blk, writes_are_read_back_and_touch_nothing_else) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = start_with_image(mode);
        uint8_t *buffer = test_alloc(5 * 512, 64);
        uint32_t token;
        memset(buffer, 0x77, 3 * 512);
        CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_WRITE, 10, buffer, 3 * 512, &token), 0);
        CHECK_EQ(good(rig), 0); /* nothing was put into memory */
        rig_read(rig, 9, buffer, 5 * 512, NULL);
        CHECK_EQ(good(rig), 5 * 512);
        rig_check_data(buffer, 9, 512);
        rig_check_data(buffer + 4 * 512, 13, 512);
        for (uint32_t i = 512; i < 4 * 512; i++)
            CHECK_EQ(buffer[i], 0x77);
        CHECK_EQ(rig_counters(rig).requests[ASH_VIRTIO_BLK_WRITE], 1);
        CHECK_EQ(rig_counters(rig).bytes, 8 * 512);
        CHECK_EQ(rig_counters(rig).scattered, 0);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, flush_reaches_the_device_and_asks_for_no_data) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        uint8_t buffer[512];
        for (uint32_t i = 1; i <= 70; i++) { /* each slot, before and after a read in it */
            const struct ash_virtio_blk_request flush = {.op = ASH_VIRTIO_BLK_FLUSH,
                                                         .sector = UINT64_MAX};
            rig_submit(rig, &flush);
            CHECK_EQ(good(rig), 0);
            CHECK_EQ(rig->device.flushes, i);
            rig_read(rig, i, buffer, 512, NULL);
            CHECK_EQ(good(rig), 512);
            rig_check_data(buffer, i, 512);
        }
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, flush_is_negotiated_always_and_enotsup_where_it_is_not_offered) {
    uint32_t token;
    struct rig *rig = rig_start();
    CHECK((rig->device.driver_features & ASH_VIRTIO_BLK_F_FLUSH) != 0);
    rig = rig_new();
    rig->device.features &= ~ASH_VIRTIO_BLK_F_FLUSH;
    rig_must_init(rig);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_FLUSH, 0, NULL, 0, &token), -ASH_ENOTSUP);
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 0);
    rig_check(rig);
}

TEST_CASE(virtio_blk, discard_and_write_zeroes_change_their_range_only) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = start_with_image(mode);
        struct ash_virtio_blk_request request = {
            .op = ASH_VIRTIO_BLK_DISCARD, .sector = 20, .sector_count = 3, .may_unmap = true};
        rig_submit(rig, &request);
        CHECK_EQ(good(rig), 0);
        request = (struct ash_virtio_blk_request){
            .op = ASH_VIRTIO_BLK_WRITE_ZEROES, .sector = 24, .sector_count = 256};
        rig_submit(rig, &request);
        CHECK_EQ(good(rig), 0);
        CHECK_EQ(rig->device.unmaps, 0);
        for (uint32_t i = 19 * 512; i < 281 * 512; i++) {
            uint32_t sector = i / 512;
            uint8_t expected = sector >= 20 && sector < 23    ? MINI_DISCARDED
                               : sector >= 24 && sector < 280 ? 0
                                                              : mini_device_byte(i);
            if (rig->device.image[i] != expected)
                test_fail(__FILE__, __LINE__, "byte %u is 0x%02x", i, rig->device.image[i]);
        }
        request.may_unmap = true;
        rig_submit(rig, &request);
        CHECK_EQ(good(rig), 0);
        CHECK_EQ(rig->device.unmaps, 1);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, id_is_read) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        char id[ASH_VIRTIO_BLK_ID_BYTES + 1] = {0};
        uint32_t token;
        CHECK_EQ(
            rig_try(rig, ASH_VIRTIO_BLK_GET_ID, UINT64_MAX, id, ASH_VIRTIO_BLK_ID_BYTES, &token),
            0);
        CHECK_EQ(good(rig), ASH_VIRTIO_BLK_ID_BYTES);
        CHECK_STR_EQ(id, MINI_ID);
        CHECK_EQ(id[ASH_VIRTIO_BLK_ID_BYTES], 0);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, device_error_of_each_operation_is_its_status_and_zero_bytes) {
    static const uint8_t statuses[] = {1, 2};
    for (uint32_t op = 0; op < ASH_VIRTIO_BLK_OPS; op++) {
        struct rig *rig = start_with_image(RIG_SPLIT_EVENTS);
        bool has_data = op == ASH_VIRTIO_BLK_READ || op == ASH_VIRTIO_BLK_WRITE;
        uint8_t buffer[512];
        const struct ash_dma_segment segment =
            rig_segment(buffer, has_data ? 512 : ASH_VIRTIO_BLK_ID_BYTES);
        const struct ash_virtio_blk_request request = {.op = (enum ash_virtio_blk_op)op,
                                                       .segments = &segment,
                                                       .segment_count =
                                                           has_data || op == ASH_VIRTIO_BLK_GET_ID,
                                                       .sector_count = 1};
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(statuses); i++) {
            rig->device.status_byte = statuses[i];
            rig_submit(rig, &request);
            ash_virtio_blk_kick(rig->queue);
            mini_device_run(&rig->device);
            struct ash_virtio_blk_done done = rig_reap_one(rig);
            CHECK_EQ(done.status, i == 0 ? -ASH_EIO : -ASH_ENOTSUP);
            CHECK_EQ(done.bytes, 0);
        }
        CHECK_EQ(rig_counters(rig).errors, 2);
        CHECK_EQ(rig_counters(rig).requests[op], 2);
        rig_check(rig);
    }
}

/* Refusals */

/* A device where every limit can be met: 1000 sectors in blocks of 1024, segments of 8192 at most,
 * six of them, ranges of 256 sectors. */
static struct rig *start_limited(uint64_t more_features) {
    struct rig *rig = rig_new();
    rig_add_image(rig);
    rig->device.features |= ASH_VIRTIO_BLK_F_SIZE_MAX | more_features;
    rig->device.block_size = 1024;
    rig->device.size_max = 8192;
    rig->device.seg_max = 6;
    rig_must_init(rig);
    return rig;
}

struct refusal {
    struct ash_virtio_blk_request request;
    int error;
};

/* Each is refused with its error, and costs nothing. */
static void check_refusals(struct rig *rig, const struct refusal *rows, uint32_t count) {
    for (uint32_t i = 0; i < count; i++) {
        uint32_t token = 0x12345678;
        int error = ash_virtio_blk_submit(rig->queue, &rows[i].request, &token);
        if (error != rows[i].error)
            test_fail(__FILE__, __LINE__, "row %u: %d, expected %d", i, error, rows[i].error);
        CHECK_EQ(token, 0x12345678);
    }
    CHECK_EQ(ash_virtio_blk_in_flight(rig->queue), 0);
    ash_virtio_blk_kick(rig->queue);
    CHECK_EQ(rig->device.notifications, 0);
    rig_check(rig);
}

#define SEGMENTS(list) .segments = (list), .segment_count = ASH_ARRAY_LEN(list)

TEST_CASE(virtio_blk, segments_that_are_not_in_order_are_einval) {
    struct rig *rig = start_limited(0);
    static const struct ash_dma_segment empty[] = {{4096, 0}}, long_one[] = {{4096, 8196}},
                                        misaligned[] = {{4098, 1024}},
                                        beyond[] = {{0 - UINT64_C(1020), 1024}},
                                        at_the_end[] = {{UINT64_MAX - 3, 1024}},
                                        second_empty[] = {{4096, 1024}, {8192, 0}},
                                        second_long[] = {{4096, 1024}, {8192, 9216}},
                                        second_misaligned[] = {{4096, 512}, {8193, 512}},
                                        second_beyond[] = {{4096, 512}, {0 - UINT64_C(508), 512}},
                                        odd_sum[] = {{4096, 500}, {8192, 20}},
                                        half_block[] = {{4096, 1024}, {8192, 512}};
    const struct refusal rows[] = {
        {{SEGMENTS(empty)}, -ASH_EINVAL},
        {{SEGMENTS(long_one)}, -ASH_EINVAL},
        {{SEGMENTS(misaligned)}, -ASH_EINVAL},
        {{SEGMENTS(beyond)}, -ASH_EINVAL},
        {{SEGMENTS(at_the_end)}, -ASH_EINVAL},
        {{SEGMENTS(second_empty)}, -ASH_EINVAL},
        {{SEGMENTS(second_long)}, -ASH_EINVAL},
        {{SEGMENTS(second_misaligned)}, -ASH_EINVAL},
        {{SEGMENTS(second_beyond)}, -ASH_EINVAL},
        {{SEGMENTS(odd_sum)}, -ASH_EINVAL},
        {{SEGMENTS(half_block)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_WRITE, SEGMENTS(second_misaligned)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_WRITE, SEGMENTS(half_block)}, -ASH_EINVAL},
    };
    check_refusals(rig, rows, ASH_ARRAY_LEN(rows));
}

TEST_CASE(virtio_blk, data_where_none_belongs_and_none_where_some_does_is_einval) {
    struct rig *rig = start_limited(0);
    static const struct ash_dma_segment one[] = {{4096, 1024}}, id[] = {{4096, 20}},
                                        short_id[] = {{4096, 19}}, long_id[] = {{4096, 24}},
                                        two_ids[] = {{4096, 12}, {8192, 8}};
    struct ash_dma_buffer buffer;
    ash_dma_buffer_init(&buffer, rig, 4096, 1024);
    const struct refusal rows[] = {
        {{.op = ASH_VIRTIO_BLK_READ}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_WRITE}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_GET_ID}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_GET_ID, SEGMENTS(short_id)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_GET_ID, SEGMENTS(long_id)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_GET_ID, SEGMENTS(two_ids)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_FLUSH, SEGMENTS(one)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_DISCARD, SEGMENTS(one), .sector_count = 2}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_WRITE_ZEROES, SEGMENTS(one), .sector_count = 2}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_FLUSH, .buffer = &buffer}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_READ, SEGMENTS(one), .buffer = &buffer}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_OPS}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_OPS, SEGMENTS(id)}, -ASH_EINVAL},
        {{.op = (enum ash_virtio_blk_op)0x7fffffff, SEGMENTS(one)}, -ASH_EINVAL},
        {{.op = (enum ash_virtio_blk_op)0x80000000u, SEGMENTS(one)}, -ASH_EINVAL},
    };
    check_refusals(rig, rows, ASH_ARRAY_LEN(rows));
    CHECK_EQ(buffer.owner, ASH_DMA_CPU);
}

TEST_CASE(virtio_blk, too_much_at_once_is_e2big) {
    struct rig *rig = start_limited(0);
    CHECK_EQ(rig->blk.segments_max, 6);
    CHECK_EQ(rig->blk.request_bytes_max, 6 * 8192);
    struct ash_dma_segment many[7];
    for (uint32_t i = 0; i < 7; i++)
        many[i] = (struct ash_dma_segment){4096, 1024};
    const struct refusal rows[] = {
        {{SEGMENTS(many)}, -ASH_E2BIG},
        {{.segments = many, .segment_count = UINT32_MAX}, -ASH_E2BIG},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector_count = 258}, -ASH_E2BIG},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector_count = UINT32_MAX}, -ASH_E2BIG},
        {{.op = ASH_VIRTIO_BLK_WRITE_ZEROES, .sector_count = 258}, -ASH_E2BIG},
    };
    check_refusals(rig, rows, ASH_ARRAY_LEN(rows));
    /* The sum of a request is bounded, too: 2 segments of 1 GiB each. */
    rig = rig_start();
    CHECK_EQ(rig->blk.request_bytes_max, ASH_VIRTIO_BLK_REQUEST_BYTES_MAX);
    many[0].len_bytes = ASH_VIRTIO_BLK_REQUEST_BYTES_MAX;
    const struct refusal two = {{.segments = many, .segment_count = 2}, -ASH_E2BIG};
    check_refusals(rig, &two, 1);
}

TEST_CASE(virtio_blk, sectors_past_the_end_are_erange_and_half_blocks_einval) {
    struct rig *rig = start_limited(0);
    static const struct ash_dma_segment one[] = {{4096, 1024}}, two[] = {{4096, 512}, {8192, 512}};
    enum { END = RIG_CAPACITY_SECTORS };
    const struct refusal rows[] = {
        {{.sector = END, SEGMENTS(one)}, -ASH_ERANGE},
        {{.sector = UINT64_MAX - 1, SEGMENTS(one)}, -ASH_ERANGE},
        {{.sector = END, SEGMENTS(two)}, -ASH_ERANGE},
        {{.sector = UINT64_MAX - 1, SEGMENTS(two)}, -ASH_ERANGE},
        {{.sector = 1, SEGMENTS(two)}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_WRITE, .sector = END, SEGMENTS(one)}, -ASH_ERANGE},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector = END, .sector_count = 2}, -ASH_ERANGE},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector = END - 2, .sector_count = 4}, -ASH_ERANGE},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector_count = 3}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector = 1, .sector_count = 2}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector_count = 0}, -ASH_EINVAL},
        {{.op = ASH_VIRTIO_BLK_WRITE_ZEROES, .sector = UINT64_MAX - 1, .sector_count = 2},
         -ASH_ERANGE},
        {{.op = ASH_VIRTIO_BLK_WRITE_ZEROES, .sector_count = 0}, -ASH_EINVAL},
    };
    check_refusals(rig, rows, ASH_ARRAY_LEN(rows));
}

TEST_CASE(virtio_blk, read_only_device_refuses_whatever_changes_it) {
    struct rig *rig = start_limited(ASH_VIRTIO_BLK_F_RO);
    static const struct ash_dma_segment one[] = {{4096, 1024}}, two[] = {{4096, 512}, {8192, 512}};
    const struct refusal rows[] = {
        {{.op = ASH_VIRTIO_BLK_WRITE, SEGMENTS(one)}, -ASH_EROFS},
        {{.op = ASH_VIRTIO_BLK_WRITE, SEGMENTS(two)}, -ASH_EROFS},
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector_count = 2}, -ASH_EROFS},
        {{.op = ASH_VIRTIO_BLK_WRITE_ZEROES, .sector_count = 2}, -ASH_EROFS},
    };
    check_refusals(rig, rows, ASH_ARRAY_LEN(rows));
    uint32_t token;
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_FLUSH, 0, NULL, 0, &token), 0);
    CHECK_EQ(good(rig), 0);
}

TEST_CASE(virtio_blk, ranges_that_were_not_offered_are_enotsup) {
    static const struct refusal rows[] = {
        {{.op = ASH_VIRTIO_BLK_DISCARD, .sector_count = 2}, -ASH_ENOTSUP},
        {{.op = ASH_VIRTIO_BLK_WRITE_ZEROES, .sector_count = 2}, -ASH_ENOTSUP},
    };
    for (uint32_t how = 0; how < 3; how++) {
        struct rig *rig = rig_new();
        rig->device.block_size = 1024;
        if (how == 0)
            rig->device.features &= ~(ASH_VIRTIO_BLK_F_DISCARD | ASH_VIRTIO_BLK_F_WRITE_ZEROES);
        if (how == 1)
            rig->device.discard_seg_max = rig->device.zeroes_seg_max = 0;
        if (how == 2) /* less than a block */
            rig->device.discard_sectors_max = rig->device.zeroes_sectors_max = 1;
        rig_must_init(rig);
        CHECK_EQ(rig->blk.discard_sectors_max, 0);
        check_refusals(rig, rows, ASH_ARRAY_LEN(rows));
    }
}

TEST_CASE(virtio_blk, ranges_are_limited_each_by_its_own_fields) {
    enum { D = ASH_VIRTIO_BLK_DISCARD, Z = ASH_VIRTIO_BLK_WRITE_ZEROES };
    static const struct {
        uint32_t block_size, discard_max, discard_seg, zeroes_max, zeroes_seg;
        uint32_t discard, zeroes; /* sectors at a time; 0: none at all */
    } rows[] = {
        {512, 0, 1, 256, 1, 0, 256},
        {512, 256, 1, 0, 1, 256, 0},
        {512, 256, 0, 8, 9, 0, 8},
        {512, 8, UINT32_MAX, 256, 0, 8, 0},
        {512, 1, 1, 2, 1, 1, 2},
        {4096, 15, 1, 17, 1, 8, 16},
        {4096, 7, 1, 8, 1, 0, 8},
        {4096, UINT32_MAX, 1, UINT32_MAX, UINT32_MAX, UINT32_MAX - 7, UINT32_MAX - 7},
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct rig *rig = rig_new();
        struct mini_device *device = &rig->device;
        rig_add_image(rig);
        device->block_size = rows[i].block_size;
        device->discard_sectors_max = rows[i].discard_max;
        device->discard_seg_max = rows[i].discard_seg;
        device->zeroes_sectors_max = rows[i].zeroes_max;
        device->zeroes_seg_max = rows[i].zeroes_seg;
        device->discard_align = i; /* a hint: nothing is refused for it */
        rig_must_init(rig);
        CHECK_EQ(rig->blk.discard_sectors_max, rows[i].discard);
        CHECK_EQ(rig->blk.write_zeroes_sectors_max, rows[i].zeroes);
        CHECK_EQ(rig->blk.discard_align_sectors, i);
        for (uint32_t op = D;; op = Z) {
            uint32_t most = op == D ? rows[i].discard : rows[i].zeroes, token;
            uint32_t block = rows[i].block_size / 512, fits = ash_min_u64(most, 1000) & ~7u;
            struct ash_virtio_blk_request request = {.op = (enum ash_virtio_blk_op)op,
                                                     .sector_count = most + block};
            int error = most == 0                     ? -ASH_ENOTSUP
                        : request.sector_count < most ? -ASH_EINVAL
                                                      : -ASH_E2BIG;
            CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), error);
            request.sector_count = fits != 0 ? fits : most;
            if (most != 0) {
                rig_submit(rig, &request);
                CHECK_EQ(good(rig), 0);
            }
            if (op == Z)
                break;
        }
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, full_queue_is_eagain_after_all_other_refusals) {
    struct rig *rig = rig_start();
    uint8_t buffer[512];
    uint32_t token;
    for (uint32_t i = 0; i < RIG_IN_FLIGHT; i++)
        rig_read(rig, i, buffer, 512, NULL);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, 512, &token), -ASH_EAGAIN);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_FLUSH, 0, NULL, 0, &token), -ASH_EAGAIN);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer, 500, &token), -ASH_EINVAL);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, RIG_CAPACITY_SECTORS, buffer, 512, &token),
             -ASH_ERANGE);
    CHECK_EQ(good(rig), 512);
    CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_FLUSH, 0, NULL, 0, &token), 0);
    rig_check(rig);
}

TEST_CASE(virtio_blk, alignment_is_the_one_that_was_configured) {
    static const uint32_t aligns[][2] = {{0, 4}, {1, 1}, {512, 512}, {4096, 4096}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(aligns); i++) {
        struct rig *rig = rig_new();
        rig->config.align_bytes = aligns[i][0];
        rig_must_init(rig);
        uint8_t *buffer = test_alloc(16384, 4096);
        uint32_t token, align = aligns[i][1];
        for (uint32_t offset = 1; offset <= 4096; offset *= 2) {
            int expected = offset % align == 0 ? 0 : -ASH_EINVAL;
            CHECK_EQ(rig_try(rig, ASH_VIRTIO_BLK_READ, 0, buffer + offset, 512, &token), expected);
            if (expected != 0)
                continue;
            CHECK_EQ(good(rig), 512);
            rig_check_data(buffer + offset, 0, 512);
        }
        rig_check(rig);
    }
}

/* Data in pieces */

enum {
    PIECES_BYTES = 16 * 512,
    SEGMENTS_MAX = 6,
    MEMORY_BYTES = (PIECES_BYTES + 5) * SEGMENTS_MAX,
    ROUNDS = 30,
};

/* Cuts len_bytes into `count` pieces of any size, in any order of memory, gaps between them. */
static void cut(struct test_random *random, uint8_t *memory, uint32_t len_bytes, uint32_t count,
                struct ash_dma_segment *segments) {
    uint32_t left = len_bytes;
    for (uint32_t i = 0; i < count; i++) {
        uint32_t most = left - (count - 1 - i);
        uint32_t len = i + 1 == count ? left : 1 + (uint32_t)test_random_below(random, most);
        uint32_t place = (i * 7 + 3) % count;
        segments[i] = rig_segment(memory + (size_t)place * (PIECES_BYTES + 5), len);
        left -= len;
    }
}

/* Copies all pieces to or from `data`. */
static void move_pieces(const struct ash_dma_segment *segments, uint32_t count, uint8_t *data,
                        bool to_pieces) {
    for (uint32_t i = 0; i < count; i++) {
        void *piece = mini_device_memory(segments[i].address);
        memcpy(to_pieces ? piece : data, to_pieces ? data : piece, segments[i].len_bytes);
        data += segments[i].len_bytes;
    }
}

static void check_pieces(enum rig_mode mode, uint64_t seed) {
    struct test_random random = test_random_from(seed);
    struct rig *rig = rig_new_as(mode);
    rig->config.segments_max = SEGMENTS_MAX;
    rig->config.align_bytes = 1;
    rig_add_image(rig);
    rig_must_init(rig);
    uint8_t *memory = test_alloc(MEMORY_BYTES, 64);
    uint8_t *data = test_alloc(PIECES_BYTES, 64), *back = test_alloc(PIECES_BYTES, 64);
    struct ash_dma_segment segments[SEGMENTS_MAX];
    for (uint32_t round = 0; round < ROUNDS; round++) {
        uint32_t count = 2 + round % (SEGMENTS_MAX - 1);
        uint32_t len = 512 * (1 + (uint32_t)test_random_below(&random, 16));
        uint64_t sector = test_random_below(&random, RIG_CAPACITY_SECTORS - 16);
        struct ash_virtio_blk_request request = {.op = ASH_VIRTIO_BLK_WRITE,
                                                 .sector = sector,
                                                 .segments = segments,
                                                 .segment_count = count};
        for (uint32_t i = 0; i < len; i++)
            data[i] = (uint8_t)test_random_u64(&random);
        cut(&random, memory, len, count, segments);
        move_pieces(segments, count, data, true);
        rig_submit(rig, &request);
        CHECK_EQ(good(rig), 0);
        CHECK_MEM_EQ(rig->device.image + sector * 512, data, len);
        memset(memory, 0xee, MEMORY_BYTES);
        cut(&random, memory, len, count, segments);
        request.op = ASH_VIRTIO_BLK_READ;
        rig_submit(rig, &request);
        struct ash_dma_segment pieces[SEGMENTS_MAX];
        memcpy(pieces, segments, sizeof(pieces));
        memset(segments, 0xff, sizeof(segments)); /* not needed once it is submitted */
        CHECK_EQ(good(rig), len);
        move_pieces(pieces, count, back, false);
        CHECK_MEM_EQ(back, data, len);
        for (uint32_t i = 0; i < count; i++)
            memset(mini_device_memory(pieces[i].address), 0xee, pieces[i].len_bytes);
        for (uint32_t i = 0; i < MEMORY_BYTES; i++)
            CHECK(memory[i] == 0xee); /* nothing beside the pieces */
        rig_check(rig);
    }
    CHECK_EQ(rig->device.tables, 2 * ROUNDS);
    CHECK_EQ(rig_counters(rig).scattered, 2 * ROUNDS);
}

TEST_CASE(virtio_blk, scattered_data_is_moved_in_order_whatever_the_cuts) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++)
        check_pieces(mode, test_seed() * RIG_MODES + mode);
}

/* `count` pieces of a sector each: read, and compared. */
static void read_sectors_scattered(struct rig *rig, uint32_t count) {
    struct ash_dma_segment *segments = test_alloc(sizeof(*segments) * count, 8);
    uint8_t *buffer = test_alloc(512 * (size_t)count, 64);
    for (uint32_t i = 0; i < count; i++)
        segments[i] = rig_segment(buffer + 512 * (size_t)(count - 1 - i), 512);
    const struct ash_virtio_blk_request request = {
        .sector = 1, .segments = segments, .segment_count = count};
    rig_submit(rig, &request);
    CHECK_EQ(good(rig), count * 512);
    for (uint32_t i = 0; i < count; i++)
        rig_check_data(buffer + 512 * (size_t)(count - 1 - i), 1 + i, 512);
    rig_check(rig);
}

TEST_CASE(virtio_blk, segments_fill_the_largest_table) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig->device.capacity_sectors = 2000;
        rig->device.seg_max = 100000;
        rig->config.queue_size = 1024;
        rig->config.segments_max = 1022;
        rig->config.in_flight_max = 2;
        rig_must_init(rig);
        CHECK_EQ(rig->blk.segments_max, 1022);
        read_sectors_scattered(rig, 1022);
        read_sectors_scattered(rig, 2);
        read_sectors_scattered(rig, 1022);
    }
}

TEST_CASE(virtio_blk, segments_max_is_the_least_of_device_queue_and_wish) {
    static const struct {
        uint32_t seg_max, queue_size_max, wish, expected;
    } rows[] = {{126, 1024, 0, 16}, {3, 1024, 0, 3},      {1, 1024, 0, 1},    {126, 1024, 100, 100},
                {126, 4, 0, 2},     {126, 16, 0, 14},     {126, 16, 200, 14}, {2, 16, 200, 2},
                {126, 1024, 1, 1},  {126, 1024, 254, 126}};
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(rows); i++) {
        struct rig *rig = rig_new();
        rig->device.seg_max = rows[i].seg_max;
        rig->device.queue_size_max = rows[i].queue_size_max;
        rig->config.segments_max = rows[i].wish;
        rig_must_init(rig);
        CHECK_EQ(rig->blk.segments_max, rows[i].expected);
        if (rows[i].expected > 1)
            read_sectors_scattered(rig, rows[i].expected);
        struct ash_dma_segment *more =
            test_alloc(sizeof(*more) * (rows[i].expected + 1), sizeof(uint64_t));
        for (uint32_t n = 0; n <= rows[i].expected; n++)
            more[n] = (struct ash_dma_segment){4096, 512};
        const struct ash_virtio_blk_request request = {.segments = more,
                                                       .segment_count = rows[i].expected + 1};
        uint32_t token;
        CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_E2BIG);
    }
}

TEST_CASE(virtio_blk, device_without_seg_max_or_tables_gets_one_segment) {
    for (uint32_t without = 0; without < 2; without++) {
        struct rig *rig = rig_new();
        rig->device.features &=
            without == 0 ? ~ASH_VIRTIO_BLK_F_SEG_MAX : ~ASH_VIRTIO_F_INDIRECT_DESC;
        rig_must_init(rig);
        CHECK_EQ(rig->blk.segments_max, 1);
        uint8_t buffer[1024];
        rig_read(rig, 0, buffer, 1024, NULL);
        CHECK_EQ(good(rig), 1024);
        rig_check_data(buffer, 0, 1024);
        CHECK_EQ(rig->device.tables, 0);
        rig_check(rig);
    }
}

/* Buffers */

TEST_CASE(virtio_blk, buffer_is_the_devices_from_submit_to_reap) {
    for (uint32_t mode = 0; mode < RIG_MODES; mode++) {
        struct rig *rig = rig_new_as(mode);
        rig_must_init(rig);
        struct ash_dma_buffer buffer;
        uint8_t *data = test_alloc(1024, 64);
        ash_dma_buffer_init(&buffer, data, rig_segment(data, 1).address, 1024);
        struct ash_virtio_blk_request request = {.sector = 5, .buffer = &buffer};
        rig_submit(rig, &request);
        CHECK_EQ(buffer.owner, ASH_DMA_DEVICE);
        ash_virtio_blk_kick(rig->queue);
        mini_device_run(&rig->device);
        CHECK_EQ(buffer.owner, ASH_DMA_DEVICE); /* done, and not reaped */
        CHECK_EQ(rig_reap_one(rig).bytes, 1024);
        CHECK_EQ(buffer.owner, ASH_DMA_CPU);
        rig_check_data(ash_dma_buffer_data(&buffer), 5, 1024);
        rig_check(rig);
    }
}

TEST_CASE(virtio_blk, refused_buffer_stays_the_callers) {
    struct rig *rig = rig_start();
    struct ash_dma_buffer buffer;
    uint8_t other[512];
    uint32_t token;
    ash_dma_buffer_init(&buffer, other, rig_segment(other, 1).address, 512);
    struct ash_virtio_blk_request request = {.sector = RIG_CAPACITY_SECTORS, .buffer = &buffer};
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_ERANGE);
    CHECK_EQ(buffer.owner, ASH_DMA_CPU);
    request.sector = 0;
    for (uint32_t i = 0; i < RIG_IN_FLIGHT; i++)
        rig_read(rig, i, other, 512, NULL);
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_EAGAIN);
    CHECK_EQ(buffer.owner, ASH_DMA_CPU);
    rig->device.status |= ASH_VIRTIO_STATUS_NEEDS_RESET;
    CHECK_EQ(ash_virtio_blk_watch(&rig->blk, 0), -ASH_EIO);
    CHECK_EQ(ash_virtio_blk_submit(rig->queue, &request, &token), -ASH_EIO);
    CHECK_EQ(buffer.owner, ASH_DMA_CPU);
}

TEST_CASE(virtio_blk, buffer_that_comes_back_failed_is_the_cpus) {
    struct rig *rig = rig_start();
    struct ash_dma_buffer buffers[3];
    uint8_t *data = test_alloc(3 * 512, 64);
    for (uint32_t i = 0; i < 3; i++) {
        ash_dma_buffer_init(&buffers[i], data + 512 * i, rig_segment(data + 512 * i, 1).address,
                            512);
        struct ash_virtio_blk_request request = {.sector = i, .buffer = &buffers[i]};
        rig_submit(rig, &request);
        ash_virtio_blk_kick(rig->queue);
    }
    rig->device.status_byte = 1;
    CHECK(mini_device_fetch(&rig->device));
    mini_device_complete(&rig->device, 0);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    CHECK_EQ(buffers[0].owner, ASH_DMA_CPU);
    CHECK_EQ(ash_virtio_blk_reset(&rig->blk, ASH_VIRTIO_BLK_FAIL, 0), 0);
    CHECK_EQ(buffers[1].owner, ASH_DMA_DEVICE); /* until its token is taken */
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    CHECK_EQ(buffers[1].owner, ASH_DMA_CPU);
    CHECK_EQ(rig_reap_one(rig).status, -ASH_EIO);
    CHECK_EQ(buffers[2].owner, ASH_DMA_CPU);
}

TEST_CASE(virtio_blk, buffer_of_a_slots_last_request_is_not_that_of_the_next) {
    struct rig *rig = rig_new();
    rig->config.in_flight_max = 1;
    rig_must_init(rig);
    struct ash_dma_buffer buffer;
    uint8_t *data = test_alloc(1024, 64);
    ash_dma_buffer_init(&buffer, data, rig_segment(data, 1).address, 512);
    const struct ash_dma_segment two[] = {rig_segment(data, 512), rig_segment(data + 512, 512)};
    const struct ash_virtio_blk_request with = {.buffer = &buffer};
    for (uint32_t count = 0; count <= 2; count++) { /* a flush, in one piece, in two */
        const struct ash_virtio_blk_request without = {.op = count == 0 ? ASH_VIRTIO_BLK_FLUSH
                                                                        : ASH_VIRTIO_BLK_READ,
                                                       .segments = two,
                                                       .segment_count = count};
        rig_submit(rig, &with);
        CHECK_EQ(rig_finish(rig), 0);
        ash_dma_buffer_give(&buffer); /* to some other device */
        rig_submit(rig, &without);
        CHECK_EQ(rig_finish(rig), 0);
        CHECK_EQ(buffer.owner, ASH_DMA_DEVICE);
        ash_dma_buffer_take(&buffer);
    }
}
