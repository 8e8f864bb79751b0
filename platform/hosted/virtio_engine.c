/* SPDX-License-Identifier: MIT */
/*
 * virtio_engine.c: a device's life: status, features, configuration space, queue set-up,
 * interrupts, faults and the record of broken rules. The rings are virtio_ring.c.
 */
#include "hosted/virtio_engine.h"

#include <ashlar/check.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "virtio_ring.h"

/* The referee */

static const struct {
    const char *name, *section, *text;
    bool fatal;
} rules[FAKE_VIRTIO_RULE_COUNT] = {
#define RULE_ROW(id, section, fatal, text) {#id, section, text, fatal != 0},
    FAKE_VIRTIO_RULES(RULE_ROW)
#undef RULE_ROW
};

const char *fake_virtio_rule_name(enum fake_virtio_rule rule) {
    return rules[rule].name;
}

const char *fake_virtio_rule_section(enum fake_virtio_rule rule) {
    return rules[rule].section;
}

void fake_virtio_violate(struct fake_virtio *device, enum fake_virtio_rule rule, const char *format,
                         ...) {
    if (device->lied && rule >= FAKE_VIRTIO_RULE_AVAIL_IDX_BACK) { /* the driver believed it */
        if (rules[rule].fatal)
            fake_virtio_break(device);
        return;
    }
    device->violation_counts[rule]++;
    uint64_t index = device->violation_total++;
    if (index < FAKE_VIRTIO_VIOLATIONS_KEPT) {
        struct fake_virtio_violation *kept = &device->violations[index];
        char values[80];
        va_list args;
        va_start(args, format);
        vsnprintf(values, sizeof(values), format, args);
        va_end(args);
        kept->rule = rule;
        snprintf(kept->text, sizeof(kept->text), "%s (virtio 1.2, %s): %s; %s", rules[rule].name,
                 rules[rule].section, rules[rule].text, values);
    }
    if (rules[rule].fatal)
        fake_virtio_break(device);
}

uint64_t fake_virtio_violations(const struct fake_virtio *device) {
    return device->violation_total;
}

uint32_t fake_virtio_violated(const struct fake_virtio *device, enum fake_virtio_rule rule) {
    return device->violation_counts[rule];
}

const char *fake_virtio_violation_text(const struct fake_virtio *device, uint32_t index) {
    if (index >= device->violation_total || index >= FAKE_VIRTIO_VIOLATIONS_KEPT)
        return NULL;
    return device->violations[index].text;
}

/* Chance and lies */

uint64_t fake_virtio_choose(struct fake_virtio *device, uint64_t limit) {
    if (limit <= 1)
        return 0;
    if (device->policy.choose != NULL)
        return device->policy.choose(device->policy.choose_context, limit) % limit;
    /* xorshift64*, Vigna 2016; the state is never 0. */
    device->random ^= device->random >> 12;
    device->random ^= device->random << 25;
    device->random ^= device->random >> 27;
    return (device->random * UINT64_C(0x2545f4914f6cdd1d) >> 16) % limit;
}

const char *fake_virtio_fault_name(uint32_t kind) {
    static const char *const names[] = {
#define FAULT_NAME(id, name) #name,
        FAKE_VIRTIO_FAULTS(FAULT_NAME)
#undef FAULT_NAME
    };
    return kind < FAKE_VIRTIO_FAULT_KINDS ? names[kind] : NULL;
}

bool fake_virtio_lies(struct fake_virtio *device, enum fake_virtio_fault_kind kind,
                      uint64_t *value) {
    uint32_t occasion = device->occasions[kind]++;
    for (uint32_t i = 0; i < device->policy.fault_count; i++) {
        const struct fake_virtio_fault *fault = &device->policy.faults[i];
        uint32_t count = fault->count == 0 ? 1 : fault->count;
        if (fault->kind == kind && occasion >= fault->first && occasion - fault->first < count) {
            *value = fault->value;
            return true;
        }
    }
    return false;
}

/* Life */

