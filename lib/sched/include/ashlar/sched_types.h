/* SPDX-License-Identifier: MIT */
/*
 * sched_types.h: what a caller gives the scheduler and gets back: attributes, classes, refusals,
 * the configuration, the counts. The operations stand in sched.h.
 *
 * Glossary: entity: what is scheduled (a thread). Job: what an entity does from a wake to the next
 * block. Runtime Q, deadline D (relative), period T: a reservation, Q <= D <= T, of Q/T of the CPU.
 * Server: an entity with a reservation: its budget q and its absolute deadline d.
 */
#ifndef ASHLAR_SCHED_TYPES_H
#define ASHLAR_SCHED_TYPES_H

#include <ashlar/base.h>
#include <ashlar/error.h>

#define ASH_SCHED_TIME_MAX_NS  ((uint64_t)1 << 40) /* of Q, D, T and slices: 18 minutes */
#define ASH_SCHED_ENTITIES_MAX (((uint32_t)1 << 20) - 4)
#define ASH_SCHED_CPUS_MAX     64
#define ASH_SCHED_LEVELS_MAX   64
#define ASH_SCHED_NICE_MIN     (-20)
#define ASH_SCHED_NICE_MAX     19

enum ash_sched_class {
    ASH_SCHED_REALTIME,    /* earliest deadline first over constant-bandwidth servers */
    ASH_SCHED_FAIR,        /* shares by weight: EEVDF, or CFS */
    ASH_SCHED_INTERACTIVE, /* multi-level feedback queue */
    ASH_SCHED_IDLE,        /* runs when nothing else wants to */
    ASH_SCHED_NOTHING,     /* no entity's: nothing runs */
};

/* Flags of struct ash_sched_attributes. */
#define ASH_SCHED_NICE    1u /* `nice` is given */
#define ASH_SCHED_SOFT    2u /* out of budget: at once the next one, with a later deadline */
#define ASH_SCHED_RECLAIM 4u /* GRUB: charged less while others leave their bandwidth unused */
#define ASH_SCHED_IDLEST  8u /* the idle class */

/* What an entity asks for. All zero: interactive, or fair at nice 0, as the configuration says. */
struct ash_sched_attributes {
    uint32_t flags;
    int32_t nice;         /* -20 (most) .. 19; with ASH_SCHED_NICE */
    uint64_t runtime_ns;  /* Q; with period: a reservation */
    uint64_t deadline_ns; /* D; 0: D = T. Without runtime: a soft reservation, measured */
    uint64_t period_ns;   /* T; 0: T = D */
    uint64_t slice_ns;    /* fair: how long it wants to run at a time; 0: the configuration's */
    uint64_t affinity;    /* bit i: may run on CPU i; 0: everywhere */
};

/* Why attributes were refused. */
enum ash_sched_reason {
    ASH_SCHED_OK,
    ASH_SCHED_BAD_FLAGS,        /* an unknown flag, or flags that exclude each other */
    ASH_SCHED_BAD_NICE,         /* nice outside -20..19 */
    ASH_SCHED_NO_RUNTIME,       /* Q = 0 with a period */
    ASH_SCHED_RUNTIME_DEADLINE, /* Q > D */
    ASH_SCHED_DEADLINE_PERIOD,  /* D > T */
    ASH_SCHED_PERIOD_RANGE,     /* T outside what the scheduler takes, or a slice */
    ASH_SCHED_OVER_BANDWIDTH,   /* the sum of Q/T, the reservation for fair included, exceeds 1 */
    ASH_SCHED_OVER_DEMAND,      /* within `at_ns` more must be done than fits: see `demand_ns` */
    ASH_SCHED_UNDECIDED,        /* whether it is so would take too long to find out */
    ASH_SCHED_BAD_AFFINITY,     /* this CPU is not in the mask */
    ASH_SCHED_TOO_MANY,         /* entities_max are attached, or left bandwidth that still counts */
    ASH_SCHED_ATTACHED,         /* it is already, here or elsewhere */
    ASH_SCHED_NOT_ATTACHED,     /* it is not attached to this scheduler */
    ASH_SCHED_QUEUED,           /* it is runnable, and must not be for this */
    ASH_SCHED_BACKWARDS,        /* `now` is before the last one */
};

