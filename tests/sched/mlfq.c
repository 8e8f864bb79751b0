/* SPDX-License-Identifier: MIT */
/* The interactive class: levels, allotments, boosts. Times of the schedules are ms. */
#include "sched_internal.h"

#include "sched/stand.h"

#define MS UINT64_C(1000000)

static void begin(struct stand *stand, uint64_t boost_ns, uint64_t now) {
    stand_begin(stand, (struct ash_sched_config){.boost_ns = boost_ns}, now);
}

static struct ash_sched_entity *interactive(struct stand *stand) {
    return stand_attach(stand, (struct ash_sched_attributes){.flags = 0});
}

static struct ash_sched_entity *hog(struct stand *stand) {
    struct ash_sched_entity *entity = interactive(stand);
    stand_wake(stand, entity);
    return entity;
}

static void check(const struct stand *stand) {
    const char *broken = ash_sched_check(stand->sched);
    CHECK_STR_EQ(broken == NULL ? "" : broken, "");
}

/* Tasks that run and sleep, for so long each, again and again; sleep 0: for ever. */

struct player {
    const char *name;
    uint32_t run, sleep;
    struct ash_sched_entity *entity;
    uint64_t left, wakes_at; /* ns */
};

struct play {
    struct stand stand;
    struct player *players;
    uint32_t count;
    char text[4000]; /* what was seen: "start-end name level, ..." */
    size_t length;
    const struct player *last;
    uint32_t last_level;
    uint64_t since;
};

static void append(struct play *play, uint64_t number, char behind) {
    char digits[20];
    size_t count = 0;
    do
        digits[count++] = (char)('0' + number % 10);
    while ((number /= 10) != 0);
    CHECK(play->length + count + 2 < sizeof(play->text));
    while (count != 0)
        play->text[play->length++] = digits[--count];
    play->text[play->length++] = behind;
}

/* The same player on the same level is one segment. */
static void see(struct play *play, const struct player *player, uint64_t now) {
    uint32_t level = player == NULL ? 0 : ash_sched_level(player->entity);
    if (player == play->last && level == play->last_level)
        return;
    if (play->last != NULL && now != play->since) {
        append(play, play->since / MS, '-');
        append(play, now / MS, ' ');
        for (const char *name = play->last->name; *name != '\0'; name++)
            play->text[play->length++] = *name;
        append(play, play->last_level, ',');
    }
    play->last = player;
    play->last_level = level;
    play->since = now;
}

static struct player *player_of(const struct play *play, const struct ash_sched_entity *entity) {
    for (uint32_t i = 0; i < play->count; i++) {
        if (play->players[i].entity == entity)
            return &play->players[i];
    }
    return NULL;
}

static void wake_due(struct play *play) {
    for (uint32_t i = 0; i < play->count; i++) {
        struct player *player = &play->players[i];
        if (player->left != 0 || player->wakes_at > play->stand.now)
            continue;
        player->left = player->run * MS;
        stand_wake(&play->stand, player->entity);
    }
}

static uint64_t next_time(const struct play *play, const struct player *running, uint64_t until) {
    uint64_t next = until;
    if (play->stand.decision.timed)
        next = ash_min_u64(next, play->stand.decision.call_at);
    if (running != NULL)
        next = ash_min_u64(next, play->stand.now + running->left);
    for (uint32_t i = 0; i < play->count; i++) {
        if (play->players[i].left == 0)
            next = ash_min_u64(next, play->players[i].wakes_at);
    }
    return next;
}

/* One instant: charge, complete, release, dispatch. */
static const char *schedule(struct player *players, uint32_t count, uint64_t boost_ms,
                            uint64_t until_ms) {
    struct play *play = test_alloc(sizeof(*play), 8);
    struct stand *stand = &play->stand;
    play->players = players;
    play->count = count;
    begin(stand, boost_ms * MS, 0);
    for (uint32_t i = 0; i < count; i++)
        players[i].entity = interactive(stand);
    struct player *running = NULL;
    for (;;) {
        wake_due(play);
        CHECK_EQ(ash_sched_decide(stand->sched, stand->now, &stand->decision), 0);
        check(stand);
        running = player_of(play, stand->decision.run);
        see(play, running, stand->now);
        if (stand->now >= until_ms * MS)
            break;
        uint64_t next = next_time(play, running, until_ms * MS);
        if (running != NULL)
            running->left -= next - stand->now;
        stand->now = next;
        if (running != NULL && running->left == 0) {
            stand_block(stand);
            running->wakes_at = stand->now + running->sleep * MS;
        }
    }
    see(play, NULL, stand->now);
    play->text[play->length] = '\0';
    return play->text;
}