static void tell_type(struct fake_virtio *device) {
    if (device->type.changed != NULL)
        device->type.changed(device->type.context, device);
}

static void reset(struct fake_virtio *device) {
    device->status = 0;
    device->accepted = 0;
    device->features_reread = false;
    device->silent = device->dead;
    device->lied = false;
    for (uint32_t i = 0; i < device->type.queue_count; i++) {
        struct fake_virtio_queue *queue = &device->queues[i];
        queue->ready = false;
        queue->size = 0;
        queue->desc = queue->avail = queue->used = 0;
        queue->format = &fake_virtio_split_format;
        fake_virtio_ring_start(queue);
    }
    fake_virtio_acknowledge(device, device->interrupt_status);
    tell_type(device);
}

/* All but the queues that there are not: they are nine tenths of the whole, and a simulator makes a
 * device for each of its runs. */
static void clear(struct fake_virtio *device, uint32_t queue_count) {
    size_t queues = offsetof(struct fake_virtio, queues);
    size_t behind = queues + sizeof(device->queues);
    memset(device, 0, queues + queue_count * sizeof(device->queues[0]));
    memset((uint8_t *)device + behind, 0, sizeof(*device) - behind);
}

void fake_virtio_init(struct fake_virtio *device, const struct fake_virtio_type *type,
                      struct guest_memory *memory, uint32_t queue_size_max) {
    ASH_REQUIRE(type->queue_count >= 1 && type->queue_count <= FAKE_VIRTIO_QUEUES_MAX,
                "fake virtio device: %u queues, the limit is %u", type->queue_count,
                (uint32_t)FAKE_VIRTIO_QUEUES_MAX);
    ASH_REQUIRE(ash_is_pow2(queue_size_max) && queue_size_max >= 2 &&
                    queue_size_max <= FAKE_VIRTIO_QUEUE_SIZE_MAX,
                "fake virtio device: queue size %u is not a power of two from 2 to %u",
                queue_size_max, (uint32_t)FAKE_VIRTIO_QUEUE_SIZE_MAX);
    clear(device, type->queue_count);
    device->type = *type;
    device->memory = memory;
    device->reset_seen = true; /* power on is not the driver's reset */
    for (uint32_t i = 0; i < type->queue_count; i++) {
        device->queues[i].index = i;
        device->queues[i].size_max = (uint16_t)queue_size_max;
    }
    fake_virtio_set_policy(device, &(struct fake_virtio_policy){.seed = 0});
    reset(device);
}

void fake_virtio_on_interrupt(struct fake_virtio *device,
                              void (*interrupt)(void *context, bool asserted), void *context) {
    device->interrupt = interrupt;
    device->interrupt_context = context;
}

void fake_virtio_set_policy(struct fake_virtio *device, const struct fake_virtio_policy *policy) {
    device->policy = *policy;
    device->random = policy->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    memset(device->occasions, 0, sizeof(device->occasions));
}

uint32_t fake_virtio_in_flight(const struct fake_virtio *device) {
    uint32_t sum = 0;
    for (uint32_t i = 0; i < device->type.queue_count; i++)
        sum += device->queues[i].in_flight;
    return sum;
}

/* Interrupts: InterruptStatus is a level, the line follows it (4.2.3.4) */

static void drive_line(struct fake_virtio *device) {
    bool asserted = device->interrupt_status != 0;
    if (asserted == device->line)
        return;
    device->line = asserted;
    if (device->interrupt != NULL)
        device->interrupt(device->interrupt_context, asserted);
}

void fake_virtio_raise(struct fake_virtio *device, uint32_t bits) {
    device->interrupt_status |= bits;
    drive_line(device);
}

void fake_virtio_pulse(struct fake_virtio *device) {
    if (device->line || device->interrupt == NULL)
        return;
    device->interrupt(device->interrupt_context, true);
    device->interrupt(device->interrupt_context, false);
}

void fake_virtio_acknowledge(struct fake_virtio *device, uint32_t bits) {
    device->interrupt_status &= ~bits;
    drive_line(device);
}

