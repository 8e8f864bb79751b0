/* SPDX-License-Identifier: MIT */
/* Cases of the commands about threads: a shell that is a thread of a machine of the case's own. */
#include "kernel/kernel.h"

#include "kernel/fixture.h"
#include "kernel/memory_fixture.h"
#include "kernel/threads_fixture.h"

enum { MEMORY_BYTES = 16 << 20 };

struct session {
    struct script *script;
    struct kernel *kernel;
    const char *input;
    int status;
    uint32_t row;
    const char *broken; /* what threads_check said at the end */
};

static struct session session_of(size_t size_bytes, bool is_terminal) {
    struct session session = {.script = script_new(NULL, is_terminal),
                              .kernel = test_alloc(sizeof(struct kernel), 64)};
    struct platform_range range = {test_view.address(test_alloc(size_bytes, 4096)), size_bytes};
    CHECK_EQ(memory_init(&session.kernel->memory, &range, 1, &test_view, NULL), 0);
    session.kernel->disk_reason = "nobody put one in";
    session.script->shell->kernel = session.kernel;
    return session;
}

static struct session session_new(bool is_terminal) {
    return session_of(MEMORY_BYTES, is_terminal);
}

static void be_the_shell(void *context) {
    struct session *session = context;
    session->status = script_run(session->script, session->input);
    session->broken = threads_check();
}

static void run_body(struct session *session, uint32_t cpus, void (*body)(void *context)) {
    test_threads_init(&session->kernel->memory, cpus);
    CHECK_EQ(threads_run(body, session), 0);
    if (session->broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", session->broken);
}

static const char *run_on(struct session *session, uint32_t cpus, const char *input) {
    session->input = input;
    run_body(session, cpus, be_the_shell);
    return session->script->output;
}

static void check_contains(const char *text, const char *part) {
    if (strstr(text, part) == NULL)
        test_fail(__FILE__, __LINE__, "\"%s\" does not contain \"%s\"", text, part);
}

static uint32_t times(const char *text, const char *part) {
    uint32_t count = 0;
    for (; (text = strstr(text, part)) != NULL; text += strlen(part))
        count++;
    return count;
}

#define PS_HEAD " ID CPU STATE     CLASS              TIME   WAIT  MISS THROT  SWITCH NAME\n"

/* Listing */

TEST_CASE(shell_threads, ps_lists_the_shell_itself) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 1, "ps\n");
    CHECK_EQ(session.status, 0);
    CHECK(strncmp(output, PS_HEAD "  1   0 running   inter ",
                  strlen(PS_HEAD "  1   0 running   inter ")) == 0);
    check_contains(output, " main\n");
    CHECK_EQ(times(output, "\n"), 2);
}

static const char life[] = "spawn hog\nspawn hog --nice 5\nspawn hog --idle\nspawn hog --inter\n"
                           "spawn rt 1ms 20ms\nspawn rt 1.5ms 20ms 10ms --soft --work 100us\n"
                           "ps\nsched\nnice -3 2\nnice -n 19 3\nps\nspawn\nkill all\nps\nspawn\n";

static void check_life(struct session *session, const char *output) {
    static const char *const parts[] = {
        "hog1: thread 2, on CPU ",
        "hog4: thread 5, on CPU ",
        "rt2: thread 7, on CPU ",
        " fair 0           ",
        " fair 5           ",
        " idle             ",
        " inter ",
        " rt 1ms/20ms      ",
        " soft 1.5ms/10ms/20ms ",
        "preset     balanced\n",
        "threads    7: 2 real-time, 2 fair, 2 interactive, 1 idle\n",
        "others     have 5.0% of ",
        " fair -3          ",
        " fair 19          ",
        "\n  6 rt1    ",
        " jobs, "};
    for (size_t i = 0; i < ASH_ARRAY_LEN(parts); i++)
        check_contains(output, parts[i]);
    CHECK_EQ(session->status, 0);
    const char *last = output;
    for (const char *at = output; (at = strstr(at, PS_HEAD)) != NULL; at++)
        last = at;
    CHECK_EQ(times(last, "\n"), 3);
    check_contains(last, " main\nnothing is spawned\n");
    CHECK(session->kernel->spawned.first == NULL);
}

