/* SPDX-License-Identifier: MIT */
/* slots.c: see slots.h. */
#include "slots.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "memory.h"

/* The round of destructors (of at least 4) in which a thread gives its slot back: those of other
 * keys still free. */
#define LAST_ROUND 3u

/* What threads without a slot of their own point to: always out of line; `inside` says nothing. */
static struct slot nobody = {.attention = SLOTS_NEW};
static struct slot sharer = {.attention = SLOTS_SHARING};

__thread struct slot *slots_self = &nobody;
static __thread bool ended;      /* it claims no slot again: nothing would give that back */
static __thread bool reap_asked; /* of a sharer */
static __thread uint32_t rounds;

/* Protects what follows it; taken outside operations only, before the mutexes of shared slots. */
static pthread_mutex_t registry = PTHREAD_MUTEX_INITIALIZER;
static bool started;
static pthread_key_t ending;
static struct slot slots[SLOTS_OWN];
static uint64_t slots_free; /* bit i: slot i is; read without the mutex as a hint */

static struct {
    pthread_mutex_t mutex;
} __attribute__((aligned(ASH_PORT_CACHE_LINE))) shared[SLOTS_SHARED];
static uint32_t next_shared;

static pthread_mutex_t *shared_mutex(void) {
    return &shared[hosted_this_cpu.index - SLOTS_OWN].mutex;
}

static int32_t thread_id(void) {
    return (int32_t)syscall(SYS_gettid);
}

/* Fork */

static void stop_others(void) {
    bool others = false;
    for (uint32_t i = 0; i < SLOTS_OWN; i++) {
        if (slots[i].owner != 0 && &slots[i] != slots_self) {
            __atomic_fetch_or(&slots[i].attention, SLOTS_STOP, __ATOMIC_RELAXED);
            others = true;
        }
    }
    if (!others)
        return;
    ash_port_fence_heavy();
    for (uint32_t i = 0; i < SLOTS_OWN; i++) {
        while (&slots[i] != slots_self && ash_load_acquire(&slots[i].inside) != 0)
            sched_yield();
    }
}

static void before_fork(void) {
    int error = errno;
    pthread_mutex_lock(&registry);
    for (uint32_t i = 0; i < SLOTS_SHARED; i++)
        pthread_mutex_lock(&shared[i].mutex);
    stop_others();
    errno = error;
}

static void go_on(void) {
    for (uint32_t i = 0; i < SLOTS_OWN; i++)
        __atomic_fetch_and(&slots[i].attention, ~(uint32_t)SLOTS_STOP, __ATOMIC_RELEASE);
    for (uint32_t i = SLOTS_SHARED; i-- != 0;)
        pthread_mutex_unlock(&shared[i].mutex);
    pthread_mutex_unlock(&registry);
}

static void after_fork_in_child(void) {
    for (uint32_t i = 0; i < SLOTS_OWN; i++) {
        if (&slots[i] == slots_self) {
            slots[i].owner = thread_id();
        } else if (slots[i].owner != 0) {
            slots[i].owner = 0;
            slots_free |= UINT64_C(1) << i;
        }
    }
    go_on();
}

/* Own slots and shared ones */

static void share(void) {
    hosted_this_cpu.index = SLOTS_OWN + ash_fetch_add(&next_shared, 1u) % SLOTS_SHARED;
    slots_self = &sharer;
}

static void give_back(struct slot *slot) {
    slot->owner = 0;
    ash_store_relaxed(&slots_free, slots_free | UINT64_C(1) << slot->index);
}

/* Slots of threads that ended without their destructors, or claimed them behind the last. */
static void collect_lost_slots(void) {
    for (uint32_t i = 0; i < SLOTS_OWN; i++) {
        if (slots[i].owner != 0 && syscall(SYS_tgkill, getpid(), slots[i].owner, 0) != 0 &&
            errno == ESRCH)
            give_back(&slots[i]);
    }
}

