/* SPDX-License-Identifier: MIT */
/*
 * What the cache does without its lock, against what it does under it, in any order of their steps.
 * A block's bytes say which block they are and which version of it, so that whoever reads what he
 * should not have got sees it. Contexts do not sleep: whose get is pending does the rest in wake.
 *
 * When all have ended, pumping once more must start nothing and tell nobody: whatever it finds was
 * left undone. Then the device answers what is pending, and everybody has been told, once.
 */
#include "explore.h"

#include <ashlar/cache.h>
#include <ashlar/error.h>

void interleave_point(void);

enum {
    BLOCKS_MAX = 3,
    COLLIDING = 5,
    DISK_BLOCKS = 64,
    LAST = 63,
    ASKERS_MAX = 24,
    PENDING_MAX = 32
};

struct asker {
    struct ash_cache_waiter waiter;
    uint64_t index;
    uint32_t flags, told;
    int result;
};

struct flusher {
    struct ash_cache_flush_request flush;
    uint64_t promised[DISK_BLOCKS]; /* versions that were written when it was asked for */
    uint32_t told;
};

static struct {
    /* The scenario's. */
    uint32_t blocks;
    const char *policy;
    bool synchronous; /* I/Os end within submit */
    bool full;        /* submit says -ASH_EAGAIN */
    bool mapped;      /* blocks change while the device reads them */

    struct ash_cache cache;
    struct ash_cache_space space;
    uint64_t storage[2048] __attribute__((aligned(64)));
    uint64_t data[BLOCKS_MAX][LAST + 1] __attribute__((aligned(512)));
    uint64_t disk[DISK_BLOCKS], durable[DISK_BLOCKS], written[DISK_BLOCKS]; /* versions */
    uint64_t covered[DISK_BLOCKS];                                          /* by the flush */
    uint64_t versions;
    struct ash_cache_io *pending[PENDING_MAX];
    uint32_t pending_count, submits;
    struct asker askers[ASKERS_MAX];
    struct flusher flushers[3];
    uint32_t asker_count, flusher_count, told;
    uint32_t pinned;               /* a frame that setup has pinned */
    uint64_t colliding[COLLIDING]; /* blocks with the same place in the table */
} world;

static uint64_t tag(uint64_t index, uint64_t version) {
    return (index + 1) << 32 | version;
}

/* The device */

static void transfer(const struct ash_cache_io *io, uint32_t segment) {
    uint64_t *words = io->segments[segment].data, index = io->sector + segment;
    if (io->op == ASH_CACHE_OP_READ) {
        words[0] = tag(index, world.disk[index]);
        interleave_point();
        words[LAST] = words[0];
        return;
    }
    uint64_t first = words[0];
    interleave_point();
    EXPLORE_CHECK((words[LAST] == first || world.mapped) && first >> 32 == index + 1);
    world.disk[index] = (uint32_t)first;
}

static void end(struct ash_cache_io *io) {
    for (uint32_t i = 0; i < io->segment_count; i++)
        transfer(io, i);
    if (io->op == ASH_CACHE_OP_FLUSH)
        memcpy(world.durable, world.covered, sizeof(world.durable));
    ash_cache_complete(&world.cache, io, 0);
}

static int submit(void *context, struct ash_cache_io *io) {
    (void)context;
    EXPLORE_CHECK(explore_is_free());
    interleave_point();
    if (world.full)
        return -ASH_EAGAIN;
    world.submits++;
    if (io->op == ASH_CACHE_OP_FLUSH)
        memcpy(world.covered, world.disk, sizeof(world.covered));
    if (world.synchronous)
        end(io);
    else
        world.pending[world.pending_count++] = io;
    return 0;
}

static bool complete_one(void) {
    if (world.pending_count == 0)
        return false;
    struct ash_cache_io *io = world.pending[--world.pending_count];
    end(io);
    return true;
}

/* Those who ask */

