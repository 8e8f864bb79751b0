/* SPDX-License-Identifier: MIT */
/* report.c: what came of a task set, as text and as JSON. */
#include <inttypes.h>
#include <string.h>

#include "report.h"

enum {
    LINE = 100,
    CHART_MAX = 72, /* units of time */
};

void report_title(const struct result *result, char *title, size_t room) {
    if (result->set->id != NULL)
        snprintf(title, room, "%s", result->set->id);
    else
        snprintf(title, room, "%s, line %u", taskset_kind_name(result->set->kind),
                 result->set->line);
}

static bool has_schedule(const struct result *result) {
    return result->set->kind == TASKSET_SCHEDULE || result->set->kind == TASKSET_ISOLATION ||
           result->set->kind == TASKSET_CBS_EQUALS_EDF;
}

static const char *units_text(const struct result *result, int64_t ticks,
                              char text[RATIONAL_TEXT_MAX]) {
    return rational_text(result_units(result, ticks), text);
}

/* JSON */

void report_json_string(FILE *file, const char *text) {
    putc('"', file);
    for (; *text != '\0'; text++) {
        if (*text == '"' || *text == '\\')
            putc('\\', file);
        putc(*text, file); /* a name has no control characters */
    }
    putc('"', file);
}

static void json_rational(FILE *file, struct rational value) {
    char text[RATIONAL_TEXT_MAX];
    rational_text(value, text);
    fprintf(file, value.den == 1 ? "%s" : "\"%s\"", text);
}

static void json_time(FILE *file, const struct result *result, int64_t ticks) {
    if (ticks == TICKS_NONE)
        fputs("null", file);
    else
        json_rational(file, result_units(result, ticks));
}

static void json_segments(FILE *file, const struct result *result) {
    fputs("\"segments\": [", file);
    for (size_t i = 0; i < result->segment_count; i++) {
        const struct segment *segment = &result->segments[i];
        fputs(i != 0 ? ", [" : "[", file);
        json_time(file, result, segment->start);
        fputs(", ", file);
        json_time(file, result, segment->end);
        fputs(", ", file);
        report_json_string(file, result->set->tasks[segment->task].name);
        if (result->set->kind == TASKSET_MLFQ)
            fprintf(file, ", %" PRIu32, segment->level);
        putc(']', file);
    }
    putc(']', file);
}

static void json_jobs(FILE *file, const struct result *result) {
    fputs(", \"jobs\": [", file);
    for (size_t i = 0; i < result->job_count; i++) {
        const struct job *job = &result->jobs[i];
        const int64_t times[] = {job->release, job->start, job->finish, job->deadline};
        fputs(i != 0 ? ", [" : "[", file);
        report_json_string(file, result->set->tasks[job->task].name);
        for (size_t t = 0; t < sizeof(times) / sizeof(*times); t++) {
            fputs(", ", file);
            json_time(file, result, times[t]);
        }
        putc(']', file);
    }
    putc(']', file);
}

static void json_misses(FILE *file, const struct result *result) {
    bool first = true;
    fputs(", \"misses\": [", file);
    for (size_t i = 0; i < result->job_count; i++) {
        const struct job *job = &result->jobs[i];
        if (!job->missed)
            continue;
        fputs(first ? "[" : ", [", file);
        first = false;
        report_json_string(file, result->set->tasks[job->task].name);
        fputs(", ", file);
        json_time(file, result, job->release);
        fputs(", ", file);
        json_time(file, result, job->deadline);
        putc(']', file);
    }
    putc(']', file);
}

static void json_log(FILE *file, const struct result *result, size_t task) {
    putc('[', file);
    for (size_t i = result->first_entry[task]; i < result->first_entry[task + 1]; i++) {
        const struct server_entry *entry = &result->entries[i];
        fputs(i == result->first_entry[task] ? "[" : ", [", file);
        json_time(file, result, entry->at);
        fprintf(file, ", \"%s\", ", server_event_name(entry->event));
        json_time(file, result, entry->budget);
        fputs(", ", file);
        json_time(file, result, entry->deadline);
        putc(']', file);
    }
    putc(']', file);
}

static void json_servers(FILE *file, const struct result *result) {
    bool first = true;
    fputs(", \"servers\": {", file);
    for (size_t i = 0; i < result->set->task_count; i++) {
        if (result->set->tasks[i].kind != TASK_SERVER)
            continue;
        fputs(first ? "" : ", ", file);
        first = false;
        report_json_string(file, result->set->tasks[i].name);
        fputs(": ", file);
        json_log(file, result, i);
    }
    putc('}', file);
}

