/* SPDX-License-Identifier: MIT */
/* taskset.c: what of a case file is a task set, and whether it can be one. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "taskset.h"

/* More would not be looked at by anybody; and the memory for the results is bounded. */
#define ROUNDS_MAX UINT64_C(10000000)

struct reader {
    struct taskset *set;
    char *error;
};

const char *taskset_kind_name(enum taskset_kind kind) {
    static const char *const names[] = {"schedules",   "fair",      "eevdf",         "mlfq",
                                        "feasibility", "isolation", "cbs_equals_edf"};
    return names[kind];
}

__attribute__((format(printf, 3, 4))) static bool wrong(char *error, const struct json *at,
                                                        const char *format, ...) {
    va_list arguments;
    int len = snprintf(error, TASKSET_ERROR_MAX, "line %u, column %u: ", at->line, at->column);
    va_start(arguments, format);
    vsnprintf(error + len, TASKSET_ERROR_MAX - (size_t)len, format, arguments);
    va_end(arguments);
    return false;
}

static const char *key_of(const struct json *value) {
    return value->key != NULL ? value->key : "this";
}

static bool is_type(struct reader *reader, const struct json *value, enum json_type type) {
    return value->type == type ||
           wrong(reader->error, value, "%s has to be %s, not %s", key_of(value),
                 json_type_name(type), json_type_name(value->type));
}

/* One of the words, which are separated by spaces? */
static bool is_word(const char *word, const char *words) {
    size_t len = strlen(word);
    for (;;) {
        size_t next = strcspn(words, " ");
        if (len != 0 && len == next && memcmp(word, words, len) == 0)
            return true;
        if (words[next] == '\0')
            return false;
        words += next + 1;
    }
}

static bool known_keys(struct reader *reader, const struct json *object, const char *what,
                       const char *keys) {
    for (const struct json *member = object->first; member != NULL; member = member->next)
        if (!is_word(member->key, keys))
            return wrong(reader->error, member, "%s has no key \"%.60s\": there are %s", what,
                         member->key, keys);
    return true;
}

/* Of a whole set: words about it, and the answers of an oracle, are not looked at. */
static bool known_keys_of_set(struct reader *reader, const struct json *set, const char *what,
                              const char *keys, const char *answers) {
    for (const struct json *member = set->first; member != NULL; member = member->next)
        if (!is_word(member->key, keys) && !is_word(member->key, answers) &&
            !is_word(member->key, "id about verified expect"))
            return wrong(reader->error, member, "%s has no key \"%.60s\": there are %s", what,
                         member->key, keys);
    return true;
}

static const struct json *needed(struct reader *reader, const struct json *object, const char *what,
                                 const char *key) {
    const struct json *member = json_member(object, key);
    if (member == NULL)
        wrong(reader->error, object, "%s lacks \"%s\"", what, key);
    return member;
}

/* Numbers */

static bool number(struct reader *reader, const struct json *value, struct rational *read) {
    if (value->type != JSON_NUMBER && value->type != JSON_STRING)
        return wrong(reader->error, value,
                     "%s has to be a number, such as 4, 3.5 or \"7/2\", not %s", key_of(value),
                     json_type_name(value->type));
    if (!rational_parse(value->text, value->len, read))
        return wrong(reader->error, value,
                     "%s: \"%.60s%s\" is no number such as 4, 3.5 or \"7/2\" (numerator and "
                     "denominator below 2^63)",
                     key_of(value), value->len > 60 ? "" : value->text,
                     value->len > 60 ? "..." : "");
    return true;
}

static bool positive(struct reader *reader, const struct json *value, struct rational *read) {
    char text[RATIONAL_TEXT_MAX];
    return number(reader, value, read) &&
           (read->num > 0 || wrong(reader->error, value, "%s is %s: it has to be more than 0",
                                   key_of(value), rational_text(*read, text)));
}

static bool not_negative(struct reader *reader, const struct json *value, struct rational *read) {
    char text[RATIONAL_TEXT_MAX];
    return number(reader, value, read) &&
           (read->num >= 0 || wrong(reader->error, value, "%s is %s: it cannot be negative",
                                    key_of(value), rational_text(*read, text)));
}

