/* SPDX-License-Identifier: MIT */
/*
 * drawing.c: the schedule as a Gantt chart, one SVG file for any browser, light or dark: a row a
 * task with what ran, releases (up) and deadlines (down), misses in red; a server's budget below
 * its row. What a mark is shows where the pointer rests on it.
 */
#include <inttypes.h>
#include <stdlib.h>

#include "report.h"

enum {
    WIDTH = 1120,
    LEFT = 130, /* of the names */
    RIGHT = 24,
    HEAD = 34, /* above the rows, with the title */
    ROW = 40,
    BAR = 18,
    BUDGET = 26, /* below a server's row */
    FOOT = 34,
    COLOURS = 8,
    MARKS_MAX = 20000, /* of one set: more than a browser wants, or a pixel has */
    TICKS = 10,
};

struct canvas {
    FILE *file;
    const struct result *result;
    int64_t until; /* drawn up to there */
    double y;      /* of the set's top */
    double *rows;  /* of each row's top, and the last one's end */
};

static void put_text(FILE *file, const char *text) {
    for (; *text != '\0'; text++) {
        switch (*text) {
        case '<':
            fputs("&lt;", file);
            break;
        case '>':
            fputs("&gt;", file);
            break;
        case '&':
            fputs("&amp;", file);
            break;
        case '"':
            fputs("&quot;", file);
            break;
        default:
            putc(*text, file);
        }
    }
}

static const char *units(const struct canvas *canvas, int64_t ticks, char text[RATIONAL_TEXT_MAX]) {
    return rational_text(result_units(canvas->result, ticks), text);
}

static double x_of(const struct canvas *canvas, int64_t at) {
    return LEFT + (double)at / (double)canvas->until * (WIDTH - LEFT - RIGHT);
}

static bool is_server(const struct result *result, size_t task) {
    return result->point_count != 0 && result->set->tasks[task].kind == TASK_SERVER;
}

static double row_height(const struct result *result, size_t task) {
    return is_server(result, task) ? ROW + BUDGET : ROW;
}

static double row_y(const struct canvas *canvas, size_t task) {
    return canvas->rows[task];
}

/* Whether there is a time to draw along; the other kinds are bars of shares, or a verdict. */
static bool has_time(const struct result *result) {
    return result->segment_count != 0;
}

static double set_height(const struct result *result) {
    double height = HEAD + FOOT;
    if (result->set->kind == TASKSET_FEASIBILITY)
        return HEAD;
    for (size_t i = 0; i < result->set->task_count; i++)
        height += row_height(result, i);
    return height;
}

static void put_name(const struct canvas *canvas, size_t task) {
    const char *name = canvas->result->set->tasks[task].name;
    fprintf(canvas->file, "<text class=\"name\" x=\"%d\" y=\"%.1f\">", LEFT - 10,
            row_y(canvas, task) + ROW - 14);
    if (name != NULL)
        put_text(canvas->file, name);
    else if (canvas->result->set->kind == TASKSET_FAIR)
        fprintf(canvas->file, "nice %d", canvas->result->set->tasks[task].nice);
    else
        fprintf(canvas->file, "client %zu", task);
    fputs("</text>\n", canvas->file);
}

/* A step of 1, 2 or 5 times a power of ten, for about TICKS of them. */
static double grid_step(double span) {
    double step = 1;
    while (step * TICKS < span)
        step *= 10;
    while (step / 10 * TICKS >= span)
        step /= 10;
    return step / 5 * TICKS >= span ? step / 5 : step / 2 * TICKS >= span ? step / 2 : step;
}

