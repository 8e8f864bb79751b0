/* SPDX-License-Identifier: MIT */
/*
 * main.c: the program ash-trace: a dump of Ashlar's tracer and sampler, written as what others'
 * tools read. All it adds to the library is files.
 */
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "ash_trace.h"

enum { EXIT_DATA = 1, EXIT_USAGE = 2, OUTPUTS_MAX = 32, SYMBOLS_FILES_MAX = 64, OTHER = 100 };

enum { OPTION_SYMBOLS = OTHER, OPTION_DAMAGED, OPTION_HELP };

static const char usage[] =
    "usage: ash-trace FILE [--chrome OUT.json] [--ctf DIR] [--pprof OUT.pb.gz] [--folded OUT.txt]\n"
    "                 [--flame OUT.svg] [--summary] [--symbols ELF]... [--damaged]\n"
    "Writes a dump of Ashlar's tracer and sampler for other tools. FILE is the dump, or the log\n"
    "of a console that it was printed on, or - for standard input. Without an option it says\n"
    "what is in it.\n"
    "  --chrome OUT.json  a timeline: ui.perfetto.dev, speedscope, Chromium's DevTools\n"
    "  --ctf DIR          a new folder in the Common Trace Format: babeltrace2, Trace Compass\n"
    "  --pprof OUT.pb.gz  a profile: go tool pprof, speedscope; packed unless it ends in .pb\n"
    "  --folded OUT.txt   stacks, one a line with its weight: flame graph tools\n"
    "  --flame OUT.svg    a flame graph for any browser\n"
    "  --summary          text: functions, latencies, counts, what was lost; the default\n"
    "  --symbols ELF      names functions of the image with this file's build-id\n"
    "  --damaged          goes on if the check sum of the contents is wrong\n"
    "  --help             this text\n"
    "OUT may be -, for standard output; what ends in .gz is packed. An output is there as a\n"
    "whole or not at all. The status is 1 if something could not be read or written, 2 for\n"
    "wrong options.\n";

static const struct option long_options[] = {
    {"chrome", required_argument, NULL, ASH_PROF_CHROME},
    {"ctf", required_argument, NULL, ASH_PROF_CTF},
    {"pprof", required_argument, NULL, ASH_PROF_PPROF},
    {"folded", required_argument, NULL, ASH_PROF_FOLDED},
    {"flame", required_argument, NULL, ASH_PROF_FLAME},
    {"summary", no_argument, NULL, ASH_PROF_SUMMARY},
    {"symbols", required_argument, NULL, OPTION_SYMBOLS},
    {"damaged", no_argument, NULL, OPTION_DAMAGED},
    {"help", no_argument, NULL, OPTION_HELP},
    {NULL, 0, NULL, 0},
};

struct wanted {
    enum ash_prof_format format;
    const char *name, *path;
};

static struct {
    struct wanted outputs[OUTPUTS_MAX];
    uint32_t output_count;
    const char *symbols[SYMBOLS_FILES_MAX];
    uint32_t symbols_count;
    bool accepts_damage;
    const char *path;
} options;

void say(const char *format, ...) {
    va_list arguments;
    fflush(stdout);
    fputs("ash-trace: ", stderr);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fputc('\n', stderr);
}

__attribute__((noreturn)) static void misuse(void) {
    fputs("Try 'ash-trace --help' for more information.\n", stderr);
    exit(EXIT_USAGE);
}

static void want(enum ash_prof_format format, const char *name, const char *path) {
    if (options.output_count == OUTPUTS_MAX) {
        say("more than %d outputs", OUTPUTS_MAX);
        misuse();
    }
    if (path[0] == '\0' || (format == ASH_PROF_CTF && strcmp(path, "-") == 0)) {
        say("--%s: \"%s\" cannot be written to; name a %s", name, path,
            format == ASH_PROF_CTF ? "folder" : "file");
        misuse();
    }
    for (uint32_t i = 0; i < options.output_count; i++)
        if (strcmp(options.outputs[i].path, path) == 0) {
            say("--%s and --%s both write to %s", options.outputs[i].name, name, path);
            misuse();
        }
    options.outputs[options.output_count++] = (struct wanted){format, name, path};
}

static void take_option(int option, const char *name) {
    switch (option) {
    case OPTION_SYMBOLS:
        if (options.symbols_count == SYMBOLS_FILES_MAX) {
            say("more than %d files of symbols", SYMBOLS_FILES_MAX);
            misuse();
        }
        options.symbols[options.symbols_count++] = optarg;
        break;
    case OPTION_DAMAGED:
        options.accepts_damage = true;
        break;
    case OPTION_HELP:
        exit(fputs(usage, stdout) < 0 || fflush(stdout) != 0 ? EXIT_DATA : EXIT_SUCCESS);
    default:
        want((enum ash_prof_format)option, name, optarg == NULL ? "-" : optarg);
    }
}

static void parse(int argc, char **argv) {
    int option, index = 0;
    while ((option = getopt_long(argc, argv, "", long_options, &index)) != -1) {
        if (option == '?')
            misuse();
        take_option(option, long_options[index].name);
    }
    if (optind == argc || optind + 1 < argc) {
        say(optind == argc ? "which file?" : "one file at a time");
        misuse();
    }
    options.path = argv[optind];
    if (options.output_count == 0)
        want(ASH_PROF_SUMMARY, "summary", "-");
}

static bool open_view(struct ash_prof_view *view) {
    struct input input;
    char message[128];
    if (!input_read(&input, options.path, input_wanted_of_dump) ||
        !input_unwrap(&input, options.path))
        return false;
    if (ash_prof_view_open(view, input.bytes, input.len, message, sizeof(message)) != 0) {
        say("%s: %s", options.path, message);
        return false;
    }
    if (!view->is_damaged)
        return true;
    say("%s: damaged, or changed while it was written: its contents do not match their check sum",
        options.path);
    if (!options.accepts_damage)
        say("--damaged shows what is in it all the same; it may be wrong");
    return options.accepts_damage;
}

/* What was recorded is there once: an output must not take its place. */
static bool spares_input(void) {
    struct stat input, output;
    if (stat(options.path, &input) != 0)
        return true;
    for (uint32_t i = 0; i < options.output_count; i++) {
        if (stat(options.outputs[i].path, &output) == 0 && S_ISREG(output.st_mode) &&
            output.st_dev == input.st_dev && output.st_ino == input.st_ino) {
            say("%s: is what is read; --%s needs another file", options.outputs[i].path,
                options.outputs[i].name);
            return false;
        }
    }
    return true;
}

int main(int argc, char **argv) {
    static struct ash_prof_view view;
    parse(argc, argv);
    if (!spares_input())
        return EXIT_DATA;
    if (!open_view(&view))
        return EXIT_DATA;
    bool good = !view.is_damaged;
    for (uint32_t i = 0; i < options.symbols_count; i++)
        good = symbols_add(&view, options.symbols[i]) && good;
    for (uint32_t i = 0; i < options.output_count; i++)
        good = output_write(&view, options.outputs[i].format, options.outputs[i].name,
                            options.outputs[i].path) &&
               good;
    return good ? EXIT_SUCCESS : EXIT_DATA;
}