/* A block that is pinned, and that nobody writes to, is whole and does not change. */
static void look(uint32_t frame, uint64_t index) {
    const uint64_t *words = ash_cache_data(&world.cache, frame);
    uint64_t first = words[0];
    EXPLORE_CHECK(first >> 32 == index + 1);
    interleave_point();
    EXPLORE_CHECK(words[LAST] >> 32 == index + 1 && words[0] >> 32 == index + 1);
}

static void change(uint32_t frame, uint64_t index) {
    uint64_t *words = ash_cache_data(&world.cache, frame);
    uint64_t version = ++world.versions;
    EXPLORE_CHECK(words[0] == words[LAST] && words[0] >> 32 == index + 1);
    words[0] = tag(index, version);
    interleave_point();
    EXPLORE_CHECK(words[0] == tag(index, version)); /* the only writer */
    words[LAST] = words[0];
    (void)ash_cache_put_dirty(&world.cache, frame, NULL);
    if (world.written[index] < version)
        world.written[index] = version;
}

static void use(struct asker *asker, uint32_t frame) {
    asker->told++;
    world.told++;
    if ((asker->flags & ASH_CACHE_WRITE) != 0) {
        change(frame, asker->index);
    } else {
        look(frame, asker->index);
        ash_cache_put(&world.cache, frame);
    }
}

static void woken(struct ash_cache_waiter *waiter) {
    struct asker *asker = ASH_LIST_ENTRY(waiter, struct asker, waiter);
    EXPLORE_CHECK(explore_is_free() && asker->told == 0);
    if (waiter->status == 0) {
        use(asker, waiter->frame);
        return;
    }
    EXPLORE_CHECK(waiter->status == -ASH_EAGAIN); /* all are pinned */
    asker->told++;
    world.told++;
}

static struct asker *ask(uint64_t index, uint32_t flags) {
    uint32_t frame;
    EXPLORE_CHECK(world.asker_count < ASKERS_MAX);
    struct asker *asker = &world.askers[world.asker_count++];
    *asker = (struct asker){.waiter.wake = woken, .index = index, .flags = flags, .result = -1};
    int result = ash_cache_get(&world.cache, &world.space, index, flags, &asker->waiter, &frame);
    EXPLORE_CHECK(result == 0 || result == ASH_CACHE_PENDING || result == -ASH_EAGAIN);
    asker->result = result;
    if (result == 0)
        use(asker, frame);
    return asker;
}

static void peek(uint64_t index) {
    struct ash_cache_view view;
    const uint64_t *words = ash_cache_peek(&world.cache, &world.space, index, &view);
    if (words == NULL)
        return;
    uint64_t first = words[0];
    interleave_point();
    uint64_t last = words[LAST];
    if (ash_cache_peek_valid(&view))
        EXPLORE_CHECK(first == last && first >> 32 == index + 1);
}

static void done(struct ash_cache_flush_request *request) {
    struct flusher *flusher = ASH_LIST_ENTRY(request, struct flusher, flush);
    EXPLORE_CHECK(explore_is_free() && flusher->told == 0 && request->status == 0);
    flusher->told++;
    world.told++;
    for (uint32_t i = 0; i < DISK_BLOCKS; i++)
        EXPLORE_CHECK(world.durable[i] >= flusher->promised[i]);
}

static void flush(void) {
    struct flusher *flusher = &world.flushers[world.flusher_count++];
    flusher->flush.done = done;
    flusher->told = 0;
    memcpy(flusher->promised, world.written, sizeof(world.written));
    ash_cache_flush(&world.cache, &world.space, &flusher->flush);
}

/* The world */

static void drain(void) {
    while (complete_one()) {}
}

