/* SPDX-License-Identifier: MIT */
/*
 * device.h: the hosted platform's fake virtio device as an actor: its ring actions are events, its
 * latency passes in virtual time, its lies come from the script, its chance from the choices.
 *
 *     driver --sim_device_write--> window --> engine      one ring action each step_ns, while there
 *       ^                                       |         is one; then at the time when the next
 *       '----- on_interrupt, interrupt_ns later '         request is due; else asleep
 */
#ifndef ASHLAR_SIM_DEVICE_H
#define ASHLAR_SIM_DEVICE_H

#include "hosted/virtio_mmio_window.h"
#include "sim/sim.h"

/* "device.death@17": all of FAKE_VIRTIO_FAULTS. */
extern const struct sim_actor sim_device_actor;

struct sim_device_config {
    /* order, shuffle_actions, latency_ns, latency_spread_ns, used_batch, notify; the rest is the
     * simulator's */
    struct fake_virtio_policy policy;
    ash_ns_t step_ns, interrupt_ns;
    void (*on_interrupt)(void *context); /* may be spurious: read the cause */
    void *context;
};

struct sim_device {
    struct sim *sim;
    struct fake_virtio *device;
    struct fake_virtio_mmio window;
    struct sim_device_config config;
    struct fake_virtio_fault faults[SIM_SCRIPT_ENTRIES_MAX];
    struct sim_event step, interrupt;
};

/* A device that was just initialised joins the run; `actor` is its number in the scenario. */
void sim_device_init(struct sim_device *actor_device, struct sim *sim, uint32_t actor,
                     struct fake_virtio *device, const struct sim_device_config *config);

/* The registers, for a driver. */
uint32_t sim_device_read(void *actor_device, uint32_t offset, uint32_t width_bytes);
void sim_device_write(void *actor_device, uint32_t offset, uint32_t width_bytes, uint32_t value);

#endif
