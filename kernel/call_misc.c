/* SPDX-License-Identifier: MIT */
/* call_misc.c: what C libraries want to know when they start, and other small calls. */
#include <ashlar/error.h>
#include <string.h>

#include "calls.h"
#include "file_table.h"
#include "process_internal.h"
#include "process_wait.h"

int64_t call_uname(struct process *process, const uint64_t args[6]) {
    enum { FIELD_BYTES = 65 };
    /* A C library refuses a kernel that is older than it was built for. */
    static const char fields[6][FIELD_BYTES] = {"Ashlar", "ashlar",  "6.1.0-ashlar",
                                                "#1",     "aarch64", "(none)"};
    return user_write(process->space, args[0], fields, sizeof(fields));
}

/* No source of what nobody can tell: a generator from the machine's seed, which is as good as that.
 */
int64_t call_getrandom(struct process *process, const uint64_t args[6]) {
    enum { PIECE_BYTES = 256, BYTES_MAX = 1 << 20, FLAGS = 7 }; /* that make no difference here */
    uint64_t len = ash_min_u64(args[1], BYTES_MAX), piece[PIECE_BYTES / 8];
    if ((args[2] & ~(uint64_t)FLAGS) != 0)
        return -ASH_EINVAL;
    for (uint64_t at = 0; at < len; at += PIECE_BYTES) {
        for (uint32_t i = 0; i < ASH_ARRAY_LEN(piece); i++)
            piece[i] = processes_random();
        int error = user_write(process->space, args[0] + at, piece,
                               (size_t)ash_min_u64(PIECE_BYTES, len - at));
        if (error != 0)
            return error;
    }
    return (int64_t)len;
}

/* Limits: told, and not changed but to what they are. */

enum {
    LIMIT_DATA = 2,
    LIMIT_STACK = 3,
    LIMIT_CORE = 4,
    LIMIT_PROCESSES = 6,
    LIMIT_FILES = 7,
    LIMIT_MEMORY = 9,
    LIMITS = 16,
};

static uint64_t limit_of(uint64_t resource) {
    switch (resource) {
    case LIMIT_STACK:
        return ADDRESS_SPACE_STACK_BYTES;
    case LIMIT_CORE:
        return 0;
    case LIMIT_PROCESSES:
        return PROCESSES_MAX;
    case LIMIT_FILES:
        return FILE_TABLE_MAX;
    case LIMIT_DATA:
    case LIMIT_MEMORY:
        return ADDRESS_SPACE_BYTES_MAX;
    default:
        return UINT64_MAX;
    }
}

int64_t call_prlimit64(struct process *process, const uint64_t args[6]) {
    uint64_t limits[2];
    if ((uint32_t)args[0] != 0 && (uint32_t)args[0] != process->id)
        return -ASH_ESRCH;
    if ((uint32_t)args[1] >= LIMITS)
        return -ASH_EINVAL;
    uint64_t limit = limit_of((uint32_t)args[1]);
    if (args[2] != 0) {
        int error = user_read(process->space, limits, args[2], sizeof(limits));
        if (error != 0)
            return error;
        if (limits[0] > limits[1])
            return -ASH_EINVAL;
        if (limits[1] > limit)
            return -ASH_EPERM;
    }
    limits[0] = limits[1] = limit;
    return args[3] == 0 ? 0 : user_write(process->space, args[3], limits, sizeof(limits));
}

/* Its one thread holds no lock that another could wait for. */
int64_t call_set_robust_list(struct process *process, const uint64_t args[6]) {
    enum { HEAD_BYTES = 24 };
    (void)process;
    return args[1] == HEAD_BYTES ? 0 : -ASH_EINVAL;
}

/* Not here, as C libraries take it: they do without. */
int64_t call_rseq(struct process *process, const uint64_t args[6]) {
    (void)process, (void)args;
    return -ASH_ENOSYS;
}

/* One user, and one group: 0. */
int64_t call_get_id(struct process *process, const uint64_t args[6]) {
    (void)process, (void)args;
    return 0;
}

int64_t call_set_id(struct process *process, const uint64_t args[6]) {
    (void)process;
    return (uint32_t)args[0] == 0 ? 0 : -ASH_EPERM;
}