static void setup(void) {
    world.pending_count = world.submits = world.asker_count = world.flusher_count = world.told = 0;
    world.versions = 0;
    memset(world.disk, 0, sizeof(world.disk));
    memset(world.durable, 0, sizeof(world.durable));
    memset(world.written, 0, sizeof(world.written));
    world.full = world.mapped = false;
    struct ash_cache_config config = {.blocks = world.blocks,
                                      .block_bytes = ASH_CACHE_BLOCK_MIN,
                                      .policy = world.policy,
                                      .depth = ASH_CACHE_EXTENTS_MAX,
                                      .segments_max = 1,
                                      .dirty_max = world.blocks,
                                      .shared = true,
                                      .backend = {.submit = submit}};
    EXPLORE_CHECK(ash_cache_init(&world.cache, &config, world.storage, sizeof(world.storage),
                                 world.data) == 0);
    world.space = (struct ash_cache_space){.id = 0, .blocks = DISK_BLOCKS};
    EXPLORE_CHECK(ash_cache_space_open(&world.cache, &world.space) == 0);
}

/* Block 0 is there. */
static void setup_0(void) {
    setup();
    ask(0, 0);
    drain();
}

static void check(void) {
    const char *broken = ash_cache_check(&world.cache);
    if (broken != NULL)
        explore_broke(__FILE__, __LINE__, broken);
}

static void finish(void) {
    uint32_t told = world.told, submits = world.submits;
    uint64_t evictions = world.cache.stats.evictions;
    check();
    /* Who waits for a frame, which an I/O in flight will give him, has another search made, which
     * may come to a dirty block that the last one gave a second chance. */
    bool searches = !ash_list_is_empty(&world.cache.waiting_frame) &&
                    world.cache.io_free_count != world.cache.config.depth;
    ash_cache_pump(&world.cache); /* nothing was left undone */
    EXPLORE_CHECK(told == world.told && (searches || submits == world.submits));
    EXPLORE_CHECK(evictions == world.cache.stats.evictions);
    world.full = false;
    ash_cache_pump(&world.cache);
    drain();
    for (uint32_t i = 0; i < world.asker_count; i++)
        EXPLORE_CHECK(world.askers[i].told == (world.askers[i].result >= 0));
    for (uint32_t i = 0; i < world.flusher_count; i++)
        EXPLORE_CHECK(world.flushers[i].told == 1);
    flush();
    drain();
    check();
    EXPLORE_CHECK(memcmp(world.disk, world.written, sizeof(world.disk)) == 0);
    EXPLORE_CHECK(ash_cache_fini(&world.cache) == 0);
}

static void explore_cache(uint32_t blocks, bool synchronous, struct explore_scenario scenario) {
    world.blocks = blocks;
    world.synchronous = synchronous;
    if (scenario.setup == NULL)
        scenario.setup = setup_0;
    if (scenario.finish == NULL)
        scenario.finish = finish;
    CHECK(explore(&scenario) > 1);
}

/* What contexts do */

static void read_0(void) {
    ask(0, 0);
}

static void read_1(void) {
    ask(1, 0);
}

static void read_1_and_0(void) {
    ask(1, 0);
    ask(0, 0);
}

static void read_1_and_2(void) {
    ask(1, 0);
    ask(2, 0);
}

static void write_0(void) {
    ask(0, ASH_CACHE_WRITE);
}

static void write_0_twice(void) {
    ask(0, ASH_CACHE_WRITE);
    ask(0, ASH_CACHE_WRITE | ASH_CACHE_COPY);
}

static void write_1(void) {
    ask(1, ASH_CACHE_WRITE);
}

static void peek_0(void) {
    peek(0);
}

static void peek_0_twice(void) {
    peek(0);
    peek(0);
}

static void answer(void) {
    drain();
}

static void answer_one(void) {
    (void)complete_one();
}

static void prefetch_1(void) {
    (void)ash_cache_prefetch(&world.cache, &world.space, 1, 1);
}

static void discard(uint64_t index) {
    int error = ash_cache_discard(&world.cache, &world.space, index, 1, false);
    EXPLORE_CHECK(error == 0 || error == -ASH_EBUSY);
}

