/* SPDX-License-Identifier: MIT */
/*
 * sample.h: what a profiler asks of the machine: a periodic interrupt of its own, which hands over
 * what it interrupted; counters of events; files on the host.
 */
#ifndef ASHLAR_PLATFORM_SAMPLE_H
#define ASHLAR_PLATFORM_SAMPLE_H

#include <ashlar/base.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Sampling */

enum platform_trigger {
    PLATFORM_TRIGGER_TIMER,  /* every period_ns of time */
    PLATFORM_TRIGGER_CYCLES, /* every so many cycles of the CPU; under a fixed -icount these are
                                instructions */
};

struct platform_sample {
    uint64_t clock;      /* ash_port_cycles at the interrupt */
    uint64_t pc, sp, fp; /* interrupted */
    uint64_t link;       /* the return address in a register, or in the stack's word that is
                            known to hold it */
    bool is_link_live;   /* `link` is the return address of the innermost function: fp is still
                            its caller's; 0: it has none. Exact, by the compiler's call frame
                            information. Where platform_code_frames hands that out it is false,
                            and who samples asks there */
    uint64_t stack_low, stack_high; /* the bytes that may be read at sp and above, in the kernel;
                                       0, 0: not known */
    bool is_user;                   /* a program: pc, sp, fp, link are its; else the kernel */
    bool is_waiting;                /* in platform_wait */
    uint32_t missed;                /* periods that passed without a sample before this one */
};

/*
 * From now on, on the calling CPU: handler(context, sample) in interrupt context, masked, once a
 * period, at multiples of it. Who comes late is not made up for by a burst: those that have passed
 * are left out, and `missed` says how many they were: so 1 + missed of all samples add up to the
 * time. Independent of platform_timer_arm.
 *   -ASH_ENOTSUP  this machine has no such trigger     -ASH_ENOMEM  the host has no timer left
 *   -ASH_EINVAL   the period is below the least, or above 2^62   -ASH_EBUSY   it samples already
 */
enum { PLATFORM_SAMPLE_NS_MIN = 50000, PLATFORM_SAMPLE_CYCLES_MIN = 1000 };
int platform_sample_start(enum platform_trigger trigger, uint64_t period,
                          void (*handler)(void *context, const struct platform_sample *sample),
                          void *context) ASH_MUST_CHECK;

/* On the calling CPU; none is taken after the return. */
void platform_sample_stop(void);

/*
 * Reads two words, aligned to 16, of the program with this root (user.h), which the calling CPU has
 * been interrupted in, or whose call it carries out. false: nothing that it may read is there, or
 * the CPU has another program's translation by now (a thread may be moved inside a call). In
 * interrupt context.
 */
bool platform_sample_read_user(uint64_t root, uint64_t address, uint64_t words[2]);

/* Counters of the calling CPU */

enum platform_counter {
    PLATFORM_COUNTER_INSTRUCTIONS,
    PLATFORM_COUNTER_CYCLES,
    PLATFORM_COUNTER_CACHE_MISSES,
    PLATFORM_COUNTER_TLB_MISSES,
    PLATFORM_COUNTER_BRANCH_MISSES,
    PLATFORM_COUNTERS,
};
/* -ASH_ENOTSUP: the CPU does not count this; never a 0 in its place. */
int platform_counter_read(enum platform_counter counter, uint64_t *value) ASH_MUST_CHECK;

/* Code */

/* Where the kernel's code is, and what the build calls it (a build-id; its length, 0: none). */
void platform_code(uint64_t *start, uint64_t *end, const uint8_t **build_id, uint32_t *len);

/* The i-th function of the kernel, in the order of addresses; false: there are no more. */
bool platform_code_function(uint32_t i, uint64_t *start, uint64_t *end, const char **name);

/* Code beside the kernel's that it may call: shared libraries, where it runs in a process. */
struct platform_library {
    const char *name;    /* a path, or the file alone; stays */
    uint64_t start, end; /* of its code */
    uint64_t link_start; /* the address in its file that `start` is */
    const uint8_t *build_id;
    uint32_t build_id_bytes;
};

/* The i-th; false: there are no more. Not in interrupt context, not in a panic. */
bool platform_library(uint32_t i, struct platform_library *library);

/* Of the i-th, a function that has a name, in the order of addresses, which are its file's; false:
 * there are no more. */
bool platform_library_function(uint32_t i, uint32_t function, uint64_t *start, uint64_t *end,
                               const char **name);

/*
 * The i-th piece of code that may be interrupted, its addresses, and its .eh_frame, which ends by
 * an entry of length 0, or after `len` bytes, and is relative to where it lies; 0: the kernel, then
 * libraries of the process. false: there are no more. None where is_link_live tells all. Not in
 * interrupt context.
 */
bool platform_code_frames(uint32_t i, uint64_t *start, uint64_t *end, const uint8_t **frames,
                          size_t *len);

/* Files on the host: for dumps. One at a time. Any context, a panic's included. */

/* Makes it, or makes it empty; one that is open still is closed: so a panic may write. A path
 * relative to where the machine was started. 0; -ASH_ENOTSUP: nobody serves files (semihosting is
 * off); -ASH_EIO: it cannot be made. */
int platform_host_open(const char *path) ASH_MUST_CHECK;

/* Adds to the file. 0; -ASH_ENOSPC: the host took a part, or has no room; -ASH_EIO: none is open,
 * or it cannot be written. */
int platform_host_write(const void *bytes, size_t len) ASH_MUST_CHECK;
int platform_host_close(void) ASH_MUST_CHECK; /* 0, -ASH_ENOSPC, -ASH_EIO */

#ifdef __cplusplus
}
#endif

#endif