static bool whole(struct reader *reader, const struct json *value, int64_t least, uint64_t most,
                  int64_t *read) {
    struct rational found;
    char text[RATIONAL_TEXT_MAX];
    if (!number(reader, value, &found))
        return false;
    *read = found.num;
    if (found.den != 1 || found.num < least || (found.num > 0 && (uint64_t)found.num > most))
        return wrong(reader->error, value,
                     "%s is %s: it has to be a whole number from %" PRId64 " to %" PRIu64,
                     key_of(value), rational_text(found, text), least, most);
    return true;
}

static bool boolean(struct reader *reader, const struct json *object, const char *key, bool *read) {
    const struct json *value = json_member(object, key);
    if (value == NULL)
        return true;
    if (value->type != JSON_TRUE && value->type != JSON_FALSE)
        return wrong(reader->error, value, "%s has to be true or false, not %s", key,
                     json_type_name(value->type));
    *read = value->type == JSON_TRUE;
    return true;
}

static bool needed_positive(struct reader *reader, const struct json *object, const char *what,
                            const char *key, struct rational *read) {
    const struct json *value = needed(reader, object, what, key);
    return value != NULL && positive(reader, value, read);
}

/* Tasks */

static bool room_for(struct reader *reader, const struct json *list) {
    if (!is_type(reader, list, JSON_LIST))
        return false;
    if (list->len == 0)
        return wrong(reader->error, list, "%s is empty: there is nothing to run", key_of(list));
    if (list->len >= TASKSET_TASKS_MAX)
        return wrong(reader->error, list, "%s has %zu tasks: at most %d are possible", key_of(list),
                     list->len, TASKSET_TASKS_MAX - 1);
    /* And one for isolation's server. */
    reader->set->tasks = calloc(list->len + 1, sizeof(*reader->set->tasks));
    return reader->set->tasks != NULL ||
           wrong(reader->error, list, "there is no memory for so many tasks");
}

/* A name goes to terminals and into files: no control characters. */
static bool good_name(struct reader *reader, const struct json *value) {
    if (!is_type(reader, value, JSON_STRING))
        return false;
    if (value->len == 0 || value->len > TASKSET_NAME_MAX)
        return wrong(reader->error, value, "%s has to be 1 to %d bytes long", key_of(value),
                     TASKSET_NAME_MAX);
    for (size_t i = 0; i < value->len; i++) {
        unsigned char c = (unsigned char)value->text[i], next = (unsigned char)value->text[i + 1];
        if (c < ' ' || c == 0x7f || (c == 0xc2 && next < 0xa0))
            return wrong(reader->error, value, "%s has a control character in it", key_of(value));
    }
    return true;
}

static bool task_name(struct reader *reader, const struct json *value, struct task *task) {
    if (!good_name(reader, value))
        return false;
    for (size_t i = 0; i < reader->set->task_count; i++)
        if (strcmp(reader->set->tasks[i].name, value->text) == 0)
            return wrong(reader->error, value, "there is a task \"%s\" already", value->text);
    task->name = value->text;
    return true;
}

static bool pair_of(struct reader *reader, const struct json *value, const char *what) {
    return (value->type == JSON_LIST && value->len == 2) ||
           wrong(reader->error, value, "expected a list of two, %s", what);
}

static bool new_pairs(struct reader *reader, const struct json *list, struct task *task) {
    if (!is_type(reader, list, JSON_LIST))
        return false;
    if (list->len == 0)
        return wrong(reader->error, list, "%s is empty: there is nothing to run", key_of(list));
    task->pairs = calloc(list->len, sizeof(*task->pairs));
    return task->pairs != NULL || wrong(reader->error, list, "there is no memory for it");
}

