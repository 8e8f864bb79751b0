/* SPDX-License-Identifier: MIT */
/* script.c: fault scripts: text in, occasions counted, text out. */
#include "sim/script.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { WORD_MAX = 64 };

/* One entry being read: word, and what is left of it. */
struct reader {
    struct sim_script *script;
    char word[WORD_MAX];
    const char *at;
    char *message;
    size_t len;
};

static int refuse(struct reader *reader, const char *format, ...) ASH_PRINTF(2, 3);
static int refuse(struct reader *reader, const char *format, ...) {
    int used =
        snprintf(reader->message, reader->len,
                 "fault script, entry %u, \"%s\": ", reader->script->count + 1, reader->word);
    va_list args;
    va_start(args, format);
    if (used > 0 && (size_t)used < reader->len)
        vsnprintf(reader->message + used, reader->len - (size_t)used, format, args);
    va_end(args);
    reader->script->count = 0;
    return -ASH_EINVAL;
}

/* How many of the letters of two words have to be changed, added or left out (Levenshtein); words
 * that are longer than the table are far from everything. */
static uint32_t distance(const char *a, size_t a_len, const char *b) {
    uint32_t row[WORD_MAX + 1];
    size_t b_len = strlen(b);
    if (a_len > WORD_MAX || b_len > WORD_MAX)
        return UINT32_MAX;
    for (size_t j = 0; j <= b_len; j++)
        row[j] = (uint32_t)j;
    for (size_t i = 1; i <= a_len; i++) {
        uint32_t diagonal = row[0];
        row[0] = (uint32_t)i;
        for (size_t j = 1; j <= b_len; j++) {
            uint32_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = (uint32_t)ash_min_u64(changed, ash_min_u64(row[j], row[j - 1]) + 1);
        }
    }
    return row[b_len];
}

static bool is_word(const char *text, size_t len, const char *word) {
    return strlen(word) == len && strncmp(text, word, len) == 0;
}

static int read_actor(struct reader *reader, struct sim_script_entry *entry) {
    const struct sim_script *script = reader->script;
    size_t len = strcspn(reader->at, ".@x=");
    if (reader->at[len] != '.')
        return refuse(reader, "no \".\": write actor.fault@occasion, like %s.%s@0",
                      script->actors[0].name, script->actors[0].fault_name(0));
    for (uint32_t i = 0; i < script->actor_count; i++) {
        if (is_word(reader->at, len, script->actors[i].name)) {
            entry->actor = i;
            reader->at += len + 1;
            return 0;
        }
    }
    return refuse(reader, "nobody here is called \"%.*s\"; the first who is: %s", (int)len,
                  reader->at, script->actors[0].name);
}

static int read_fault(struct reader *reader, struct sim_script_entry *entry) {
    const struct sim_actor *actor = &reader->script->actors[entry->actor];
    size_t len = strcspn(reader->at, "@=");
    uint32_t best = UINT32_MAX;
    const char *name, *near = "";
    for (uint32_t i = 0; (name = actor->fault_name(i)) != NULL; i++) {
        if (is_word(reader->at, len, name)) {
            entry->fault = i;
            reader->at += len;
            return 0;
        }
        uint32_t far = distance(reader->at, len, name);
        if (far < best)
            near = name;
        best = (uint32_t)ash_min_u64(best, far);
    }
    return refuse(reader, "%s has no fault \"%.*s\"; the nearest is \"%s\"", actor->name, (int)len,
                  reader->at, near);
}