static void json_fair(FILE *file, const struct result *result) {
    fputs("\"ran\": [", file);
    for (size_t i = 0; i < result->set->task_count; i++)
        fprintf(file, "%s%" PRIu64, i != 0 ? ", " : "", result->ran[i]);
    fputs("], \"vruntime_spread\": ", file);
    json_rational(file, result->spread);
}

static void json_eevdf(FILE *file, const struct result *result) {
    fputs("\"order\": [", file);
    for (uint64_t i = 0; i < result->set->rounds; i++)
        fprintf(file, "%s%" PRIu32, i != 0 ? ", " : "", result->order[i]);
    fputs("], \"maxlag\": ", file);
    json_rational(file, result->maxlag);
}

void report_json(FILE *file, const struct result *result) {
    putc('{', file);
    switch (result->set->kind) {
    case TASKSET_FAIR:
        json_fair(file, result);
        break;
    case TASKSET_EEVDF:
        json_eevdf(file, result);
        break;
    case TASKSET_MLFQ:
        json_segments(file, result);
        break;
    case TASKSET_FEASIBILITY:
        fprintf(file, "\"feasible\": %s", result->admitted ? "true" : "false");
        break;
    default:
        json_segments(file, result);
        json_jobs(file, result);
        json_misses(file, result);
        json_servers(file, result);
    }
    putc('}', file);
}

/* Text */

static void heading(FILE *file, const char *name) {
    fprintf(file, "  %-10s", name);
}

/* Words, as many a line as fit. */
struct wrapped {
    FILE *file;
    size_t column;
};

static void put_word(struct wrapped *line, const char *word) {
    enum { INDENT = 12 };
    size_t len = strlen(word);
    if (line->column != 0 && INDENT + line->column + 3 + len > LINE) {
        fprintf(line->file, "\n%*s", INDENT, "");
        line->column = 0;
    }
    if (line->column != 0)
        fputs("   ", line->file);
    fputs(word, line->file);
    line->column += len + 3;
}

static void text_segments(FILE *file, const struct result *result) {
    struct wrapped line = {.file = file};
    char from[RATIONAL_TEXT_MAX], to[RATIONAL_TEXT_MAX],
        level[24] = "", word[2 * RATIONAL_TEXT_MAX + TASKSET_NAME_MAX + 32];
    heading(file, "segments");
    for (size_t i = 0; i < result->segment_count; i++) {
        const struct segment *segment = &result->segments[i];
        if (result->set->kind == TASKSET_MLFQ)
            snprintf(level, sizeof(level), " (level %" PRIu32 ")", segment->level);
        snprintf(word, sizeof(word), "%s..%s %s%s", units_text(result, segment->start, from),
                 units_text(result, segment->end, to), result->set->tasks[segment->task].name,
                 level);
        put_word(&line, word);
    }
    fputs(result->segment_count == 0 ? "none\n" : "\n", file);
}

/* A row a task, a character a unit of time; for what has few of both, and no parts of a unit. */
static void text_chart(FILE *file, const struct result *result) {
    int64_t units = result->until / result->unit;
    char row[CHART_MAX + 1];
    bool whole = units <= CHART_MAX && units * result->unit == result->until;
    for (size_t i = 0; whole && i < result->segment_count; i++)
        whole = result->segments[i].start % result->unit == 0 &&
                result->segments[i].end % result->unit == 0;
    for (size_t task = 0; whole && task < result->set->task_count; task++) {
        memset(row, '.', (size_t)units);
        row[units] = '\0';
        for (size_t i = 0; i < result->segment_count; i++) {
            const struct segment *segment = &result->segments[i];
            if (segment->task == task)
                memset(row + segment->start / result->unit, '#',
                       (size_t)((segment->end - segment->start) / result->unit));
        }
        heading(file, task == 0 ? "chart" : "");
        fprintf(file, "%s  %s\n", row, result->set->tasks[task].name);
    }
}

static void text_time(FILE *file, const struct result *result, int64_t ticks) {
    char text[RATIONAL_TEXT_MAX];
    fprintf(file, " %10s", ticks == TICKS_NONE ? "-" : units_text(result, ticks, text));
}

static void text_jobs(FILE *file, const struct result *result) {
    heading(file, "jobs");
    fprintf(file, "%-16s %10s %10s %10s %10s\n", "task", "release", "start", "finish", "deadline");
    for (size_t i = 0; i < result->job_count; i++) {
        const struct job *job = &result->jobs[i];
        fprintf(file, "%12s%-16s", "", result->set->tasks[job->task].name);
        text_time(file, result, job->release);
        text_time(file, result, job->start);
        text_time(file, result, job->finish);
        text_time(file, result, job->deadline);
        fputs(job->missed ? "  missed\n" : "\n", file);
    }
}

