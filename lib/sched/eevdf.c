/* SPDX-License-Identifier: MIT */
/*
 * eevdf.c: the fair class: earliest eligible virtual deadline first (Stoica, Abdel-Wahab 1995).
 *
 * Virtual time is in units of a nanosecond at nice 0: who runs for t ns at weight w gets
 * v += 1024 t / w, and the remainder of the division is kept, so that v never drifts. V, the time
 * that everybody should have reached, is the mean of all v weighted by w. An entity's lag w(V - v)
 * is what it has still to get; all lags sum to 0. Who has lag is eligible (v <= V), and each
 * request of `slice` has the deadline v + 1024 slice / w. Of those who are eligible the earliest
 * deadline runs.
 *
 *   V <= v:  waiting, by v    ──when V has come so far──>   v <= V:  eligible, by deadline
 *            ^                                                            │
 *            └──────────────────────when it is first──────────────────────┘
 *
 * No division in an answer: v <= V is (v - zero) W <= S, where W is the sum of w and S that of
 * w(v - zero), in 128 bits. V goes back when somebody leaves who was behind: who is not eligible
 * any more is found when it is first, and goes back to `waiting`; so does most that has run. A key
 * in either may be too early for the same reason (a charge moves what it is made of): it is set
 * right when it is first. So pick is exact, and a charge touches no queue.
 *
 * Who sleeps keeps its lag, a request's length at most, both as it falls asleep and as it wakes:
 * with lag it is placed as far behind V as before, whatever weight has come and gone, and with debt
 * it stands where it stood, until V has passed that: time pays debts, and sleeping gains nothing.
 */
#include "queue_inline.h"
#include "sched_internal.h"

#define ONE_SHIFT 10 /* weight 1024 is nice 0 */

/* How far v may be from zero before zero follows. */
#define ZERO_NEAR (INT64_C(1) << 60)

/* How far behind its deadline the key of one that is alone may stay: near those of newcomers. */
#define ALONE_NEAR (UINT64_C(1) << 40)

/* How far from V a sleeper is at most when it is reniced: further than a request is long, and times
 * the ratio of two weights, which is less than 2^13, still comparable. */
#define SLEEPER_FAR (INT64_C(1) << 48)

typedef struct ash_sched_eevdf_entity fair; /* what is in this file's every line */

typedef ash__sched_i128 i128;

/* dividend / weight by the reciprocal, which is 2^64 / weight less at most 1: the quotient comes
 * out right, or 1 too small. */
static inline uint64_t divide(const fair *own, uint64_t dividend, uint32_t *rest) {
    uint64_t quotient = (uint64_t)((ash__u128)dividend * own->reciprocal >> 64);
    uint64_t left = dividend - quotient * own->weight;
    bool more = left >= own->weight;
    *rest = (uint32_t)(more ? left - own->weight : left);
    return quotient + more;
}

/* A request's length in virtual time, from where it really is: v and the rest. Never nothing,
 * however short the slice and great the weight. */
static inline uint64_t request(const fair *own) {
    uint32_t rest;
    uint64_t length = divide(own, (own->slice_ns << ONE_SHIFT) + own->rest, &rest);
    return length + (length == 0);
}

static inline i128 weighted(const struct ash_sched_eevdf *class, uint64_t weight, uint64_t v) {
    return (i128)(int64_t)(v - class->zero) * (int64_t)weight;
}

static inline bool is_eligible(const struct ash_sched_eevdf *class, uint64_t v) {
    return weighted(class, class->weight, v) <= class->sum;
}

/* V, rounded down, becomes zero. */
static uint64_t settle(struct ash_sched_eevdf *class) {
    if (class->weight == 0)
        return class->zero;
    i128 sum = class->sum;
    int64_t mean;
    if (sum == (int64_t)sum) {
        mean = (int64_t)sum / (int64_t) class->weight;
    } else {
        ash__u128 size = sum < 0 ? -(ash__u128)sum : (ash__u128)sum;
        mean = (int64_t)ash__sched_div((uint64_t)(size >> 64), (uint64_t)size, class->weight);
        mean = sum < 0 ? -mean : mean;
    }
    sum -= (i128)mean * (int64_t) class->weight;
    if (sum < 0) {
        mean--;
        sum += (int64_t) class->weight;
    }
    class->sum = sum;
    class->zero += (uint64_t)mean;
    return class->zero;
}