static void put_axis(const struct canvas *canvas) {
    double span = (double)canvas->until / (double)canvas->result->unit, step = grid_step(span),
           top = canvas->y + HEAD, bottom = row_y(canvas, canvas->result->set->task_count);
    for (int i = 0; i * step <= span * 1.000001; i++) {
        double x = LEFT + i * step / span * (WIDTH - LEFT - RIGHT);
        fprintf(canvas->file,
                "<line class=\"grid\" x1=\"%.2f\" y1=\"%.1f\" x2=\"%.2f\" y2=\"%.1f\"/>"
                "<text class=\"tick\" x=\"%.2f\" y=\"%.1f\">%g</text>\n",
                x, top, x, bottom, x, bottom + 16, i * step);
    }
}

static void put_segment(const struct canvas *canvas, const struct segment *segment) {
    char from[RATIONAL_TEXT_MAX], to[RATIONAL_TEXT_MAX];
    int64_t end = segment->end < canvas->until ? segment->end : canvas->until;
    double x = x_of(canvas, segment->start), width = x_of(canvas, end) - x;
    /* A level further down is paler. */
    double opacity = 1.0 / (1.0 + 0.45 * segment->level);
    fprintf(canvas->file,
            "<rect class=\"c%" PRIu32 "\" x=\"%.2f\" y=\"%.1f\" width=\"%.2f\" height=\"%d\" "
            "fill-opacity=\"%.2f\"><title>",
            segment->task % COLOURS, x, row_y(canvas, segment->task) + ROW - BAR - 8, width, BAR,
            opacity);
    if (canvas->result->set->tasks[segment->task].name != NULL)
        put_text(canvas->file, canvas->result->set->tasks[segment->task].name);
    else
        fprintf(canvas->file, "client %" PRIu32, segment->task);
    fprintf(canvas->file, " runs %s to %s", units(canvas, segment->start, from),
            units(canvas, segment->end, to));
    if (canvas->result->set->kind == TASKSET_MLFQ)
        fprintf(canvas->file, " at level %" PRIu32, segment->level);
    fputs("</title></rect>\n", canvas->file);
}

/* An arrow of the row, up or down. */
static void put_arrow(const struct canvas *canvas, const struct job *job, int64_t at, bool up) {
    double x = x_of(canvas, at), top = row_y(canvas, job->task) + ROW - BAR - 18,
           bottom = row_y(canvas, job->task) + ROW - 8, tip = up ? top : bottom, back = up ? 5 : -5;
    fprintf(canvas->file, "<path class=\"%s\" d=\"M%.2f %.1fV%.1fM%.2f %.1fL%.2f %.1fL%.2f %.1f\">",
            up            ? "release"
            : job->missed ? "missed"
                          : "deadline",
            x, up ? bottom : top, tip, x - 3, tip + back, x, tip, x + 3, tip + back);
}

static void put_job(const struct canvas *canvas, const struct job *job) {
    char from[RATIONAL_TEXT_MAX], to[RATIONAL_TEXT_MAX];
    const char *name = canvas->result->set->tasks[job->task].name;
    if (job->release <= canvas->until) {
        put_arrow(canvas, job, job->release, true);
        fputs("<title>", canvas->file);
        put_text(canvas->file, name);
        fprintf(canvas->file, " released %s</title></path>\n", units(canvas, job->release, from));
    }
    if (job->deadline == TICKS_NONE || job->deadline > canvas->until)
        return;
    put_arrow(canvas, job, job->deadline, false);
    fputs("<title>", canvas->file);
    put_text(canvas->file, name);
    fprintf(canvas->file, ": deadline %s of the job released %s", units(canvas, job->deadline, to),
            units(canvas, job->release, from));
    if (job->missed && job->finish == TICKS_NONE)
        fputs(", missed: not finished", canvas->file);
    else if (job->missed)
        fprintf(canvas->file, ", missed: finished %s", units(canvas, job->finish, to));
    fputs("</title></path>\n", canvas->file);
}

