/* SPDX-License-Identifier: MIT */
/* commands_thread.c: ps, nice: the threads that there are, and their shares. */
#include "numbers.h"
#include "shell_threads.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <string.h>

/* ps */

static void print_line(struct shell *shell, const struct thread_info *info) {
    char class_[SHELL_CLASS_BYTES], time[DURATION_TEXT_BYTES], wait[DURATION_TEXT_BYTES];
    const struct ash_sched_account *account = &info->account;
    shell_print(
        shell,
        "%3" PRIu32 " %3" PRIu32 " %-9s %-16s %6s %6s %5" PRIu64 " %5" PRIu64 " %7" PRIu64 " %s\n",
        info->id, info->cpu, shell_thread_state(info->state), shell_thread_class(class_, info),
        duration_text(time, account->runtime_ns), duration_text(wait, account->waited_max_ns),
        account->misses, account->throttles, account->switches, info->name);
}

SHELL_COMMAND(ps, "",
              "Lists the threads.\n"
              "CLASS: rt (hard) and soft with budget/period, or budget/deadline/period; fair\n"
              "with its nice value; inter with its level, 0 the highest; idle.\n"
              "TIME: of the CPU. WAIT: the longest that it was ready without running.\n"
              "MISS: jobs that were late. THROT: times that its budget was used up.\n"
              "SWITCH: times that it was given the CPU.") {
    struct thread_info info;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!shell_has_threads(shell, "ps"))
        return 1;
    shell_print(shell, "%3s %3s %-9s %-16s %6s %6s %5s %5s %7s %s\n", "ID", "CPU", "STATE", "CLASS",
                "TIME", "WAIT", "MISS", "THROT", "SWITCH", "NAME");
    for (uint32_t id = 1; thread_info_from(id, &info); id = info.id + 1)
        print_line(shell, &info);
    return 0;
}

/* nice */

static int renice(struct shell *shell, const char *word, int32_t nice) {
    struct thread_info info;
    struct ash_sched_refusal refusal = {.reason = ASH_SCHED_OK};
    if (!shell_thread(shell, "nice", word, &info))
        return 1;
    if (info.class_ == ASH_SCHED_REALTIME)
        return shell_error(shell, "nice", word,
                           "is a real-time thread: its share is what it has reserved");
    if (info.class_ == ASH_SCHED_IDLE)
        return shell_error(shell, "nice", word, "is idle: it runs when nothing else wants to");
    info.attributes.flags |= ASH_SCHED_NICE;
    info.attributes.nice = nice;
    int error = thread_change(info.id, &info.attributes, &refusal);
    if (error == -ASH_EAGAIN)
        return shell_error(shell, "nice", word,
                           "is interactive; to have a nice value it must become fair, and that "
                           "only while it sleeps");
    return error == 0 ? 0 : shell_thread_refused(shell, "nice", word, error, &refusal);
}

SHELL_COMMAND(nice, "[-n] N ID...",
              "Gives threads another share: -20 is the most, 19 the least, 0 the usual one.\n"
              "A step is a factor of 1.25. An interactive thread becomes a fair one, if it\n"
              "sleeps.") {
    int first = argc > 1 && strcmp(argv[1], "-n") == 0 ? 2 : 1, status = 0;
    int32_t nice;
    if (argc < first + 2)
        return shell_usage(shell, "nice", "say a nice value and the numbers of threads");
    if (!number_parse_signed(argv[first], &nice))
        return shell_usage(shell, "nice", "N is a number from -20 to 19");
    if (nice < ASH_SCHED_NICE_MIN || nice > ASH_SCHED_NICE_MAX)
        return shell_error(shell, "nice", argv[first], ash_sched_reason_text(ASH_SCHED_BAD_NICE));
    if (!shell_has_threads(shell, "nice"))
        return 1;
    for (int i = first + 1; i < argc; i++)
        status |= renice(shell, argv[i], nice);
    return status;
}