static void join(struct ash_sched_eevdf *class, const fair *own) {
    class->sum += weighted(class, own->weight, own->vruntime);
    class->weight += own->weight;
}

static void leave(struct ash_sched_eevdf *class, const fair *own) {
    class->sum -= weighted(class, own->weight, own->vruntime);
    class->weight -= own->weight;
}

/* How far from V to come in, or to have gone out, for that lag: one's own coming moves V by
 * w / (W + w) of the distance. */
static uint64_t spread(const struct ash_sched_eevdf *class, const fair *own, uint64_t lag) {
    return ash__sched_mul_div(lag, class->weight + own->weight, class->weight);
}

static void set_weight(const struct ash_sched *sched, struct ash_sched_entity *entity) {
    fair *own = &entity->eevdf;
    own->weight = ash__sched_weight(entity->attributes.nice);
    own->reciprocal = UINT64_MAX / own->weight;
    own->rest = 0;
    own->slice_ns = ash__sched_slice_of(sched, entity);
}

/* distance * from / to, of a signed distance, towards 0. */
static int64_t rescale(int64_t distance, uint32_t from, uint32_t to) {
    if (distance < 0)
        return -(int64_t)ash__sched_mul_div((uint64_t)-distance, from, to);
    return (int64_t)ash__sched_mul_div((uint64_t)distance, from, to);
}

size_t ash__sched_eevdf_bytes(uint32_t slots) {
    return 2 * ash__sched_queue_bytes(slots);
}

void ash__sched_eevdf_init(struct ash_sched *sched, void *storage, uint32_t slots) {
    size_t bytes = ash__sched_queue_bytes(slots);
    ash__sched_queue_init(&sched->eevdf.eligible, storage, slots);
    ash__sched_queue_init(&sched->eevdf.waiting, (char *)storage + bytes, slots);
}

/* Asleep, the deadline is the lag; below 0 it says that v is to be kept. */
void ash__sched_eevdf_attach(struct ash_sched *sched, struct ash_sched_entity *entity) {
    set_weight(sched, entity);
    entity->eevdf.vruntime = sched->eevdf.zero;
    entity->eevdf.vdeadline = 0;
}

void ash__sched_eevdf_enqueue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    fair *own = &entity->eevdf;
    uint64_t v = settle(class), most = request(own);
    int64_t lag = (int64_t)own->vdeadline, ahead = (int64_t)(own->vruntime - v);
    if (class->weight == 0 || (lag < 0 && ahead <= 0))
        lag = 0; /* nobody to whom it is owed, or it has been paid */
    /* Both were cut when it fell asleep, by what a request was then, and by who was there. */
    if (lag > 0)
        v -= spread(class, own, ash_min_u64((uint64_t)lag, most));
    if (lag < 0)
        v += ash_min_u64((uint64_t)ahead, spread(class, own, most));
    own->vruntime = v;
    own->vdeadline = v + most;
    join(class, own);
    ash__sched_queue_insert(lag >= 0 ? &class->eligible : &class->waiting, entity->slot,
                            lag >= 0 ? own->vdeadline : own->vruntime);
}

void ash__sched_eevdf_dequeue(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    fair *own = &entity->eevdf;
    uint64_t v = settle(class);
    int64_t lag = (int64_t)(v - own->vruntime), limit = (int64_t)request(own);
    bool eligible = ash__sched_queue_has(&class->eligible, entity->slot);
    ash__sched_queue_remove(eligible ? &class->eligible : &class->waiting, entity->slot);
    leave(class, own);
    if (lag > limit)
        lag = limit;
    if (lag < -limit && class->weight != 0) /* where it would stand, now that V has moved */
        own->vruntime = settle(class) + spread(class, own, (uint64_t)limit);
    own->vdeadline = (uint64_t)lag;
}

