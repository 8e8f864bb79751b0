/* SPDX-License-Identifier: MIT */
/* commands_trace.c: trace: what happened, event by event. */
#include "dump.h"
#include "kernel.h"
#include "numbers.h"
#include "shell.h"
#include "thread.h"
#include "trace.h"
#include "trace_text.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

enum { SHOW_DEFAULT = 20, SHOW_MAX = 1 << 20 };

static int refuse(struct shell *shell, const char *subject, const char *why) {
    char command[32];
    snprintf(command, sizeof(command), "trace %s", subject);
    return shell_error(shell, command, NULL, why);
}

/* start */

static bool read_start(struct shell *shell, int argc, char **argv, struct trace_config *config) {
    uint64_t events;
    bool has_events = false;
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--stop-on-full") == 0) {
            config->mode = ASH_TRACE_STOP;
        } else if (strcmp(argv[i], "--only") == 0 && i + 1 < argc) {
            config->only = argv[++i];
        } else if (!has_events && number_parse(argv[i], &events)) {
            has_events = true;
            if (events < ASH_TRACE_EVENTS_MIN || events > ASH_TRACE_EVENTS_MAX) {
                shell_error(shell, "trace start", argv[i], "a ring has 64 to 67108864 events");
                return false;
            }
            config->events = 1u << ash_log2_ceil(events);
            if (config->events != events)
                shell_print(shell, "trace: a ring has a power of two: %" PRIu32 " events\n",
                            config->events);
        } else {
            shell_usage(shell, "trace", "start takes [EVENTS] [--stop-on-full] [--only NAME,...]");
            return false;
        }
    }
    return true;
}

static int no_memory(struct shell *shell, const struct trace_config *config) {
    char why[160];
    uint64_t ring_bytes = (uint64_t)config->events * sizeof(struct ash_trace_record);
    uint64_t free_pages = ash_buddy_free_pages(&shell->kernel->memory.buddy);
    uint64_t share =
        free_pages * ASH_PAGE_SIZE / 2 / platform_cpu_count() / sizeof(struct ash_trace_record);
    uint64_t fits = share < ASH_TRACE_EVENTS_MIN ? 0 : UINT64_C(1) << ash_log2_floor(share);
    fits = ash_min_u64(fits, config->events / 2);
    int len = snprintf(why, sizeof(why), "%" PRIu32 " rings of %" PRIu64 " KiB: not enough memory",
                       platform_cpu_count(), ring_bytes >> 10);
    if (fits >= ASH_TRACE_EVENTS_MIN)
        len +=
            snprintf(why + len, sizeof(why) - (size_t)len, "; try `trace start %" PRIu64 "`", fits);
    if (trace_get()->state != TRACE_OFF)
        snprintf(why + len, sizeof(why) - (size_t)len, "; `trace free` gives back the last trace");
    return shell_error(shell, "trace", NULL, why);
}

static int start(struct shell *shell, int argc, char **argv) {
    struct trace_config config = {.events = ASH_TRACE_EVENTS_DEFAULT};
    const char *unknown = "";
    if (!shell_has_kernel(shell, "trace"))
        return 1;
    if (!read_start(shell, argc, argv, &config))
        return SHELL_STATUS_USAGE;
    int error = trace_start(&shell->kernel->memory, &config, &unknown);
    if (error == -ASH_ENOMEM)
        return no_memory(shell, &config);
    if (error == -ASH_EBUSY)
        return refuse(shell, "start", "it runs already; `trace stop` ends it");
    if (error == -ASH_ENOTSUP)
        return refuse(shell, "start", "this kernel was built without events (-Devents=false)");
    if (error == -ASH_ENOENT)
        return shell_error(shell, "trace start", unknown,
                           "no event or group of this name; `trace list` shows them");
    if (error != 0)
        return refuse(shell, "start", ash_strerror(error));
    dump_prepare(&shell->kernel->memory);
    shell_print(
        shell, "trace: %" PRIu32 " ring%s of %" PRIu32 " events (%" PRIu64 " KiB each); %s\n",
        trace_get()->cpus, trace_get()->cpus == 1 ? "" : "s", config.events,
        (uint64_t)config.events * sizeof(struct ash_trace_record) >> 10,
        config.mode == ASH_TRACE_STOP ? "the first ones are kept" : "the newest ones are kept");
    return 0;
}

