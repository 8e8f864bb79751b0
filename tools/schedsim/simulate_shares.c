/* SPDX-License-Identifier: MIT */
/*
 * simulate_shares.c: sets of the fair class, always runnable: by nice values under CFS, one tick
 * at a time; by weights and requests under EEVDF, a quantum at a time. What each had is counted
 * here, not asked of the library.
 */
#include <stdlib.h>

#include "simulate_internal.h"

#define TICK_NS   1000000
#define SLICE_MAX 100000000 /* 100 ms: of what the library is made for */

/* The weight of each nice value, as the library has it: of a vruntime's growth nothing else
 * depends. From -20 on. */
static const uint32_t weights[] = {
    88761, 71755, 56483, 46273, 36291, 29154, 23254, 18705, 14949, 11916, 9548, 7620, 6100, 4904,
    3906,  3121,  2501,  1991,  1586,  1277,  1024,  820,   655,   526,   423,  335,  272,  215,
    172,   137,   110,   87,    70,    56,    45,    36,    29,    23,    18,   15};

/* The index of what the library says runs now. */
static size_t decide(struct simulation *simulation, int64_t now) {
    struct ash_sched_decision decision;
    simulation_must(ash_sched_decide(&simulation->sched, (uint64_t)now, &decision), "decide");
    return decision.run == NULL ? SIZE_MAX : (size_t)(decision.run - simulation->entities);
}

static void wake(struct simulation *simulation, size_t task, int64_t now) {
    simulation_must(ash_sched_wake(&simulation->sched, &simulation->entities[task], (uint64_t)now),
                    "wake");
}

/* Fair */

static uint32_t weight_of(const struct simulation *simulation, size_t task) {
    return weights[simulation->set->tasks[task].nice + 20];
}

/* Of ticks a / wa and b / wb, which is less. */
static bool less(const struct simulation *simulation, size_t a, size_t b) {
    const uint64_t *ran = simulation->result->ran;
    return ran[a] * weight_of(simulation, b) < ran[b] * weight_of(simulation, a);
}

/* From what each ran: 1024 (ran / weight) of the most and the least. */
static void see_spread(struct simulation *simulation) {
    struct result *result = simulation->result;
    size_t least = 0, most = 0;
    struct rational spread;
    __int128 num;
    for (size_t i = 1; i < simulation->set->task_count; i++) {
        least = less(simulation, i, least) ? i : least;
        most = less(simulation, most, i) ? i : most;
    }
    num = (__int128)result->ran[most] * weight_of(simulation, least) -
          (__int128)result->ran[least] * weight_of(simulation, most);
    if (rational_make(num * 1024,
                      (__int128)weight_of(simulation, most) * weight_of(simulation, least),
                      &spread) &&
        rational_compare(spread, result->spread) > 0)
        result->spread = spread;
}

bool simulate_fair(struct simulation *simulation) {
    struct ash_sched_config config = {.flags = ASH_SCHED_CFS, .slice_ns = TICK_NS};
    struct result *result = simulation->result;
    if (!simulation_open(simulation, &config))
        return false;
    for (size_t i = 0; i < simulation->set->task_count; i++) {
        struct ash_sched_attributes attributes = {.flags = ASH_SCHED_NICE,
                                                  .nice = simulation->set->tasks[i].nice};
        if (!simulation_attach(simulation, i, &attributes))
            return false;
        wake(simulation, i, 0);
    }
    result->spread = rational_of(0);
    for (uint64_t tick = 0; tick < simulation->set->rounds; tick++) {
        result->ran[decide(simulation, (int64_t)tick * TICK_NS)]++;
        see_spread(simulation);
    }
    result->until = (int64_t)simulation->set->rounds;
    return true;
}

/* EEVDF */

/* In units of the task set, not in ticks. */
struct lags {
    int64_t *quanta;        /* that each client had; -1: it has not come yet */
    struct rational *since; /* V when it came */
    struct rational virtual_time;
    uint64_t weight; /* of those that are there */
    size_t present;
};

/* a + num / den */
static bool add(struct rational a, __int128 num, __int128 den, struct rational *sum) {
    return rational_make(num * a.den + (__int128)a.num * den, den * a.den, sum);
}

/* |w (V - V0) - ran|: what it should have had, less what it had. */
static bool see_lag(struct simulation *simulation, const struct lags *lags, size_t client) {
    struct rational lag, quantum = simulation->set->quantum;
    if (!add(lags->virtual_time, -(__int128)lags->since[client].num, lags->since[client].den,
             &lag) ||
        !rational_make((__int128)lag.num * simulation->set->tasks[client].weight, lag.den, &lag) ||
        !add(lag, -(__int128)quantum.num * lags->quanta[client], quantum.den, &lag))
        return false;
    if (lag.num < 0)
        lag.num = -lag.num;
    if (rational_compare(lag, simulation->result->maxlag) > 0)
        simulation->result->maxlag = lag;
    return true;
}

