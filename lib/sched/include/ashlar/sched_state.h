/* SPDX-License-Identifier: MIT */
/*
 * sched_state.h: the structs of sched.h, public for their size. Fields are the library's own,
 * except where a comment says otherwise; read an entity through ash_sched_get_account and the
 * inline functions below.
 *
 *     entity, first line:  slot class state level | runtime, waiting since | union: what its class
 *                          needs at every decision                           (64 bytes)
 *     behind it:           owner, attributes, job, counts
 */
#ifndef ASHLAR_SCHED_STATE_H
#define ASHLAR_SCHED_STATE_H

#include <ashlar/list.h>
#include <ashlar/rbtree.h>
#include <ashlar/sched_queue.h>
#include <ashlar/sched_types.h>

/* Where an entity is. Throttled: it has a job, and no budget until its next period. */
enum ash_sched_state {
    ASH_SCHED_BLOCKED,
    ASH_SCHED_READY,
    ASH_SCHED_THROTTLED,
};

/* A server: real-time. */
struct ash_sched_server {
    uint64_t deadline;                           /* d, absolute */
    int64_t budget;                              /* q; below 0: debt */
    uint64_t runtime_ns, relative_ns, period_ns; /* Q, D, T */
};

/* A fair entity under EEVDF; asleep, vdeadline is its lag. */
struct ash_sched_eevdf_entity {
    uint64_t vruntime, vdeadline;
    uint64_t slice_ns;
    uint64_t reciprocal; /* 2^64 / weight */
    uint32_t weight;
    uint32_t rest; /* of the division of the last charge */
};

/* A fair entity under CFS. */
struct ash_sched_cfs_entity {
    struct ash_rbtree_node node;
    uint64_t vruntime;
    uint32_t weight;
    uint32_t rest; /* of the division of the last charge */
};

/* An interactive entity. */
struct ash_sched_mlfq_entity {
    struct ash_list node; /* of its level */
    uint64_t used_ns;     /* of the level's allotment */
    uint32_t boosts;      /* that it has heard of */
};

struct ash_sched_idle_entity {
    struct ash_list node;
    uint64_t used_ns; /* of its slice */
};

/*
 * What is scheduled: the caller's memory, zeroed before its first attach, and the scheduler's until
 * the detach. `user` is the caller's.
 */
struct ash_sched_entity {
    uint32_t slot;
    uint8_t class_;
    uint8_t state;
    uint8_t flags; /* of the attributes */
    uint8_t level; /* interactive */
    uint64_t runtime_ns;
    uint64_t ready_since; /* since when it waits, if it does */
    union {
        struct ash_sched_server server;
        struct ash_sched_eevdf_entity eevdf;
        struct ash_sched_cfs_entity cfs;
        struct ash_sched_mlfq_entity mlfq;
        struct ash_sched_idle_entity idle;
    };
    /* Cold. */
    struct ash_sched *sched; /* NULL: not attached */
    uint64_t job_deadline;   /* real-time: of the job that it is at */
    uint64_t bandwidth;      /* real-time: Q/D of config.bandwidth_one, rounded up */
    uint64_t charge_rest;    /* GRUB: what a charge left of its last nanosecond, of bandwidth_one */
    uint8_t grub;            /* enum ash__sched_grub */
    uint8_t job_late;        /* its miss has been told */
    uint8_t job_ended;       /* by a block or a yield */
    uint8_t starved;         /* its starving has been told */
    uint8_t measured;        /* Q is what its jobs were seen to need */
    uint32_t measured_jobs;
    uint64_t measured_max_ns;
    uint64_t job_start_ns; /* its runtime when the job began */
    struct ash_sched_attributes attributes;
    struct ash_sched_account account;
    void *user;
} __attribute__((aligned(64)));

__extension__ typedef __int128 ash__sched_i128;
__extension__ typedef unsigned __int128 ash__sched_u128;