static void text_misses(FILE *file, const struct result *result) {
    struct wrapped line = {.file = file};
    char release[RATIONAL_TEXT_MAX], deadline[RATIONAL_TEXT_MAX],
        word[2 * RATIONAL_TEXT_MAX + TASKSET_NAME_MAX + 32];
    heading(file, "misses");
    for (size_t i = 0; i < result->job_count; i++) {
        const struct job *job = &result->jobs[i];
        if (!job->missed)
            continue;
        snprintf(word, sizeof(word), "%s of %s (deadline %s)", result->set->tasks[job->task].name,
                 units_text(result, job->release, release),
                 units_text(result, job->deadline, deadline));
        put_word(&line, word);
    }
    fputs(line.column == 0 ? "none\n" : "\n", file);
}

static void text_log(FILE *file, const struct result *result, size_t task) {
    char text[RATIONAL_TEXT_MAX];
    fprintf(file, "  server    %s\n", result->set->tasks[task].name);
    for (size_t i = result->first_entry[task]; i < result->first_entry[task + 1]; i++) {
        const struct server_entry *entry = &result->entries[i];
        fprintf(file, "%12s%-10s", "", units_text(result, entry->at, text));
        fprintf(file, " %-12s", server_event_name(entry->event));
        fprintf(file, " q %-8s", units_text(result, entry->budget, text));
        fprintf(file, " d %s\n", units_text(result, entry->deadline, text));
    }
}

static void text_shares(FILE *file, const struct result *result) {
    struct wrapped line = {.file = file};
    char ran[RATIONAL_TEXT_MAX], word[RATIONAL_TEXT_MAX + TASKSET_NAME_MAX + 32];
    heading(file, "shares");
    for (size_t i = 0; i < result->set->task_count; i++) {
        double share = 100.0 * (double)result->ran[i] / (double)result->until;
        snprintf(word, sizeof(word), "%s %s (%.2f %%)", result->set->tasks[i].name,
                 units_text(result, (int64_t)result->ran[i], ran), share);
        put_word(&line, word);
    }
    fputs("\n", file);
}

static void text_verdict(FILE *file, const struct result *result) {
    heading(file, "admission");
    fprintf(file, "%s\n", result->admitted ? "accepted" : result->refusal);
}

static void text_schedule(FILE *file, const struct result *result) {
    text_verdict(file, result);
    text_chart(file, result);
    text_segments(file, result);
    text_jobs(file, result);
    text_misses(file, result);
    for (size_t i = 0; i < result->set->task_count; i++)
        if (result->set->tasks[i].kind == TASK_SERVER)
            text_log(file, result, i);
    text_shares(file, result);
}

static void text_fair(FILE *file, const struct result *result) {
    char text[RATIONAL_TEXT_MAX];
    heading(file, "shares");
    fprintf(file, "%6s %10s %10s\n", "nice", "ticks", "share");
    for (size_t i = 0; i < result->set->task_count; i++)
        fprintf(file, "%12s%6d %10" PRIu64 " %9.3f%%\n", "", result->set->tasks[i].nice,
                result->ran[i], 100.0 * (double)result->ran[i] / (double)result->set->rounds);
    heading(file, "spread");
    fprintf(file, "of vruntime, at most %s ticks at nice 0\n", rational_text(result->spread, text));
}

static void text_eevdf(FILE *file, const struct result *result) {
    struct wrapped line = {.file = file};
    char text[RATIONAL_TEXT_MAX], word[16];
    heading(file, "order");
    for (uint64_t i = 0; i < result->set->rounds; i++) {
        snprintf(word, sizeof(word), "%" PRIu32, result->order[i]);
        put_word(&line, word);
    }
    putc('\n', file);
    heading(file, "max lag");
    fprintf(file, "%s (%.6g)\n", rational_text(result->maxlag, text),
            rational_double(result->maxlag));
}

void report_text(FILE *file, const struct result *result) {
    char title[TASKSET_NAME_MAX + 64];
    report_title(result, title, sizeof(title));
    fprintf(file, "%s\n", title);
    if (has_schedule(result))
        text_schedule(file, result);
    else if (result->set->kind == TASKSET_FAIR)
        text_fair(file, result);
    else if (result->set->kind == TASKSET_EEVDF)
        text_eevdf(file, result);
    else if (result->set->kind == TASKSET_MLFQ) {
        text_chart(file, result);
        text_segments(file, result);
        text_shares(file, result);
    } else {
        text_verdict(file, result);
    }
}
