/* SPDX-License-Identifier: MIT */
/* call_poll.c: ppoll: waiting for one of several files. */
#include <ashlar/error.h>

#include "calls.h"
#include "files.h"

#define NS_PER_S UINT64_C(1000000000)

struct poll_record {
    int32_t number;
    int16_t wanted, found;
};

struct polls {
    const struct process *process;
    struct poll_record *records;
    uint32_t count, found;
};

/* A descriptor below 0 is passed over; of an open one, what is asked for, errors and the end. */
static uint16_t look_at(const struct process *process, const struct poll_record *record) {
    struct open_file *file = file_table_find(process->files, (uint32_t)record->number);
    if (record->number < 0)
        return 0;
    if (file == NULL)
        return OPEN_POLL_INVALID;
    return (uint16_t)(open_file_ready(file) &
                      ((uint16_t)record->wanted | OPEN_POLL_ERROR | OPEN_POLL_HANG_UP));
}

static bool look_at_all(void *context) {
    struct polls *polls = context;
    polls->found = 0;
    for (uint32_t i = 0; i < polls->count; i++) {
        polls->records[i].found = (int16_t)look_at(polls->process, &polls->records[i]);
        polls->found += polls->records[i].found != 0;
    }
    return polls->found != 0;
}

/* The time at which a wait of so long is over: a timespec of the program's; none: never. */
static int read_deadline(struct process *process, uint64_t address, ash_ns_t *deadline_ns) {
    uint64_t time[2];
    *deadline_ns = UINT64_MAX;
    if (address == 0)
        return 0;
    int error = user_read(process->space, time, address, sizeof(time));
    if (error != 0)
        return error;
    if (time[0] > INT64_MAX || time[1] >= NS_PER_S)
        return -ASH_EINVAL;
    if (time[0] < UINT32_MAX)
        *deadline_ns = platform_now_ns() + time[0] * NS_PER_S + time[1];
    return 0;
}

/* The mask that holds while the call waits. Where a signal ends that, its delivery brings the old
 * one back. */
static void mask_for_call(struct process *process, uint64_t mask) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&process->signal_lock);
    process->signals.saved_mask = process->signals.mask;
    process->signals.has_saved_mask = true;
    signals_set_mask(&process->signals, mask);
    ash_spin_unlock(&process->signal_lock);
    ash_port_irq_restore(state);
}

static void unmask_after_call(struct process *process) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&process->signal_lock);
    process->signals.has_saved_mask = false;
    signals_set_mask(&process->signals, process->signals.saved_mask);
    ash_spin_unlock(&process->signal_lock);
    ash_port_irq_restore(state);
}

static int64_t wait_with_mask(struct process *process, struct polls *polls, ash_ns_t deadline_ns,
                              const uint64_t *mask) {
    if (mask != NULL)
        mask_for_call(process, *mask);
    int error = open_file_poll(look_at_all, polls, deadline_ns);
    if (mask != NULL && error != -ASH_EINTR)
        unmask_after_call(process);
    return error == -ASH_EINTR ? error : (int64_t)polls->found;
}

static int64_t poll_records(struct process *process, const uint64_t args[6], struct polls *polls) {
    size_t bytes = polls->count * sizeof(*polls->records);
    ash_ns_t deadline_ns;
    uint64_t mask = 0;
    int error = user_read(process->space, polls->records, args[0], bytes);
    if (error == 0)
        error = read_deadline(process, args[2], &deadline_ns);
    if (error == 0 && args[3] != 0)
        error = args[4] != sizeof(mask) ? -ASH_EINVAL
                                        : user_read(process->space, &mask, args[3], sizeof(mask));
    if (error != 0)
        return error;
    int64_t found = wait_with_mask(process, polls, deadline_ns, args[3] != 0 ? &mask : NULL);
    if (found >= 0)
        error = user_write(process->space, args[0], polls->records, bytes);
    return error != 0 ? error : found;
}

int64_t call_ppoll(struct process *process, const uint64_t args[6]) {
    const struct allocator *allocator = files_allocator();
    struct polls polls = {.process = process, .count = (uint32_t)args[1]};
    if (args[1] > FILE_TABLE_MAX)
        return -ASH_EINVAL;
    polls.records =
        allocator->alloc(allocator->context, (polls.count + 1) * sizeof(*polls.records));
    if (polls.records == NULL)
        return -ASH_ENOMEM;
    int64_t result = poll_records(process, args, &polls);
    allocator->free(allocator->context, polls.records);
    return result;
}