int64_t call_umask(struct process *process, const uint64_t args[6]) {
    uint32_t old = process->file_mode_mask;
    process->file_mode_mask = (uint32_t)args[0] & 0777;
    return old;
}

/* struct sysinfo. */
struct user_sysinfo {
    int64_t uptime_s;
    uint64_t loads[3];
    uint64_t total_ram, free_ram, shared_ram, buffer_ram, total_swap, free_swap;
    uint16_t processes, unused[3];
    uint64_t total_high, free_high;
    uint32_t unit, padding;
};

int64_t call_sysinfo(struct process *process, const uint64_t args[6]) {
    struct kernel_memory *memory = processes.config.memory;
    struct ash_buddy_stats stats;
    ash_buddy_get_stats(&memory->buddy, &stats);
    const struct user_sysinfo info = {
        .uptime_s = (int64_t)(platform_now_ns() / 1000000000),
        .total_ram = memory->total_bytes,
        .free_ram = stats.free_pages << ASH_PAGE_SHIFT,
        .processes = (uint16_t)process_count(),
        .unit = 1,
    };
    return user_write(process->space, args[0], &info, sizeof(info));
}

/* The name that `ps` shows; nothing else of prctl. */
int64_t call_prctl(struct process *process, const uint64_t args[6]) {
    enum { SET_NAME = 15, GET_NAME = 16 };
    char name[PROCESS_NAME_BYTES] = {0};
    if ((uint32_t)args[0] == GET_NAME)
        return user_write(process->space, args[1], process->name, sizeof(process->name));
    if ((uint32_t)args[0] != SET_NAME)
        return -ASH_EINVAL;
    int64_t len = user_string(process->space, name, args[1], sizeof(name));
    if (len < 0 && len != -ASH_ENAMETOOLONG)
        return len;
    name[sizeof(name) - 1] = '\0';
    mutex_lock(&processes.lock);
    memcpy(process->name, name, sizeof(name));
    mutex_unlock(&processes.lock);
    return 0;
}

/*
 * A process has one thread, and its memory is another's only where it is mapped SHARED: so a waiter
 * is woken by its own signal or the time, and whoever wakes finds nobody. That is what a C
 * library's locks need which are never contended.
 */
static bool never(void *context) {
    (void)context;
    return false;
}

static int64_t futex_wait(struct process *process, const uint64_t args[6], bool is_relative) {
    struct {
        int64_t s, ns;
    } time;
    uint32_t now;
    ash_ns_t deadline_ns = UINT64_MAX;
    if (!ash_is_aligned(args[0], sizeof(now)))
        return -ASH_EINVAL;
    int error = user_read(process->space, &now, args[0], sizeof(now));
    if (error == 0 && args[3] != 0)
        error = user_read(process->space, &time, args[3], sizeof(time));
    if (error != 0)
        return error;
    if (now != (uint32_t)args[2])
        return -ASH_EAGAIN;
    if (args[3] != 0) {
        if (time.s < 0 || time.ns < 0 || time.ns >= 1000000000)
            return -ASH_EINVAL;
        if (time.s < INT64_MAX / 1000000000 - 1)
            deadline_ns = (uint64_t)time.s * 1000000000 + (uint64_t)time.ns +
                          (is_relative ? platform_now_ns() : 0);
    }
    return process_wait(&process->changed, never, NULL, deadline_ns);
}

int64_t call_futex(struct process *process, const uint64_t args[6]) {
    enum {
        FUTEX_WAIT = 0,
        FUTEX_WAKE = 1,
        FUTEX_WAIT_BITSET = 9,
        FUTEX_WAKE_BITSET = 10,
        FUTEX_FLAGS = 128 | 256, /* private; of the clock that tells the time: all are one */
    };
    switch ((uint32_t)args[1] & ~(uint32_t)FUTEX_FLAGS) {
    case FUTEX_WAIT:
        return futex_wait(process, args, true);
    case FUTEX_WAIT_BITSET:
        return futex_wait(process, args, false);
    case FUTEX_WAKE:
    case FUTEX_WAKE_BITSET:
        return ash_is_aligned(args[0], sizeof(uint32_t)) ? 0 : -ASH_EINVAL;
    default:
        return -ASH_ENOSYS;
    }
}
