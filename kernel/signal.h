/* SPDX-License-Identifier: MIT */
/*
 * signal.h: what a process has of signals: actions, mask, what is pending; and which is delivered
 * next. Pure; the frames on a program's stack are signal_frame.h, sending is process.h.
 *
 * Rules
 *  - A set of signals has bit n - 1 for signal n (Linux). Signals 1..31 are pending once; 32..64,
 *    too: the last sender's information is kept.
 *  - SIGKILL and SIGSTOP are never masked, caught or ignored.
 *  - Changed under the process's signal lock; `pending` and `mask` are read without it, to ask
 *    whether there may be something to deliver.
 *
 * Source: POSIX.1-2017, XSH 2.4; signal(7) for numbers and default actions.
 */
#ifndef KERNEL_SIGNAL_H
#define KERNEL_SIGNAL_H

#include <ashlar/base.h>

enum {
    SIGNALS = 64,

    SIGNAL_HUP = 1,
    SIGNAL_INT,
    SIGNAL_QUIT,
    SIGNAL_ILL,
    SIGNAL_TRAP,
    SIGNAL_ABRT,
    SIGNAL_BUS,
    SIGNAL_FPE,
    SIGNAL_KILL,
    SIGNAL_USR1,
    SIGNAL_SEGV,
    SIGNAL_USR2,
    SIGNAL_PIPE,
    SIGNAL_ALRM,
    SIGNAL_TERM,
    SIGNAL_STKFLT,
    SIGNAL_CHLD,
    SIGNAL_CONT,
    SIGNAL_STOP,
    SIGNAL_TSTP,
    SIGNAL_TTIN,
    SIGNAL_TTOU,
    SIGNAL_URG,
    SIGNAL_XCPU,
    SIGNAL_XFSZ,
    SIGNAL_VTALRM,
    SIGNAL_PROF,
    SIGNAL_WINCH,
    SIGNAL_IO,
    SIGNAL_PWR,
    SIGNAL_SYS,
};

#define SIGNAL_BIT(number) (UINT64_C(1) << ((number)-1))
#define SIGNAL_UNMASKABLE  (SIGNAL_BIT(SIGNAL_KILL) | SIGNAL_BIT(SIGNAL_STOP))

#define SIGNAL_DEFAULT UINT64_C(0) /* handlers that are none */
#define SIGNAL_IGNORE  UINT64_C(1)

/* Flags of an action (Linux's). */
#define SIGNAL_NOCLDSTOP 0x00000001u
#define SIGNAL_NOCLDWAIT 0x00000002u
#define SIGNAL_SIGINFO   0x00000004u
#define SIGNAL_RESTORER  0x04000000u
#define SIGNAL_ONSTACK   0x08000000u
#define SIGNAL_RESTART   0x10000000u
#define SIGNAL_NODEFER   0x40000000u
#define SIGNAL_RESETHAND 0x80000000u

/* struct sigaction as the kernel has it on aarch64. */
struct signal_action {
    uint64_t handler, flags, restorer, mask;
};

/* Why: si_code. */
enum {
    SIGNAL_CODE_USER = 0,
    SIGNAL_CODE_KERNEL = 128,
    SIGNAL_CODE_TKILL = -6,
    SIGNAL_CODE_CLD_EXITED = 1, /* of SIGCHLD */
    SIGNAL_CODE_CLD_KILLED,
    SIGNAL_CODE_CLD_DUMPED,
    SIGNAL_CODE_CLD_TRAPPED,
    SIGNAL_CODE_CLD_STOPPED,
    SIGNAL_CODE_CLD_CONTINUED,
    SIGNAL_CODE_SEGV_MAPERR = 1, /* of SIGSEGV */
    SIGNAL_CODE_SEGV_ACCERR,
    SIGNAL_CODE_BUS_ADRALN = 1, /* of SIGBUS */
    SIGNAL_CODE_BUS_ADRERR,
    SIGNAL_CODE_ILL_ILLOPC = 1,
    SIGNAL_CODE_TRAP_BRKPT = 1,
    SIGNAL_CODE_FPE_INVALID = 7,
};

/* What siginfo says. */
struct signal_info {
    int32_t code;
    uint32_t sender;  /* process; of SIGCHLD: the child */
    int32_t status;   /* of SIGCHLD: exit status, or signal */
    uint64_t address; /* of a fault */
};

struct signal_stack {
    uint64_t start, bytes;
    bool is_on; /* there is one */
};

struct signals {
    uint64_t pending, mask;
    /* Of rt_sigsuspend and ppoll: comes back when a handler returns, or none ran. */
    uint64_t saved_mask;
    bool has_saved_mask;
    struct signal_action actions[SIGNALS];
    struct signal_info info[SIGNALS]; /* of the last one */
    struct signal_stack stack;
};

enum signal_default {
    SIGNAL_ENDS,
    SIGNAL_DUMPS, /* ends, as an error; no file of its memory is written */
    SIGNAL_NOTHING,
    SIGNAL_STOPS,
    SIGNAL_CONTINUES,
};

/* What SIGNAL_DEFAULT does. */
enum signal_default signal_default_of(uint32_t number);
/* "SIGSEGV"; "SIGRT3"; "signal?" of no number. */
const char *signal_name(uint32_t number);
/* 9, KILL, SIGKILL; 0: it is none. */
uint32_t signal_parse(const char *word);

/* Default actions, an empty mask, nothing pending. */
void signals_init(struct signals *signals);
/* Of a child: actions, mask and stack of the parent; nothing is pending. */
void signals_fork(struct signals *child, const struct signals *parent);
/* Handlers of the old program are gone; what was ignored stays so. */
void signals_exec(struct signals *signals);

/* old NULL: is not told; action NULL: only asks. -ASH_EINVAL: no signal, or not to be caught. */
int signals_set_action(struct signals *signals, uint32_t number, const struct signal_action *action,
                       struct signal_action *old) ASH_MUST_CHECK;
/* SIGNAL_UNMASKABLE of it is not taken. */
void signals_set_mask(struct signals *signals, uint64_t mask);

/* It is pending then; false: it is ignored, and nothing has changed but this: SIGCONT and the
 * stopping ones take each other off. */
bool signals_post(struct signals *signals, uint32_t number, const struct signal_info *info);

/* The signal that is pending and not masked, the synchronous ones (SEGV, BUS, ILL, TRAP, FPE)
 * first, then the least; 0: there is none. */
uint32_t signals_next(const struct signals *signals);

/* Takes it off; *action is what is to be done, *info what is known. */
void signals_take(struct signals *signals, uint32_t number, struct signal_action *action,
                  struct signal_info *info);

/* May something be delivered? Any context, no lock. */
bool signals_wait_is_over(const struct signals *signals);
/* Would one of what may be delivered end the process? Its own thread's, which alone changes
 * actions; no lock. */
bool signals_end_it(const struct signals *signals);

#endif
