/* SPDX-License-Identifier: MIT */
/* virtio_thread.c: a fake virtio device that runs by itself. */
#include "hosted/virtio_thread.h"

#include <ashlar/port.h>
#include <signal.h>
#include <time.h>

enum { QUEUE_NOTIFY = 0x050, BURST_DEFAULT = 64 };
#define NS_PER_S UINT64_C(1000000000)

/* Masked: a handler of this CPU would wait for the lock that it interrupted. */
static ash_irq_t enter(struct fake_virtio_thread *thread) {
    ash_irq_t state = ash_port_irq_save();
    __atomic_fetch_add(&thread->waiting, 1, __ATOMIC_RELAXED);
    pthread_mutex_lock(&thread->lock);
    __atomic_fetch_sub(&thread->waiting, 1, __ATOMIC_RELAXED);
    return state;
}

static void leave(struct fake_virtio_thread *thread, ash_irq_t state) {
    pthread_mutex_unlock(&thread->lock);
    ash_port_irq_restore(state);
}

static void on_line(void *context, bool asserted) {
    struct fake_virtio_thread *thread = context;
    thread->line = asserted;
    if (asserted)
        pthread_cond_signal(&thread->line_rose);
    if (thread->config.interrupt != NULL)
        thread->config.interrupt(thread->config.context, asserted);
}

static void take_notifications(struct fake_virtio_thread *thread) {
    uint32_t queues = __atomic_exchange_n(&thread->notified, 0, __ATOMIC_SEQ_CST);
    thread->woken = thread->woken || queues != 0;
    for (uint32_t i = 0; queues != 0; queues >>= 1, i++) {
        if ((queues & 1) != 0)
            fake_virtio_mmio_write(&thread->window, QUEUE_NOTIFY, 4, i);
    }
}

/* The notifier sets its bit and looks at `asleep`; this sets `asleep` and looks at the bits: one of
 * the two sees the other. Another access to a register may have taken the bits by then: `woken`. */
static void sleep_until_notified(struct fake_virtio_thread *thread) {
    __atomic_store_n(&thread->asleep, true, __ATOMIC_SEQ_CST);
    thread->slept++;
    while (!thread->woken && __atomic_load_n(&thread->notified, __ATOMIC_SEQ_CST) == 0 &&
           !thread->stopping)
        pthread_cond_wait(&thread->notification, &thread->lock);
    __atomic_store_n(&thread->asleep, false, __ATOMIC_SEQ_CST);
}

/* A mutex of Linux goes to whoever comes first, and that would be this thread. */
static void let_others_in(struct fake_virtio_thread *thread) {
    if (__atomic_load_n(&thread->waiting, __ATOMIC_RELAXED) == 0)
        return;
    pthread_mutex_unlock(&thread->lock);
    while (__atomic_load_n(&thread->waiting, __ATOMIC_RELAXED) != 0)
        ash_port_relax();
    pthread_mutex_lock(&thread->lock);
}

static void *run(void *context) {
    struct fake_virtio_thread *thread = context;
    uint32_t idle = 0;
    pthread_mutex_lock(&thread->lock);
    while (!thread->stopping) {
        take_notifications(thread);
        thread->woken = false;
        idle = fake_virtio_run(thread->window.device, thread->config.burst) != 0 ? 0 : idle + 1;
        if (idle > thread->config.spins) {
            sleep_until_notified(thread);
            idle = 0;
        }
        if (idle != 0)
            ash_port_relax();
        let_others_in(thread);
    }
    pthread_mutex_unlock(&thread->lock);
    return NULL;
}

/* The signals that stand for interrupts are for the threads that are CPUs. */
static int create(struct fake_virtio_thread *thread) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int error = pthread_create(&thread->thread, NULL, run, thread);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int fake_virtio_thread_start(struct fake_virtio_thread *thread, struct fake_virtio *device,
                             const struct fake_virtio_thread_config *config) {
    *thread = (struct fake_virtio_thread){.config = *config};
    if (thread->config.burst == 0)
        thread->config.burst = BURST_DEFAULT;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&thread->lock, NULL);
    pthread_cond_init(&thread->notification, NULL);
    pthread_cond_init(&thread->line_rose, &monotonic);
    pthread_condattr_destroy(&monotonic);
    fake_virtio_mmio_init(&thread->window, device);
    fake_virtio_on_interrupt(device, on_line, thread);
    return -create(thread);
}

void fake_virtio_thread_stop(struct fake_virtio_thread *thread) {
    ash_irq_t state = enter(thread);
    thread->stopping = true;
    pthread_cond_signal(&thread->notification);
    pthread_mutex_unlock(&thread->lock);
    pthread_join(thread->thread, NULL);
    fake_virtio_on_interrupt(thread->window.device, NULL, NULL);
    pthread_cond_destroy(&thread->notification);
    pthread_cond_destroy(&thread->line_rose);
    pthread_mutex_destroy(&thread->lock);
    ash_port_irq_restore(state);
}

uint32_t fake_virtio_thread_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct fake_virtio_thread *thread = context;
    ash_irq_t state = enter(thread);
    uint32_t value = fake_virtio_mmio_read(&thread->window, offset, width_bytes);
    leave(thread, state);
    return value;
}

/* Bits of queues that do not exist are not kept: the window is asked at once, and records it. */
static bool is_queue(const struct fake_virtio_thread *thread, uint32_t value) {
    return value < thread->window.device->type.queue_count;
}

static void notify(struct fake_virtio_thread *thread, uint32_t queue) {
    __atomic_fetch_or(&thread->notified, 1u << queue, __ATOMIC_SEQ_CST);
    if (!__atomic_load_n(&thread->asleep, __ATOMIC_SEQ_CST))
        return;
    ash_irq_t state = enter(thread);
    pthread_cond_signal(&thread->notification);
    leave(thread, state);
}

void fake_virtio_thread_write(void *context, uint32_t offset, uint32_t width_bytes,
                              uint32_t value) {
    struct fake_virtio_thread *thread = context;
    if (offset == QUEUE_NOTIFY && width_bytes == 4 && is_queue(thread, value)) {
        notify(thread, value);
        return;
    }
    ash_irq_t state = enter(thread);
    take_notifications(thread); /* what came before this access */
    fake_virtio_mmio_write(&thread->window, offset, width_bytes, value);
    leave(thread, state);
}

bool fake_virtio_thread_wait(struct fake_virtio_thread *thread, ash_ns_t timeout_ns) {
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    uint64_t ns = (uint64_t)until.tv_nsec + timeout_ns % NS_PER_S;
    until.tv_sec += (time_t)(timeout_ns / NS_PER_S + ns / NS_PER_S);
    until.tv_nsec = (long)(ns % NS_PER_S);
    ash_irq_t state = enter(thread);
    while (!thread->line &&
           pthread_cond_timedwait(&thread->line_rose, &thread->lock, &until) == 0) {}
    bool line = thread->line;
    leave(thread, state);
    return line;
}
