/* SPDX-License-Identifier: MIT */
/*
 * main.c: the program ash-cachesim: what a trace of block accesses comes to in a cache of the
 * library, for each policy and size that is asked for. The trace is read once; all the caches
 * follow it side by side.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "keys.h"
#include "report.h"
#include "simulate.h"
#include "trace.h"

enum {
    EXIT_TRACE = 1, /* or what was to be written could not be */
    EXIT_USAGE = 2,
    POLICIES_MAX = 16,
    SIZES_MAX = 256,
    BATCH = 4096,
};

static const char usage[] =
    "usage: ash-cachesim --policy P[,P...] --blocks N[,N...] [OPTION]... TRACE\n"
    "Runs a trace of block accesses through the cache library and says what came of it: hits and\n"
    "misses, reads and writes of the disk. TRACE is a file, or - for standard input.\n"
    "  --policy P[,P...]  which block has to go: all (the default) or some of\n"
    "                     %s\n"
    "  --blocks N[,N...]  how many blocks the cache holds; N..M is N, 2N, 4N ... up to M\n"
    "  --write-back       a write waits in the cache for its eviction or a flush; the default\n"
    "  --write-through    each write goes to the disk at once\n"
    "  --readahead        reads ahead of sequential accesses; a block that is on its way is a hit\n"
    "  --json             one object, or a list of them where there are several\n"
    "  --plot FILE.svg    draws the miss ratios of every policy over the sizes; those of --policy\n"
    "                     are the thicker lines\n"
    "  --format F         of the trace: auto (what it looks like), or\n"
    "      u32     little-endian words: bits 31..30 the operation (0 read, 1 write, 2 flush\n"
    "              of file block >> 24), bits 29..0 the block\n"
    "      text    a block number a line, with R, W or F (flush of file block >> 24; of all\n"
    "              without a number) before or after it; # begins a comment\n"
    "      oracle  libCacheSim's oracleGeneral, 24 bytes each\n"
    "      csv     a line each; the object may be a number or any word\n"
    "  --columns KEY=VALUE[,KEY=VALUE...]  of a csv: obj-id-col (a number from 1 or a name of the\n"
    "      header), op-col (read, write, flush; without it all are reads), delimiter, has-header,\n"
    "      obj-id-is-num; time-col, obj-size-col and so on are allowed, and of no effect\n"
    "  --help             this text\n"
    "Any of them may be packed with gzip; for zstd: zstd -dc TRACE | ash-cachesim ... -\n"
    "Every object is a block of one size, and each miss takes its block in; a write overwrites a\n"
    "whole block, so that its miss reads nothing. A flush is not an access.\n"
    "The status is 1 if the trace has an error: the results are those of the records before it.\n";

static struct {
    uint32_t policies[POLICIES_MAX];
    size_t policy_count;
    uint64_t sizes[SIZES_MAX];
    size_t size_count;
    bool write_back, write_through, read_ahead, json;
    enum trace_format format;
    const char *columns, *plot_path, *trace_path;
} options;

