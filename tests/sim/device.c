/* SPDX-License-Identifier: MIT */
/* device.c: a fake virtio device in virtual time. */
#include "sim/device.h"

const struct sim_actor sim_device_actor = {"device", fake_virtio_fault_name};

/* An event sooner than nothing is due, so that nobody waits for a step that nobody takes. */
static void wake(struct sim_device *actor, ash_ns_t delay_ns) {
    sim_by(actor->sim, &actor->step, actor->sim->now_ns + delay_ns);
}

static void step(void *context) {
    struct sim_device *actor = context;
    bool moved = fake_virtio_step(actor->device);
    const struct fake_virtio_stats *stats = &actor->device->stats;
    sim_note(actor->sim, "device", stats->fetched << 32 | stats->executed,
             stats->published << 32 | stats->interrupts);
    uint64_t due_ns = fake_virtio_due_ns(actor->device);
    if (moved)
        wake(actor, actor->config.step_ns);
    else if (due_ns != UINT64_MAX)
        sim_at(actor->sim, &actor->step, due_ns);
}

static void interrupt(void *context) {
    struct sim_device *actor = context;
    actor->config.on_interrupt(actor->config.context);
}

static void on_line(void *context, bool asserted) {
    struct sim_device *actor = context;
    if (asserted && actor->config.on_interrupt != NULL)
        sim_by(actor->sim, &actor->interrupt, actor->sim->now_ns + actor->config.interrupt_ns);
}

static uint32_t collect_faults(struct sim_device *actor, uint32_t number) {
    const struct sim_script *script = actor->sim->script;
    uint32_t count = 0;
    for (uint32_t i = 0; i < script->count; i++) {
        const struct sim_script_entry *entry = &script->entries[i];
        if (entry->actor == number)
            actor->faults[count++] =
                (struct fake_virtio_fault){.kind = (enum fake_virtio_fault_kind)entry->fault,
                                           .first = entry->first,
                                           .count = entry->count,
                                           .value = entry->value};
    }
    return count;
}

void sim_device_init(struct sim_device *actor_device, struct sim *sim, uint32_t actor,
                     struct fake_virtio *device, const struct sim_device_config *config) {
    *actor_device = (struct sim_device){.sim = sim, .device = device, .config = *config};
    sim_event_init(&actor_device->step, "device.step", step, actor_device);
    sim_event_init(&actor_device->interrupt, "device.interrupt", interrupt, actor_device);
    struct fake_virtio_policy policy = config->policy;
    policy.choose = sim_choose_of;
    policy.choose_context = sim;
    policy.clock_ns = sim_clock_ns;
    policy.clock_context = sim;
    policy.faults = actor_device->faults;
    policy.fault_count = collect_faults(actor_device, actor);
    fake_virtio_set_policy(device, &policy);
    fake_virtio_on_interrupt(device, on_line, actor_device);
    fake_virtio_mmio_init(&actor_device->window, device);
}

uint32_t sim_device_read(void *actor_device, uint32_t offset, uint32_t width_bytes) {
    return fake_virtio_mmio_read(&((struct sim_device *)actor_device)->window, offset, width_bytes);
}

void sim_device_write(void *actor_device, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct sim_device *actor = actor_device;
    fake_virtio_mmio_write(&actor->window, offset, width_bytes, value);
    wake(actor, actor->config.step_ns);
}