TEST_CASE(sched_mlfq, a_hog_sinks_to_the_last_level) {
    struct player players[] = {{.name = "hog", .run = 1000000}};
    CHECK_STR_EQ(schedule(players, 1, 0, 200), "0-5 hog0,5-15 hog1,15-35 hog2,35-200 hog3,");
}

/* Its allotment counts across its sleeps: blocking just before the end does not keep it up. */
TEST_CASE(sched_mlfq, who_sleeps_goes_first_as_long_as_its_allotment_lasts) {
    struct player players[] = {{.name = "hog", .run = 1000000},
                               {.name = "io", .run = 1, .sleep = 9}};
    CHECK_STR_EQ(
        schedule(players, 2, 0, 200),
        "0-5 hog0,5-6 io0,6-15 hog1,15-16 io0,16-17 hog1,17-25 hog2,25-26 io0,26-35 hog2,"
        "35-36 io0,36-39 hog2,39-45 hog3,45-46 io0,46-55 hog3,55-56 io1,56-65 hog3,65-66 io1,"
        "66-75 hog3,"
        "75-76 io1,76-85 hog3,85-86 io1,86-95 hog3,95-96 io1,96-105 hog3,105-106 io1,106-115 hog3,"
        "115-116 io1,116-125 hog3,125-126 io1,126-135 hog3,135-136 io1,136-145 hog3,145-146 io1,"
        "146-155 hog3,155-156 io2,156-165 hog3,165-166 io2,166-175 hog3,175-176 io2,176-185 hog3,"
        "185-186 io2,186-195 hog3,195-196 io2,196-200 hog3,");
}

TEST_CASE(sched_mlfq, a_boost_keeps_the_order) {
    struct player players[] = {{.name = "a", .run = 1000000},
                               {.name = "b", .run = 1000000},
                               {.name = "io", .run = 4, .sleep = 1}};
    CHECK_STR_EQ(
        schedule(players, 3, 100, 215),
        "0-5 a0,5-10 b0,10-14 io0,14-15 a1,15-16 io0,16-25 a1,25-35 b1,35-38 io1,38-39 a2,"
        "39-43 io1,43-44 a2,44-47 io1,47-65 a2,65-85 b2,85-86 io2,86-87 a3,87-91 io2,91-92 a3,"
        "92-96 io2,"
        "96-97 a3,97-100 io2,100-101 io0,101-106 a0,106-111 b0,111-115 io0,115-125 a1,125-135 b1,"
        "135-139 io1,139-140 a2,140-144 io1,144-145 a2,145-147 io1,147-165 a2,165-185 b2,"
        "185-187 io2,187-188 a3,188-192 io2,192-193 a3,193-197 io2,197-198 a3,198-200 io2,"
        "200-202 io0,202-207 a0,207-212 b0,212-215 io0,");
}

/* Two hogs that were put at the head when their time was up never took turns. */
TEST_CASE(sched_mlfq, hogs_on_the_last_level_take_turns) {
    struct stand stand;
    begin(&stand, 0, UINT64_MAX - 300 * MS);
    struct ash_sched_entity *a = hog(&stand), *b = hog(&stand);
    stand_go(&stand, 70 * MS);
    for (uint32_t i = 0; i < 10; i++)
        CHECK(stand_go(&stand, i == 0 ? 0 : 40 * MS) == (i % 2 == 0 ? a : b));
    CHECK_EQ(ash_sched_level(a), 3);
}

TEST_CASE(sched_mlfq, who_is_preempted_stays_first) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = hog(&stand), *b = hog(&stand), *quick = interactive(&stand);
    CHECK(stand_go(&stand, 12 * MS) == a); /* both are on level 1 */
    stand_wake(&stand, quick);
    CHECK(stand_go(&stand, 0) == quick);
    stand_go(&stand, MS);
    stand_block(&stand);
    CHECK(stand_go(&stand, 7 * MS) == a);
    CHECK(stand_go(&stand, MS) == b);
}

/* A call that comes late does not give more than there was. */
TEST_CASE(sched_mlfq, what_is_used_beyond_counts_on_the_next_level) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = hog(&stand), *b = hog(&stand);
    CHECK(stand_go(&stand, 0) == a);
    stand.now += 17 * MS; /* 5 of level 0, 10 of level 1, 2 of level 2 */
    CHECK_EQ(ash_sched_decide(stand.sched, stand.now, &stand.decision), 0);
    CHECK(stand.decision.run == b);
    CHECK_EQ(ash_sched_level(a), 2);
    CHECK(stand_go(&stand, 15 * MS) == a);
    CHECK_EQ(stand.decision.call_at - stand.now, 18 * MS);
}

