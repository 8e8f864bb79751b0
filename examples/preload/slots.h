/* SPDX-License-Identifier: MIT */
/*
 * slots.h: which CPU slot a thread uses, and how fork finds the allocator at rest.
 *
 * The parts keep their caches per CPU; here a CPU is a slot. A thread claims one at its first call
 * and gives it back when it ends. When all are taken, threads share the last few, each of which has
 * a mutex that is held for the length of an operation.
 *
 * Every operation stands between an enter and a leave. Who owns a slot pays two stores and a test
 * for that; `attention` is what brings it out of line:
 *
 *     thread                              fork
 *     inside = 1                          attention |= STOP, of every slot that has an owner
 *     (compiler barrier)                  heavy fence
 *     attention != 0 ?  out of line       inside == 0 ?  else wait
 *
 * Either the thread sees STOP, or fork sees that it is inside. The full fence that this takes is
 * paid by fork alone (the port's asymmetric fence: membarrier(2), Linux 4.14). Where Linux has it
 * not, no thread owns a slot: all share.
 *
 * Hence fork runs while nobody is inside an operation: no lock of a part is held, no magazine is
 * half exchanged, and the child goes on with what it has. The slots of the threads that it does
 * not have, with the objects in them, are its own to claim.
 */
#ifndef PRELOAD_SLOTS_H
#define PRELOAD_SLOTS_H

#include <ashlar/port.h>

enum {
    SLOTS_SHARED = 8, /* the last ones */
    SLOTS_OWN = ASH_PORT_CPUS_MAX - SLOTS_SHARED,
};
_Static_assert(SLOTS_OWN >= 1 && SLOTS_OWN <= 64, "free slots are bits of a word");

enum slots_attention {
    SLOTS_NEW = 1,     /* the thread has no slot yet */
    SLOTS_SHARING = 2, /* it has none of its own */
    SLOTS_STOP = 4,    /* fork waits */
    SLOTS_REAP = 8,    /* the caches have not been reaped for a while */
    SLOTS_TRACE = 16,  /* a debug heap wants to know who called: out of line always */
};

/* Not in the thread's own memory: fork may look at it whatever became of the thread. */
struct slot {
    uint32_t inside;    /* written by the owner, read by fork */
    uint32_t attention; /* enum slots_attention */
    uint32_t index;
    int32_t owner; /* thread id; 0: nobody */
} __attribute__((aligned(ASH_PORT_CACHE_LINE)));

/* This thread's, or one of two that stand for a thread without its own slot. */
extern __thread struct slot *slots_self __attribute__((tls_model("initial-exec")));

/* For any thread. False: there is no memory to start with; then slots_leave is not called. */
bool slots_enter(void);
void slots_leave(void);

/* The same for a thread that owns a slot and has no other business: false sends the others to
 * slots_enter. */
static inline bool slots_enter_own(struct slot **own) {
    struct slot *self = *own = slots_self;
    ash_store_relaxed(&self->inside, 1u);
    ash_port_compiler_fence();
    return ASH_LIKELY(ash_load_relaxed(&self->attention) == 0);
}

static inline void slots_leave_own(struct slot *own) {
    ash_store_release(&own->inside, 0u);
}

/* Have the caches reaped at the end of one of this thread's next operations. */
void slots_ask_reap(void);

#endif