static bool read_jobs(struct reader *reader, const struct json *list, struct task *task) {
    if (list == NULL || !new_pairs(reader, list, task))
        return false;
    for (const struct json *job = list->first; job != NULL; job = job->next) {
        struct task_pair *pair = &task->pairs[task->pair_count];
        if (!pair_of(reader, job, "[release, work]") ||
            !not_negative(reader, job->first, &pair->first) ||
            !number(reader, job->first->next, &pair->second))
            return false;
        if (pair->second.num <= 0)
            return wrong(reader->error, job->first->next, "a job's work has to be more than 0");
        if (task->pair_count != 0 && rational_compare(pair[-1].first, pair->first) > 0)
            return wrong(reader->error, job, "%s's jobs have to be in the order of their releases",
                         task->name);
        task->pair_count++;
    }
    return true;
}

/* Q <= D <= T, whatever the runtime is called. */
static bool read_reservation(struct reader *reader, const struct json *object, const char *what,
                             const char *runtime, struct task *task) {
    const struct json *deadline = json_member(object, "D");
    if (!needed_positive(reader, object, what, runtime, &task->runtime) ||
        !needed_positive(reader, object, what, "T", &task->period))
        return false;
    task->deadline = task->period;
    if (deadline != NULL && !positive(reader, deadline, &task->deadline))
        return false;
    if (rational_compare(task->runtime, task->deadline) > 0)
        return wrong(reader->error, json_member(object, runtime),
                     "%s is more than its deadline, %s: it could never be met", runtime,
                     deadline != NULL ? "D" : "T");
    if (rational_compare(task->deadline, task->period) > 0)
        return wrong(reader->error, deadline, "D is more than the period T");
    return true;
}

static bool read_periodic(struct reader *reader, const struct json *object, struct task *task) {
    const struct json *offset = json_member(object, "offset");
    task->kind = TASK_PERIODIC;
    task->offset = rational_of(0);
    return known_keys(reader, object, "a periodic task", "name C T D offset") &&
           read_reservation(reader, object, "a periodic task", "C", task) &&
           (offset == NULL || not_negative(reader, offset, &task->offset));
}

static bool read_server(struct reader *reader, const struct json *object, struct task *task) {
    bool hard = true;
    task->kind = TASK_SERVER;
    if (!boolean(reader, object, "hard", &hard))
        return false;
    task->soft = !hard;
    return read_reservation(reader, object, "a server", "Q", task);
}

static bool read_task(struct reader *reader, const struct json *object) {
    struct task *task = &reader->set->tasks[reader->set->task_count];
    const struct json *kind, *name;
    if (!is_type(reader, object, JSON_OBJECT) ||
        (name = needed(reader, object, "a task", "name")) == NULL || !task_name(reader, name, task))
        return false;
    reader->set->task_count++;
    kind = json_member(object, "kind");
    if (kind == NULL)
        return read_periodic(reader, object, task);
    if (kind->type == JSON_STRING && strcmp(kind->text, "cbs") == 0)
        return known_keys(reader, object, "a server", "name kind Q T D hard jobs") &&
               read_server(reader, object, task) &&
               read_jobs(reader, needed(reader, object, "a server", "jobs"), task);
    task->kind = TASK_BACKGROUND;
    if (kind->type == JSON_STRING && strcmp(kind->text, "background") == 0)
        return known_keys(reader, object, "a background task", "name kind jobs") &&
               read_jobs(reader, needed(reader, object, "a background task", "jobs"), task);
    return wrong(reader->error, kind,
                 "kind has to be \"cbs\" or \"background\"; a periodic task has none");
}

static bool read_tasks(struct reader *reader, const struct json *set, const char *what) {
    const struct json *list = needed(reader, set, what, "tasks");
    if (list == NULL || !room_for(reader, list))
        return false;
    for (const struct json *task = list->first; task != NULL; task = task->next)
        if (!read_task(reader, task))
            return false;
    return true;
}

/* Of kinds that have only periodic ones. */
static bool all_periodic(struct reader *reader, const struct json *set) {
    const struct json *task = json_member(set, "tasks")->first;
    for (size_t i = 0; i < reader->set->task_count; i++, task = task->next)
        if (reader->set->tasks[i].kind != TASK_PERIODIC)
            return wrong(reader->error, task, "only periodic tasks are possible here");
    return true;
}

