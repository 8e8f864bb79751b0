/* SPDX-License-Identifier: MIT */
/* commands_thread_demo.c: sched demo, sched presets: what the scheduler promises, to be seen. */
#include <inttypes.h>

#include "demo_play.h"
#include "kernel.h"
#include "numbers.h"
#include "shell_threads.h"

#define MS       UINT64_C(1000000)
#define NS_PER_S (1000 * MS)

enum { SECONDS = 10, SECONDS_MAX = 3600, FRAME_MS = 100 };

/* The end comes before the jobs that a whole second begins with. */
#define END_EARLY_NS MS
#define COMPARED_NS  (NS_PER_S - END_EARLY_NS)

/* Of a budget's overrun: more than any machine takes for an interrupt. */
#define LATE_NS (MS / 5)

struct demo {
    struct shell *shell;
    uint64_t seconds;
    bool draws_beside; /* on the threads' CPU, which changes their order */
    struct demo_play play;
    struct demo_play_picture picture;
    struct demo_sched_simulation simulation;
    struct sched_trace simulated;
    struct sched_trace_record records[DEMO_PLAY_RECORDS];
};

static const struct demo_sched_scenario *const scenario = &demo_sched_overrun;

static struct demo *make(struct shell *shell) {
    if (!shell_has_kernel(shell, "sched"))
        return NULL;
    struct demo *demo =
        memory_pages_alloc(&shell->kernel->memory, memory_order_of(sizeof(struct demo)));
    if (demo == NULL)
        shell_error(shell, "sched", NULL, "there is no memory for what is noted");
    else
        demo->shell = shell;
    return demo;
}

static void destroy(struct demo *demo) {
    memory_pages_free(&demo->shell->kernel->memory, demo, memory_order_of(sizeof(*demo)));
}

/* Showing */

static const char *share(const struct demo *demo, uint32_t who, char text[SHELL_PERCENT_BYTES]) {
    uint64_t used_ns = demo->picture.accounts[who].runtime_ns;
    return shell_percent(text,
                         ash_mul_div_u64(used_ns, 1000000, ash_max_u64(demo->picture.at_ns, 1)));
}

static void show_thread(const struct demo *demo, uint32_t who) {
    const struct ash_sched_account *account = &demo->picture.accounts[who];
    char percent[SHELL_PERCENT_BYTES];
    shell_print(demo->shell, "%-11s %s %4" PRIu64 " %4" PRIu64 " %9" PRIu64 " %6s%s\n",
                scenario->tasks[who].name, demo->picture.bars[who], account->completions,
                account->misses, account->throttles, share(demo, who, percent),
                demo->shell->console->is_terminal ? "\x1b[K" : "");
}

static void show(struct demo *demo) {
    char at[DURATION_TEXT_BYTES];
    bool is_terminal = demo->shell->console->is_terminal;
    demo_play_picture(&demo->play, &demo->picture);
    shell_print(demo->shell, "%s%-11s %-*s %4s %4s %9s %6s\n", is_terminal ? "\x1b[H" : "",
                duration_text(at, demo->picture.at_ns), DEMO_PLAY_COLUMNS,
                is_terminal ? "the last 100 ms (| throttled, ! missed)" : "the last 100 ms", "JOBS",
                "MISS", "THROTTLED", "SHARE");
    for (uint32_t who = 0; who < scenario->count; who++)
        show_thread(demo, who);
    if (is_terminal)
        shell_print(demo->shell, "\x1b[J");
}

/* To the end, or until somebody has seen enough. */
static void watch(struct demo *demo) {
    bool is_terminal = demo->shell->console->is_terminal;
    ash_ns_t end_ns = demo->play.start_ns + demo->seconds * NS_PER_S - END_EARLY_NS;
    ash_ns_t frame_ns = is_terminal ? FRAME_MS * MS : NS_PER_S;
    ash_ns_t next_ns = demo->play.start_ns + frame_ns - END_EARLY_NS;
    if (is_terminal)
        shell_print(demo->shell, "\x1b[2J");
    for (; next_ns <= end_ns && shell_watch_until(demo->shell, next_ns); next_ns += frame_ns)
        show(demo);
    demo_play_picture(&demo->play, &demo->picture);
}

/* The verdict */

static void say_order(struct demo *demo) {
    const struct ash_sched_config config = threads_sched_config(threads_preset(), 0);
    uint64_t apart_ns[SCHED_TRACE_ENTITIES], most_ns = 0;
    char text[2][DURATION_TEXT_BYTES];
    sched_trace_init(&demo->simulated, demo->records, DEMO_PLAY_RECORDS, 0);
    demo_sched_simulate(&demo->simulation, scenario, &config, NULL, COMPARED_NS, &demo->simulated);
    uint32_t same = sched_trace_same(&demo->simulated, &demo->play.trace, apart_ns);
    for (uint32_t who = DEMO_RUNAWAY; who < scenario->count; who++)
        most_ns = ash_max_u64(most_ns, apart_ns[who]);
    shell_print(demo->shell,
                "order: %" PRIu32 " of the first second's %" PRIu32 " events as on a simulated "
                "clock; control's at most %s apart, the others' %s\n",
                same, demo->simulated.count, duration_text(text[0], apart_ns[DEMO_CONTROL]),
                duration_text(text[1], most_ns));
    if (same == demo->simulated.count)
        return;
    const struct sched_trace_record *record = &demo->simulated.records[same];
    shell_print(demo->shell, "order: at %s that clock has %s of %s, and this machine has not\n",
                duration_text(text[0], record->time_ns), sched_trace_event_name(record->event),
                scenario->tasks[record->who].name);
}

