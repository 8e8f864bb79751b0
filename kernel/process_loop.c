/* SPDX-License-Identifier: MIT */
/* process_loop.c: what a process's thread does: it runs the program, does what it asks for, answers
 * its faults, and delivers signals, until one of these is its end. See process.h. */
#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "calls.h"
#include "process_internal.h"
#include "thread.h"

enum { LINE_BYTES = 160 };

/* A call that was interrupted. */
struct interrupted {
    bool is_one;
    bool restarts; /* after a handler with SA_RESTART */
    uint64_t x0;   /* its first argument */
};

/* Faults */

static bool is_caught(const struct process *self, uint32_t signal) {
    return self->signals.actions[signal - 1].handler > SIGNAL_IGNORE &&
           (self->signals.mask & SIGNAL_BIT(signal)) == 0;
}

/* What the program did is answered at once: where it cannot be caught, it ends. */
static void signal_fault(struct process *self, uint32_t signal, int32_t code, uint64_t address,
                         const char *what) {
    const struct signal_info info = {.code = code, .address = address};
    if (!is_caught(self, signal)) {
        process_report(self, "%s: %s", signal_name(signal), what);
        process_end_by(self, process_status_killed(signal));
        return;
    }
    process_signal(self, signal, &info);
}

static void out_of_memory(struct process *self, const char *what) {
    process_report(self, "ended, as there is no memory for %s", what);
    process_end_by(self, process_status_killed(SIGNAL_KILL));
}

static void handle_abort(struct process *self, const struct platform_user_event *event) {
    uint32_t access =
        event->is_execute ? ASH_VM_EXECUTE : (event->is_write ? ASH_VM_WRITE : ASH_VM_READ);
    const char *verb =
        event->is_execute ? "execution at" : (event->is_write ? "write to" : "read of");
    char what[LINE_BYTES];
    uint32_t signal = SIGNAL_SEGV;
    int32_t code = SIGNAL_CODE_SEGV_MAPERR;
    const char *why = "where nothing is mapped";
    switch (address_space_fault(self->space, event->address, access)) {
    case ADDRESS_SPACE_GOOD:
        return;
    case ADDRESS_SPACE_NOMEM:
        snprintf(what, sizeof(what), "%s %s 0x%" PRIx64, event->is_execute ? "an" : "a", verb,
                 event->address);
        out_of_memory(self, what);
        return;
    case ADDRESS_SPACE_MAPERR:
        break;
    case ADDRESS_SPACE_ACCERR:
        code = SIGNAL_CODE_SEGV_ACCERR;
        why = "which its rights forbid";
        break;
    case ADDRESS_SPACE_BEYOND:
        signal = SIGNAL_BUS;
        code = SIGNAL_CODE_BUS_ADRERR;
        why = "beyond the end of the file there";
        break;
    case ADDRESS_SPACE_IO:
        signal = SIGNAL_BUS;
        code = SIGNAL_CODE_BUS_ADRERR;
        why = "where the file cannot be read";
        break;
    }
    snprintf(what, sizeof(what), "%s 0x%" PRIx64 ", %s", verb, event->address, why);
    signal_fault(self, signal, code, event->address, what);
}

/* Classes of exceptions: Arm ARM (DDI 0487), ESR_EL1.EC. */
enum {
    CLASS_PC_ALIGNMENT = 0x22,
    CLASS_DATA_ABORT = 0x24,
    CLASS_SP_ALIGNMENT = 0x26,
    CLASS_ARITHMETIC = 0x2c,
    CLASS_BREAKPOINT = 0x3c,
};

static void handle_trap(struct process *self, const struct platform_user_event *event) {
    const char *what = event->what == NULL ? "what it may not do" : event->what;
    switch (event->syndrome >> 26 & 0x3f) {
    case CLASS_BREAKPOINT:
        signal_fault(self, SIGNAL_TRAP, SIGNAL_CODE_TRAP_BRKPT, self->user.pc, what);
        break;
    case CLASS_PC_ALIGNMENT:
    case CLASS_SP_ALIGNMENT:
    case CLASS_DATA_ABORT:
        signal_fault(self, SIGNAL_BUS, SIGNAL_CODE_BUS_ADRALN, event->address, what);
        break;
    case CLASS_ARITHMETIC:
        signal_fault(self, SIGNAL_FPE, SIGNAL_CODE_FPE_INVALID, self->user.pc, what);
        break;
    default:
        signal_fault(self, SIGNAL_ILL, SIGNAL_CODE_ILL_ILLOPC, self->user.pc, what);
        break;
    }
}

/* Stopped */

static bool is_not_stopped(void *context) {
    struct process *self = context;
    return ash_load_acquire(&self->state) != PROCESS_STOPPED;
}

static void stop(struct process *self, uint32_t signal) {
    const uint64_t ends_it = SIGNAL_BIT(SIGNAL_CONT) | SIGNAL_BIT(SIGNAL_KILL);
    mutex_lock(&processes.lock);
    if ((ash_load_acquire(&self->signals.pending) & ends_it) == 0) {
        ash_store_release(&self->state, PROCESS_STOPPED);
        self->stop_signal = signal;
        self->is_stop_told = false;
        process_tell_of(self, SIGNAL_CODE_CLD_STOPPED, (int32_t)signal);
    }
    mutex_unlock(&processes.lock);
    wait_queue_wait_for_ever(&self->changed, is_not_stopped, self);
}

/* Handlers */

static bool is_on(const struct signal_stack *stack, uint64_t sp) {
    return stack->is_on && sp > stack->start && sp - stack->start <= stack->bytes;
}

/* The kernel's stack has room for it, and each thread its own. */
struct frame {
    uint8_t bytes[SIGNAL_FRAME_USED_BYTES];
    uint64_t record[2];
};