TEST_CASE(shell_threads, live_from_spawn_to_kill_on_one_cpu) {
    struct session session = session_new(false);
    check_life(&session, run_on(&session, 1, life));
}

TEST_CASE(shell_threads, live_from_spawn_to_kill_on_four_cpus) {
    struct session session = session_new(false);
    check_life(&session, run_on(&session, 4, life));
}

TEST_CASE(shell_threads, tables_fit_80_columns) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 1,
                                "help ps;help top;help nice;help sched;help spawn;help kill\n"
                                "spawn rt 10ms 999ms;spawn hog --nice -20\nps;sched;spawn\n"
                                "top 10ms\nkill all\n");
    for (const char *line = output; *line != '\0'; line += strcspn(line, "\n") + 1) {
        if (strcspn(line, "\n") > 80)
            test_fail(__FILE__, __LINE__, "too wide: %.*s", (int)strcspn(line, "\n"), line);
    }
}

TEST_CASE(shell_threads, sched_adds_up_what_is_reserved) {
    struct session session = session_new(false);
    const char *output =
        run_on(&session, 1, "spawn rt 1ms 10ms --work 0s\nspawn rt 3ms 20ms --work 0s\nsched\n");
    check_contains(output, "\n  0    25.0%  69.9% ");
}

TEST_CASE(shell_threads, sched_admit_says_what_would_be_and_takes_nothing) {
    struct session session = session_new(false);
    const char *output =
        run_on(&session, 1,
               "sched admit 50ms 100ms\nsched admit 50ms 100ms\nspawn rt 45ms 100ms --work 0s\n"
               "sched admit 50ms 100ms 80ms\nps\nsched\n");
    CHECK_EQ(times(output, "accepted, on CPU 0, of which 50.0% would be reserved then\n"), 2);
    check_contains(output, "accepted, on CPU 0, of which 95.0% would be reserved then\n" PS_HEAD);
    check_contains(output, "\nthreads    2: 1 real-time, ");
    check_contains(output, "\n  0    45.0%  49.9% ");
}

TEST_CASE(shell_threads, sched_admit_finds_the_first_cpu_with_room) {
    struct session session = session_new(false);
    const char *output =
        run_on(&session, 4,
               "spawn rt 45ms 100ms --work 0s --cpu 0\nspawn rt 90ms 100ms --work 0s --cpu 1\n"
               "sched admit 60ms 100ms\nsched admit 40ms 100ms\n");
    check_contains(output, "accepted, on CPU 2, of which 60.0% would be reserved then\n"
                           "accepted, on CPU 0, of which 85.0% would be reserved then\n");
}

/* Affinity */

TEST_CASE(shell_threads, stay_on_the_cpu_that_they_were_given) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 4,
                                "spawn hog --cpu 2\nspawn rt 1ms 20ms --cpu 3\n"
                                "spawn hog --cpu 4\ntop -n 2 10ms\n");
    check_contains(output, "hog1: thread 2, on CPU 2\nrt1: thread 3, on CPU 3\n"
                           "spawn: --cpu: takes the number of a CPU that runs threads\n");
    CHECK_EQ(times(output, "\n  2   2 "), 2);
    CHECK_EQ(times(output, "\n  3   3 "), 2);
}

TEST_CASE(shell_threads, go_to_the_next_cpu_where_one_refuses_them) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 4,
                                "spawn rt 5ms 20ms 8ms --work 0s\nspawn rt 5ms 20ms 8ms --work 0s\n"
                                "spawn rt 3ms 20ms 8ms --work 0s\n");
    check_contains(output, "rt1: thread 2, on CPU 0\nrt2: thread 3, on CPU 1\n"
                           "rt3: thread 4, on CPU 0\n");
}

TEST_CASE(shell_threads, hear_that_their_cpu_has_no_room_where_others_have) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 4,
                                "spawn rt 95ms 100ms --work 0s --cpu 2\n"
                                "spawn rt 20ms 100ms --work 0s --cpu 2\n"
                                "spawn rt 20ms 100ms --work 0s\n");
    check_contains(output, "rt1: thread 2, on CPU 2\n"
                           "spawn: the sum of runtime / period would exceed 1: with what others "
                           "have it is 120.0% of the CPU\n"
                           "rt2: thread 3, on CPU 0\n");
}