static void put_budget(const struct canvas *canvas, size_t task) {
    const struct result *result = canvas->result;
    double top = row_y(canvas, task) + ROW, bottom = top + BUDGET - 8;
    size_t from = result->first_point[task], to = result->first_point[task + 1];
    int64_t most = 1;
    for (size_t i = from; i < to; i++)
        if (result->points[i].budget > most)
            most = result->points[i].budget;
    fprintf(canvas->file, "<polyline class=\"budget s%zu\" points=\"", task % COLOURS);
    for (size_t i = from; i < to && i - from < MARKS_MAX; i++) {
        const struct budget_point *point = &result->points[i];
        double left = point->budget > 0 ? (double)point->budget / (double)most : 0;
        if (point->at > canvas->until)
            break;
        fprintf(canvas->file, "%s%.2f,%.1f", i == from ? "" : " ", x_of(canvas, point->at),
                bottom - left * (bottom - top));
    }
    fputs("\"><title>budget of ", canvas->file);
    put_text(canvas->file, result->set->tasks[task].name);
    fputs("</title></polyline>\n", canvas->file);
}

static void put_server_entry(const struct canvas *canvas, const struct server_entry *entry) {
    char at[RATIONAL_TEXT_MAX], q[RATIONAL_TEXT_MAX], d[RATIONAL_TEXT_MAX];
    fprintf(canvas->file, "<circle class=\"entry\" cx=\"%.2f\" cy=\"%.1f\" r=\"3\"><title>",
            x_of(canvas, entry->at), row_y(canvas, entry->task) + ROW + BUDGET - 8);
    fprintf(canvas->file, "%s: %s, q = %s, d = %s</title></circle>\n", units(canvas, entry->at, at),
            server_event_name(entry->event), units(canvas, entry->budget, q),
            units(canvas, entry->deadline, d));
}

static void put_timed(const struct canvas *canvas) {
    const struct result *result = canvas->result;
    put_axis(canvas);
    for (size_t i = 0; i < result->set->task_count; i++)
        if (is_server(result, i))
            put_budget(canvas, i);
    for (size_t i = 0; i < result->segment_count && i < MARKS_MAX; i++)
        if (result->segments[i].start < canvas->until)
            put_segment(canvas, &result->segments[i]);
    for (size_t i = 0; i < result->job_count && i < MARKS_MAX; i++)
        put_job(canvas, &result->jobs[i]);
    for (size_t i = 0; i < result->entry_count && i < MARKS_MAX; i++)
        if (result->entries[i].at <= canvas->until)
            put_server_entry(canvas, &result->entries[i]);
}

/* A bar of the time that each had. */
static void put_shares(const struct canvas *canvas) {
    const struct result *result = canvas->result;
    for (size_t i = 0; i < result->set->task_count; i++) {
        double share = (double)result->ran[i] / (double)result->set->rounds;
        fprintf(canvas->file,
                "<rect class=\"c%zu\" x=\"%d\" y=\"%.1f\" width=\"%.2f\" height=\"%d\"><title>ran "
                "%" PRIu64 " of %" PRIu64 " ticks</title></rect>"
                "<text class=\"share\" x=\"%.2f\" y=\"%.1f\">%.3f %%</text>\n",
                i % COLOURS, LEFT, row_y(canvas, i) + ROW - BAR - 8,
                share * (WIDTH - LEFT - RIGHT - 90), BAR, result->ran[i], result->set->rounds,
                LEFT + share * (WIDTH - LEFT - RIGHT - 90) + 8, row_y(canvas, i) + ROW - 13,
                100 * share);
    }
}

/* Where the first MARKS_MAX segments end. */
static int64_t drawn_until(const struct result *result) {
    return result->segment_count > MARKS_MAX ? result->segments[MARKS_MAX - 1].end : result->until;
}