static void discard_0(void) {
    discard(0);
}

/* With all policies: all of them let go without the lock of those who pin. */
static void with_all_policies(uint32_t blocks, bool synchronous,
                              const struct explore_scenario *scenario) {
    for (uint32_t i = 0; (world.policy = ash_cache_policy_name(i)) != NULL; i++)
        explore_cache(blocks, synchronous, *scenario);
}

TEST_CASE(cache_orders, block_that_is_pinned_is_not_evicted) {
    with_all_policies(1, true,
                      &(struct explore_scenario){.bodies = {read_0, read_1}, .preemptions = 2});
    explore_cache(1, true,
                  (struct explore_scenario){.bodies = {read_0, read_1_and_0}, .preemptions = 3});
    explore_cache(
        1, true,
        (struct explore_scenario){.bodies = {read_0, read_1, read_1_and_0}, .preemptions = 2});
}

TEST_CASE(cache_orders, valid_peek_saw_the_block_alone) {
    with_all_policies(
        1, true, &(struct explore_scenario){.bodies = {peek_0, read_1_and_0}, .preemptions = 2});
    explore_cache(1, true,
                  (struct explore_scenario){.bodies = {peek_0_twice, read_1_and_0, read_1_and_2},
                                            .preemptions = 1});
}

TEST_CASE(cache_orders, valid_peek_saw_no_block_half_written) {
    explore_cache(2, true,
                  (struct explore_scenario){.bodies = {peek_0, write_0_twice}, .preemptions = 3});
    explore_cache(
        2, false,
        (struct explore_scenario){.bodies = {peek_0, write_0_twice, flush}, .preemptions = 2});
}

/* Two blocks fill the last pair of the table, so a third that belongs there is in the first. */
static void setup_collision(void) {
    const struct ash_cache_slot *slot;
    uint32_t found = 0;
    setup();
    for (uint64_t index = 0; found < COLLIDING && index < DISK_BLOCKS; index++) {
        if (ash__cache_home(&world.cache, index) == world.cache.pair_count - 1)
            world.colliding[found++] = index;
    }
    EXPLORE_CHECK(found == COLLIDING);
    for (uint32_t i = 0; i < 3; i++)
        ask(world.colliding[i], 0);
    EXPLORE_CHECK(ash__cache_probe(&world.cache, world.colliding[2], &slot));
    EXPLORE_CHECK(slot - world.cache.table < 2);
}

static void peek_moving(void) {
    peek(world.colliding[2]);
}

static void read_moving(void) {
    ask(world.colliding[2], 0);
}

static void read_fourth(void) {
    ask(world.colliding[3], 0);
}

static void discard_first(void) {
    discard(world.colliding[0]);
}

static void discard_first_and_moving(void) {
    discard_first();
    discard(world.colliding[2]);
    ask(world.colliding[4], 0);
}

TEST_CASE(cache_orders, block_moves_in_the_table_under_its_readers) {
    explore_cache(3, true,
                  (struct explore_scenario){.setup = setup_collision,
                                            .bodies = {peek_moving, discard_first_and_moving},
                                            .preemptions = 3});
    explore_cache(3, true,
                  (struct explore_scenario){.setup = setup_collision,
                                            .bodies = {read_moving, discard_first_and_moving},
                                            .preemptions = 3});
    explore_cache(3, true,
                  (struct explore_scenario){.setup = setup_collision,
                                            .bodies = {peek_moving, discard_first, read_fourth},
                                            .preemptions = 1});
}

/* Block 0 is pinned, and the other frame is on its way from a device that says nothing. */
static void setup_pinned(void) {
    setup_0();
    EXPLORE_CHECK(ash_cache_get(&world.cache, &world.space, 0, 0, NULL, &world.pinned) == 0);
    ask(2, 0);
}

/* The same, and the device has no room for it. */
static void setup_pinned_and_full(void) {
    setup_0();
    EXPLORE_CHECK(ash_cache_get(&world.cache, &world.space, 0, 0, NULL, &world.pinned) == 0);
    world.full = true;
    ask(2, 0);
}