static struct report_row rows[POLICIES_MAX * SIZES_MAX];
static struct simulation *simulations[POLICIES_MAX * SIZES_MAX];
static size_t row_count;

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...) {
    va_list arguments;
    fputs("ash-cachesim: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

/* Options */

static const char *policy_names(void) {
    static char names[POLICIES_MAX * 16];
    names[0] = '\0';
    for (uint32_t i = 0; i < simulation_policies(); i++) {
        size_t len = strlen(names);
        snprintf(names + len, sizeof(names) - len, "%s%s", i != 0 ? ", " : "",
                 simulation_policy_name(i));
    }
    return names;
}

/* What is before the next comma, or the end. */
static size_t item_len(const char *list) {
    return strcspn(list, ",");
}

static void want_policy(uint32_t policy) {
    for (size_t i = 0; i < options.policy_count; i++)
        if (options.policies[i] == policy)
            return;
    if (options.policy_count < POLICIES_MAX)
        options.policies[options.policy_count++] = policy;
}

/* In any case of letters, with hyphens or without. */
static bool is_name(const char *name, size_t len, const char *known) {
    for (size_t i = 0; i < len; i++) {
        if (name[i] == '-')
            continue;
        known += *known == '-';
        if (*known == '\0' || strncasecmp(&name[i], known, 1) != 0)
            return false;
        known++;
    }
    return len != 0 && *known == '\0';
}

static bool set_policy(const char *name, size_t len) {
    uint32_t count = simulation_policies(), found = count;
    bool all = len == 3 && strncasecmp(name, "all", len) == 0;
    for (uint32_t i = 0; i < count; i++) {
        if (is_name(name, len, simulation_policy_name(i)))
            found = i;
        if (all)
            want_policy(i);
    }
    if (found == count && !all) {
        say("--policy: there is no \"%.*s\"; there are: %s, or all", (int)len, name,
            policy_names());
        return false;
    }
    if (!all)
        want_policy(found);
    return true;
}

static bool set_policies(const char *list) {
    for (;; list++) {
        size_t len = item_len(list);
        if (!set_policy(list, len))
            return false;
        list += len;
        if (*list == '\0')
            return true;
    }
}

/* A number from 1; *end is behind it. */
static bool parse_blocks(const char *text, const char **end, uint64_t *blocks) {
    bool good = false;
    *blocks = 0;
    for (; *text >= '0' && *text <= '9'; text++) {
        uint32_t digit = (uint32_t)(*text - '0');
        good = *blocks <= (UINT64_MAX - digit) / 10;
        if (!good)
            break;
        *blocks = *blocks * 10 + digit;
    }
    *end = text;
    return good && *blocks != 0;
}

static bool add_size(uint64_t blocks) {
    if (options.size_count == SIZES_MAX) {
        say("--blocks: more than %d sizes", SIZES_MAX);
        return false;
    }
    options.sizes[options.size_count++] = blocks;
    return true;
}

static bool set_size(const char *text, size_t len) {
    const char *end;
    uint64_t first, last;
    bool good = parse_blocks(text, &end, &first);
    last = first;
    if (good && strncmp(end, "..", 2) == 0)
        good = parse_blocks(end + 2, &end, &last) && last >= first;
    if (!good || end != text + len) {
        say("--blocks: \"%.*s\" is not a number of blocks, from 1, nor a range N..M", (int)len,
            text);
        return false;
    }
    for (uint64_t size = first;; size *= 2) {
        if (!add_size(size))
            return false;
        if (size > last / 2)
            return true;
    }
}

static bool set_sizes(const char *list) {
    for (;; list++) {
        size_t len = item_len(list);
        if (!set_size(list, len))
            return false;
        list += len;
        if (*list == '\0')
            return true;
    }
}

static bool set_format(const char *name) {
    for (int format = 0; format < TRACE_FORMATS; format++) {
        if (strcmp(name, trace_format_name((enum trace_format)format)) != 0)
            continue;
        options.format = (enum trace_format)format;
        return true;
    }
    say("--format: there is no \"%s\"; there are auto, u32, text, oracle and csv", name);
    return false;
}

static bool set_option(int option, const char *value) {
    switch (option) {
    case 'p':
        return set_policies(value);
    case 'b':
        return set_sizes(value);
    case 'f':
        return set_format(value);
    case 'c':
        options.columns = value;
        return true;
    case 's':
        options.plot_path = value;
        return true;
    case 'w':
        options.write_back = true;
        return true;
    case 't':
        options.write_through = true;
        return true;
    case 'r':
        options.read_ahead = true;
        return true;
    case 'j':
        options.json = true;
        return true;
    case 'h':
        printf(usage, policy_names());
        exit(EXIT_SUCCESS);
    default: /* getopt_long has said what is wrong */
        return false;
    }
}

static bool complete(void) {
    if (options.trace_path == NULL) {
        say("no TRACE is given");
    } else if (options.size_count == 0) {
        say("--blocks N is needed: how many blocks the cache holds");
    } else if (options.write_back && options.write_through) {
        say("--write-back or --write-through, not both");
    } else {
        return true;
    }
    return false;
}

static bool parse(int argc, char **argv) {
    static const struct option known[] = {{"policy", required_argument, NULL, 'p'},
                                          {"blocks", required_argument, NULL, 'b'},
                                          {"format", required_argument, NULL, 'f'},
                                          {"columns", required_argument, NULL, 'c'},
                                          {"plot", required_argument, NULL, 's'},
                                          {"write-back", no_argument, NULL, 'w'},
                                          {"write-through", no_argument, NULL, 't'},
                                          {"readahead", no_argument, NULL, 'r'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    static char name[] = "ash-cachesim"; /* getopt_long begins its messages with it */
    int option;
    argv[0] = name;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        if (!set_option(option, optarg))
            return false;
    if (optind < argc)
        options.trace_path = argv[optind++];
    if (optind < argc) {
        say("one TRACE, not also \"%s\"", argv[optind]);
        return false;
    }
    if (options.policy_count == 0)
        set_policies("all");
    return complete();
}

/* Simulations */

static void add_rows(uint32_t policy, bool asked_for) {
    for (size_t i = 0; i < options.size_count; i++)
        rows[row_count++] = (struct report_row){.config = {.policy = policy,
                                                           .blocks = options.sizes[i],
                                                           .write_through = options.write_through,
                                                           .read_ahead = options.read_ahead},
                                                .asked_for = asked_for};
}

/* What is asked for, in that order; behind it what is only drawn. */
static void choose_rows(void) {
    bool asked[POLICIES_MAX] = {false};
    for (size_t i = 0; i < options.policy_count; i++) {
        asked[options.policies[i]] = true;
        add_rows(options.policies[i], true);
    }
    for (uint32_t policy = 0; options.plot_path != NULL && policy < simulation_policies(); policy++)
        if (!asked[policy])
            add_rows(policy, false);
}

/* More than the machine has would be refused late, by the kernel's killing something. */
static bool fits_memory(void) {
    uint64_t total = 0,
             memory = (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
    for (size_t i = 0; i < row_count; i++) {
        uint64_t most, bytes = simulation_bytes(&rows[i].config, &most);
        if (bytes == 0) {
            say("--blocks: a cache cannot have %" PRIu64 " blocks, at most %" PRIu64,
                rows[i].config.blocks, most);
            return false;
        }
        total = total > UINT64_MAX - bytes ? UINT64_MAX : total + bytes;
    }
    if (total > memory) {
        say("--blocks: to simulate so many blocks takes %" PRIu64
            " MiB of memory, and this machine has %" PRIu64 ": ask for fewer or smaller caches",
            total >> 20, memory >> 20);
        return false;
    }
    return true;
}

static bool open_simulations(void) {
    choose_rows();
    if (!fits_memory())
        return false;
    for (size_t i = 0; i < row_count; i++) {
        simulations[i] = simulation_open(&rows[i].config);
        if (simulations[i] == NULL) {
            say("--blocks: there is no memory for a cache of %" PRIu64 " blocks",
                rows[i].config.blocks);
            return false;
        }
    }
    return true;
}

static void close_simulations(void) {
    for (size_t i = 0; i < row_count; i++)
        if (simulations[i] != NULL)
            simulation_close(simulations[i]);
}

/* How many records there were; *why: what ended them, NULL for the end of the trace. */
static uint64_t run(struct trace *trace, struct keys *keys, char *why, size_t room) {
    static struct trace_record records[BATCH];
    static struct keyed_record keyed[BATCH];
    const char *bad = NULL;
    uint64_t total = 0;
    size_t count;
    while (bad == NULL && (count = trace_read(trace, records, BATCH)) != 0) {
        count = keys_put(keys, records, count, keyed, &bad);
        for (size_t i = 0; i < row_count; i++)
            simulation_run(simulations[i], keyed, count);
        total += count;
    }
    for (size_t i = 0; i < row_count; i++)
        simulation_results(simulations[i], &rows[i].results);
    if (bad != NULL)
        snprintf(why, room, "record %" PRIu64 ": %s", total + 1, bad);
    else
        snprintf(why, room, "%s", trace_error(trace) != NULL ? trace_error(trace) : "");
    return total;
}

/* Results */

static bool plot(const struct report *report) {
    FILE *file = fopen(options.plot_path, "w");
    bool good = file != NULL;
    if (good) {
        report_plot(file, report);
        good = ferror(file) == 0;
        good = fclose(file) == 0 && good;
    }
    if (!good)
        say("%s: %m", options.plot_path);
    return good;
}

static bool tell(const struct report *report) {
    if (options.json)
        report_json(stdout, report);
    else
        report_table(stdout, report);
    bool good = fflush(stdout) == 0 && ferror(stdout) == 0;
    if (!good)
        say("the results cannot be written: %m");
    return (options.plot_path == NULL || plot(report)) && good;
}

static bool simulate(struct trace *trace, struct keys *keys) {
    char why[400];
    uint64_t total = run(trace, keys, why, sizeof(why));
    struct report report = {.trace = options.trace_path,
                            .description = trace_description(trace),
                            .rows = rows,
                            .count = row_count};
    bool good = total == 0 || tell(&report);
    if (why[0] != '\0')
        say("%s: %s%s", options.trace_path, why,
            total != 0 ? "; the results are those of the records before it" : "");
    else if (total == 0)
        say("%s: there is no record in it (read as %s)", options.trace_path,
            trace_description(trace));
    return good && why[0] == '\0' && total != 0;
}

int main(int argc, char **argv) {
    char why[400];
    if (!parse(argc, argv)) {
        fputs("ash-cachesim: --help says more\n", stderr);
        return EXIT_USAGE;
    }
    struct trace *trace =
        trace_open(options.trace_path, options.format, options.columns, why, sizeof(why));
    if (trace == NULL) {
        say("%s: %s", options.trace_path, why);
        return EXIT_TRACE;
    }
    struct keys *keys = keys_open();
    int status = EXIT_USAGE;
    if (keys == NULL)
        say("there is no memory");
    else if (open_simulations())
        status = simulate(trace, keys) ? EXIT_SUCCESS : EXIT_TRACE;
    close_simulations();
    if (keys != NULL)
        keys_close(keys);
    trace_close(trace);
    return status;
}