ASH_HOT_ENTRY void ash__sched_eevdf_charge(struct ash_sched *sched, struct ash_sched_entity *entity,
                                           uint64_t ran_ns) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    fair *own = &entity->eevdf;
    if (ASH_UNLIKELY(ran_ns > ASH__SCHED_FAIR_RAN_MAX_NS))
        ran_ns = ASH__SCHED_FAIR_RAN_MAX_NS;
    uint64_t work = (ran_ns << ONE_SHIFT) + own->rest;
    own->vruntime += divide(own, work, &own->rest);
    class->sum += work - own->rest; /* w times what v went on */
    if ((int64_t)(own->vruntime - own->vdeadline) >= 0)
        own->vdeadline = own->vruntime + request(own);
    if (ASH_UNLIKELY((int64_t)(own->vruntime - class->zero) > ZERO_NEAR))
        settle(class);
}

/* The first of those that wait, if it is eligible. */
static inline uint32_t next_to_come(const struct ash_sched_eevdf *class) {
    uint32_t next = ash__sched_queue_first(&class->waiting);
    if (next != ASH__SCHED_NO_SLOT &&
        is_eligible(class, ash__sched_queue_first_key(&class->waiting)))
        return next;
    return ASH__SCHED_NO_SLOT;
}

/* Whose request is over, and is behind all others in the lane, need not wait for V elsewhere:
 * before it is first again V will most likely have come. So those of equal weight go round in one
 * queue. */
static inline bool may_stay(const struct ash_sched_queue *eligible, const fair *own) {
    return ash__queue_appends(eligible, own->vdeadline) &&
           ash__sched_queue_first_key(eligible) != own->vdeadline;
}

/* `next` comes. Where the first of the eligible has to wait, each takes the other's place. */
static inline void come(struct ash_sched *sched, uint32_t next) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    uint32_t slot = ash__sched_queue_first(&class->eligible);
    uint64_t deadline = sched->entities[next]->eevdf.vdeadline;
    if (slot != ASH__SCHED_NO_SLOT) {
        const fair *first = &sched->entities[slot]->eevdf;
        uint64_t v = first->vruntime;
        if (!is_eligible(class, v) && !may_stay(&class->eligible, first)) {
            ash__sched_queue_replace(&class->eligible, slot, next, deadline);
            ash__sched_queue_replace(&class->waiting, next, slot, v);
            return;
        }
    }
    ash__sched_queue_remove(&class->waiting, next);
    ash__sched_queue_insert(&class->eligible, next, deadline);
}

/* At a given V nobody moves twice in the same direction: at most 2n moves, one of each kind for a
 * decision in the mean. Those who come go before one whose deadline has moved: they have waited for
 * longer. */
ASH_HOT_ENTRY struct ash_sched_entity *ash__sched_eevdf_pick(struct ash_sched *sched) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    struct ash_sched_queue *eligible = &class->eligible, *waiting = &class->waiting;
    if (eligible->length == 1 && waiting->length == 0) {
        struct ash_sched_entity *entity = sched->entities[ash__sched_queue_first(eligible)];
        uint64_t key = ash__sched_queue_first_key(eligible);
        if (entity->eevdf.vdeadline - key < ALONE_NEAR) /* alone it is at V */
            return entity;
    }
    uint32_t next = next_to_come(class);
    if (next != ASH__SCHED_NO_SLOT) {
        come(sched, next);
        while ((next = next_to_come(class)) != ASH__SCHED_NO_SLOT) {
            ash__queue_pop(waiting, next);
            ash__queue_insert(eligible, next, sched->entities[next]->eevdf.vdeadline);
        }
    }
    for (;;) {
        uint32_t slot = ash__sched_queue_first(eligible);
        if (slot == ASH__SCHED_NO_SLOT)
            return NULL;
        struct ash_sched_entity *entity = sched->entities[slot];
        uint64_t v = entity->eevdf.vruntime, deadline = entity->eevdf.vdeadline;
        if (!is_eligible(class, v)) {
            bool stays = may_stay(eligible, &entity->eevdf);
            ash__queue_pop(eligible, slot);
            if (stays)
                ash__queue_insert(eligible, slot, deadline);
            else
                ash__sched_queue_insert(waiting, slot, v);
        } else if (ASH_UNLIKELY(ash__sched_queue_first_key(eligible) != deadline)) {
            ash__sched_queue_requeue(eligible, slot, deadline);
        } else {
            return entity;
        }
    }
}