/* Kinds of sets. What a file has beside the set itself, an oracle's answer, is not looked at. */

static bool read_policy(struct reader *reader, const struct json *options) {
    const struct json *policy = json_member(options, "policy");
    if (policy == NULL)
        return true;
    reader->set->by_rate = policy->type == JSON_STRING && strcmp(policy->text, "rm") == 0;
    return reader->set->by_rate ||
           (policy->type == JSON_STRING && strcmp(policy->text, "edf") == 0) ||
           wrong(reader->error, policy, "policy has to be \"edf\" or \"rm\"");
}

static bool read_options(struct reader *reader, const struct json *set) {
    struct taskset *taskset = reader->set;
    const struct json *options = json_member(set, "options");
    if (options == NULL)
        return true;
    if (!is_type(reader, options, JSON_OBJECT) ||
        !known_keys(reader, options, "options", "policy strict grub wall_jobs") ||
        !read_policy(reader, options) || !boolean(reader, options, "strict", &taskset->strict) ||
        !boolean(reader, options, "grub", &taskset->grub) ||
        !boolean(reader, options, "wall_jobs", &taskset->wall_jobs))
        return false;
    if (taskset->grub && taskset->wall_jobs)
        return wrong(reader->error, options, "grub and wall_jobs exclude each other");
    for (size_t i = 0; taskset->by_rate && i < taskset->task_count; i++)
        if (taskset->tasks[i].kind == TASK_SERVER)
            return wrong(reader->error, json_member(options, "policy"),
                         "servers run by their deadlines: there is no \"rm\" with them");
    return true;
}

static bool read_schedule(struct reader *reader, const struct json *set) {
    return known_keys_of_set(reader, set, "a schedule", "tasks until options", "") &&
           read_tasks(reader, set, "a schedule") && read_options(reader, set) &&
           needed_positive(reader, set, "a schedule", "until", &reader->set->until);
}

static bool read_isolation(struct reader *reader, const struct json *set) {
    static const char what[] = "an isolation set";
    const struct json *server;
    struct task *task;
    if (!known_keys_of_set(reader, set, what, "tasks server jobs until", "") ||
        !read_tasks(reader, set, what) || !all_periodic(reader, set) ||
        !needed_positive(reader, set, what, "until", &reader->set->until) ||
        (server = needed(reader, set, what, "server")) == NULL ||
        !is_type(reader, server, JSON_OBJECT) ||
        !known_keys(reader, server, "the server", "name Q T D hard"))
        return false;
    task = &reader->set->tasks[reader->set->task_count];
    task->name = "S";
    for (size_t i = 0; json_member(server, "name") == NULL && i < reader->set->task_count; i++)
        if (strcmp(reader->set->tasks[i].name, "S") == 0)
            return wrong(reader->error, server, "a task is called S, as the server is: name it");
    if (json_member(server, "name") != NULL &&
        !task_name(reader, json_member(server, "name"), task))
        return false;
    reader->set->task_count++;
    return read_server(reader, server, task) &&
           read_jobs(reader, needed(reader, set, what, "jobs"), task);
}

/* How many of its jobs are released before `until`: 0 if they are too many to count. */
static uint64_t releases(const struct task *task, struct rational until) {
    /* (until - offset) / T, rounded up. */
    __int128 from = (__int128)until.num * task->offset.den - (__int128)task->offset.num * until.den;
    struct rational span, share;
    if (from <= 0 || !rational_make(from, (__int128)until.den * task->offset.den, &span) ||
        !rational_make((__int128)span.num * task->period.den, (__int128)span.den * task->period.num,
                       &share))
        return 0;
    return (uint64_t)(share.num / share.den) + (share.num % share.den != 0);
}

