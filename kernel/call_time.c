/* SPDX-License-Identifier: MIT */
/* call_time.c: the calls about time. All clocks count from the boot: the machine knows no date. */
#include <ashlar/error.h>

#include "calls.h"
#include "process_wait.h"
#include "thread.h"

#define NS_PER_S UINT64_C(1000000000)

enum {
    CLOCK_REALTIME,
    CLOCK_MONOTONIC,
    CLOCK_PROCESS_CPUTIME,
    CLOCK_THREAD_CPUTIME,
    CLOCK_MONOTONIC_RAW,
    CLOCK_REALTIME_COARSE,
    CLOCK_MONOTONIC_COARSE,
    CLOCK_BOOTTIME,
};

/* struct timespec. */
struct user_time {
    int64_t s, ns;
};

static bool clock_now(uint32_t clock, ash_ns_t *now_ns) {
    switch (clock) {
    case CLOCK_PROCESS_CPUTIME:
    case CLOCK_THREAD_CPUTIME:
        *now_ns = thread_runtime_ns();
        return true;
    case CLOCK_REALTIME:
    case CLOCK_MONOTONIC:
    case CLOCK_MONOTONIC_RAW:
    case CLOCK_REALTIME_COARSE:
    case CLOCK_MONOTONIC_COARSE:
    case CLOCK_BOOTTIME:
        *now_ns = platform_now_ns();
        return true;
    default:
        return false;
    }
}

static struct user_time time_of(ash_ns_t ns) {
    return (struct user_time){.s = (int64_t)(ns / NS_PER_S), .ns = (int64_t)(ns % NS_PER_S)};
}

int64_t call_clock_gettime(struct process *process, const uint64_t args[6]) {
    ash_ns_t now_ns;
    if (!clock_now((uint32_t)args[0], &now_ns))
        return -ASH_EINVAL;
    const struct user_time time = time_of(now_ns);
    return user_write(process->space, args[1], &time, sizeof(time));
}

int64_t call_clock_getres(struct process *process, const uint64_t args[6]) {
    const struct user_time time = {.ns = 1};
    ash_ns_t unused;
    if (!clock_now((uint32_t)args[0], &unused))
        return -ASH_EINVAL;
    return args[1] == 0 ? 0 : user_write(process->space, args[1], &time, sizeof(time));
}

int64_t call_gettimeofday(struct process *process, const uint64_t args[6]) {
    struct user_time time = time_of(platform_now_ns());
    time.ns /= 1000;
    return args[0] == 0 ? 0 : user_write(process->space, args[0], &time, sizeof(time));
}

/* struct tms, in hundredths of a second. */
int64_t call_times(struct process *process, const uint64_t args[6]) {
    const uint64_t tick_ns = NS_PER_S / 100;
    const uint64_t times[4] = {thread_runtime_ns() / tick_ns, 0,
                               process->children_runtime_ns / tick_ns, 0};
    int error = args[0] == 0 ? 0 : user_write(process->space, args[0], times, sizeof(times));
    return error != 0 ? error : (int64_t)(platform_now_ns() / tick_ns);
}

/* Sleeping */

static bool never(void *context) {
    (void)context;
    return false;
}

static int read_time(struct process *process, uint64_t address, ash_ns_t *ns) {
    struct user_time time;
    int error = user_read(process->space, &time, address, sizeof(time));
    if (error != 0)
        return error;
    if (time.s < 0 || time.ns < 0 || time.ns >= (int64_t)NS_PER_S)
        return -ASH_EINVAL;
    *ns = (uint64_t)time.s > INT64_MAX / NS_PER_S ? INT64_MAX
                                                  : (uint64_t)time.s * NS_PER_S + (uint64_t)time.ns;
    return 0;
}

/* An interrupted sleep that is made again, as no handler ran, ends when it would have. */
static int64_t sleep_for(struct process *process, uint64_t address, uint64_t rest_address) {
    ash_ns_t ns, deadline_ns;
    int error = read_time(process, address, &ns);
    if (error != 0)
        return error;
    deadline_ns = process->is_restarted ? process->restart_deadline_ns : platform_now_ns() + ns;
    process->restart_deadline_ns = deadline_ns;
    error = process_wait(&process->changed, never, NULL, deadline_ns);
    if (error == -ASH_ETIMEDOUT)
        return 0;
    if (rest_address != 0) {
        ash_ns_t now_ns = platform_now_ns();
        const struct user_time rest = time_of(now_ns < deadline_ns ? deadline_ns - now_ns : 0);
        if (user_write(process->space, rest_address, &rest, sizeof(rest)) != 0)
            return -ASH_EFAULT;
    }
    return error;
}

int64_t call_nanosleep(struct process *process, const uint64_t args[6]) {
    return sleep_for(process, args[0], args[1]);
}

int64_t call_clock_nanosleep(struct process *process, const uint64_t args[6]) {
    enum { UNTIL = 1 };
    ash_ns_t deadline_ns;
    uint32_t clock = (uint32_t)args[0];
    if (clock != CLOCK_REALTIME && clock != CLOCK_MONOTONIC && clock != CLOCK_BOOTTIME)
        return -ASH_EINVAL;
    if ((args[1] & UNTIL) == 0)
        return sleep_for(process, args[2], args[3]);
    int error = read_time(process, args[2], &deadline_ns);
    if (error != 0)
        return error;
    error = process_wait(&process->changed, never, NULL, deadline_ns);
    return error == -ASH_ETIMEDOUT ? 0 : error;
}