/* False: the program's stack has no room. */
static bool push_frame(struct process *self, uint32_t number, const struct signal_info *info,
                       const struct signal_action *action) {
    struct signals *signals = &self->signals;
    struct platform_user *user = &self->user;
    const struct signal_context context = {.mask = signals->has_saved_mask ? signals->saved_mask
                                                                           : signals->mask,
                                           .stack = signals->stack,
                                           .is_on_stack = is_on(&signals->stack, user->sp)};
    struct frame frame = {.record = {user->x[29], user->x[30]}};
    uint64_t sp = user->sp;
    if ((action->flags & SIGNAL_ONSTACK) != 0 && signals->stack.is_on && !context.is_on_stack)
        sp = signals->stack.start + signals->stack.bytes;
    sp = ash_align_down(sp, 16) - SIGNAL_FRAME_BYTES - SIGNAL_RECORD_BYTES;
    signal_frame_build(frame.bytes, user, number, info, &context);
    uint64_t record = sp + SIGNAL_FRAME_BYTES;
    if (user_write(self->space, sp, frame.bytes, sizeof(frame.bytes)) != 0 ||
        user_write(self->space, record, frame.record, sizeof(frame.record)) != 0)
        return false;
    user->x[0] = number;
    user->x[1] = sp;
    user->x[2] = sp + SIGNAL_CONTEXT_OFFSET;
    user->x[29] = record;
    user->x[30] =
        (action->flags & SIGNAL_RESTORER) != 0 ? action->restorer : self->space->trampoline;
    user->sp = sp;
    user->pc = action->handler;
    return true;
}

static void set_mask(struct process *self, uint64_t mask) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&self->signal_lock);
    self->signals.has_saved_mask = false;
    signals_set_mask(&self->signals, mask);
    ash_spin_unlock(&self->signal_lock);
    ash_port_irq_restore(state);
}

static void run_handler(struct process *self, uint32_t number, const struct signal_info *info,
                        const struct signal_action *action) {
    uint64_t mask = self->signals.mask | action->mask;
    if ((action->flags & SIGNAL_NODEFER) == 0)
        mask |= SIGNAL_BIT(number);
    if (push_frame(self, number, info, action)) {
        set_mask(self, mask);
        return;
    }
    process_report(self, "SIGSEGV: its stack at 0x%" PRIx64 " has no room for %s", self->user.sp,
                   signal_name(number));
    process_end_by(self, process_status_killed(SIGNAL_SEGV));
}

/* Delivery */

static uint32_t take_next(struct process *self, struct signal_action *action,
                          struct signal_info *info) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&self->signal_lock);
    uint32_t number = signals_next(&self->signals);
    if (number != 0)
        signals_take(&self->signals, number, action, info);
    ash_spin_unlock(&self->signal_lock);
    ash_port_irq_restore(state);
    return number;
}

static void do_default(struct process *self, uint32_t number) {
    switch (signal_default_of(number)) {
    case SIGNAL_ENDS:
    case SIGNAL_DUMPS:
        process_end_by(self, process_status_killed(number));
        break;
    case SIGNAL_STOPS:
        stop(self, number);
        break;
    case SIGNAL_NOTHING:
    case SIGNAL_CONTINUES:
        break;
    }
}

/* As if it had not been made yet: pc is behind its instruction. */
static void make_again(struct process *self, const struct interrupted *call) {
    self->user.pc -= 4;
    self->user.x[0] = call->x0;
}

static void deliver(struct process *self, struct interrupted *call) {
    struct signal_action action;
    struct signal_info info;
    for (uint32_t number; !self->has_ended && (number = take_next(self, &action, &info)) != 0;) {
        if (action.handler == SIGNAL_DEFAULT) {
            do_default(self, number);
        } else if (action.handler != SIGNAL_IGNORE) {
            if (call->is_one && call->restarts && (action.flags & SIGNAL_RESTART) != 0)
                make_again(self, call);
            call->is_one = false;
            run_handler(self, number, &info, &action);
        }
    }
    if (self->signals.has_saved_mask)
        set_mask(self, self->signals.saved_mask);
    self->is_restarted = call->is_one;
    if (call->is_one)
        make_again(self, call);
}

/* The thread */

static void step(struct process *self, struct interrupted *call) {
    const struct platform_translation translation = address_space_translation(self->space);
    struct platform_user_event event;
    memory_relieve(processes.config.memory);
    platform_user_run(&self->user, &translation, &event);
    switch (event.cause) {
    case PLATFORM_USER_CALL: {
        const struct call *which = call_find(self->user.x[8]);
        call->x0 = self->user.x[0];
        call->restarts = which != NULL && which->restarts;
        call->is_one = call_dispatch(self);
        break;
    }
    case PLATFORM_USER_ABORT:
        handle_abort(self, &event);
        break;
    case PLATFORM_USER_TRAP:
        handle_trap(self, &event);
        break;
    case PLATFORM_USER_INTERRUPT:
        break;
    }
}

static void begin(struct process *self) {
    thread_set_process(self);
    mutex_lock(&processes.lock);
    self->thread = thread_current();
    mutex_unlock(&processes.lock);
    if (self->set_child_tid != 0)
        user_write_if(self->space, self->set_child_tid, &self->id, sizeof(self->id));
}

void process_body(void *context) {
    struct process *self = context;
    begin(self);
    while (!self->has_ended) {
        struct interrupted call = {.is_one = false};
        /* Who sends a signal marks it, and then this: one of the two is seen. */
        ash_store_relaxed(&self->user.is_wanted, 0u);
        ash_fence();
        if (!process_is_interrupted(self))
            step(self, &call);
        if (!self->has_ended)
            deliver(self, &call);
    }
    process_exit_now(self);
}