TEST_CASE(sched_mlfq, an_hour_at_a_time_ends_on_the_last_level) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = hog(&stand);
    stand_go(&stand, 0);
    stand.now += 3600 * 1000 * MS;
    CHECK(stand_go(&stand, 0) == a);
    CHECK_EQ(ash_sched_level(a), 3);
    check(&stand);
}

/* A boost once is enough, however many were due; the next is where it would have been. */
TEST_CASE(sched_mlfq, boosts_that_were_missed_are_one) {
    struct stand stand;
    begin(&stand, 100 * MS, 7 * MS);
    struct ash_sched_entity *a = hog(&stand);
    stand_go(&stand, 50 * MS);
    CHECK_EQ(ash_sched_level(a), 3);
    stand.now += 770 * MS;
    CHECK_EQ(ash_sched_decide(stand.sched, stand.now, &stand.decision), 0);
    CHECK_EQ(ash_sched_level(a), 0);
    stand_run(&stand, 906 * MS);
    CHECK_EQ(ash_sched_level(a), 3);
    stand_run(&stand, 907 * MS);
    CHECK_EQ(ash_sched_level(a), 0);
}

/* With one more often, the first of level 0 never was used up, and the second never ran. */
TEST_CASE(sched_mlfq, equals_take_turns_with_the_shortest_boost) {
    struct stand stand;
    begin(&stand, 5 * MS, 0);
    struct ash_sched_entity *a = hog(&stand), *b = hog(&stand);
    stand_run(&stand, 1000 * MS);
    CHECK_EQ(stand_ran(&stand, a), 500 * MS);
    CHECK_EQ(stand_ran(&stand, b), 500 * MS);
}

TEST_CASE(sched_mlfq, a_sleeper_hears_of_boosts_when_it_wakes) {
    struct stand stand;
    begin(&stand, 100 * MS, 0);
    struct ash_sched_entity *a = hog(&stand);
    stand_go(&stand, 40 * MS);
    stand_block(&stand);
    CHECK_EQ(ash_sched_level(a), 3);
    stand_go(&stand, 100 * MS);
    CHECK_EQ(ash_sched_level(a), 0);
    stand_wake(&stand, a);
    CHECK(stand_go(&stand, 0) == a);
    CHECK_EQ(a->level, 0);
    CHECK_EQ(a->mlfq.used_ns, 0);
}

TEST_CASE(sched_mlfq, yield_keeps_what_was_used) {
    struct stand stand;
    begin(&stand, 0, 0);
    struct ash_sched_entity *a = hog(&stand), *b = hog(&stand);
    stand_go(&stand, 0);
    for (uint32_t i = 0; i < 8; i++) {
        stand.now += MS;
        CHECK(stand.decision.run == (i % 2 == 0 ? a : b));
        CHECK_EQ(ash_sched_yield(stand.sched, stand.now), 0);
        stand_go(&stand, 0);
    }
    CHECK_EQ(a->mlfq.used_ns, 4 * MS);
    CHECK_EQ(ash_sched_level(a), 0);
    CHECK(stand_go(&stand, MS) == b);
    CHECK_EQ(ash_sched_level(a), 1);
}

TEST_CASE(sched_mlfq, there_may_be_64_levels) {
    uint64_t allotments_ns[64];
    for (uint32_t level = 0; level < 64; level++)
        allotments_ns[level] = (level + 1) * MS;
    struct stand stand;
    stand_begin(&stand,
                (struct ash_sched_config){
                    .levels = 64, .allotments_ns = allotments_ns, .boost_ns = 5000 * MS},
                0);
    struct ash_sched_entity *a = hog(&stand), *b = hog(&stand);
    uint64_t all = 64 * 65 / 2 * MS;
    stand_run(&stand, 2 * all - 1000 * MS);
    CHECK(ash_sched_level(a) > 40 && ash_sched_level(b) > 40);
    stand_run(&stand, 2 * all);
    CHECK_EQ(ash_sched_level(a), 63);
    CHECK_EQ(ash_sched_level(b), 63);
    stand_run(&stand, 5000 * MS);
    CHECK_EQ(ash_sched_level(a) + ash_sched_level(b), 0);
}

/* The class as a whole is one fair entity: a fair hog has its share beside ten interactive ones. */
TEST_CASE(sched_mlfq, the_class_shares_with_fair_as_one) {
    struct stand stand;
    begin(&stand, 0, 0);
    for (uint32_t i = 0; i < 10; i++)
        hog(&stand);
    struct ash_sched_entity *fair =
        stand_attach(&stand, (struct ash_sched_attributes){.flags = ASH_SCHED_NICE});
    stand_wake(&stand, fair);
    stand_run(&stand, 1000 * MS);
    uint64_t ran = stand_ran(&stand, fair);
    CHECK(ran >= 497 * MS && ran <= 503 * MS);
}
