/* SPDX-License-Identifier: MIT */
/*
 * virtio_thread.h: a fake virtio device on a thread of its own, for the thread sanitizer and for
 * benchmarks: it works while the driver does, on another core.
 *
 * Rules
 *  - From start to stop the device is the thread's. Any thread may use the registers: an access
 *    waits until a burst of steps is over; a notification waits for nothing, and wakes the device
 *    if it sleeps.
 *  - `interrupt` is called on whichever thread moves the line, inside the device: it notes, wakes
 *    or raises a signal, and touches no register.
 *  - With nothing to do the device looks `spins` more times, then sleeps until it is notified.
 *  - The order of things is no longer the seed's alone.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_THREAD_H
#define ASHLAR_HOSTED_VIRTIO_THREAD_H

#include <pthread.h>

#include "hosted/virtio_mmio_window.h"

#ifdef __cplusplus
extern "C" {
#endif

struct fake_virtio_thread_config {
    uint32_t spins; /* looks at idle queues before it sleeps; UINT32_MAX: never sleeps */
    uint32_t burst; /* ring actions between two chances for a register access; 0: 64 */
    void (*interrupt)(void *context, bool asserted); /* may be NULL */
    void *context;
};

/* Private */
struct fake_virtio_thread {
    struct fake_virtio_thread_config config;
    struct fake_virtio_mmio window;
    pthread_t thread;
    pthread_mutex_t lock; /* the device, the window, and the two conditions below */
    pthread_cond_t notification, line_rose;
    uint32_t waiting;  /* for the lock */
    uint32_t notified; /* queues, a bit each */
    bool woken;        /* notifications were taken for it since it last looked; under the lock */
    bool asleep, stopping, line;
    uint64_t slept; /* times */
};

/* 0, or a negative errno value. The device's interrupt callback is replaced. */
int fake_virtio_thread_start(struct fake_virtio_thread *thread, struct fake_virtio *device,
                             const struct fake_virtio_thread_config *config) ASH_MUST_CHECK;

/* When it returns the device is the caller's again, as it was left: in mid-request perhaps. */
void fake_virtio_thread_stop(struct fake_virtio_thread *thread);

/* The registers, as those of virtio_mmio_window.h. */
uint32_t fake_virtio_thread_read(void *thread, uint32_t offset, uint32_t width_bytes);
void fake_virtio_thread_write(void *thread, uint32_t offset, uint32_t width_bytes, uint32_t value);

/* Sleeps until the interrupt line is up, or so long: whether it is. */
bool fake_virtio_thread_wait(struct fake_virtio_thread *thread, ash_ns_t timeout_ns);

#ifdef __cplusplus
}
#endif

#endif