void fake_virtio_break(struct fake_virtio *device) {
    device->silent = true;
    if ((device->status & FAKE_VIRTIO_NEEDS_RESET) != 0)
        return;
    device->status |= FAKE_VIRTIO_NEEDS_RESET;
    if ((device->status & FAKE_VIRTIO_DRIVER_OK) != 0)
        fake_virtio_raise(device, FAKE_VIRTIO_INTERRUPT_CONFIG);
}

/* Device status (2.1, 3.1.1) */

uint32_t fake_virtio_read_status(struct fake_virtio *device) {
    uint64_t value;
    if (device->status == 0 && !device->reset_seen) {
        if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_RESET_SLOW, &value))
            return FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER;
        device->reset_seen = true;
    }
    device->features_reread = true;
    return device->status;
}

/* What each bit asks for first. */
static const struct {
    uint32_t bit, needs;
} status_order[] = {
    {FAKE_VIRTIO_DRIVER, FAKE_VIRTIO_ACKNOWLEDGE},
    {FAKE_VIRTIO_FEATURES_OK, FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER},
    {FAKE_VIRTIO_DRIVER_OK, FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER},
};

static void check_status(struct fake_virtio *device, uint32_t status) {
    uint32_t driver_bits = FAKE_VIRTIO_ACKNOWLEDGE | FAKE_VIRTIO_DRIVER | FAKE_VIRTIO_DRIVER_OK |
                           FAKE_VIRTIO_FEATURES_OK | FAKE_VIRTIO_FAILED;
    uint32_t old = device->status, added = status & ~old;
    if (!device->reset_seen)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_RESET_NOT_AWAITED, "wrote 0x%x", status);
    if ((added & ~driver_bits) != 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_STATUS_RESERVED, "wrote 0x%x", status);
    if ((old & driver_bits & ~status) != 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_STATUS_CLEARED, "wrote 0x%x over 0x%x", status,
                            old);
    if ((old & FAKE_VIRTIO_FAILED) != 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_STATUS_FAILED, "wrote 0x%x", status);
    /* One write may set several bits at once only if each was due already. */
    for (size_t i = 0; i < ASH_ARRAY_LEN(status_order); i++) {
        if ((added & status_order[i].bit) != 0 &&
            (old & status_order[i].needs) != status_order[i].needs)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_STATUS_ORDER, "wrote 0x%x over 0x%x",
                                status, old);
    }
    if ((added & FAKE_VIRTIO_DRIVER_OK) == 0)
        return;
    if ((old & FAKE_VIRTIO_FEATURES_OK) == 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURES_OK_IGNORED, "wrote 0x%x over 0x%x",
                            status, old);
    else if (!device->features_reread)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURES_OK_NOT_READ, "wrote 0x%x", status);
}

/* Whether FEATURES_OK may stay (2.2.2). */
static bool accept_features(struct fake_virtio *device) {
    uint64_t foreign = device->accepted & ~device->type.features, value;
    bool agreed = foreign == 0;
    if (!agreed)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURE_NOT_OFFERED, "bits 0x%llx",
                            (unsigned long long)foreign);
    if ((device->accepted & FAKE_VIRTIO_F_VERSION_1) == 0 &&
        (device->type.features & FAKE_VIRTIO_F_VERSION_1) != 0) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_VERSION_1_NOT_ACCEPTED, "accepted 0x%llx",
                            (unsigned long long)device->accepted);
        agreed = false;
    }
    return !fake_virtio_lies(device, FAKE_VIRTIO_FAULT_FEATURES_REFUSED, &value) && agreed;
}

void fake_virtio_write_status(struct fake_virtio *device, uint32_t status) {
    if (status == 0) {
        reset(device);
        device->reset_seen = false;
        return;
    }
    check_status(device, status);
    uint32_t added = status & ~device->status;
    device->status |= status & ~(uint32_t)FAKE_VIRTIO_NEEDS_RESET;
    if ((added & FAKE_VIRTIO_FEATURES_OK) == 0)
        return;
    device->features_reread = false;
    if (accept_features(device))
        tell_type(device);
    else
        device->status &= ~(uint32_t)FAKE_VIRTIO_FEATURES_OK;
}

