/* SPDX-License-Identifier: MIT */
/*
 * disk.c: files as the disks of the hosted machine: each a fake virtio block device in a slot.
 *
 * A device works when the driver notifies it and whenever CPU 0 waits. On a deterministic machine
 * it works only while a CPU waits, one ring action at a time, out of order by the machine's seed.
 */
#include <ashlar/check.h>
#include <ashlar/error.h>
#include <ashlar/port.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "hosted.h"
#include "hosted/virtio_blk_device.h"
#include "hosted/virtio_mmio_window.h"
#include "hosted_internal.h"
#include "platform.h"

/* Ring actions a turn: enough for a full queue of three-descriptor requests, not for a hang. */
enum { STEPS_MAX = 8192, QUEUE_NOTIFY = 0x050 };

struct disk {
    struct fake_virtio_blk blk;
    struct fake_virtio_blk_file file;
    struct fake_virtio_mmio window;
    struct hosted_mmio_device slot_device;
    struct ash_spinlock lock; /* of all above: any CPU may touch the window */
    uint32_t slot;
    bool interrupt_due;
    bool attached;
};

static struct disk disks[HOSTED_MMIO_SLOTS]; /* by their slots */
static struct guest_memory memory;           /* what all of them reach */

/* Only noted: raised once the device is left, so that a handler never finds it in mid-action. */
static void on_interrupt(void *context, bool asserted) {
    struct disk *disk = context;
    disk->interrupt_due = disk->interrupt_due || asserted;
}

static ash_irq_t enter(struct disk *disk) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&disk->lock);
    return state;
}

static void leave(struct disk *disk, ash_irq_t state) {
    bool due = disk->interrupt_due;
    disk->interrupt_due = false;
    ash_spin_unlock(&disk->lock);
    if (due)
        hosted_mmio_interrupt(disk->slot);
    ash_port_irq_restore(state);
}

static uint32_t disk_read(void *context, uint32_t offset, uint32_t width_bytes) {
    struct disk *disk = context;
    ash_irq_t state = enter(disk);
    uint32_t value = fake_virtio_mmio_read(&disk->window, offset, width_bytes);
    leave(disk, state);
    return value;
}

static void disk_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    struct disk *disk = context;
    ash_irq_t state = enter(disk);
    fake_virtio_mmio_write(&disk->window, offset, width_bytes, value);
    if (offset == QUEUE_NOTIFY && !hosted_configuration()->deterministic)
        fake_virtio_run(&disk->blk.device, STEPS_MAX);
    leave(disk, state);
    /* It works while CPU 0 waits, which may not be asked by anybody else to look again. */
    if (offset == QUEUE_NOTIFY && HOSTED_CPU_READ(index) != 0)
        platform_wake(0);
}

static bool disk_step(void *context) {
    struct disk *disk = context;
    ash_irq_t state = enter(disk);
    uint64_t limit = hosted_configuration()->deterministic ? 1 : STEPS_MAX;
    bool moved = fake_virtio_run(&disk->blk.device, limit) != 0;
    leave(disk, state);
    return moved;
}

static void show_memory(void) {
    struct platform_range ranges[GUEST_MEMORY_RANGES_MAX];
    uint32_t count = platform_memory(ranges, GUEST_MEMORY_RANGES_MAX);
    guest_memory_init(&memory);
    for (uint32_t i = 0; i < count; i++) {
        int error = guest_memory_add(&memory, ranges[i].base, platform_pointer(ranges[i].base),
                                     ranges[i].size_bytes);
        ASH_REQUIRE(error == 0, "hosted: RAM range %u cannot be shown to the disk: error %d", i,
                    error);
    }
}

static void start(struct disk *disk, uint32_t slot, const struct fake_virtio_blk_config *config) {
    fake_virtio_blk_init(&disk->blk, config, &memory);
    if (hosted_configuration()->deterministic)
        fake_virtio_set_policy(&disk->blk.device, &(struct fake_virtio_policy){
                                                      .order = FAKE_VIRTIO_RANDOM,
                                                      .shuffle_actions = true,
                                                      .seed = hosted_configuration()->seed + slot});
    fake_virtio_mmio_init(&disk->window, &disk->blk.device);
    fake_virtio_on_interrupt(&disk->blk.device, on_interrupt, disk);
    ash_spin_init(&disk->lock);
    disk->slot = slot;
    disk->interrupt_due = false;
    disk->slot_device = (struct hosted_mmio_device){
        .read = disk_read, .write = disk_write, .step = disk_step, .context = disk};
}