static void put_0(void) {
    ash_cache_put(&world.cache, world.pinned);
}

static void put_0_behind(void) {
    ash_cache_put_behind(&world.cache, world.pinned);
}

static void pump(void) {
    ash_cache_pump(&world.cache);
}

TEST_CASE(cache_orders, frame_that_is_put_goes_to_who_waits) {
    with_all_policies(2, false,
                      &(struct explore_scenario){
                          .setup = setup_pinned, .bodies = {put_0, read_1}, .preemptions = 2});
    explore_cache(2, false,
                  (struct explore_scenario){.setup = setup_pinned,
                                            .bodies = {put_0_behind, read_1, read_0},
                                            .preemptions = 1});
}

TEST_CASE(cache_orders, frame_goes_to_who_waits_though_the_device_is_full) {
    explore_cache(2, false,
                  (struct explore_scenario){.setup = setup_pinned_and_full,
                                            .bodies = {put_0, read_1, pump},
                                            .preemptions = 2});
}

static void finish_one_read(void) {
    EXPLORE_CHECK(world.submits <= 1);
    finish();
    EXPLORE_CHECK(world.cache.stats.blocks_read == 1);
}

TEST_CASE(cache_orders, block_is_read_once_however_many_ask) {
    explore_cache(2, false,
                  (struct explore_scenario){.setup = setup,
                                            .bodies = {read_0, read_0, answer},
                                            .finish = finish_one_read,
                                            .preemptions = 2});
    explore_cache(2, false,
                  (struct explore_scenario){.setup = setup,
                                            .bodies = {read_0, read_0},
                                            .interrupt = answer,
                                            .finish = finish_one_read,
                                            .preemptions = 2});
}

TEST_CASE(cache_orders, hits_are_counted_while_the_hand_takes_some_back) {
    with_all_policies(
        2, true,
        &(struct explore_scenario){.bodies = {peek_0_twice, read_1_and_2}, .preemptions = 2});
    world.policy = "clock";
    explore_cache(
        2, true,
        (struct explore_scenario){.bodies = {peek_0, read_1_and_2, read_0}, .preemptions = 2});
    world.policy = NULL;
}

/* The hand passes all of them, takes the first, and so moves the third. */
static void setup_touched_collision(void) {
    setup_collision();
    peek(world.colliding[0]);
    peek(world.colliding[1]);
}

TEST_CASE(cache_orders, block_that_moves_is_quiet_to_nobody_who_shares_it) {
    world.policy = "clock";
    explore_cache(3, true,
                  (struct explore_scenario){.setup = setup_touched_collision,
                                            .bodies = {peek_moving, read_fourth},
                                            .preemptions = 3});
    world.policy = NULL;
}

TEST_CASE(cache_orders, touch_of_a_block_that_went_leaves_the_next_as_it_is) {
    with_all_policies(
        1, false,
        &(struct explore_scenario){.bodies = {peek_0_twice, prefetch_1, answer}, .preemptions = 2});
    with_all_policies(
        1, false,
        &(struct explore_scenario){.bodies = {read_0, prefetch_1, read_1}, .preemptions = 1});
}

TEST_CASE(cache_orders, who_finds_the_pump_running_leaves_nothing_undone) {
    explore_cache(3, false,
                  (struct explore_scenario){
                      .setup = setup, .bodies = {read_0, read_1_and_2, answer}, .preemptions = 2});
    explore_cache(2, false,
                  (struct explore_scenario){.setup = setup,
                                            .bodies = {read_1_and_2, read_0, answer_one},
                                            .interrupt = answer_one,
                                            .preemptions = 1});
    explore_cache(2, true,
                  (struct explore_scenario){
                      .setup = setup, .bodies = {read_0, read_1_and_2, write_1}, .preemptions = 1});
}