/* The same jobs, in a server of the same Q. */
static bool into_server(struct reader *reader, const struct json *set, struct task *task) {
    uint64_t count = releases(task, reader->set->until);
    if (rational_compare(task->offset, reader->set->until) < 0 &&
        (count == 0 || count > ROUNDS_MAX))
        return wrong(reader->error, set, "\"%s\" has too many jobs before the end", task->name);
    task->kind = TASK_SERVER;
    task->judged = true;
    task->pairs = calloc(count + 1, sizeof(*task->pairs));
    if (task->pairs == NULL)
        return wrong(reader->error, set, "there is no memory for its jobs");
    for (; task->pair_count < count; task->pair_count++) {
        struct task_pair *pair = &task->pairs[task->pair_count];
        /* offset + i T; it is before `until`, so only the denominators can be too much. */
        __int128 den = (__int128)task->offset.den * task->period.den;
        __int128 num = (__int128)task->offset.num * task->period.den +
                       (__int128)task->period.num * task->offset.den * (int64_t)task->pair_count;
        if (!rational_make(num, den, &pair->first))
            return wrong(reader->error, set, "the times of \"%s\" need too many digits",
                         task->name);
        pair->second = task->runtime;
    }
    return true;
}

static bool read_cbs_equals_edf(struct reader *reader, const struct json *set) {
    static const char what[] = "a set of cbs_equals_edf";
    if (!known_keys_of_set(reader, set, what, "tasks hyperperiod", "segments") ||
        !read_tasks(reader, set, what) || !all_periodic(reader, set) ||
        !needed_positive(reader, set, what, "hyperperiod", &reader->set->until))
        return false;
    for (size_t i = 0; i < reader->set->task_count; i++)
        if (!into_server(reader, set, &reader->set->tasks[i]))
            return false;
    return true;
}

static bool read_feasibility(struct reader *reader, const struct json *set) {
    const struct json *kind = needed(reader, set, "a feasibility set", "kind");
    bool implicit;
    if (kind == NULL ||
        !known_keys_of_set(reader, set, "a feasibility set", "kind tasks",
                           "U hyperperiod feasible") ||
        !read_tasks(reader, set, "a feasibility set") || !all_periodic(reader, set))
        return false;
    implicit = kind->type == JSON_STRING && strcmp(kind->text, "implicit") == 0;
    if (!implicit && !(kind->type == JSON_STRING && strcmp(kind->text, "constrained") == 0))
        return wrong(reader->error, kind, "kind has to be \"implicit\" or \"constrained\"");
    for (size_t i = 0; implicit && i < reader->set->task_count; i++)
        if (rational_compare(reader->set->tasks[i].deadline, reader->set->tasks[i].period) != 0)
            return wrong(reader->error, kind, "kind is \"implicit\", and \"%s\" has D < T",
                         reader->set->tasks[i].name);
    return true;
}

static bool read_rounds(struct reader *reader, const struct json *value) {
    int64_t rounds;
    if (!whole(reader, value, 1, ROUNDS_MAX, &rounds))
        return false;
    reader->set->rounds = (uint64_t)rounds;
    return true;
}

static bool read_fair(struct reader *reader, const struct json *set) {
    const struct json *nice = needed(reader, set, "a fair set", "nice"),
                      *ticks = needed(reader, set, "a fair set", "ticks");
    int64_t value;
    if (nice == NULL || ticks == NULL ||
        !known_keys_of_set(
            reader, set, "a fair set", "nice ticks",
            "weights share ran_reference max_abs_error_ticks vruntime_spread_max_ticks") ||
        !room_for(reader, nice) || !read_rounds(reader, ticks))
        return false;
    for (const struct json *one = nice->first; one != NULL; one = one->next) {
        if (!whole(reader, one, -20, 19, &value))
            return false;
        reader->set->tasks[reader->set->task_count++].nice = (int)value;
    }
    return true;
}

static bool read_client(struct reader *reader, const struct json *client) {
    struct task *task = &reader->set->tasks[reader->set->task_count];
    int64_t weight;
    if (client->type != JSON_LIST || client->len != 3)
        return wrong(reader->error, client, "expected a list of three, [weight, request, start]");
    if (!whole(reader, client->first, 1, UINT64_C(1) << 20, &weight) ||
        !positive(reader, client->first->next, &task->request) ||
        !not_negative(reader, client->first->next->next, &task->start))
        return false;
    task->weight = (uint32_t)weight;
    reader->set->task_count++;
    return true;
}