/* Refusals */

static const struct refused {
    const char *line, *said;
    int status;
} refused[] = {
    {"spawn rt 75ms 100ms",
     "spawn: the sum of runtime / period would exceed 1: with what others have it is 105.0% of the "
     "CPU\n",
     1},
    {"spawn rt 5ms 20ms 8ms",
     "spawn: more would be due within an interval than fits into it: 10ms within 8ms\n", 1},
    {"spawn rt 10ms 5ms", "spawn: the runtime is longer than the deadline\n", 1},
    {"spawn rt 1ms 5ms 6ms", "spawn: the deadline is longer than the period\n", 1},
    {"spawn rt 1us 99us",
     "spawn: the period (or the slice) is out of range of 100us to 18 minutes\n", 1},
    {"spawn rt 1s 2000s", "is out of range of 100us to 18 minutes\n", 1},
    {"spawn rt 0s 0s", "is out of range of 100us to 18 minutes\n", 1},
    {"spawn rt 0s 5ms", "spawn: the runtime is 0\n", 1},
    {"spawn rt 0s 5ms 0s", "spawn: the runtime is 0\n", 1},
    {"spawn rt 1ms 5ms 0s", "spawn: the runtime is longer than the deadline\n", 1},
    {"spawn rt", "spawn: a reservation is two times, Q T, or three, Q T D\n", 2},
    {"spawn rt 1ms", "spawn: a reservation is two times, Q T, or three, Q T D\n", 2},
    {"spawn rt 1ms 2ms 2ms 2ms", "spawn: 2ms: is one time too many: Q T [D]\n", 2},
    {"spawn rt 1ms 5", "spawn: 5: is no time that fits; times are written as 300us", 2},
    {"spawn rt 1ms 99999999999999999999s", "s: is no time that fits; ", 2},
    {"spawn rt 1ms -5ms", "spawn: -5ms: no such option; help spawn lists them\n", 2},
    {"spawn rt 1ms 5ms --work", "spawn: --work: takes a time, such as 300us", 2},
    {"spawn rt 1ms 5ms --work 1200s", "spawn: --work: takes a time, such as 300us", 2},
    {"spawn rt 1ms 5ms --nice 3", "spawn: --nice: no such option; help spawn lists them\n", 2},
    {"spawn rt 1ms 5ms --cpu 99999999999999999999", "spawn: --cpu: takes the number of a CPU", 2},
    {"spawn hog --cpu -1", "spawn: --cpu: takes the number of a CPU", 2},
    {"spawn hog --nice 20", "spawn: nice is not within -20..19\n", 1},
    {"spawn hog --nice -99999999999999999999", "spawn: nice is not within -20..19\n", 1},
    {"spawn hog --nice", "spawn: --nice: takes a number from -20 to 19\n", 2},
    {"spawn hog --nice x", "spawn: --nice: takes a number from -20 to 19\n", 2},
    {"spawn hog --nice 3 --idle", "spawn: --nice, --inter and --idle exclude each other\n", 2},
    {"spawn hog 5ms", "spawn: 5ms: no such option; help spawn lists them\n", 2},
    {"spawn io", "spawn: nobody put one in\n", 1},
    {"spawn io --disk 8", "spawn: --disk: takes the number of a disk, 0 to 7\n", 2},
    {"spawn io --disk", "spawn: --disk: takes the number of a disk, 0 to 7\n", 2},
    {"spawn io --pause 5", "spawn: --pause: takes a time, such as 300us", 2},
    {"spawn io --work 5ms", "spawn: --work: no such option; help spawn lists them\n", 2},
    {"spawn what", "spawn: there are rt, hog and io\nusage: spawn ", 2},
    {"nice", "nice: say a nice value and the numbers of threads\nusage: nice ", 2},
    {"nice 5", "nice: say a nice value and the numbers of threads\n", 2},
    {"nice -n 5", "nice: say a nice value and the numbers of threads\n", 2},
    {"nice five 1", "nice: N is a number from -20 to 19\n", 2},
    {"nice 20 1", "nice: 20: nice is not within -20..19\n", 1},
    {"nice -21 1", "nice: -21: nice is not within -20..19\n", 1},
    {"nice 99999999999999999999 1", "nice is not within -20..19\n", 1},
    {"nice 5 99", "nice: 99: there is no such thread; ps lists them\n", 1},
    {"nice 5 1", "nice: 1: is interactive; to have a nice value it must become fair", 1},
    {"nice 5 3", "nice: 3: is a real-time thread: its share is ", 1},
    {"nice 5 4", "nice: 4: is idle: it runs when nothing else wants to\n", 1},
    {"nice 5 2 5", "nice: 5: there is no such thread; ps lists them\n", 1},
    {"kill",
     "kill: say the numbers of programs or threads, or all\n"
     "usage: kill [-SIGNAL] ID...|%JOB...|all\n",
     2},
    {"kill 1", "kill: 1: was not spawned, and is not asked to end\n", 1},
    {"kill 5", "kill: 5: there is no such thread; ps lists them\n", 1},
    {"kill 0", "kill: 0: is no thread's number; ps lists them\n", 1},
    {"kill -x", "kill: -x: is no signal; such as -9, -KILL, -INT\n", 2},
    {"kill %1", "kill: %1: is no thread's number; ps lists them\n", 1},
    {"kill 4294967296", "kill: 4294967296: is no thread's number; ps lists them\n", 1},
    {"kill hog1", "kill: hog1: is no thread's number; ps lists them\n", 1},
    {"kill 2 5", "hog1: ", 1},
    {"top 0", "top: the interval is from 10ms to an hour, in seconds\nusage: top ", 2},
    {"top 3601", "top: the interval is from 10ms to an hour, in seconds\n", 2},
    {"top 99999999999999999999999999999999999999999999", "top: the interval is from 10ms", 2},
    {"top -1", "top: the interval is from 10ms to an hour, in seconds\n", 2},
    {"top 1 1", "top: takes one interval at most\n", 2},
    {"top -n", "top: -n takes a number of times\n", 2},
    {"top -n 0", "top: -n takes a number of times\n", 2},
    {"top -n x 1", "top: -n takes a number of times\n", 2},
    {"ps x", "ps: takes no argument\n", 2},
    {"sched x", "sched: there are admit, demo, presets, and without a word what is\nusage: ", 2},
    {"sched presets x", "sched: there are admit, demo, presets, and without a word what is\n", 2},
    {"sched demo x", "sched: demo takes a number of seconds, 1 to 3600\nusage: sched ", 2},
    {"sched demo 0", "sched: demo takes a number of seconds, 1 to 3600\n", 2},
    {"sched demo 3601", "sched: demo takes a number of seconds, 1 to 3600\n", 2},
    {"sched demo 1 1", "sched: demo takes a number of seconds, 1 to 3600\n", 2},
    {"sched admit", "sched: a reservation is two times, Q T, or three, Q T D\nusage: sched ", 2},
    {"sched admit 1ms 5ms 5ms 5ms", "sched: 5ms: is one time too many: Q T [D]\n", 2},
    {"sched admit 1 5", "sched: 1: is no time that fits; times are written as 300us", 2},
    {"sched admit 1ms 0s", "is out of range of 100us to 18 minutes\n", 1},
    {"sched admit 90ms 100ms", "sched: admit: the sum of runtime / period would exceed 1: ", 1},
    {"sched admit 5ms 20ms 8ms",
     "sched: admit: more would be due within an interval than fits into it: 10ms within 8ms\n", 1},
};