int hosted_disk_attach(uint32_t slot, const char *path, bool may_write, char *message, size_t len) {
    if (slot >= HOSTED_MMIO_SLOTS || disks[slot].attached) {
        snprintf(message, len, "device slot %u is taken, or there is none", slot);
        return slot >= HOSTED_MMIO_SLOTS ? -ASH_EINVAL : -ASH_EBUSY;
    }
    struct disk *disk = &disks[slot];
    struct fake_virtio_blk_config config = {
        .id = "hosted-disk",
        .features_with = FAKE_VIRTIO_BLK_F_DISCARD | FAKE_VIRTIO_BLK_F_WRITE_ZEROES,
        .queue_count = (uint32_t)ash_min_u64(hosted_configuration()->cpus, FAKE_VIRTIO_QUEUES_MAX)};
    int error = fake_virtio_blk_file_open(&disk->file, path, may_write, &config.backing);
    if (error != 0) {
        snprintf(message, len, "cannot open the disk %s: %s", path, strerror(-error));
        return error;
    }
    if (config.backing.write == NULL)
        config.features_with = 0;
    show_memory();
    start(disk, slot, &config);
    error = hosted_mmio_attach(slot, &disk->slot_device);
    if (error != 0) {
        snprintf(message, len, "device slot %u is taken, or there is none", slot);
        fake_virtio_blk_file_close(&disk->file);
        return error;
    }
    disk->attached = true;
    message[0] = '\0';
    if (config.backing.size_bytes % FAKE_VIRTIO_BLK_SECTOR_BYTES != 0)
        snprintf(
            message, len,
            "disk %s: %llu bytes are not whole sectors of %u: it may be cut short; the rest of "
            "the last one reads as zeros",
            path, (unsigned long long)config.backing.size_bytes, FAKE_VIRTIO_BLK_SECTOR_BYTES);
    return 0;
}

void hosted_disk_detach(void) {
    for (uint32_t slot = 0; slot < HOSTED_MMIO_SLOTS; slot++) {
        if (!disks[slot].attached)
            continue;
        int error = hosted_mmio_attach(slot, NULL);
        ASH_REQUIRE(error == 0, "hosted: slot %u cannot be emptied: error %d", slot, error);
        fake_virtio_blk_file_close(&disks[slot].file);
        disks[slot].attached = false;
    }
}

const struct fake_virtio *hosted_disk_device(uint32_t slot) {
    return slot < HOSTED_MMIO_SLOTS && disks[slot].attached ? &disks[slot].blk.device : NULL;
}

/* Not waited for: the process may end while somebody is inside the device. */
static bool report(struct disk *disk) {
    /* Masked: a handler of this CPU would wait for the lock that it interrupted. */
    ash_irq_t state = ash_port_irq_save();
    if (!ash_spin_trylock(&disk->lock)) {
        ash_port_irq_restore(state);
        return false;
    }
    uint64_t total = fake_virtio_violations(&disk->blk.device);
    const char *text;
    for (uint32_t i = 0; (text = fake_virtio_violation_text(&disk->blk.device, i)) != NULL; i++) {
        char line[256];
        snprintf(line, sizeof(line), "hosted: the disk's driver broke a rule: %s\n", text);
        (void)hosted_write_all(STDERR_FILENO, line, strlen(line));
    }
    ash_spin_unlock(&disk->lock);
    ash_port_irq_restore(state);
    return total != 0;
}

bool hosted_disk_report(void) {
    bool broke = false;
    for (uint32_t slot = 0; slot < HOSTED_MMIO_SLOTS; slot++)
        broke |= disks[slot].attached && report(&disks[slot]);
    return broke;
}