/* An oracle with an order has as many quanta as that; without any word it is four a client. */
static bool read_eevdf(struct reader *reader, const struct json *set) {
    const struct json *clients = needed(reader, set, "an eevdf set", "clients"),
                      *quanta = json_member(set, "quanta"), *order = json_member(set, "order");
    if (clients == NULL ||
        !known_keys_of_set(reader, set, "an eevdf set", "clients quantum quanta",
                           "order maxlag lag_bound maxlag_reference") ||
        !room_for(reader, clients) ||
        !needed_positive(reader, set, "an eevdf set", "quantum", &reader->set->quantum))
        return false;
    for (const struct json *client = clients->first; client != NULL; client = client->next)
        if (!read_client(reader, client))
            return false;
    if (quanta != NULL)
        return read_rounds(reader, quanta);
    reader->set->rounds = order != NULL && order->type == JSON_LIST && order->len != 0
                              ? order->len
                              : 4 * reader->set->task_count;
    return true;
}

static bool read_steps(struct reader *reader, const struct json *list, struct task *task) {
    if (!new_pairs(reader, list, task))
        return false;
    for (const struct json *step = list->first; step != NULL; step = step->next) {
        struct task_pair *pair = &task->pairs[task->pair_count++];
        if (!pair_of(reader, step, "[run, sleep]") ||
            !not_negative(reader, step->first->next, &pair->second) ||
            !number(reader, step->first, &pair->first))
            return false;
        if (pair->first.num <= 0)
            return wrong(reader->error, step->first, "it has to run for more than 0");
    }
    return true;
}

static bool read_mlfq(struct reader *reader, const struct json *set) {
    const struct json *list = needed(reader, set, "an mlfq set", "tasks"),
                      *options = json_member(set, "options"), *boost;
    if (list == NULL ||
        !known_keys_of_set(reader, set, "an mlfq set", "tasks until options", "segments") ||
        !room_for(reader, list) ||
        !needed_positive(reader, set, "an mlfq set", "until", &reader->set->until))
        return false;
    for (const struct json *item = list->first; item != NULL; item = item->next) {
        struct task *task = &reader->set->tasks[reader->set->task_count];
        if (!pair_of(reader, item, "[name, [[run, sleep], ...]]") ||
            !task_name(reader, item->first, task))
            return false;
        reader->set->task_count++;
        if (!read_steps(reader, item->first->next, task))
            return false;
    }
    reader->set->boost = rational_of(0);
    if (options == NULL)
        return true;
    boost = json_member(options, "boost");
    return is_type(reader, options, JSON_OBJECT) &&
           known_keys(reader, options, "options", "boost") &&
           (boost == NULL || not_negative(reader, boost, &reader->set->boost));
}

static bool read_set(struct reader *reader, const struct json *set) {
    switch (reader->set->kind) {
    case TASKSET_SCHEDULE:
        return read_schedule(reader, set);
    case TASKSET_FAIR:
        return read_fair(reader, set);
    case TASKSET_EEVDF:
        return read_eevdf(reader, set);
    case TASKSET_MLFQ:
        return read_mlfq(reader, set);
    case TASKSET_FEASIBILITY:
        return read_feasibility(reader, set);
    case TASKSET_ISOLATION:
        return read_isolation(reader, set);
    default:
        return read_cbs_equals_edf(reader, set);
    }
}

/* Which kind an object of its own is; false: none. */
static bool kind_of(const struct json *set, enum taskset_kind *kind) {
    const struct json *tasks = json_member(set, "tasks");
    if (json_member(set, "clients") != NULL)
        *kind = TASKSET_EEVDF;
    else if (json_member(set, "nice") != NULL)
        *kind = TASKSET_FAIR;
    else if (tasks == NULL)
        return false;
    else if (json_member(set, "kind") != NULL)
        *kind = TASKSET_FEASIBILITY;
    else if (json_member(set, "server") != NULL)
        *kind = TASKSET_ISOLATION;
    else if (json_member(set, "hyperperiod") != NULL)
        *kind = TASKSET_CBS_EQUALS_EDF;
    else if (tasks->type == JSON_LIST && tasks->first != NULL && tasks->first->type == JSON_LIST)
        *kind = TASKSET_MLFQ;
    else
        *kind = TASKSET_SCHEDULE;
    return true;
}