/* Beside a hog, a real-time thread and one that is idle. The row that is answered otherwise stays
 * the last one. */
static void ask_for_what_is_refused(void *context) {
    struct session *session = context;
    uint32_t row = 0;
    session->status = script_run(session->script, "spawn hog\nspawn rt 5ms 20ms 8ms --work 0s\n"
                                                  "spawn hog --idle\n");
    for (; row < ASH_ARRAY_LEN(refused); row++) {
        session->status = script_run(session->script, refused[row].line);
        if (session->status != refused[row].status ||
            strstr(session->script->output, refused[row].said) == NULL)
            break;
    }
    session->row = row;
    session->broken = threads_check();
}

TEST_CASE(shell_threads, hostile_words_are_refused_with_the_reason) {
    struct session session = session_new(false);
    run_body(&session, 1, ask_for_what_is_refused);
    if (session.row < ASH_ARRAY_LEN(refused))
        test_fail(__FILE__, __LINE__, "%s: status %d, \"%s\"", refused[session.row].line,
                  session.status, session.script->output);
}

TEST_CASE(shell_threads, commands_say_where_no_threads_run) {
    struct session session = session_new(false);
    CHECK_EQ(script_run(session.script, "ps;top;nice 5 1;sched;spawn;spawn hog;kill 1\n"), 1);
    CHECK_EQ(times(session.script->output, ": no threads run here\n"), 7);
    CHECK_EQ(times(session.script->output, "\n"), 7);
}