/* stop, free */

static struct ash_trace_counts sum_of(const struct trace *trace) {
    struct ash_trace_counts sum = {0}, one;
    for (uint32_t cpu = 0; cpu < trace->cpus; cpu++) {
        ash_trace_count(&trace->rings[cpu], &one);
        sum.emitted += one.emitted;
        sum.overwritten += one.overwritten;
        sum.dropped += one.dropped;
    }
    return sum;
}

static int stop(struct shell *shell) {
    if (trace_stop() != 0)
        return refuse(shell, "stop", "nothing is traced; `trace start` begins");
    const struct ash_trace_counts sum = sum_of(trace_get());
    shell_print(shell, "trace: %" PRIu64 " events, %" PRIu64 " overwritten, %" PRIu64 " dropped\n",
                sum.emitted, sum.overwritten, sum.dropped);
    return 0;
}

static int give_back(struct shell *shell) {
    if (trace_get()->state == TRACE_RUNNING)
        return refuse(shell, "free", "it runs; `trace stop` first");
    trace_free();
    return 0;
}

/* Looking */

static bool has_rings(struct shell *shell, const char *subject) {
    if (trace_get()->state == TRACE_OFF)
        refuse(shell, subject, "there is no trace; `trace start` begins one");
    return trace_get()->state != TRACE_OFF;
}

static int stat(struct shell *shell) {
    const struct trace *trace = trace_get();
    if (!has_rings(shell, "stat"))
        return 1;
    shell_print(shell,
                "%s, %s\n"
                "cpu      emitted         kept  overwritten      dropped        bytes\n",
                trace->state == TRACE_RUNNING ? "running" : "stopped",
                trace->mode == ASH_TRACE_STOP ? "stops when full" : "overwrites the oldest");
    for (uint32_t cpu = 0; cpu < trace->cpus; cpu++) {
        struct ash_trace_counts count;
        ash_trace_count(&trace->rings[cpu], &count);
        uint64_t kept = count.emitted - count.overwritten - count.dropped;
        shell_print(shell,
                    "%3" PRIu32 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64 " %12" PRIu64
                    " %12" PRIu64 "\n",
                    cpu, count.emitted, kept, count.overwritten, count.dropped,
                    kept * sizeof(struct ash_trace_record));
    }
    return 0;
}

static const char *kind_word(uint8_t kind) {
    static const char *const words[ASH_EVENT_KINDS] = {
        "", "begin", "end", "async begin", "async end", "counter", "switch"};
    return kind < ASH_EVENT_KINDS ? words[kind] : "";
}

static int list(struct shell *shell) {
    const struct ash_event *event;
    for (uint32_t i = 0; (event = trace_event(i)) != NULL && !shell_interrupted(shell); i++)
        shell_print(shell, "%-24s %-12s %s%s\n", event->name, kind_word(event->kind), event->fields,
                    trace_get()->state == TRACE_RUNNING && trace_wants(event) ? "  (on)" : "");
    return 0;
}

/* What comes next of each CPU, to be merged by time. */
struct lane {
    struct ash_trace_record record;
    uint64_t cursor;
    bool has_one;
};

static void next(struct lane *lane, uint32_t cpu) {
    lane->has_one = ash_trace_read(&trace_get()->rings[cpu], &lane->cursor, &lane->record);
}

/* Each ring's last `count`; how many there may be. */
static uint64_t begin(struct lane *lanes, uint64_t count) {
    uint64_t all = 0;
    for (uint32_t cpu = 0; cpu < trace_get()->cpus; cpu++) {
        struct ash_trace_counts counts;
        ash_trace_count(&trace_get()->rings[cpu], &counts);
        uint64_t kept = counts.emitted - counts.overwritten - counts.dropped;
        uint64_t last = counts.emitted - counts.dropped;
        uint64_t some = ash_min_u64(kept, count);
        lanes[cpu].cursor = last - some + 1;
        next(&lanes[cpu], cpu);
        all += some;
    }
    return all;
}

