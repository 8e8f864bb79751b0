/* SPDX-License-Identifier: MIT */
/* signal.c: see signal.h. */
#include "signal.h"

#include <ashlar/atomic.h>
#include <ashlar/error.h>
#include <string.h>

#include "numbers.h"

/* Their handlers run before those of what came from outside. */
#define SYNCHRONOUS                                                              \
    (SIGNAL_BIT(SIGNAL_SEGV) | SIGNAL_BIT(SIGNAL_BUS) | SIGNAL_BIT(SIGNAL_ILL) | \
     SIGNAL_BIT(SIGNAL_TRAP) | SIGNAL_BIT(SIGNAL_FPE))

#define STOPPING                                                                   \
    (SIGNAL_BIT(SIGNAL_STOP) | SIGNAL_BIT(SIGNAL_TSTP) | SIGNAL_BIT(SIGNAL_TTIN) | \
     SIGNAL_BIT(SIGNAL_TTOU))

/* Names */

static const char *const names[] = {
    [SIGNAL_HUP] = "SIGHUP",   [SIGNAL_INT] = "SIGINT",       [SIGNAL_QUIT] = "SIGQUIT",
    [SIGNAL_ILL] = "SIGILL",   [SIGNAL_TRAP] = "SIGTRAP",     [SIGNAL_ABRT] = "SIGABRT",
    [SIGNAL_BUS] = "SIGBUS",   [SIGNAL_FPE] = "SIGFPE",       [SIGNAL_KILL] = "SIGKILL",
    [SIGNAL_USR1] = "SIGUSR1", [SIGNAL_SEGV] = "SIGSEGV",     [SIGNAL_USR2] = "SIGUSR2",
    [SIGNAL_PIPE] = "SIGPIPE", [SIGNAL_ALRM] = "SIGALRM",     [SIGNAL_TERM] = "SIGTERM",
    [SIGNAL_CHLD] = "SIGCHLD", [SIGNAL_STKFLT] = "SIGSTKFLT", [SIGNAL_CONT] = "SIGCONT",
    [SIGNAL_STOP] = "SIGSTOP", [SIGNAL_TSTP] = "SIGTSTP",     [SIGNAL_TTIN] = "SIGTTIN",
    [SIGNAL_TTOU] = "SIGTTOU", [SIGNAL_URG] = "SIGURG",       [SIGNAL_XCPU] = "SIGXCPU",
    [SIGNAL_XFSZ] = "SIGXFSZ", [SIGNAL_VTALRM] = "SIGVTALRM", [SIGNAL_PROF] = "SIGPROF",
    [SIGNAL_IO] = "SIGIO",     [SIGNAL_WINCH] = "SIGWINCH",   [SIGNAL_PWR] = "SIGPWR",
    [SIGNAL_SYS] = "SIGSYS",
};

const char *signal_name(uint32_t number) {
    if (number < ASH_ARRAY_LEN(names) && names[number] != NULL)
        return names[number];
    return number > 31 && number <= SIGNALS ? "a real-time signal" : "no signal";
}

uint32_t signal_parse(const char *word) {
    uint64_t number;
    if (number_parse_within(word, 1, SIGNALS, &number))
        return (uint32_t)number;
    for (uint32_t i = 1; i < ASH_ARRAY_LEN(names); i++) {
        if (strcmp(word, names[i]) == 0 || strcmp(word, names[i] + strlen("SIG")) == 0)
            return i;
    }
    return 0;
}

enum signal_default signal_default_of(uint32_t number) {
    switch (number) {
    case SIGNAL_CHLD:
    case SIGNAL_URG:
    case SIGNAL_WINCH:
        return SIGNAL_NOTHING;
    case SIGNAL_CONT:
        return SIGNAL_CONTINUES;
    case SIGNAL_STOP:
    case SIGNAL_TSTP:
    case SIGNAL_TTIN:
    case SIGNAL_TTOU:
        return SIGNAL_STOPS;
    case SIGNAL_QUIT:
    case SIGNAL_ILL:
    case SIGNAL_TRAP:
    case SIGNAL_ABRT:
    case SIGNAL_BUS:
    case SIGNAL_FPE:
    case SIGNAL_SEGV:
    case SIGNAL_XCPU:
    case SIGNAL_XFSZ:
    case SIGNAL_SYS:
        return SIGNAL_DUMPS;
    default:
        return SIGNAL_ENDS;
    }
}

/* Life */