uint32_t fake_virtio_read_features(struct fake_virtio *device, uint32_t word) {
    return word > 1 ? 0 : (uint32_t)(device->type.features >> (32 * word));
}

void fake_virtio_write_features(struct fake_virtio *device, uint32_t word, uint32_t value) {
    if ((device->status & FAKE_VIRTIO_DRIVER) == 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURES_EARLY, "status 0x%x", device->status);
    if ((device->status & FAKE_VIRTIO_FEATURES_OK) != 0) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURES_LATE, "word %u = 0x%x", word, value);
        return;
    }
    if (word > 1) {
        if (value != 0)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURE_NOT_OFFERED, "word %u = 0x%x",
                                word, value);
        return;
    }
    uint32_t shift = 32 * word;
    device->accepted &= ~((uint64_t)UINT32_MAX << shift);
    device->accepted |= (uint64_t)value << shift;
}

/* Configuration space (2.5) */

void fake_virtio_change_config(struct fake_virtio *device, uint32_t offset, const void *bytes,
                               uint32_t len) {
    ASH_REQUIRE(
        offset <= FAKE_VIRTIO_CONFIG_BYTES_MAX && len <= FAKE_VIRTIO_CONFIG_BYTES_MAX - offset,
        "fake virtio device: %u bytes at %u do not fit its configuration space", len, offset);
    memcpy(device->config + offset, bytes, len);
    device->config_generation++;
    tell_type(device);
    if ((device->status & FAKE_VIRTIO_DRIVER_OK) != 0)
        fake_virtio_raise(device, FAKE_VIRTIO_INTERRUPT_CONFIG);
}

uint32_t fake_virtio_read_generation(struct fake_virtio *device) {
    uint64_t value;
    if (fake_virtio_lies(device, FAKE_VIRTIO_FAULT_CONFIG_CHURN, &value))
        device->config_generation++;
    return device->config_generation;
}

/* The field at an offset, with what is wrong with this access recorded; NULL: there is none. */
static const struct fake_virtio_config_field *config_field(struct fake_virtio *device,
                                                           uint32_t offset, uint32_t width_bytes) {
    for (uint32_t i = 0; i < device->type.field_count; i++) {
        const struct fake_virtio_config_field *field = &device->type.fields[i];
        if (offset < field->offset || offset - field->offset >= field->width_bytes)
            continue;
        uint32_t width = field->width_bytes == 8 ? 4 : field->width_bytes;
        if (width_bytes != width || offset % width != 0)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_CONFIG_WIDTH,
                                "%u bytes at offset %u, its width is %u", width_bytes, offset,
                                width);
        if (field->feature != 0 && (device->type.features & field->feature) == 0)
            fake_virtio_violate(device, FAKE_VIRTIO_RULE_CONFIG_NOT_OFFERED, "offset %u", offset);
        return field;
    }
    fake_virtio_violate(device, FAKE_VIRTIO_RULE_CONFIG_UNKNOWN, "offset %u", offset);
    return NULL;
}

static bool config_fits(uint32_t offset, uint32_t width_bytes) {
    return width_bytes <= 4 && offset <= FAKE_VIRTIO_CONFIG_BYTES_MAX - width_bytes;
}

uint32_t fake_virtio_read_config(struct fake_virtio *device, uint32_t offset,
                                 uint32_t width_bytes) {
    const struct fake_virtio_config_field *field = config_field(device, offset, width_bytes);
    if (field != NULL && field->after_features_ok &&
        (device->status & FAKE_VIRTIO_FEATURES_OK) == 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_CONFIG_EARLY, "offset %u", offset);
    uint32_t value = 0;
    if (config_fits(offset, width_bytes)) {
        for (uint32_t i = 0; i < width_bytes; i++)
            value |= (uint32_t)device->config[offset + i] << (8 * i);
    }
    return value;
}