/* Files */

static bool add_set(const struct json *value, enum taskset_kind kind, struct tasksets *sets,
                    struct taskset ***place, char *error) {
    struct taskset *set = calloc(1, sizeof(*set));
    struct reader reader = {.set = set, .error = error};
    const struct json *id;
    if (set == NULL)
        return wrong(error, value, "there is no memory for it");
    **place = set;
    *place = &set->next;
    sets->count++;
    set->kind = kind;
    set->line = value->line;
    if (!is_type(&reader, value, JSON_OBJECT))
        return false;
    id = json_member(value, "id");
    if (id != NULL && !good_name(&reader, id))
        return false;
    set->id = id != NULL ? id->text : NULL;
    return read_set(&reader, value);
}

static bool add_bare(const struct json *value, struct tasksets *sets, struct taskset ***place,
                     char *error) {
    enum taskset_kind kind;
    if (value->type != JSON_OBJECT)
        return wrong(error, value, "a task set has to be an object, not %s",
                     json_type_name(value->type));
    if (!kind_of(value, &kind))
        return wrong(error, value,
                     "this is no task set: it has neither \"tasks\" nor \"nice\" nor \"clients\", "
                     "nor lists of sets such as \"schedules\"");
    return add_set(value, kind, sets, place, error);
}

static bool list_kind(const char *key, enum taskset_kind *kind) {
    for (int i = 0; i < TASKSET_KINDS; i++) {
        *kind = (enum taskset_kind)i;
        if (strcmp(key, taskset_kind_name(*kind)) == 0)
            return true;
    }
    return false;
}

/* An object with lists of sets, beside words about them. */
static bool is_file_of_lists(const struct json *root) {
    enum taskset_kind kind;
    if (root->type != JSON_OBJECT || kind_of(root, &kind))
        return false;
    for (const struct json *member = root->first; member != NULL; member = member->next)
        if (list_kind(member->key, &kind))
            return true;
    return false;
}

static bool add_lists(const struct json *root, struct tasksets *sets, struct taskset ***place,
                      char *error) {
    enum taskset_kind kind;
    struct reader reader = {.error = error};
    for (const struct json *member = root->first; member != NULL; member = member->next) {
        if (strcmp(member->key, "about") == 0 || strcmp(member->key, "nice_to_weight") == 0)
            continue;
        if (!list_kind(member->key, &kind))
            return wrong(error, member, "there is no kind of task sets \"%.60s\"", member->key);
        if (!is_type(&reader, member, JSON_LIST))
            return false;
        for (const struct json *set = member->first; set != NULL; set = set->next)
            if (!add_set(set, kind, sets, place, error))
                return false;
    }
    return true;
}

bool tasksets_read(const struct json *root, struct tasksets *sets, char error[TASKSET_ERROR_MAX]) {
    struct taskset **place = &sets->first;
    bool good = true;
    *sets = (struct tasksets){.several = true};
    if (is_file_of_lists(root)) {
        good = add_lists(root, sets, &place, error);
    } else if (root->type == JSON_LIST) {
        for (const struct json *set = root->first; good && set != NULL; set = set->next)
            good = add_bare(set, sets, &place, error);
    } else {
        sets->several = false;
        good = add_bare(root, sets, &place, error);
    }
    if (good && sets->count == 0)
        good = wrong(error, root, "there is no task set in it");
    if (!good)
        tasksets_free(sets);
    return good;
}

void tasksets_free(struct tasksets *sets) {
    while (sets->first != NULL) {
        struct taskset *set = sets->first;
        sets->first = set->next;
        for (size_t i = 0; i < set->task_count; i++)
            free(set->tasks[i].pairs);
        free(set->tasks);
        free(set);
    }
}