/* Limits */

static void check_that_too_many_are_refused(size_t memory_bytes, const char *said) {
    static const char line[] = "spawn hog --idle\n";
    struct session session = session_of(memory_bytes, false);
    char *input = test_alloc(THREADS_MAX * sizeof(line) + 64, 1);
    for (uint32_t i = 0; i < THREADS_MAX; i++)
        memcpy(input + i * (sizeof(line) - 1), line, sizeof(line));
    strcat(input, "kill all\nps\nspawn hog\n");
    const char *output = run_on(&session, 1, input);
    check_contains(output, said);
    check_contains(strstr(output, PS_HEAD), " main\nhog");
    CHECK_EQ(session.status, 0);
}

TEST_CASE(shell_threads, are_so_many_at_most) {
    check_that_too_many_are_refused(
        MEMORY_BYTES, "spawn: there are as many threads as can be, 112 at most\nhog1: ");
}

TEST_CASE(shell_threads, without_memory_for_a_stack_are_refused) {
    check_that_too_many_are_refused(2 << 20, "spawn: no memory for its stack\n");
}

TEST_CASE(shell_threads, that_get_no_cpu_do_not_end_and_it_is_said) {
    struct session session = session_new(false);
    const char *output =
        run_on(&session, 1, "spawn rt 100us 1000s --work 10s\ntop 10ms\nkill 2\nkill all\n");
    CHECK_EQ(session.status, 1);
    check_contains(output, " throttled rt 100us/1000s ");
    CHECK_EQ(times(output, "kill: rt1: was asked to end, and will when it is given the CPU "), 2);
    CHECK(session.kernel->spawned.first != NULL);
}

TEST_CASE(shell_threads, do_not_outlive_poweroff) {
    struct session session = session_new(false);
    (void)run_on(&session, 1, "spawn hog\nspawn rt 1ms 10ms\npoweroff 7\nps\n");
    CHECK_EQ(session.status, 7);
    CHECK_EQ(times(session.script->output, PS_HEAD), 0);
}

/* top */

#define TOP_HEAD " ID CPU STATE     CLASS              %CPU   TIME NAME"

TEST_CASE(shell_threads, top_prints_so_many_samples_where_nobody_watches) {
    struct session session = session_new(false);
    session.script->keys = "q";
    const char *output = run_on(&session, 1, "spawn hog --nice -20\ntop -n 3 20ms\ntop 10ms\n");
    CHECK_EQ(session.status, 0);
    CHECK_EQ(times(output, TOP_HEAD "\n"), 4);
    CHECK_EQ(times(output, "\n  2   0 ready     fair -20 "), 4);
    CHECK_EQ(times(output, "\x1b"), 0);
    CHECK_EQ(times(output, "\nCPU 0   0.0% idle\n"), 4);
    CHECK_EQ(times(output, " 2 threads: 1 running, 1 ready, 0 throttled, 0 asleep\n"), 4);
    CHECK_STR_EQ(session.script->keys, "q"); /* the script is not its */
}

/* More than a thousandth beyond is no rounding. */
static void check_shares(const char *output, const char *line) {
    for (const char *at = output; (at = strstr(at, line)) != NULL; at++) {
        unsigned whole = 0;
        for (const char *digit = at + strlen(line); *digit != '.'; digit++)
            whole = *digit == ' ' ? whole : whole * 10 + (unsigned)(*digit - '0');
        if (whole > 100)
            test_fail(__FILE__, __LINE__, "%.60s", at);
    }
}

