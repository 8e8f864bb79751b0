/* SPDX-License-Identifier: MIT */
/* options.c: the command line of the hosted machine. */
#include <ashlar/error.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hosted.h"
#include "hosted_internal.h"

enum { MESSAGE_BYTES = 200 };

/* "256M", "1g", "4096k", bytes without a suffix. False for anything else, and for too much. */
static bool parse_size(const char *text, uint64_t *bytes) {
    static const char suffixes[] = "kmgKMG";
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    unsigned long long number = strtoull(text, &end, 10);
    uint32_t shift = 0;
    const char *suffix = *end == '\0' ? NULL : strchr(suffixes, *end);
    if (suffix != NULL) {
        shift = 10 * (uint32_t)((suffix - suffixes) % 3 + 1);
        end++;
    }
    *bytes = (uint64_t)number << shift;
    return *end == '\0' && number <= HOSTED_MEMORY_MAX >> shift;
}

static bool parse_number(const char *text, uint64_t max, uint64_t *number) {
    char *end;
    if (*text < '0' || *text > '9')
        return false;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return *end == '\0' && errno == 0 && *number <= max;
}

/* The value of "--name VALUE" or "--name=VALUE", stepping *i over it; NULL: not this option. */
static const char *option_value(const char *name, int argc, char **argv, int *i, bool *missing) {
    const char *word = argv[*i];
    size_t len = strlen(name);
    if (strncmp(word, name, len) != 0 || (word[len] != '\0' && word[len] != '='))
        return NULL;
    if (word[len] == '=')
        return word + len + 1;
    *missing = *i + 1 >= argc;
    return *missing ? "" : argv[++*i];
}

static int fail(char *message, const char *format, const char *word) {
    snprintf(message, MESSAGE_BYTES, format, word);
    return -ASH_EINVAL;
}

static int set_option(struct hosted_config *config, const char *name, const char *value,
                      char *message) {
    uint64_t number;
    if (strcmp(name, "--disk") == 0) {
        if (config->disk_count == HOSTED_MMIO_SLOTS)
            return fail(message, "--disk %.40s: one too many: the machine has room for 8", value);
        config->disk_paths[config->disk_count++] = value;
    } else if (strcmp(name, "--mem") == 0) {
        if (!parse_size(value, &config->memory_bytes) || config->memory_bytes < HOSTED_MEMORY_MIN ||
            !ash_is_aligned(config->memory_bytes, ASH_PAGE_SIZE))
            return fail(message,
                        "--mem %.40s: give a size from 1M to 64G in whole 4 KiB pages, "
                        "such as 256M",
                        value);
    } else if (strcmp(name, "--smp") == 0) {
        if (!parse_number(value, ASH_PORT_CPUS_MAX, &number) || number == 0)
            return fail(message, "--smp %.40s: give a number of CPUs from 1 to 8", value);
        config->cpus = (uint32_t)number;
    } else if (strcmp(name, "--seed") == 0) {
        if (!parse_number(value, UINT64_MAX, &config->seed))
            return fail(message, "--seed %.40s: give a number, such as 1 or 0x5eed", value);
    } else {
        if (strcmp(value, "real") != 0 && strcmp(value, "manual") != 0)
            return fail(message, "--clock %.40s: give real or manual", value);
        config->clock_manual = strcmp(value, "manual") == 0;
    }
    return 0;
}

static int append_word(char *arguments, size_t len, const char *word, char *message) {
    size_t used = strlen(arguments), more = strlen(word) + (used != 0);
    if (more >= len - used)
        return fail(message, "the words for the kernel are too long at: %.40s", word);
    snprintf(arguments + used, len - used, "%s%s", used != 0 ? " " : "", word);
    return 0;
}

int hosted_options_parse(struct hosted_config *config, int argc, char **argv, char *arguments,
                         size_t len, char *message, bool *help) {
    static const char *const names[] = {"--disk", "--mem", "--smp", "--seed", "--clock"};
    bool clock_given = false, words_only = false;
    int error = 0;
    arguments[0] = message[0] = '\0';
    *help = false;
    config->arguments = arguments;
    for (int i = 1; i < argc && error == 0; i++) {
        const char *word = argv[i], *value = NULL, *name = NULL;
        bool missing = false;
        if (words_only || strncmp(word, "--", 2) != 0) {
            error = append_word(arguments, len, word, message);
            continue;
        }
        for (size_t n = 0; n < ASH_ARRAY_LEN(names) && value == NULL; n++)
            value = option_value(name = names[n], argc, argv, &i, &missing);
        if (missing) {
            error = fail(message, "%.20s needs a value: see --help", word);
        } else if (value != NULL) {
            error = set_option(config, name, value, message);
            clock_given |= strcmp(name, "--clock") == 0;
        } else if (strcmp(word, "--deterministic") == 0) {
            config->deterministic = true;
        } else if (strcmp(word, "--help") == 0) {
            *help = true;
        } else if (strcmp(word, "--") == 0) {
            words_only = true;
        } else {
            error = fail(message, "unknown option %.40s: see --help", word);
        }
    }
    if (error == 0 && config->deterministic && clock_given && !config->clock_manual)
        error =
            fail(message, "--deterministic cannot have the clock %.4s: leave --clock away", "real");
    config->clock_manual |= config->deterministic;
    return error;
}