void signals_init(struct signals *signals) {
    memset(signals, 0, sizeof(*signals));
}

void signals_fork(struct signals *child, const struct signals *parent) {
    *child = *parent;
    child->pending = 0;
    memset(child->info, 0, sizeof(child->info));
}

void signals_exec(struct signals *signals) {
    for (uint32_t i = 0; i < SIGNALS; i++) {
        uint64_t handler = signals->actions[i].handler;
        signals->actions[i] = (struct signal_action){
            .handler = handler == SIGNAL_IGNORE ? SIGNAL_IGNORE : SIGNAL_DEFAULT};
    }
    signals->stack = (struct signal_stack){.is_on = false};
    signals->has_saved_mask = false;
}

/* Actions, mask */

static bool is_number(uint32_t number) {
    return number >= 1 && number <= SIGNALS;
}

static bool ignores(const struct signals *signals, uint32_t number) {
    uint64_t handler = signals->actions[number - 1].handler;
    if (handler == SIGNAL_DEFAULT)
        return signal_default_of(number) == SIGNAL_NOTHING;
    return handler == SIGNAL_IGNORE;
}

/* Read without the lock elsewhere. */
static void set_pending(struct signals *signals, uint64_t pending) {
    ash_store_release(&signals->pending, pending);
}

int signals_set_action(struct signals *signals, uint32_t number, const struct signal_action *action,
                       struct signal_action *old) {
    if (!is_number(number) || (action != NULL && (SIGNAL_BIT(number) & SIGNAL_UNMASKABLE) != 0))
        return -ASH_EINVAL;
    if (old != NULL)
        *old = signals->actions[number - 1];
    if (action == NULL)
        return 0;
    signals->actions[number - 1] = *action;
    signals->actions[number - 1].mask &= ~SIGNAL_UNMASKABLE;
    if (ignores(signals, number)) /* POSIX.1-2017, XSH 2.4.3: what is pending is discarded */
        set_pending(signals, signals->pending & ~SIGNAL_BIT(number));
    return 0;
}

void signals_set_mask(struct signals *signals, uint64_t mask) {
    ash_store_release(&signals->mask, mask & ~SIGNAL_UNMASKABLE);
}

/* Delivery */

bool signals_post(struct signals *signals, uint32_t number, const struct signal_info *info) {
    uint64_t bit = SIGNAL_BIT(number), pending = signals->pending;
    if (number == SIGNAL_CONT)
        pending &= ~STOPPING;
    if ((bit & STOPPING) != 0)
        pending &= ~SIGNAL_BIT(SIGNAL_CONT);
    /* One that is masked may find another action when it is not. */
    bool counts = !ignores(signals, number) || (signals->mask & bit) != 0;
    if (counts) {
        pending |= bit;
        signals->info[number - 1] = *info;
    }
    set_pending(signals, pending);
    return counts;
}

uint32_t signals_next(const struct signals *signals) {
    uint64_t ready = signals->pending & ~signals->mask;
    if ((ready & SIGNAL_BIT(SIGNAL_KILL)) != 0)
        return SIGNAL_KILL;
    if ((ready & SYNCHRONOUS) != 0)
        ready &= SYNCHRONOUS;
    return ready == 0 ? 0 : (uint32_t)__builtin_ctzll(ready) + 1;
}

void signals_take(struct signals *signals, uint32_t number, struct signal_action *action,
                  struct signal_info *info) {
    set_pending(signals, signals->pending & ~SIGNAL_BIT(number));
    *action = signals->actions[number - 1];
    *info = signals->info[number - 1];
    if (action->handler > SIGNAL_IGNORE && (action->flags & SIGNAL_RESETHAND) != 0)
        signals->actions[number - 1].handler = SIGNAL_DEFAULT;
}

bool signals_wait_is_over(const struct signals *signals) {
    return (ash_load_acquire(&signals->pending) & ~ash_load_acquire(&signals->mask)) != 0;
}

bool signals_end_it(const struct signals *signals) {
    uint64_t ready = ash_load_acquire(&signals->pending) & ~ash_load_acquire(&signals->mask);
    for (; ready != 0; ready &= ready - 1) {
        uint32_t number = (uint32_t)__builtin_ctzll(ready) + 1;
        enum signal_default is_done = signal_default_of(number);
        if (signals->actions[number - 1].handler == SIGNAL_DEFAULT &&
            (is_done == SIGNAL_ENDS || is_done == SIGNAL_DUMPS))
            return true;
    }
    return false;
}
