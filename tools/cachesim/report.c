/* SPDX-License-Identifier: MIT */
/* report.c: results as a table and as JSON. */
#include "report.h"

#include <inttypes.h>
#include <string.h>

enum { COLUMNS_MAX = 16, CELL = 32 };

double report_miss_ratio(const struct simulation_results *results) {
    return results->accesses == 0 ? 0 : (double)results->misses / (double)results->accesses;
}

/* Text */

size_t report_utf8_len(const unsigned char *at) {
    size_t len = at[0] < 0x80 ? 1 : at[0] >> 5 == 6 ? 2 : at[0] >> 4 == 14 ? 3 : 4;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    for (size_t i = 1; i < len; i++)
        if (at[i] >> 6 != 2)
            return 0;
    bool overlong = (at[0] == 0xe0 && at[1] < 0xa0) || (at[0] == 0xf0 && at[1] < 0x90);
    bool outside = (at[0] == 0xed && at[1] > 0x9f) || (at[0] == 0xf4 && at[1] > 0x8f);
    return overlong || outside ? 0 : len;
}

void report_plain(FILE *to, const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    while (*at != '\0') {
        size_t len = report_utf8_len(at);
        if (len == 0 || *at < ' ' || *at == 0x7f)
            fputc('?', to);
        else
            fwrite(at, 1, len, to);
        at += len == 0 ? 1 : len;
    }
}

/* Table */

struct table_line {
    char cells[COLUMNS_MAX][CELL];
    size_t count;
};

static void add_text(struct table_line *line, const char *text) {
    snprintf(line->cells[line->count++], CELL, "%s", text);
}

static void add_number(struct table_line *line, uint64_t number) {
    snprintf(line->cells[line->count++], CELL, "%" PRIu64, number);
}

static void add_ratio(struct table_line *line, double ratio, bool known) {
    snprintf(line->cells[line->count++], CELL, known ? "%.4f" : "-", ratio);
}

static const struct report_row *first_asked(const struct report *report) {
    const struct report_row *row = report->rows;
    while (!row->asked_for)
        row++;
    return row;
}

/* Columns that tell nothing of this trace are left out. */
static void make_header(const struct report_row *row, struct table_line *line) {
    static const char *const names[] = {"policy", "blocks",     "accesses",   "hits",
                                        "misses", "miss-ratio", "disk-reads", "disk-writes"};
    line->count = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        add_text(line, names[i]);
    if (!row->config.write_through && row->results.writes != 0) {
        add_text(line, "on-eviction");
        add_text(line, "on-flush");
        add_text(line, "left-dirty");
    }
    if (row->config.read_ahead) {
        add_text(line, "prefetched");
        add_text(line, "of-use");
    }
}

static void make_line(const struct report_row *row, struct table_line *line) {
    const struct simulation_results *results = &row->results;
    line->count = 0;
    add_text(line, simulation_policy_name(row->config.policy));
    add_number(line, row->config.blocks);
    add_number(line, results->accesses);
    add_number(line, results->hits);
    add_number(line, results->misses);
    add_ratio(line, report_miss_ratio(results), results->accesses != 0);
    add_number(line, results->disk_reads);
    add_number(line, results->disk_writes);
    if (!row->config.write_through && results->writes != 0) {
        add_number(line, results->evict_writes);
        add_number(line, results->flush_writes);
        add_number(line, results->dirty_left);
    }
    if (row->config.read_ahead) {
        add_number(line, results->prefetched);
        add_ratio(line, (double)results->prefetch_hits / (double)results->prefetched,
                  results->prefetched != 0);
    }
}

static void widen(size_t widths[COLUMNS_MAX], const struct table_line *line) {
    for (size_t i = 0; i < line->count; i++)
        if (strlen(line->cells[i]) > widths[i])
            widths[i] = strlen(line->cells[i]);
}

/* The first column is words, the others are numbers. */
static void print_line(FILE *to, const size_t widths[COLUMNS_MAX], const struct table_line *line) {
    fprintf(to, "%-*s", (int)widths[0], line->cells[0]);
    for (size_t i = 1; i < line->count; i++)
        fprintf(to, "  %*s", (int)widths[i], line->cells[i]);
    fputc('\n', to);
}

static void print_title(FILE *to, const struct report *report) {
    const struct report_row *row = first_asked(report);
    report_plain(to, report->trace);
    fprintf(to, ": %s; %" PRIu64 " accesses, %" PRIu64 " of them writes, %" PRIu64 " flushes; ",
            report->description, row->results.accesses, row->results.writes, row->results.flushes);
    fprintf(to, "write-%s%s\n", row->config.write_through ? "through" : "back",
            row->config.read_ahead ? ", read-ahead" : "");
}

void report_table(FILE *to, const struct report *report) {
    size_t widths[COLUMNS_MAX] = {0};
    struct table_line header, line;
    make_header(first_asked(report), &header);
    widen(widths, &header);
    for (size_t i = 0; i < report->count; i++) {
        make_line(&report->rows[i], &line);
        if (report->rows[i].asked_for)
            widen(widths, &line);
    }
    print_title(to, report);
    print_line(to, widths, &header);
    for (size_t i = 0; i < report->count; i++) {
        make_line(&report->rows[i], &line);
        if (report->rows[i].asked_for)
            print_line(to, widths, &line);
    }
}

/* JSON (RFC 8259) */

static void print_string(FILE *to, const char *text) {
    const unsigned char *at = (const unsigned char *)text;
    fputc('"', to);
    while (*at != '\0') {
        size_t len = report_utf8_len(at);
        if (len == 0)
            fputs("\\ufffd", to);
        else if (*at == '"' || *at == '\\')
            fprintf(to, "\\%c", *at);
        else if (*at < ' ' || *at == 0x7f)
            fprintf(to, "\\u%04x", (unsigned)*at);
        else
            fwrite(at, 1, len, to);
        at += len == 0 ? 1 : len;
    }
    fputc('"', to);
}

static void print_object(FILE *to, const char *trace, const struct report_row *row) {
    const struct simulation_results *results = &row->results;
    fputs("{\"trace\": ", to);
    print_string(to, trace);
    fprintf(to, ", \"policy\": \"%s\", \"blocks\": %" PRIu64,
            simulation_policy_name(row->config.policy), row->config.blocks);
    fprintf(to, ", \"accesses\": %" PRIu64 ", \"hits\": %" PRIu64 ", \"misses\": %" PRIu64,
            results->accesses, results->hits, results->misses);
    fprintf(to, ", \"disk_reads\": %" PRIu64 ", \"disk_writes\": %" PRIu64 "}", results->disk_reads,
            results->disk_writes);
}

void report_json(FILE *to, const struct report *report) {
    size_t asked = 0, printed = 0;
    for (size_t i = 0; i < report->count; i++)
        asked += report->rows[i].asked_for;
    if (asked > 1)
        fputs("[\n ", to);
    for (size_t i = 0; i < report->count; i++) {
        if (!report->rows[i].asked_for)
            continue;
        if (printed++ != 0)
            fputs(",\n ", to);
        print_object(to, report->trace, &report->rows[i]);
    }
    fputs(asked > 1 ? "\n]\n" : "\n", to);
}