/* Until its request is over; for ever where nobody else wants to run. */
uint64_t ash__sched_eevdf_left(const struct ash_sched *sched,
                               const struct ash_sched_entity *entity) {
    const fair *own = &entity->eevdf;
    if (sched->eevdf.weight == own->weight)
        return ASH__SCHED_FOREVER;
    if (own->vdeadline == own->vruntime) /* a request that was rescaled to nothing */
        return 1;
    uint64_t work = (own->vdeadline - own->vruntime) * own->weight - own->rest;
    return (work + (1 << ONE_SHIFT) - 1) >> ONE_SHIFT;
}

/* The rest of the request is given up as if it had run. Who is ahead already has nothing to give:
 * else v would run away. */
void ash__sched_eevdf_yield(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    fair *own = &entity->eevdf;
    if (class->weight == own->weight || !is_eligible(class, own->vruntime))
        return;
    class->sum += (i128)(own->vdeadline - own->vruntime) * own->weight;
    own->vruntime = own->vdeadline;
    own->vdeadline += request(own);
}

/* The lag stays what it is, so V does, too: v' = V - (V - v) w / w', and so for the deadline. */
void ash__sched_eevdf_reweight(struct ash_sched *sched, struct ash_sched_entity *entity) {
    struct ash_sched_eevdf *class = &sched->eevdf;
    fair *own = &entity->eevdf;
    uint32_t from = own->weight;
    bool eligible = ash__sched_queue_has(&class->eligible, entity->slot);
    bool queued = eligible || ash__sched_queue_has(&class->waiting, entity->slot);
    uint64_t v = settle(class);
    if (queued)
        leave(class, own);
    set_weight(sched, entity);
    int64_t ahead = (int64_t)(own->vruntime - v);
    if (!queued)
        ahead = ahead < -SLEEPER_FAR ? -SLEEPER_FAR : ahead > SLEEPER_FAR ? SLEEPER_FAR : ahead;
    own->vruntime = v + (uint64_t)rescale(ahead, from, own->weight);
    if (!queued) {
        own->vdeadline = (uint64_t)rescale((int64_t)own->vdeadline, from, own->weight);
        return;
    }
    own->vdeadline = v + (uint64_t)rescale((int64_t)(own->vdeadline - v), from, own->weight);
    join(class, own);
    if (eligible)
        ash__sched_queue_requeue(&class->eligible, entity->slot, own->vdeadline);
    else
        ash__sched_queue_requeue(&class->waiting, entity->slot, own->vruntime);
}

/* Checker */

static const char *check_entity(const struct ash_sched *sched, uint32_t slot) {
    const struct ash_sched_eevdf *class = &sched->eevdf;
    const fair *own = &sched->entities[slot]->eevdf;
    bool eligible = ash__sched_queue_has(&class->eligible, slot);
    if (eligible && ash__sched_queue_has(&class->waiting, slot))
        return "E1: a fair entity is in both queues";
    if (!eligible && ash__sched_before(own->vruntime, ash__sched_queue_key(&class->waiting, slot)))
        return "E2: a fair entity waits by a key behind its vruntime";
    if (eligible && ash__sched_before(own->vdeadline, ash__sched_queue_key(&class->eligible, slot)))
        return "E3: a fair entity is queued by a key behind its deadline";
    if (own->rest >= own->weight || ash__sched_before(own->vdeadline, own->vruntime))
        return "E4: a fair entity's deadline is past, or its rest is more than its weight";
    return NULL;
}

const char *ash__sched_eevdf_check(const struct ash_sched *sched) {
    const struct ash_sched_eevdf *class = &sched->eevdf;
    const char *broken = ash__sched_queue_check(&class->eligible);
    if (broken == NULL)
        broken = ash__sched_queue_check(&class->waiting);
    i128 sum = 0;
    uint64_t weight = 0;
    for (uint32_t slot = 0; broken == NULL && slot < class->eligible.slots; slot++) {
        if (!ash__sched_queue_has(&class->eligible, slot) &&
            !ash__sched_queue_has(&class->waiting, slot))
            continue;
        const fair *own = &sched->entities[slot]->eevdf;
        broken = check_entity(sched, slot);
        sum += weighted(class, own->weight, own->vruntime);
        weight += own->weight;
    }
    if (broken == NULL && (sum != class->sum || weight != class->weight))
        broken = "E5: the lags of fair entities do not sum to 0";
    return broken;
}