static int judge(struct demo *demo) {
    const struct ash_sched_account *control = &demo->picture.accounts[DEMO_CONTROL];
    const struct ash_sched_account *runaway = &demo->picture.accounts[DEMO_RUNAWAY];
    char text[2][DURATION_TEXT_BYTES], percent[2][SHELL_PERCENT_BYTES];
    struct workload_counts counts;
    demo_play_counts(&demo->play, DEMO_CONTROL, &counts);
    shell_print(demo->shell,
                "control: %" PRIu64 " jobs, %" PRIu64 " missed; a job of 1.5ms took %s at most, "
                "and had 10ms\n",
                control->completions, control->misses,
                duration_text(text[0], counts.response_max_ns));
    shell_print(demo->shell,
                "runaway: %" PRIu64 " jobs, %" PRIu64 " missed, %s late at most; %" PRIu64
                " throttles, a budget overrun by %s at most\n",
                runaway->completions, runaway->misses,
                duration_text(text[0], runaway->lateness_max_ns), runaway->throttles,
                duration_text(text[1], demo->play.trace.overrun_max_ns[DEMO_RUNAWAY]));
    shell_print(demo->shell, "hogs: %s and, with nice 10, %s of the CPU\n",
                share(demo, DEMO_HOG, percent[0]), share(demo, DEMO_NICE_HOG, percent[1]));
    if (demo->picture.at_ns >= COMPARED_NS && demo->draws_beside)
        shell_print(demo->shell, "order: not compared, since the shell drew on the same CPU\n");
    else if (demo->picture.at_ns >= COMPARED_NS)
        say_order(demo);
    if (demo->play.trace.overrun_max_ns[DEMO_RUNAWAY] > LATE_NS)
        shell_print(demo->shell, "time: timers come late here, as where a host takes the CPU away; "
                                 "under QEMU's -icount it cannot\n");
    shell_print(demo->shell, "verdict: control %s\n",
                control->misses == 0 ? "kept every deadline" : "did not keep every deadline");
    return control->misses != 0;
}

/* Words */

int shell_sched_demo(struct shell *shell, int argc, char **argv) {
    struct ash_sched_refusal refusal;
    uint64_t seconds = SECONDS;
    if (argc > 2 || (argc == 2 && !number_parse_within(argv[1], 1, SECONDS_MAX, &seconds)))
        return shell_usage(shell, "sched", "demo takes a number of seconds, 1 to 3600");
    struct demo *demo = make(shell);
    if (demo == NULL)
        return 1;
    demo->seconds = seconds;
    demo->draws_beside = shell->console->is_terminal && threads_cpu_count() == 1;
    /* Away from the shell, which draws, if there is more than one CPU. */
    int error = demo_play_start(&demo->play, scenario, threads_cpu_count() - 1, &refusal);
    int status = 0;
    if (error != 0) {
        status = shell_thread_refused(shell, "sched", "demo", error, &refusal);
    } else {
        watch(demo);
        demo_play_stop(&demo->play);
        status = judge(demo);
    }
    destroy(demo);
    return status;
}

int shell_sched_presets(struct shell *shell) {
    struct demo *demo = make(shell);
    if (demo == NULL)
        return 1;
    shell_print(shell,
                "10 s of two hogs and a thread that answers each 31.3 ms, simulated\n"
                "%-10s %8s %12s %12s %11s\n",
                "PRESET", "SLICE", "WAKES: MEAN", "WORST", "SWITCHES/S");
    for (enum threads_preset preset = THREADS_BALANCED; preset <= THREADS_THROUGHPUT; preset++) {
        const struct ash_sched_config config = threads_sched_config(preset, 0);
        const struct demo_sched_delay *delay = &demo->simulation.delays[DEMO_ANSWERS];
        char text[3][DURATION_TEXT_BYTES];
        sched_trace_init(&demo->simulated, demo->records, DEMO_PLAY_RECORDS, 0);
        demo_sched_simulate(&demo->simulation, &demo_sched_answer, &config, NULL, 10 * NS_PER_S,
                            &demo->simulated);
        shell_print(shell, "%-10s %8s %12s %12s %11" PRIu64 "\n", threads_preset_word(preset),
                    duration_text(text[0], config.slice_ns),
                    duration_text(text[1], delay->sum_ns / delay->count),
                    duration_text(text[2], delay->max_ns), demo->simulation.stats.switches / 10);
    }
    destroy(demo);
    return 0;
}
