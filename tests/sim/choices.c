/* SPDX-License-Identifier: MIT */
/* choices.c: seeds, bytes and paths. */
#include "sim/choices.h"

#include <stdio.h>
#include <string.h>

void sim_choices_begin(struct sim_choices *choices) {
    choices->state = choices->seed * UINT64_C(0x9e3779b97f4a7c15) | 1;
    choices->next = 0;
    choices->taken = 0;
    choices->diverged = false;
}

void sim_choices_seed(struct sim_choices *choices, uint64_t seed) {
    *choices = (struct sim_choices){.kind = SIM_SEED, .seed = seed};
    sim_choices_begin(choices);
}

void sim_choices_bytes(struct sim_choices *choices, const uint8_t *bytes, size_t len) {
    *choices = (struct sim_choices){.kind = SIM_BYTES, .bytes = bytes, .len = len};
    sim_choices_begin(choices);
}

void sim_choices_all(struct sim_choices *choices, uint32_t depth) {
    *choices = (struct sim_choices){.kind = SIM_PATH,
                                    .depth = depth < SIM_PATH_MAX ? depth : SIM_PATH_MAX};
    sim_choices_begin(choices);
}

/* The last choice that can be raised is raised; what came after it is forgotten. */
bool sim_choices_advance(struct sim_choices *choices) {
    uint32_t *path = choices->path;
    while (choices->planned != 0 &&
           path[choices->planned - 1] + 1 >= choices->limits[choices->planned - 1])
        choices->planned--;
    if (choices->planned == 0)
        return false;
    path[choices->planned - 1]++;
    return true;
}

/* xorshift64*, Vigna 2016; the state is never 0. */
static uint64_t by_seed(struct sim_choices *choices, uint64_t limit) {
    choices->state ^= choices->state >> 12;
    choices->state ^= choices->state << 25;
    choices->state ^= choices->state >> 27;
    return (choices->state * UINT64_C(0x2545f4914f6cdd1d) >> 16) % limit;
}

/* As many bytes as the limit needs. */
static uint64_t by_bytes(struct sim_choices *choices, uint64_t limit) {
    uint64_t value = 0;
    for (uint64_t rest = limit - 1; rest != 0 && choices->next < choices->len; rest >>= 8)
        value = value << 8 | choices->bytes[choices->next++];
    return value % limit;
}

static uint64_t by_path(struct sim_choices *choices, uint64_t limit) {
    uint32_t index = choices->taken;
    uint32_t among = limit > UINT32_MAX ? UINT32_MAX : (uint32_t)limit;
    if (index < choices->planned) {
        /* A path that was read from text does not know its limits yet. */
        if (choices->limits[index] == 0)
            choices->limits[index] = among;
        if (choices->limits[index] != among || choices->path[index] >= among)
            choices->diverged = true;
        return choices->path[index] % among;
    }
    if (index < choices->depth) {
        choices->path[index] = 0;
        choices->limits[index] = among;
        choices->planned = index + 1;
    }
    return 0;
}

uint64_t sim_choose(struct sim_choices *choices, uint64_t limit) {
    if (limit <= 1)
        return 0;
    uint64_t value = choices->kind == SIM_SEED    ? by_seed(choices, limit)
                     : choices->kind == SIM_BYTES ? by_bytes(choices, limit)
                                                  : by_path(choices, limit);
    choices->taken++;
    return value;
}

bool sim_choose_chance(struct sim_choices *choices, uint32_t percent) {
    return sim_choose(choices, 100) < percent;
}

bool sim_choices_diverged(const struct sim_choices *choices) {
    return choices->diverged;
}

/* Text */

static const char *const kinds[] = {
    [SIM_SEED] = "seed:", [SIM_BYTES] = "bytes:", [SIM_PATH] = "path:"};

void sim_choices_print(const struct sim_choices *choices, char *text, size_t len) {
    int at = snprintf(text, len, "%s", kinds[choices->kind]);
    if (choices->kind == SIM_SEED)
        snprintf(text + at, len - (size_t)at, "%llu", (unsigned long long)choices->seed);
    uint32_t count = choices->planned;
    while (count > 1 && choices->path[count - 1] == 0) /* that is what comes anyway */
        count--;
    for (uint32_t i = 0; choices->kind == SIM_PATH && i < count && (size_t)at + 12 < len; i++)
        at += snprintf(text + at, len - (size_t)at, i == 0 ? "%u" : ".%u", choices->path[i]);
    for (size_t i = 0; choices->kind == SIM_BYTES && i < choices->len && (size_t)at + 3 < len; i++)
        at += snprintf(text + at, len - (size_t)at, "%02x", choices->bytes[i]);
}

static bool is_end(char c) {
    return c == '\0' || c == ' ';
}

static bool parse_number(const char **text, uint64_t most, uint64_t *value) {
    *value = 0;
    const char *first = *text;
    for (; **text >= '0' && **text <= '9'; (*text)++) {
        uint64_t digit = (uint64_t)(**text - '0');
        if (*value > (most - digit) / 10)
            return false;
        *value = *value * 10 + digit;
    }
    return *text != first;
}

static bool parse_path(struct sim_choices *choices, const char **text) {
    sim_choices_all(choices, SIM_PATH_MAX);
    for (uint64_t value; !is_end(**text);) {
        if (choices->planned == SIM_PATH_MAX || !parse_number(text, UINT32_MAX, &value))
            return false;
        choices->path[choices->planned++] = (uint32_t)value;
        if (**text == '.' && !is_end((*text)[1]))
            (*text)++;
        else if (!is_end(**text))
            return false;
    }
    choices->depth = 0; /* this one run */
    return true;
}

static int hex_digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool parse_bytes(struct sim_choices *choices, const char **text) {
    sim_choices_bytes(choices, choices->parsed, 0);
    choices->bytes = choices->parsed;
    for (; !is_end(**text); *text += 2) {
        int high = hex_digit((*text)[0]), low = high < 0 ? -1 : hex_digit((*text)[1]);
        if (low < 0 || choices->len == SIM_BYTES_MAX)
            return false;
        choices->parsed[choices->len++] = (uint8_t)(high << 4 | low);
    }
    return true;
}

bool sim_choices_parse(struct sim_choices *choices, const char *text, const char **end) {
    uint64_t seed;
    bool parsed = false;
    for (size_t kind = 0; kind < ASH_ARRAY_LEN(kinds); kind++) {
        size_t len = strlen(kinds[kind]);
        if (strncmp(text, kinds[kind], len) != 0)
            continue;
        text += len;
        if (kind == SIM_PATH)
            parsed = parse_path(choices, &text);
        else if (kind == SIM_BYTES)
            parsed = parse_bytes(choices, &text);
        else if ((parsed = parse_number(&text, UINT64_MAX, &seed)))
            sim_choices_seed(choices, seed);
        break;
    }
    *end = text;
    return parsed && is_end(*text);
}