TEST_CASE(shell_threads, top_counts_what_was_used_since_the_last_time) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 1, "spawn hog\ntop -n 4 10ms\n");
    CHECK_EQ(times(output, "  2   0 ready     fair 0           "), 4);
    check_shares(output, "  2   0 ready     fair 0           ");
}

/* Not how much: a host may take its CPU from the one thread that runs. */
TEST_CASE(shell_threads, top_counts_idleness) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 1, "top 50ms\n");
    check_contains(output, "% idle\n");
    CHECK(strstr(output, "CPU 0   0.0% idle") == NULL);
    check_contains(output, ": 1 running, 0 ready, 0 throttled, 0 asleep\n");
}

TEST_CASE(shell_threads, top_redraws_a_terminal_in_place_until_a_key) {
    struct session session = session_new(true);
    session.script->keys = "xyq";
    const char *output = run_on(&session, 1, "spawn hog\rtop 1\r");
    CHECK_EQ(session.status, 0);
    check_contains(output, "\x1b[2J\x1b[Htop: up ");
    check_contains(output, TOP_HEAD "\x1b[K\n");
    CHECK_EQ(times(output, TOP_HEAD), 1);
    CHECK_STR_EQ(session.script->keys, "");
}

TEST_CASE(shell_threads, top_redraws_a_terminal_so_often) {
    struct session session = session_new(true);
    const char *output = run_on(&session, 1, "top -n 3 10ms\r");
    CHECK_EQ(times(output, "\x1b[2J"), 1);
    CHECK_EQ(times(output, "\x1b[Htop: up "), 3);
    CHECK_EQ(times(output, "\x1b[J"), 3);
}

TEST_CASE(shell_threads, top_ends_by_ctrl_c) {
    struct session session = session_new(true);
    session.script->keys = "\x03";
    CHECK_EQ(times(run_on(&session, 1, "top 3600\r"), TOP_HEAD), 1);
}

TEST_CASE(shell_threads, top_shows_the_busiest_that_fit_a_terminal) {
    struct session session = session_new(true);
    char input[40 * 18 + 32] = "";
    for (uint32_t i = 0; i < 40; i++)
        strcat(input, "spawn hog --idle\r");
    strcat(input, "spawn hog\rtop -n 2 50ms\r");
    const char *output = run_on(&session, 1, input);
    const char *last = strstr(strstr(output, "\x1b[H") + 1, "\x1b[H");
    CHECK_EQ(times(last, "\x1b[K\n"), 23);
    check_contains(last, TOP_HEAD "\x1b[K\n 42   0 ");
    check_contains(last, "\n... and 23 more\x1b[K\n\x1b[J");
}

/* sched demo, sched presets */

TEST_CASE(shell_threads, sched_demo_ends_by_a_key_and_says_what_it_has_seen) {
    struct session session = session_new(true);
    session.script->keys = "xq";
    const char *output = run_on(&session, 1, "sched demo 3600\rps\r");
    CHECK_EQ(times(output, "\x1b[2J"), 1);
    check_contains(output, "control: ");
    check_contains(output, "\nverdict: control ");
    CHECK_EQ(times(output, "order: "), 0); /* not a second of it */
    CHECK_EQ(times(strstr(output, PS_HEAD), "\n"), 2);
    CHECK_STR_EQ(session.script->keys, "");
}

TEST_CASE(shell_threads, sched_demo_without_room_says_why) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 1, "spawn rt 50ms 100ms --work 0s\nsched demo 1\n");
    check_contains(output, "sched: demo: the sum of runtime / period would exceed 1: ");
    CHECK_EQ(session.status, 1);
}

TEST_CASE(shell_threads, sched_presets_are_told_apart) {
    struct session session = session_new(false);
    const char *output = run_on(&session, 1, "sched presets\n");
    check_contains(output, "\nbalanced        3ms ");
    check_contains(output, "\nlatency         1ms ");
    check_contains(output, "\nthroughput     12ms ");
    CHECK_EQ(session.status, 0);
}