TEST_CASE(cache_orders, flush_covers_what_was_written_before) {
    explore_cache(2, false,
                  (struct explore_scenario){.bodies = {write_0, flush, answer}, .preemptions = 2});
    explore_cache(2, true,
                  (struct explore_scenario){.bodies = {write_0_twice, flush}, .preemptions = 2});
    explore_cache(
        3, false,
        (struct explore_scenario){.bodies = {write_0_twice, flush, flush}, .preemptions = 2});
    explore_cache(2, true,
                  (struct explore_scenario){.bodies = {write_0, write_1, flush}, .preemptions = 2});
}

/* Block 0 is dirty, and somebody has it mapped. */
static void setup_mapped(void) {
    setup_0();
    world.mapped = true;
    ask(0, ASH_CACHE_WRITE);
    EXPLORE_CHECK(ash_cache_get(&world.cache, &world.space, 0, 0, NULL, &world.pinned) == 0);
}

static void change_mapped(void) {
    uint64_t *words = ash_cache_data(&world.cache, world.pinned);
    uint64_t version = ++world.versions;
    words[0] = words[LAST] = tag(0, version);
    interleave_point();
    ash_cache_mark_dirty(&world.cache, world.pinned);
    world.written[0] = version;
    interleave_point();
    ash_cache_put(&world.cache, world.pinned);
}

TEST_CASE(cache_orders, change_while_it_is_written_is_written_too) {
    explore_cache(2, false,
                  (struct explore_scenario){.setup = setup_mapped,
                                            .bodies = {change_mapped, flush, answer},
                                            .preemptions = 2});
    explore_cache(2, true,
                  (struct explore_scenario){.setup = setup_mapped,
                                            .bodies = {change_mapped, flush, flush},
                                            .preemptions = 2});
}

TEST_CASE(cache_orders, writers_get_the_block_one_after_the_other) {
    explore_cache(2, true,
                  (struct explore_scenario){.bodies = {write_0, write_0_twice}, .preemptions = 3});
    explore_cache(3, false,
                  (struct explore_scenario){.bodies = {write_0_twice, write_0, flush},
                                            .interrupt = answer,
                                            .preemptions = 1});
}

TEST_CASE(cache_orders, block_is_discarded_meanwhile) {
    explore_cache(1, true,
                  (struct explore_scenario){.bodies = {read_0, discard_0}, .preemptions = 2});
    explore_cache(
        2, true,
        (struct explore_scenario){.bodies = {write_0, discard_0, read_0}, .preemptions = 2});
}

static void change_policy(void) {
    EXPLORE_CHECK(ash_cache_set_policy(&world.cache, "lru") == 0);
    EXPLORE_CHECK(ash_cache_set_policy(&world.cache, "clock") == 0);
}

TEST_CASE(cache_orders, policy_changes_under_hits) {
    with_all_policies(
        1, true,
        &(struct explore_scenario){.bodies = {read_0, change_policy, read_1}, .preemptions = 1});
}

static void read_and_peek(void) {
    ask(0, 0);
    peek(1);
    ask(2, 0);
    peek(0);
}

static void write_and_flush(void) {
    ask(1, ASH_CACHE_WRITE);
    flush();
    ask(0, ASH_CACHE_WRITE | ASH_CACHE_COPY);
    prefetch_1();
}

static void answer_and_read(void) {
    answer_one();
    ask(1, 0);
    answer();
    discard_0();
    answer();
}

TEST_CASE(cache_orders, long_runs_by_chance) {
    for (uint32_t blocks = 1; blocks <= 3; blocks++) {
        for (uint32_t synchronous = 0; synchronous < 2; synchronous++)
            with_all_policies(blocks, synchronous != 0,
                              &(struct explore_scenario){
                                  .bodies = {read_and_peek, write_and_flush, answer_and_read},
                                  .interrupt = answer_one,
                                  .preemptions = 60,
                                  .random_runs = 200});
    }
}