static void arrive(struct simulation *simulation, struct lags *lags, int64_t now) {
    const struct taskset *set = simulation->set;
    for (size_t i = 0; i < set->task_count; i++) {
        if (lags->quanta[i] >= 0 || simulation_ticks(simulation, set->tasks[i].start) > now)
            continue;
        lags->quanta[i] = 0;
        lags->since[i] = lags->virtual_time;
        lags->weight += set->tasks[i].weight;
        lags->present++;
        wake(simulation, i, now);
    }
}

/* The first that is not there yet; some is. */
static int64_t next_start(const struct simulation *simulation, const struct lags *lags) {
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < simulation->set->task_count; i++) {
        int64_t start = simulation_ticks(simulation, simulation->set->tasks[i].start);
        if (lags->quanta[i] < 0 && start < next)
            next = start;
    }
    return next;
}

static bool run_quanta(struct simulation *simulation, struct lags *lags) {
    const struct taskset *set = simulation->set;
    int64_t quantum = simulation_ticks(simulation, set->quantum), now = 0;
    for (uint64_t round = 0; round < set->rounds; round++) {
        size_t client;
        arrive(simulation, lags, now);
        if (lags->present == 0) {
            now = next_start(simulation, lags);
            arrive(simulation, lags, now);
        }
        client = decide(simulation, now);
        simulation->result->order[round] = (uint32_t)client;
        if (now + quantum >= TICKS_MAX)
            return simulation_fails(simulation, "so many quanta take too long");
        if (!simulation_segment(simulation, now, now + quantum, client, 0))
            return false;
        now += quantum;
        lags->quanta[client]++;
        if (!add(lags->virtual_time, set->quantum.num,
                 (__int128)set->quantum.den * (int64_t)lags->weight, &lags->virtual_time))
            return simulation_fails(simulation, "its virtual time needs too many digits");
        for (size_t i = 0; i < set->task_count; i++)
            if (lags->quanta[i] >= 0 && !see_lag(simulation, lags, i))
                return simulation_fails(simulation, "its lags need too many digits");
    }
    simulation->result->until = now;
    return true;
}

static bool attach_clients(struct simulation *simulation) {
    for (size_t i = 0; i < simulation->set->task_count; i++) {
        const struct task *client = &simulation->set->tasks[i];
        struct ash_sched_attributes attributes = {
            .flags = ASH_SCHED_NICE,
            .slice_ns = (uint64_t)simulation_ticks(simulation, client->request)};
        if (!simulation_attach(simulation, i, &attributes))
            return false;
        /* Any weight, not the 40 of nice values alone: this is what the library keeps of it. */
        simulation->entities[i].eevdf.weight = client->weight;
        simulation->entities[i].eevdf.reciprocal = UINT64_MAX / client->weight;
    }
    return true;
}

/* As many ticks a unit as there may be: V is whole numbers of them, rounded down. */
static void make_finer(struct simulation *simulation) {
    __int128 most = 1;
    for (size_t i = 0; i < simulation->set->task_count; i++) {
        int64_t request = simulation_ticks(simulation, simulation->set->tasks[i].request);
        most = request > most ? request : most;
    }
    if (simulation_ticks(simulation, simulation->set->quantum) > most)
        most = simulation_ticks(simulation, simulation->set->quantum);
    while (simulation->unit < TICKS_MAX / 1000 && most * 1000 < SLICE_MAX) {
        simulation->unit *= 1000;
        most *= 1000;
    }
}

bool simulate_eevdf(struct simulation *simulation) {
    const struct taskset *set = simulation->set;
    struct ash_sched_config config = {0};
    struct lags lags = {.virtual_time = rational_of(0)};
    bool good = simulation_refine(simulation, set->quantum, TICKS_MAX);
    for (size_t i = 0; good && i < set->task_count; i++)
        good = simulation_refine(simulation, set->tasks[i].request, TICKS_MAX) &&
               simulation_refine(simulation, set->tasks[i].start, TICKS_MAX);
    make_finer(simulation);
    if (!good || !simulation_open(simulation, &config) || !attach_clients(simulation))
        return false;
    lags.quanta = calloc(set->task_count, sizeof(*lags.quanta));
    lags.since = calloc(set->task_count, sizeof(*lags.since));
    simulation->result->order = calloc(set->rounds, sizeof(uint32_t));
    simulation->result->unit = simulation->unit;
    simulation->result->maxlag = rational_of(0);
    if (lags.quanta == NULL || lags.since == NULL || simulation->result->order == NULL)
        good = simulation_fails(simulation, "there is no memory for it");
    for (size_t i = 0; good && i < set->task_count; i++)
        lags.quanta[i] = -1;
    good = good && run_quanta(simulation, &lags);
    free(lags.quanta);
    free(lags.since);
    return good;
}