static void put_title(const struct canvas *canvas) {
    const struct result *result = canvas->result;
    char title[TASKSET_NAME_MAX + 64], until[RATIONAL_TEXT_MAX];
    size_t missed = 0;
    for (size_t i = 0; i < result->job_count; i++)
        missed += result->jobs[i].missed;
    report_title(result, title, sizeof(title));
    fprintf(canvas->file, "<text class=\"title\" x=\"12\" y=\"%.1f\">", canvas->y + 22);
    put_text(canvas->file, title);
    fputs("<tspan class=\"note\" dx=\"12\">", canvas->file);
    if (result->judged)
        put_text(canvas->file, result->admitted ? "admission: accepted" : result->refusal);
    if (missed != 0)
        fprintf(canvas->file, "; %zu missed", missed);
    if (has_time(result) && canvas->until < result->until)
        fprintf(canvas->file, "; drawn up to %s", units(canvas, canvas->until, until));
    fputs("</tspan></text>\n", canvas->file);
}

static void put_set(const struct canvas *canvas) {
    put_title(canvas);
    if (canvas->result->set->kind == TASKSET_FEASIBILITY)
        return;
    for (size_t i = 0; i < canvas->result->set->task_count; i++)
        put_name(canvas, i);
    if (canvas->result->set->kind == TASKSET_FAIR)
        put_shares(canvas);
    else
        put_timed(canvas);
}

static void draw_set(FILE *file, const struct result *result, double y) {
    size_t tasks = result->set->task_count;
    struct canvas canvas = {.file = file, .result = result, .until = drawn_until(result), .y = y};
    canvas.rows = malloc((tasks + 1) * sizeof(*canvas.rows));
    if (canvas.rows == NULL)
        return;
    canvas.rows[0] = y + HEAD;
    for (size_t i = 0; i < tasks; i++)
        canvas.rows[i + 1] = canvas.rows[i] + row_height(result, i);
    put_set(&canvas);
    free(canvas.rows);
}

static void put_style(FILE *file) {
    static const char *const colours[COLOURS] = {"#4477aa", "#ee8866", "#228833", "#aa3377",
                                                 "#66a9cc", "#b59b1d", "#7a6fca", "#808080"};
    /* The dark colours stand apart: not every viewer knows of them, or of variables. */
    fputs("<style>\n"
          "text{font:13px system-ui,sans-serif;fill:#1a1a1a}\n"
          ".ground{fill:#fff}.title{font-weight:600}.note{font-weight:400;fill:#555}\n"
          ".name{text-anchor:end}.tick{text-anchor:middle;font-size:11px;fill:#555}\n"
          ".grid{stroke:#dcdcdc}.budget{fill:none;stroke-width:1.5}\n"
          ".release,.deadline,.missed{fill:none;stroke:#1a1a1a;stroke-width:1.3}\n"
          ".release{stroke:#777}.missed{stroke:#d01030;stroke-width:3}.entry{fill:#555}\n"
          "@media (prefers-color-scheme:dark){\n"
          "text{fill:#e8e8e8}.ground{fill:#16181c}.note,.tick{fill:#aab}.grid{stroke:#3a3d44}\n"
          ".deadline{stroke:#e8e8e8}.release,.entry{stroke:#99a}.missed{stroke:#ff5a6e}}\n",
          file);
    for (int i = 0; i < COLOURS; i++)
        fprintf(file, ".c%d{fill:%s}.s%d{stroke:%s}\n", i, colours[i], i, colours[i]);
    fputs("</style>\n", file);
}

void report_svg(FILE *file, const struct result *results, size_t count) {
    double height = 12, y = 6;
    for (size_t i = 0; i < count; i++)
        height += set_height(&results[i]);
    fprintf(file,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %d %.0f\" width=\"%d\" "
            "height=\"%.0f\">\n",
            WIDTH, height, WIDTH, height);
    put_style(file);
    fprintf(file, "<rect class=\"ground\" width=\"%d\" height=\"%.0f\"/>\n", WIDTH, height);
    for (size_t i = 0; i < count; i++) {
        draw_set(file, &results[i], y);
        y += set_height(&results[i]);
    }
    fputs("</svg>\n", file);
}