static int digit_of(char c, uint32_t base) {
    if (c >= '0' && c <= '9')
        return c - '0';
    return base == 16 && c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_number(struct reader *reader, uint32_t base, uint64_t most, uint64_t *value) {
    const char *first = reader->at;
    *value = 0;
    for (int digit; (digit = digit_of(*reader->at, base)) >= 0; reader->at++) {
        if (*value > (most - (uint64_t)digit) / base)
            return false;
        *value = *value * base + (uint64_t)digit;
    }
    return reader->at != first;
}

static int read_occasions(struct reader *reader, struct sim_script_entry *entry) {
    uint64_t number;
    if (*reader->at != '@')
        return refuse(reader, "when? write \"@\" and the number of the occasion, from 0 on");
    reader->at++;
    if (!read_number(reader, 10, UINT32_MAX, &number))
        return refuse(reader, "what comes after \"@\" is no number up to %u", UINT32_MAX);
    entry->first = (uint32_t)number;
    entry->count = 1;
    if (*reader->at != 'x')
        return 0;
    reader->at++;
    if (*reader->at == '*') {
        entry->count = SIM_FOREVER;
        reader->at++;
        return 0;
    }
    if (!read_number(reader, 10, UINT32_MAX, &number) || number == 0)
        return refuse(reader, "what comes after \"x\" is neither * nor a number from 1 to %u",
                      UINT32_MAX);
    entry->count = (uint32_t)number;
    return 0;
}

static int read_value(struct reader *reader, struct sim_script_entry *entry) {
    if (*reader->at == '\0')
        return 0;
    if (*reader->at != '=')
        return refuse(reader, "\"%s\" is left over; an entry is actor.fault@first[xcount][=value]",
                      reader->at);
    bool hex = strncmp(++reader->at, "0x", 2) == 0;
    reader->at += hex ? 2 : 0;
    if (!read_number(reader, hex ? 16 : 10, UINT64_MAX, &entry->value) || *reader->at != '\0')
        return refuse(reader, "what comes after \"=\" is no number of 64 bits");
    return 0;
}

static int read_entry(struct reader *reader) {
    struct sim_script *script = reader->script;
    struct sim_script_entry entry = {0};
    if (script->count == SIM_SCRIPT_ENTRIES_MAX)
        return refuse(reader, "more than %u entries", (uint32_t)SIM_SCRIPT_ENTRIES_MAX);
    int error = read_actor(reader, &entry);
    if (error == 0)
        error = read_fault(reader, &entry);
    if (error == 0)
        error = read_occasions(reader, &entry);
    if (error == 0)
        error = read_value(reader, &entry);
    if (error == 0)
        script->entries[script->count++] = entry;
    return error;
}

int sim_script_parse(struct sim_script *script, const struct sim_actor *actors,
                     uint32_t actor_count, const char *text, char *message, size_t len) {
    static const char separators[] = " ,\n";
    ASH_REQUIRE(actor_count <= SIM_ACTORS_MAX, "simulator: %u actors, the limit is %u", actor_count,
                (uint32_t)SIM_ACTORS_MAX);
    *script = (struct sim_script){.actors = actors, .actor_count = actor_count};
    struct reader reader = {.script = script, .message = message, .len = len};
    if (text == NULL)
        return 0;
    for (text += strspn(text, separators); *text != '\0'; text += strspn(text, separators)) {
        size_t word = strcspn(text, separators);
        snprintf(reader.word, sizeof(reader.word), "%.*s", (int)ash_min_u64(word, WORD_MAX), text);
        reader.at = reader.word;
        if (actor_count == 0)
            return refuse(&reader, "nobody here can fail");
        if (word >= WORD_MAX)
            return refuse(&reader, "longer than %u letters", WORD_MAX - 1u);
        int error = read_entry(&reader);
        if (error != 0)
            return error;
        text += word;
    }
    return 0;
}

void sim_script_print(const struct sim_script *script, char *text, size_t len) {
    size_t at = 0;
    text[0] = '\0';
    for (uint32_t i = 0; i < script->count && at + WORD_MAX < len; i++) {
        const struct sim_script_entry *entry = &script->entries[i];
        const struct sim_actor *actor = &script->actors[entry->actor];
        at += (size_t)snprintf(text + at, len - at, "%s%s.%s@%u", i == 0 ? "" : " ", actor->name,
                               actor->fault_name(entry->fault), entry->first);
        if (entry->count == SIM_FOREVER)
            at += (size_t)snprintf(text + at, len - at, "x*");
        else if (entry->count != 1)
            at += (size_t)snprintf(text + at, len - at, "x%u", entry->count);
        if (entry->value != 0)
            at += (size_t)snprintf(text + at, len - at, "=%llu", (unsigned long long)entry->value);
    }
}

void sim_script_begin(struct sim_script *script) {
    memset(script->occasions, 0, sizeof(script->occasions));
}

bool sim_script_tells(struct sim_script *script, uint32_t actor, uint32_t fault, uint64_t *value) {
    ASH_REQUIRE(actor < SIM_ACTORS_MAX && fault < SIM_FAULTS_MAX,
                "simulator: actor %u, fault %u: there is no such", actor, fault);
    uint32_t occasion = script->occasions[actor][fault]++;
    for (uint32_t i = 0; i < script->count; i++) {
        const struct sim_script_entry *entry = &script->entries[i];
        if (entry->actor == actor && entry->fault == fault && occasion >= entry->first &&
            (entry->count == SIM_FOREVER || occasion - entry->first < entry->count)) {
            *value = entry->value;
            return true;
        }
    }
    return false;
}