/* The fair class; one of the two is in use. */
struct ash_sched_eevdf {
    struct ash_sched_queue eligible, waiting;
    uint64_t zero, weight; /* that of all that are queued */
    ash__sched_i128 sum;   /* of weight * (vruntime - zero) */
};

struct ash_sched_cfs {
    struct ash_rbtree_cached tree;
    uint64_t min_vruntime;
};

struct ash_sched_mlfq {
    uint64_t occupied; /* bit i: level i has somebody */
    uint64_t boost_at;
    uint32_t count;
    uint32_t boosts; /* so far */
    struct ash_list levels[ASH_SCHED_LEVELS_MAX];
    uint64_t allotments_ns[ASH_SCHED_LEVELS_MAX];
};

/* A reservation that left its slot: its bandwidth counts until its time has come. The next one of
 * the slot, if it is there already, begins then. */
struct ash_sched_parting {
    uint64_t runtime_ns, relative_ns, period_ns; /* 0: none */
    uint64_t until;
    uint64_t bandwidth; /* that GRUB counts as active, 0: none. Then the slot is in the timers */
};

/* Of a set of reservations whose sum is looked at: `rest` is what its division left so far. */
struct ash_sched_term {
    uint64_t runtime_ns, relative_ns, period_ns, rest;
};

struct ash_sched {
    struct ash_sched_entity *current; /* what the last decide said, until it blocks */
    struct ash_sched_entity **entities;
    uint64_t now; /* of the last call: charged until then */
    uint64_t call_at;
    bool timed;
    bool by_reserve;     /* the current one runs because of the reservation for fair */
    bool tight;          /* the densities Q/D sum to more than 1: see DESIGN.md, 'Admission' */
    bool may_loosen;     /* something left since, or gave way ... */
    uint32_t reclaimers; /* entities that are charged by GRUB */
    struct ash_sched_queue ready;     /* real-time, by deadline */
    struct ash_sched_queue timers;    /* throttled: next period; blocked: zero-lag time */
    ash__sched_u128 active_bandwidth; /* GRUB: of servers that are not inactive, and partings */
    uint64_t bandwidth_max;           /* GRUB: bandwidth_one less the reservation's */
    uint32_t fair_count; /* runnable in the fair class, the interactive group included */
    union {
        struct ash_sched_eevdf eevdf;
        struct ash_sched_cfs cfs;
    };
    struct ash_sched_mlfq mlfq;
    struct ash_list idle;
    uint64_t watch_at; /* the watchdog looks again then */
    struct ash_sched_config config;
    struct ash_sched_stats stats;
    uint32_t *free_slots;
    uint32_t free_count;
    struct ash_sched_parting *partings; /* one a slot */
    struct ash_sched_term *terms;       /* of admission, while it reckons */
    /* What other CPUs may read without this one's lock: hints, each atomic for itself. */
    uint32_t hint_runnable;              /* runnable entities of all classes */
    uint32_t hint_class;                 /* of what runs */
    uint64_t hint_bandwidth_ppm;         /* of all reservations of entities */
    uint64_t loosens_at;                 /* ... and counts until then at the latest */
    uint32_t steal_cursor;               /* the slot that a thief looks at next */
    struct ash_sched_entity interactive; /* the interactive class as one of the fair entities */
    struct ash_sched_entity reserve;     /* what real-time leaves to the others, as a server */
};

/* A server's budget and deadline as the last charge left them: for the sink of an event, which must
 * not call the scheduler. */
static inline int64_t ash_sched_server_budget(const struct ash_sched_entity *entity) {
    return entity->server.budget;
}

static inline uint64_t ash_sched_server_deadline(const struct ash_sched_entity *entity) {
    return entity->server.deadline;
}

/* The number by which events name it, valid while attached. */
static inline uint32_t ash_sched_slot(const struct ash_sched_entity *entity) {
    return entity->slot;
}

/* Interactive: the level it is at, 0 the highest. */
static inline uint32_t ash_sched_level(const struct ash_sched_entity *entity) {
    return entity->mlfq.boosts == entity->sched->mlfq.boosts ? entity->level : 0;
}

#endif
