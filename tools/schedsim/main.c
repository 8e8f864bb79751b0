/* SPDX-License-Identifier: MIT */
/*
 * main.c: the program ash-schedsim: what the scheduler library makes of task sets. All of a file is
 * read and checked first, then all of it is simulated, and only then something is written.
 */
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "report.h"
#include "simulate.h"

enum {
    EXIT_WRITE = 1, /* what was to be written could not be */
    EXIT_INPUT = 2, /* of the command, or of the file */
    FILE_MAX = 16 << 20,
};

static const char usage[] =
    "usage: ash-schedsim [OPTION]... CASE.json\n"
    "Runs task sets through the scheduler library, on a simulated clock, and says what came of\n"
    "them: what ran when, jobs, missed deadlines, servers, shares, and what admission says. A set\n"
    "that admission refuses is run all the same. CASE.json is a file, or - for standard input: a\n"
    "task set, a list of them, or an object of lists (tests/oracles/sched/README.md).\n"
    "  --json             an object a task set, in a list if the file has several; exact: whole\n"
    "                     numbers, or fractions such as \"7/2\"\n"
    "  --svg FILE.svg     draws a Gantt chart with releases, deadlines, budgets and misses\n"
    "  --trace FILE.json  a timeline for Perfetto (ui.perfetto.dev) or chrome://tracing\n"
    "  --help             this text\n"
    "The status is 0, whatever was missed or refused; 2 if the file has no task sets that can be\n"
    "simulated: then nothing is written.\n";

static struct {
    bool json;
    const char *svg_path, *trace_path, *path;
} options;

__attribute__((format(printf, 1, 2))) static bool say(const char *format, ...) {
    va_list arguments;
    fputs("ash-schedsim: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
    return false;
}

static bool set_option(int option, const char *value) {
    switch (option) {
    case 'j':
        options.json = true;
        return true;
    case 's':
        options.svg_path = value;
        return true;
    case 't':
        options.trace_path = value;
        return true;
    case 'h':
        fputs(usage, stdout);
        exit(EXIT_SUCCESS);
    default: /* getopt_long has said what is wrong */
        return false;
    }
}

static bool parse(int argc, char **argv) {
    static const struct option known[] = {{"json", no_argument, NULL, 'j'},
                                          {"svg", required_argument, NULL, 's'},
                                          {"trace", required_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {NULL, 0, NULL, 0}};
    static char name[] = "ash-schedsim"; /* getopt_long begins its messages with it */
    int option;
    argv[0] = name;
    while ((option = getopt_long(argc, argv, "", known, NULL)) != -1)
        if (!set_option(option, optarg))
            return false;
    if (optind == argc)
        return say("no CASE.json is given");
    options.path = argv[optind++];
    return optind == argc || say("one CASE.json, not also \"%s\"", argv[optind]);
}

/* The whole file, and a byte more; NULL: said why not. */
static char *read_file(const char *path, size_t *len) {
    FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "rb");
    char *text = malloc(FILE_MAX + 2);
    int error;
    if (file == NULL || text == NULL) {
        say("%s: %s", path, strerror(errno));
        free(text);
        if (file != NULL && file != stdin)
            fclose(file);
        return NULL;
    }
    *len = fread(text, 1, FILE_MAX + 1, file);
    error = ferror(file) ? errno : 0;
    if (file != stdin)
        fclose(file);
    if (error == 0 && *len <= FILE_MAX)
        return text;
    say("%s: %s", path, error != 0 ? strerror(error) : "more than 16 MiB is no case file");
    free(text);
    return NULL;
}

/* Writing */

static bool write_file(const char *path, const struct result *results, size_t count,
                       void (*report)(FILE *, const struct result *, size_t)) {
    FILE *file = fopen(path, "w");
    bool good = file != NULL;
    if (good) {
        report(file, results, count);
        good = ferror(file) == 0;
        good = fclose(file) == 0 && good;
    }
    return good || say("%s: %s", path, strerror(errno));
}

static void tell_json(const struct result *results, size_t count, bool several) {
    for (size_t i = 0; i < count; i++) {
        fputs(i != 0 ? ",\n" : several ? "[" : "", stdout);
        report_json(stdout, &results[i]);
    }
    fputs(several ? "]\n" : "\n", stdout);
}

static void tell_text(const struct result *results, size_t count) {
    for (size_t i = 0; i < count; i++) {
        fputs(i != 0 ? "\n" : "", stdout);
        report_text(stdout, &results[i]);
    }
}

/* What the output has no place for. */
static void remark(const struct result *results, size_t count) {
    char title[TASKSET_NAME_MAX + 64];
    for (size_t i = 0; i < count; i++) {
        report_title(&results[i], title, sizeof(title));
        if (options.json && results[i].judged && !results[i].admitted &&
            results[i].set->kind != TASKSET_FEASIBILITY)
            say("%s: %s", title, results[i].refusal);
        if (!results[i].exact)
            say("%s: its times have no common denominator below 2^60: they are rounded up to "
                "1/%lld",
                title, (long long)results[i].unit);
    }
}

static bool tell(const struct result *results, size_t count, bool several) {
    bool good;
    if (options.json)
        tell_json(results, count, several);
    else
        tell_text(results, count);
    good = fflush(stdout) == 0 && ferror(stdout) == 0;
    if (!good)
        say("the results cannot be written: %s", strerror(errno));
    remark(results, count);
    if (options.svg_path != NULL)
        good = write_file(options.svg_path, results, count, report_svg) && good;
    if (options.trace_path != NULL)
        good = write_file(options.trace_path, results, count, report_trace) && good;
    return good;
}

static int simulate_all(const struct tasksets *sets) {
    struct result *results = calloc(sets->count, sizeof(*results));
    char error[TASKSET_ERROR_MAX];
    size_t count = 0;
    int status = EXIT_INPUT;
    const struct taskset *set = sets->first;
    if (results == NULL) {
        say("%s: %s", options.path, strerror(errno));
        return EXIT_INPUT;
    }
    while (set != NULL && simulate(set, &results[count], error)) {
        set = set->next;
        count++;
    }
    if (set != NULL)
        say("%s: %s", options.path, error);
    else
        status = tell(results, count, sets->several) ? EXIT_SUCCESS : EXIT_WRITE;
    for (size_t i = 0; i < count; i++)
        result_free(&results[i]);
    free(results);
    return status;
}

static int run(char *text, size_t len) {
    char json_error[JSON_ERROR_MAX], error[TASKSET_ERROR_MAX];
    struct json_document *document = json_read(text, len, json_error);
    struct tasksets sets;
    int status = EXIT_INPUT;
    if (document == NULL) {
        say("%s: %s", options.path, json_error);
        return EXIT_INPUT;
    }
    if (!tasksets_read(json_root(document), &sets, error)) {
        say("%s: %s", options.path, error);
    } else {
        status = simulate_all(&sets);
        tasksets_free(&sets);
    }
    json_close(document);
    return status;
}

int main(int argc, char **argv) {
    size_t len;
    char *text;
    int status;
    if (!parse(argc, argv)) {
        fputs("ash-schedsim --help says what can be asked\n", stderr);
        return EXIT_INPUT;
    }
    text = read_file(options.path, &len);
    if (text == NULL)
        return EXIT_INPUT;
    status = run(text, len);
    free(text);
    return status;
}