struct ash_sched_refusal {
    enum ash_sched_reason reason;
    uint64_t bandwidth_ppm; /* OVER_BANDWIDTH: the sum, in millionths, rounded up */
    uint64_t at_ns;         /* OVER_DEMAND: the length of the interval ... */
    uint64_t demand_ns;     /* ... and what must be done in it */
};

/* Flags of struct ash_sched_config. */
/* A wake-up's (q, d) is kept unless q/(d - t) is at least Q/D (Abeni and Buttazzo), or, with this
 * flag, more than Q/D (Linux). */
#define ASH_SCHED_STRICT_WAKE 1u
#define ASH_SCHED_CFS         2u /* fair: least vruntime first, in a red-black tree */
#define ASH_SCHED_FAIR_FIRST  4u /* attributes of all zeros mean fair, not interactive */
/* For simulation: what admission refuses is attached all the same (0; the refusal says why), and
 * an overload is left to be one: any deadline can be set, and none that has passed is renewed. */
#define ASH_SCHED_ADMIT_ALL 8u

struct ash_sched_entity;

struct ash_sched_config {
    uint32_t entities_max; /* attached at one time: 1 .. ASH_SCHED_ENTITIES_MAX */
    uint32_t cpu;          /* this instance's number, 0 .. 63 */
    uint32_t flags;
    uint32_t levels;               /* interactive, 1 .. ASH_SCHED_LEVELS_MAX; 0: 4 */
    const uint64_t *allotments_ns; /* one a level; NULL: 5, 10, 20, 40 ms, then 40. Copied */
    uint64_t slice_ns;             /* fair and idle; 0: 3 ms */
    uint64_t reserve_runtime_ns;   /* what real-time leaves to the others: this much ... */
    uint64_t reserve_period_ns;    /* ... in each such period; 0, 0: nothing */
    uint64_t period_min_ns;        /* the shortest T that is taken; 0: 1 ns */
    uint64_t bandwidth_one;        /* the integer that stands for all of a CPU in GRUB, at most
                                      2^62: all Q/T times it whole, no rounding; 0: 2^32 */
    uint64_t boost_ns;             /* all interactive entities back to level 0, so often, not
                                      before level 0's allotment is over; 0: never */
    uint64_t starving_ns;          /* watchdog: runnable for longer without running; 0: off */
    int32_t interactive_nice;      /* the interactive class's weight among fair entities */
    /*
     * All may be NULL. They are called with the scheduler in the middle of a call: they must not
     * call it. missed: once a job, when it is seen to run, or to end, after its deadline. overrun:
     * its budget is used up and its job is not done.
     */
    void (*missed)(void *context, struct ash_sched_entity *entity, uint64_t deadline, uint64_t now);
    void (*overrun)(void *context, struct ash_sched_entity *entity, uint64_t now);
    void (*starving)(void *context, struct ash_sched_entity *entity, uint64_t waited_ns);
    void *context;
};

/* What to do next. */
struct ash_sched_decision {
    struct ash_sched_entity *run; /* NULL: nothing is runnable */
    bool timed;                   /* false: no call is needed before the next wake */
    uint64_t call_at;             /* timed: call decide then at the latest */
};

/* Of one entity, charged up to the time of the question. */
struct ash_sched_account {
    uint64_t runtime_ns;
    uint64_t waited_max_ns; /* the longest time runnable without running */
    uint64_t releases, completions, misses, throttles, switches;
    uint64_t lateness_max_ns; /* of jobs that ended after their deadline */
    uint64_t overrun_ns;      /* run beyond the budget, because the call came late */
};

/* Of one instance. */
struct ash_sched_stats {
    uint64_t decisions, switches, throttles, misses, starvings;
    uint64_t rounded; /* times that a rational had to become whole nanoseconds */
};

#endif
