/* SPDX-License-Identifier: MIT */
/* shell_threads.h: what the commands about threads share. */
#ifndef KERNEL_SHELL_THREADS_H
#define KERNEL_SHELL_THREADS_H

#include "shell.h"
#include "thread.h"

/* False, with a message, where no threads run: a command then ends with 1. */
bool shell_has_threads(struct shell *shell, const char *command);

/* The thread whose number the word is. False: a message was printed. */
bool shell_thread(struct shell *shell, const char *command, const char *word,
                  struct thread_info *info);

/* "COMMAND: SUBJECT: WHY": of thread_create's and thread_change's errors; what admission refused
 * with the numbers of the term that failed. Returns 1, for a command's status. */
int shell_thread_refused(struct shell *shell, const char *command, const char *subject, int error,
                         const struct ash_sched_refusal *refusal);

/* "Q T [D]" as they are taken off the words of a command; begins as all zeros. */
enum { SHELL_TIMES_MAX = 3 };

struct shell_times {
    ash_ns_t ns[SHELL_TIMES_MAX];
    uint32_t count;
};

/* The next one. False: a message was printed. */
bool shell_take_time(struct shell *shell, const char *command, const char *word,
                     struct shell_times *times);

/* What they reserve, in *attributes: 0; or a status, and a message was printed: there are too few,
 * or one is 0, which would mean to the scheduler that it is not given. */
int shell_reserve(struct shell *shell, const char *command, const struct shell_times *times,
                  struct ash_sched_attributes *attributes);

/* Lets time go by for somebody who watches. False: q, Ctrl-C or the end of input came before; or,
 * without a terminal, the shell's thread was asked to stop. */
bool shell_watch_until(struct shell *shell, ash_ns_t deadline_ns);

/* In at most nine characters. */
const char *shell_thread_state(enum thread_state state);

enum { SHELL_CLASS_BYTES = 80 };

/* "rt 2ms/10ms" (Q/T, or Q/D/T), "soft 2ms/10ms", "fair -5", "inter 2" (its level), "idle". */
const char *shell_thread_class(char text[SHELL_CLASS_BYTES], const struct thread_info *info);

/* "12.3%" of something in millionths. */
enum { SHELL_PERCENT_BYTES = 24 };
const char *shell_percent(char text[SHELL_PERCENT_BYTES], uint64_t ppm);

/* commands_thread_demo.c, for `sched`. */
int shell_sched_demo(struct shell *shell, int argc, char **argv);
int shell_sched_presets(struct shell *shell);

#endif