/* The CPU whose next record is the earliest; cpus: there is none. */
static uint32_t earliest(const struct lane *lanes, uint32_t cpus) {
    uint32_t best = cpus;
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        if (lanes[cpu].has_one &&
            (best == cpus || (int64_t)(lanes[cpu].record.clock - lanes[best].record.clock) < 0))
            best = cpu;
    }
    return best;
}

static int show(struct shell *shell, uint64_t count) {
    struct lane lanes[ASH_PORT_CPUS_MAX];
    struct trace_text text;
    char line[TRACE_LINE_BYTES];
    if (!has_rings(shell, "show"))
        return 1;
    trace_text_begin(&text);
    uint64_t all = begin(lanes, count), shown = 0;
    for (uint32_t cpu; (cpu = earliest(lanes, trace_get()->cpus)) != trace_get()->cpus;) {
        /* Those of a running trace's that come meanwhile are for the next look. */
        if (all-- <= count && shown++ < count) {
            trace_text_line(&text, cpu, &lanes[cpu].record, line);
            shell_print(shell, "%s\n", line);
        }
        if (shown == count || all == 0 || shell_interrupted(shell))
            break;
        next(&lanes[cpu], cpu);
    }
    if (shown == 0)
        shell_print(shell, "trace: no event was recorded\n");
    return 0;
}

/* trace */

static int with_word(struct shell *shell, int argc, char **argv) {
    uint64_t number = SHOW_DEFAULT;
    bool is_show = strcmp(argv[1], "show") == 0;
    if (strcmp(argv[1], "dump") == 0) {
        if (argc != 3)
            return shell_usage(shell, "trace", "dump takes a file's name, on the host");
        return has_rings(shell, "dump") ? dump_to_host(shell, "trace", argv[2], DUMP_TRACE) : 1;
    }
    if (argc > 3 || (argc == 3 && !number_parse(argv[2], &number)) || (argc == 2 && !is_show))
        return shell_usage(shell, "trace", is_show ? "show takes a number" : "mark takes a number");
    if (is_show)
        return number < 1 || number > SHOW_MAX
                   ? shell_usage(shell, "trace", "show takes 1 to 1048576")
                   : show(shell, number);
    if (trace_get()->state != TRACE_RUNNING)
        return refuse(shell, "mark", "nothing is traced; `trace start` begins");
    trace_mark(number);
    return 0;
}

SHELL_COMMAND(trace,
              "start [EVENTS] [--stop-on-full] [--only NAME,...] | stop | show [N] |\n"
              "             dump FILE | stat | list | mark N | free",
              "Records what happens, event by event, in a ring of each CPU.\n"
              "start    rings of EVENTS events (65536); the oldest are overwritten, or, with\n"
              "         --stop-on-full, the newest dropped; only events NAME, or groups of\n"
              "         them: sched is all whose names begin with \"sched.\"\n"
              "stop     ends it; what was recorded stays until `trace free` or the next start\n"
              "show     the last N (20) of all CPUs, by their time\n"
              "dump     all of it to a file on the host, which ash-trace reads\n"
              "stat     what each CPU has recorded and lost     list  all events there are\n"
              "mark     records a marker with a number; programs write text to\n"
              "         /dev/trace_marker") {
    static const struct {
        const char *word;
        int (*run)(struct shell *shell);
    } words[] = {{"stop", stop}, {"stat", stat}, {"list", list}, {"free", give_back}};
    if (argc < 2)
        return shell_usage(shell, "trace", "says nothing by itself");
    if (strcmp(argv[1], "start") == 0)
        return start(shell, argc, argv);
    for (size_t i = 0; i < ASH_ARRAY_LEN(words); i++) {
        if (strcmp(argv[1], words[i].word) == 0)
            return argc == 2 ? words[i].run(shell) : shell_usage(shell, "trace", "too many words");
    }
    if (strcmp(argv[1], "show") == 0 || strcmp(argv[1], "dump") == 0 ||
        strcmp(argv[1], "mark") == 0)
        return with_word(shell, argc, argv);
    return shell_usage(shell, "trace", "no such word");
}