static bool claim(void) {
    pthread_mutex_lock(&registry);
    if (slots_free == 0 && slots_self == &nobody)
        collect_lost_slots();
    bool any = slots_free != 0;
    if (any) {
        struct slot *slot = &slots[__builtin_ctzll(slots_free)];
        ash_store_relaxed(&slots_free, slots_free & (slots_free - 1));
        slot->owner = thread_id();
        hosted_this_cpu.index = slot->index;
        slots_self = slot;
    }
    pthread_mutex_unlock(&registry);
    return any;
}

static void release(void) {
    struct slot *slot = slots_self;
    ended = true;
    share();
    pthread_mutex_lock(&registry);
    give_back(slot);
    pthread_mutex_unlock(&registry);
}

/* pthread_setspecific may allocate: by then the thread has its slot. */
static void attach(void) {
    if (!claim()) {
        if (slots_self == &nobody)
            share();
    } else if (pthread_setspecific(ending, slots_self) != 0) {
        release();
    }
}

/* The key's destructor. Runs again in the next round of destructors until the last one. */
static void thread_ends(void *slot) {
    if (++rounds < LAST_ROUND && pthread_setspecific(ending, slot) == 0)
        return;
    if (slots_enter()) {
        memory_flush();
        slots_leave();
    }
    release();
}

/* Start */

static bool start_locked(void) {
    if (!memory_start() || pthread_key_create(&ending, thread_ends) != 0)
        return false;
    for (uint32_t i = 0; i < SLOTS_SHARED; i++)
        pthread_mutex_init(&shared[i].mutex, NULL);
    for (uint32_t i = 0; i < SLOTS_OWN; i++) {
        slots[i].index = i;
        slots[i].attention = memory_notes_callers ? SLOTS_TRACE : 0;
    }
    ash_port_fence_heavy(); /* registers the process with Linux */
    if (hosted_fences_are_asymmetric != 0)
        slots_free = UINT64_MAX >> (64 - SLOTS_OWN);
    ash_store_release(&started, true);
    return true;
}

/* At the first call in the process: usually the dynamic linker's, before any constructor. Hence the
 * handlers of fork are the first registered, run last before a fork and first after it. */
static bool start(void) {
    pthread_mutex_lock(&registry);
    bool first = !started, done = started || start_locked();
    pthread_mutex_unlock(&registry);
    if (first && done)
        pthread_atfork(before_fork, go_on, after_fork_in_child);
    return done;
}

bool slots_enter(void) {
    int error = errno;
    for (;;) {
        struct slot *self = slots_self;
        ash_store_relaxed(&self->inside, 1u);
        ash_port_compiler_fence();
        uint32_t attention = ash_load_relaxed(&self->attention);
        if ((attention & ~(uint32_t)(SLOTS_REAP | SLOTS_TRACE)) == 0)
            break;
        ash_store_release(&self->inside, 0u);
        if ((attention & SLOTS_STOP) != 0) {
            pthread_mutex_lock(&registry); /* until fork is over */
            pthread_mutex_unlock(&registry);
        } else if ((attention & SLOTS_NEW) != 0) {
            if (!ash_load_acquire(&started) && !start())
                return false;
            attach();
        } else if (!ended && ash_load_relaxed(&slots_free) != 0) {
            attach();
        } else {
            pthread_mutex_lock(shared_mutex());
            break;
        }
    }
    errno = error;
    return true;
}

void slots_ask_reap(void) {
    reap_asked = true;
    if (slots_self != &sharer)
        __atomic_fetch_or(&slots_self->attention, SLOTS_REAP, __ATOMIC_RELAXED);
}

void slots_leave(void) {
    struct slot *self = slots_self;
    if (reap_asked) {
        memory_reap();
        reap_asked = false;
        if (self != &sharer)
            __atomic_fetch_and(&self->attention, ~(uint32_t)SLOTS_REAP, __ATOMIC_RELAXED);
    }
    if (self == &sharer)
        pthread_mutex_unlock(shared_mutex());
    else
        ash_store_release(&self->inside, 0u);
}
