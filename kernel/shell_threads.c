/* SPDX-License-Identifier: MIT */
/* shell_threads.c: see shell_threads.h. */
#include "shell_threads.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>

#include "numbers.h"

enum { WHY_BYTES = 200, CTRL_C = 3 };

bool shell_has_threads(struct shell *shell, const char *command) {
    if (threads_cpu_count() == 0)
        shell_error(shell, command, NULL, "no threads run here");
    return threads_cpu_count() != 0;
}

bool shell_thread(struct shell *shell, const char *command, const char *word,
                  struct thread_info *info) {
    uint64_t id;
    if (!number_parse_within(word, 1, UINT32_MAX, &id)) {
        shell_error(shell, command, word, "is no thread's number; ps lists them");
        return false;
    }
    if (thread_info_from((uint32_t)id, info) && info->id == id)
        return true;
    shell_error(shell, command, word, "there is no such thread; ps lists them");
    return false;
}

/* Watching */

struct key {
    const struct console *console;
    int byte;
};

static bool has_key(void *context) {
    struct key *key = context;
    key->byte = key->console->poll(key->console->context);
    return key->byte != -ASH_EAGAIN;
}

bool shell_watch_until(struct shell *shell, ash_ns_t deadline_ns) {
    struct key key = {.console = shell->console};
    if (!shell->console->is_terminal)
        return thread_sleep_until(deadline_ns);
    while (kernel_wait(has_key, &key, deadline_ns) == 0) {
        if (key.byte < 0 || key.byte == CTRL_C || key.byte == 'q')
            return false;
    }
    return true;
}

/* Texts */

const char *shell_percent(char text[SHELL_PERCENT_BYTES], uint64_t ppm) {
    snprintf(text, SHELL_PERCENT_BYTES, "%" PRIu64 ".%" PRIu64 "%%", ppm / 10000,
             ppm % 10000 / 1000);
    return text;
}

const char *shell_thread_state(enum thread_state state) {
    switch (state) {
    case THREAD_RUNNING:
        return "running";
    case THREAD_READY:
        return "ready";
    case THREAD_THROTTLED:
        return "throttled";
    case THREAD_ASLEEP:
        return "asleep";
    case THREAD_ENDED:
        return "ended";
    }
    return "?";
}

static void print_reservation(char text[SHELL_CLASS_BYTES],
                              const struct ash_sched_attributes *attributes) {
    char runtime[DURATION_TEXT_BYTES], deadline[DURATION_TEXT_BYTES], period[DURATION_TEXT_BYTES];
    uint64_t deadline_ns = attributes->deadline_ns, period_ns = attributes->period_ns;
    bool is_constrained = deadline_ns != 0 && period_ns != 0 && deadline_ns != period_ns;
    snprintf(text, SHELL_CLASS_BYTES, "%s %s/%s%s%s",
             (attributes->flags & ASH_SCHED_SOFT) != 0 ? "soft" : "rt",
             duration_text(runtime, attributes->runtime_ns),
             is_constrained ? duration_text(deadline, deadline_ns) : "", is_constrained ? "/" : "",
             duration_text(period, period_ns != 0 ? period_ns : deadline_ns));
}

const char *shell_thread_class(char text[SHELL_CLASS_BYTES], const struct thread_info *info) {
    switch (info->class_) {
    case ASH_SCHED_REALTIME:
        print_reservation(text, &info->attributes);
        break;
    case ASH_SCHED_FAIR:
        snprintf(text, SHELL_CLASS_BYTES, "fair %" PRId32, info->attributes.nice);
        break;
    case ASH_SCHED_INTERACTIVE:
        snprintf(text, SHELL_CLASS_BYTES, "inter %" PRIu32, info->level);
        break;
    default:
        snprintf(text, SHELL_CLASS_BYTES, "idle");
        break;
    }
    return text;
}

/* Refusals */

static void explain(char why[WHY_BYTES], const struct ash_sched_refusal *refusal) {
    const char *reason = ash_sched_reason_text(refusal->reason);
    char percent[SHELL_PERCENT_BYTES], demand[DURATION_TEXT_BYTES], at[DURATION_TEXT_BYTES];
    if (refusal->reason == ASH_SCHED_OVER_BANDWIDTH)
        snprintf(why, WHY_BYTES, "%s: with what others have it is %s of the CPU", reason,
                 shell_percent(percent, refusal->bandwidth_ppm));
    else if (refusal->reason == ASH_SCHED_OVER_DEMAND)
        snprintf(why, WHY_BYTES, "%s: %s within %s", reason,
                 duration_text(demand, refusal->demand_ns), duration_text(at, refusal->at_ns));
    else if (refusal->reason == ASH_SCHED_PERIOD_RANGE)
        snprintf(why, WHY_BYTES, "%s of %s to 18 minutes", reason,
                 duration_text(at, THREAD_PERIOD_MIN_NS));
    else
        snprintf(why, WHY_BYTES, "%s", reason);
}

int shell_thread_refused(struct shell *shell, const char *command, const char *subject, int error,
                         const struct ash_sched_refusal *refusal) {
    char why[WHY_BYTES];
    if (error == -ASH_ENOSPC)
        snprintf(why, sizeof(why), "there are as many threads as can be, %d at most", THREADS_MAX);
    else if (refusal->reason != ASH_SCHED_OK)
        explain(why, refusal);
    else if (error == -ASH_ENOMEM)
        snprintf(why, sizeof(why), "no memory for its stack");
    else
        snprintf(why, sizeof(why), "%s", ash_strerror(error));
    return shell_error(shell, command, subject, why);
}

/* Reservations */

bool shell_take_time(struct shell *shell, const char *command, const char *word,
                     struct shell_times *times) {
    if (times->count == SHELL_TIMES_MAX) {
        shell_error(shell, command, word, "is one time too many: Q T [D]");
        return false;
    }
    if (!duration_parse(word, &times->ns[times->count++])) {
        shell_error(shell, command, word,
                    "is no time that fits; times are written as 300us, 5ms, 1.5s");
        return false;
    }
    return true;
}

static enum ash_sched_reason check_times(const struct shell_times *times) {
    if (times->ns[1] == 0)
        return ASH_SCHED_PERIOD_RANGE;
    if (times->ns[0] == 0)
        return ASH_SCHED_NO_RUNTIME;
    bool has_none = times->count == SHELL_TIMES_MAX && times->ns[2] == 0;
    return has_none ? ASH_SCHED_RUNTIME_DEADLINE : ASH_SCHED_OK;
}

int shell_reserve(struct shell *shell, const char *command, const struct shell_times *times,
                  struct ash_sched_attributes *attributes) {
    if (times->count < 2)
        return shell_usage(shell, command, "a reservation is two times, Q T, or three, Q T D");
    struct ash_sched_refusal refusal = {.reason = check_times(times)};
    if (refusal.reason != ASH_SCHED_OK)
        return shell_thread_refused(shell, command, NULL, -ASH_EINVAL, &refusal);
    attributes->runtime_ns = times->ns[0];
    attributes->period_ns = times->ns[1];
    attributes->deadline_ns = times->ns[2];
    return 0;
}
