/* SPDX-License-Identifier: MIT */
/*
 * hosted.h: the machine that platform/hosted pretends to be, seen from outside: its size, its
 * clock, its interrupts, its device slots. For main.c, the fake devices and host-only tests; the
 * kernel sees platform.h alone.
 *
 * Rules
 *  - The thread that started the process is CPU 0; the others exist inside platform_run_on_cpus.
 *  - An interrupt line has one handler. It runs on the CPU that the line was raised on, with
 *    interrupts masked: at once if they were not masked there, else when they no longer are. Raised
 *    twice before it ran, it runs once (lines are latches, as on a GIC).
 *  - A handler may have interrupted any instruction outside a mask: it calls nothing of libc that
 *    is not async-signal-safe.
 */
#ifndef ASHLAR_HOSTED_H
#define ASHLAR_HOSTED_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

#define HOSTED_MEMORY_BASE    UINT64_C(0x40000000)
#define HOSTED_MEMORY_DEFAULT (UINT64_C(256) << 20)
#define HOSTED_MEMORY_MIN     (UINT64_C(1) << 20)
#define HOSTED_MEMORY_MAX     (UINT64_C(64) << 30)
#define HOSTED_CPUS_DEFAULT   4u
#define HOSTED_MMIO_SLOTS     8u

/* Configuration */

struct hosted_config {
    uint64_t memory_bytes; /* a multiple of the page size, HOSTED_MEMORY_MIN..MAX */
    uint32_t cpus;         /* 1..ASH_PORT_CPUS_MAX */
    bool deterministic;    /* CPUs take turns on one thread, in an order drawn from `seed` */
    bool clock_manual;     /* time stands still but for hosted_clock_advance and waiting */
    uint64_t seed;
    /* The first is read-only and in the highest slot, as with QEMU; the next ones are below. */
    const char *disk_paths[HOSTED_MMIO_SLOTS];
    uint32_t disk_count;
    const char *arguments; /* what platform_arguments returns */
};

/* The configuration in force: the defaults until hosted_configure. */
const struct hosted_config *hosted_configuration(void);

/*
 * Copies *config (the strings stay the caller's). -ASH_EINVAL if a number is out of its range;
 * -ASH_EBUSY if the size of the memory changes after it was first used, or CPUs are running.
 */
int hosted_configure(const struct hosted_config *config) ASH_MUST_CHECK;

/*
 * Fills *config from the words of a command line; the words that are no option become the
 * arguments, joined in `arguments`, `len` bytes with the NUL. Returns 0, or -ASH_EINVAL with a
 * sentence for people in `message` (200 bytes). `help` becomes true on --help.
 */
int hosted_options_parse(struct hosted_config *config, int argc, char **argv, char *arguments,
                         size_t len, char *message, bool *help) ASH_MUST_CHECK;

/* Clock: starts real, near 0. It changes its kind only while no other CPU runs. */

/*
 * Manual: time is now_ns and moves only by hosted_clock_advance, or, when every CPU sits in
 * platform_wait, straight to the next deadline or armed timer. Timers that are armed are dropped.
 */
void hosted_clock_set_manual(ash_ns_t now_ns);

/* Back to the machine's own monotonic clock; armed timers are dropped. */
void hosted_clock_set_real(void);

/* Manual clock only: moves time, stopping at each armed timer on the way to raise it. */
void hosted_clock_advance(ash_ns_t by_ns);

/* Interrupts */

enum hosted_line {
    HOSTED_LINE_TIMER,
    HOSTED_LINE_CALL,   /* platform_interrupt_self and _cpu */
    HOSTED_LINE_WAKE,   /* platform_wake: nobody handles it */
    HOSTED_LINE_SAMPLE, /* manual clock: a sample of platform_sample_start is due */
    HOSTED_LINE_TEST,   /* free for tests */
    HOSTED_LINE_MMIO,   /* slot n is HOSTED_LINE_MMIO + n */
    HOSTED_LINES = HOSTED_LINE_MMIO + HOSTED_MMIO_SLOTS
};

/* The line's handler, for HOSTED_LINE_TEST and the slots; NULL: raising it does nothing. Any CPU;
 * one that runs on another CPU at this moment runs to its end with what it was given. */
void hosted_interrupt_connect(uint32_t line, void (*handler)(void *context), void *context);

/* Any thread, any context. -ASH_ENXIO if that CPU runs nothing at the moment (never for CPU 0). */
int hosted_interrupt_raise(uint32_t cpu, uint32_t line);

/* Device slots: what stands behind platform_virtio_* */

struct hosted_mmio_device {
    /* One access of 1, 2 or 4 bytes at an offset into the window; may raise the interrupt. */
    uint32_t (*read)(void *context, uint32_t offset, uint32_t width_bytes);
    void (*write)(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value);
    /*
     * Called while a CPU waits, on that CPU: does what the device has to do on its own. Returns
     * true if it did something, so that the wait looks again. NULL for a device that has nothing.
     */
    bool (*step)(void *context);
    void *context;
};

/*
 * Puts the device into the slot (it stays the caller's and must stay alive), or empties it for
 * NULL. An empty slot answers as QEMU's does: magic 0x74726976, version 2, device id 0; other
 * registers read 0. Not while a CPU uses the slot. -ASH_EINVAL: no such slot; -ASH_EBUSY: taken.
 */
int hosted_mmio_attach(uint32_t slot, const struct hosted_mmio_device *device) ASH_MUST_CHECK;

/* The device of the slot raises its interrupt, on CPU 0. Any thread. */
void hosted_mmio_interrupt(uint32_t slot);

/*
 * Disks: files behind fake virtio block devices (VIRTIO.md), one a slot. If a disk's driver broke a
 * rule, platform_exit says which on standard error and turns status 0 into 1.
 */

/*
 * Puts one into the slot, read-only unless may_write and the file can be written. On failure a
 * negative errno value (-ASH_EBUSY: the slot is taken; -ASH_EISDIR; -ASH_ENOENT ...). `message` is
 * then a sentence for people; on success it is "", or a warning: the file does not end with a whole
 * sector.
 */
int hosted_disk_attach(uint32_t slot, const char *path, bool may_write, char *message,
                       size_t len) ASH_MUST_CHECK;
void hosted_disk_detach(void); /* all of them */

/* For its statistics and its referee's record (virtio_engine.h); NULL: no disk in the slot. */
struct fake_virtio;
const struct fake_virtio *hosted_disk_device(uint32_t slot);

/*
 * A program, played by a function: platform_user_run calls it. It changes *user as instructions
 * would, up to what ends the run, which it puts into *event. NULL, as at first: the platform has no
 * programs. Set while one CPU runs.
 */
struct platform_user;
struct platform_translation;
struct platform_user_event;
extern void (*hosted_user_program)(struct platform_user *user,
                                   const struct platform_translation *translation,
                                   struct platform_user_event *event);

#ifdef __cplusplus
}
#endif

#endif