void fake_virtio_write_config(struct fake_virtio *device, uint32_t offset, uint32_t width_bytes,
                              uint32_t value) {
    const struct fake_virtio_config_field *field = config_field(device, offset, width_bytes);
    if (field == NULL || !config_fits(offset, width_bytes))
        return;
    if (!field->writable) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_CONFIG_READ_ONLY, "offset %u", offset);
        return;
    }
    if (field->feature != 0 && !fake_virtio_has(device, field->feature)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_CONFIG_NOT_ACCEPTED, "offset %u", offset);
        return;
    }
    for (uint32_t i = 0; i < width_bytes; i++)
        device->config[offset + i] = (uint8_t)(value >> (8 * i));
}

/* Queue set-up (4.2.3.2, common to all transports but for the registers) */

struct fake_virtio_queue *fake_virtio_queue(struct fake_virtio *device, uint32_t index) {
    return index < device->type.queue_count ? &device->queues[index] : NULL;
}

bool fake_virtio_may_configure(struct fake_virtio *device, const struct fake_virtio_queue *queue) {
    if ((device->status & FAKE_VIRTIO_FEATURES_OK) == 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_EARLY, "queue %u, status 0x%x",
                            queue->index, device->status);
    else if ((device->status & FAKE_VIRTIO_DRIVER_OK) == 0 && !device->features_reread)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_FEATURES_OK_NOT_READ, "queue %u",
                            queue->index);
    if ((device->status & FAKE_VIRTIO_DRIVER_OK) != 0)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_LATE, "queue %u", queue->index);
    if (queue->ready)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_WHILE_READY, "queue %u", queue->index);
    if (queue->index != 0 &&
        (device->accepted & device->type.queues_feature) != device->type.queues_feature)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_NOT_NEGOTIATED, "queue %u",
                            queue->index);
    return !queue->ready;
}

void fake_virtio_write_queue_size(struct fake_virtio *device, struct fake_virtio_queue *queue,
                                  uint32_t size) {
    if (!fake_virtio_may_configure(device, queue))
        return;
    bool any = fake_virtio_has(device, FAKE_VIRTIO_F_RING_PACKED) && size != 0; /* 2.8.10.1 */
    bool valid = any || ash_is_pow2(size);
    if (!valid)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_SIZE_POWER, "queue %u, size %u",
                            queue->index, size);
    if (size > queue->size_max)
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_SIZE_MAX, "queue %u, size %u of %u",
                            queue->index, size, queue->size_max);
    queue->size = valid && size <= queue->size_max ? (uint16_t)size : 0;
}

bool fake_virtio_check_area(struct fake_virtio *device, const struct fake_virtio_queue *queue,
                            ash_paddr_t address, uint64_t size_bytes, uint64_t align) {
    if (!ash_is_aligned(address, align)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_ALIGNMENT,
                            "queue %u, 0x%llx is not aligned to %u", queue->index,
                            (unsigned long long)address, (uint32_t)align);
        return false;
    }
    if (!guest_memory_contains(device->memory, address, size_bytes)) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_MEMORY, "queue %u, %u bytes at 0x%llx",
                            queue->index, (uint32_t)size_bytes, (unsigned long long)address);
        return false;
    }
    return true;
}

void fake_virtio_write_queue_ready(struct fake_virtio *device, struct fake_virtio_queue *queue,
                                   uint32_t value) {
    if (value == 0) {
        queue->ready = false;
        fake_virtio_ring_start(queue);
        return;
    }
    if (!fake_virtio_may_configure(device, queue))
        return;
    if (queue->size == 0) {
        fake_virtio_violate(device, FAKE_VIRTIO_RULE_QUEUE_SIZE_POWER, "queue %u, no valid size",
                            queue->index);
        return;
    }
    bool packed = fake_virtio_has(device, FAKE_VIRTIO_F_RING_PACKED);
    queue->format = packed ? &fake_virtio_packed_format : &fake_virtio_split_format;
    if (!queue->format->check_areas(device, queue))
        return;
    fake_virtio_ring_start(queue);
    queue->ready = true;
    fake_virtio_ring_use_early(device, queue);
}
