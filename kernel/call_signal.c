/* SPDX-License-Identifier: MIT */
/* call_signal.c: the calls about signals. */
#include <ashlar/error.h>

#include "calls.h"
#include "process_internal.h"
#include "process_wait.h"

enum { SET_BYTES = 8 }; /* of a set of signals, as programs have to say */

/* kill and kin */

static struct signal_info info_of(const struct process *process, int32_t code) {
    return (struct signal_info){.code = code, .sender = process->id};
}

int64_t call_kill(struct process *process, const uint64_t args[6]) {
    const struct signal_info info = info_of(process, SIGNAL_CODE_USER);
    return process_kill((int32_t)args[0], process->group, (uint32_t)args[1], &info);
}

/* A thread is its process here. */
static int64_t kill_thread(const struct process *process, int32_t id, uint64_t signal) {
    const struct signal_info info = info_of(process, SIGNAL_CODE_TKILL);
    return id <= 0 ? -ASH_EINVAL : process_kill(id, 0, (uint32_t)signal, &info);
}

int64_t call_tkill(struct process *process, const uint64_t args[6]) {
    return kill_thread(process, (int32_t)args[0], args[1]);
}

int64_t call_tgkill(struct process *process, const uint64_t args[6]) {
    if ((int32_t)args[0] <= 0)
        return -ASH_EINVAL;
    return (int32_t)args[0] != (int32_t)args[1] ? -ASH_ESRCH
                                                : kill_thread(process, (int32_t)args[1], args[2]);
}

/* Actions and masks */

static ash_irq_t lock(struct process *process) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&process->signal_lock);
    return state;
}

static void unlock(struct process *process, ash_irq_t state) {
    ash_spin_unlock(&process->signal_lock);
    ash_port_irq_restore(state);
}

int64_t call_rt_sigaction(struct process *process, const uint64_t args[6]) {
    struct signal_action action, old;
    if (args[3] != SET_BYTES)
        return -ASH_EINVAL;
    int error = args[1] == 0 ? 0 : user_read(process->space, &action, args[1], sizeof(action));
    if (error != 0)
        return error;
    ash_irq_t state = lock(process);
    error = signals_set_action(&process->signals, (uint32_t)args[0], args[1] == 0 ? NULL : &action,
                               &old);
    unlock(process, state);
    if (error == 0 && args[2] != 0)
        error = user_write(process->space, args[2], &old, sizeof(old));
    return error;
}

enum { MASK_BLOCK, MASK_UNBLOCK, MASK_SET };

int64_t call_rt_sigprocmask(struct process *process, const uint64_t args[6]) {
    uint64_t set, old = process->signals.mask, mask = old;
    if (args[3] != SET_BYTES)
        return -ASH_EINVAL;
    if (args[1] != 0) {
        int error = user_read(process->space, &set, args[1], sizeof(set));
        if (error != 0)
            return error;
        switch ((uint32_t)args[0]) {
        case MASK_BLOCK:
            mask |= set;
            break;
        case MASK_UNBLOCK:
            mask &= ~set;
            break;
        case MASK_SET:
            mask = set;
            break;
        default:
            return -ASH_EINVAL;
        }
        ash_irq_t state = lock(process);
        signals_set_mask(&process->signals, mask);
        unlock(process, state);
    }
    return args[2] == 0 ? 0 : user_write(process->space, args[2], &old, sizeof(old));
}

int64_t call_rt_sigpending(struct process *process, const uint64_t args[6]) {
    if (args[1] > SET_BYTES)
        return -ASH_EINVAL;
    ash_irq_t state = lock(process);
    uint64_t pending = process->signals.pending & process->signals.mask;
    unlock(process, state);
    return user_write(process->space, args[0], &pending, (size_t)args[1]);
}

static bool never(void *context) {
    (void)context;
    return false;
}

/* The mask comes back when it is over: process_loop.c. */
int64_t call_rt_sigsuspend(struct process *process, const uint64_t args[6]) {
    uint64_t mask;
    if (args[1] != SET_BYTES)
        return -ASH_EINVAL;
    int error = user_read(process->space, &mask, args[0], sizeof(mask));
    if (error != 0)
        return error;
    ash_irq_t state = lock(process);
    process->signals.saved_mask = process->signals.mask;
    process->signals.has_saved_mask = true;
    signals_set_mask(&process->signals, mask);
    unlock(process, state);
    return process_wait(&process->changed, never, NULL, UINT64_MAX);
}

/* Stacks and frames */

enum { STACK_ON = 1, STACK_DISABLED = 2 };

/* stack_t. */
struct user_signal_stack {
    uint64_t start;
    uint32_t flags, unused;
    uint64_t bytes;
};

static bool is_on(const struct process *process) {
    const struct signal_stack *stack = &process->signals.stack;
    uint64_t sp = process->user.sp;
    return stack->is_on && sp > stack->start && sp - stack->start <= stack->bytes;
}

static int set_stack(struct process *process, const struct user_signal_stack *stack) {
    bool disables = (stack->flags & STACK_DISABLED) != 0;
    if ((stack->flags & ~(uint32_t)(STACK_ON | STACK_DISABLED)) != 0)
        return -ASH_EINVAL;
    if (is_on(process))
        return -ASH_EPERM;
    if (!disables && (stack->bytes < SIGNAL_STACK_BYTES_MIN || stack->start > ADDRESS_SPACE_TOP ||
                      stack->bytes > ADDRESS_SPACE_TOP - stack->start))
        return -ASH_ENOMEM;
    process->signals.stack = (struct signal_stack){.start = disables ? 0 : stack->start,
                                                   .bytes = disables ? 0 : stack->bytes,
                                                   .is_on = !disables};
    return 0;
}

int64_t call_sigaltstack(struct process *process, const uint64_t args[6]) {
    const struct signal_stack *now = &process->signals.stack;
    struct user_signal_stack stack,
        old = {.start = now->start,
               .flags = !now->is_on ? STACK_DISABLED : (is_on(process) ? STACK_ON : 0),
               .bytes = now->bytes};
    int error = 0;
    if (args[0] != 0) {
        error = user_read(process->space, &stack, args[0], sizeof(stack));
        if (error == 0)
            error = set_stack(process, &stack);
    }
    if (error == 0 && args[1] != 0)
        error = user_write(process->space, args[1], &old, sizeof(old));
    return error;
}

/* What a handler returns by: the frame at sp says what is to go on. A bad one is the program's end,
 * as it has nowhere to go. */
int64_t call_rt_sigreturn(struct process *process, const uint64_t args[6]) {
    uint8_t bytes[SIGNAL_FRAME_USED_BYTES];
    struct signal_context context;
    (void)args;
    if (process->user.sp % 16 != 0 ||
        user_read(process->space, bytes, process->user.sp, sizeof(bytes)) != 0 ||
        !signal_frame_read(bytes, &process->user, &context)) {
        process_end_by(process, process_status_killed(SIGNAL_SEGV));
        return 0;
    }
    ash_irq_t state = lock(process);
    signals_set_mask(&process->signals, context.mask);
    unlock(process, state);
    const struct user_signal_stack stack = {.start = context.stack.start,
                                            .flags = context.stack.is_on ? 0 : STACK_DISABLED,
                                            .bytes = context.stack.bytes};
    (void)set_stack(process, &stack); /* Linux, too: what is no stack leaves it as it is */
    return (int64_t)process->user.x[0];
}
