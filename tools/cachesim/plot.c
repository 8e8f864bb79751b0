/* SPDX-License-Identifier: MIT */
/*
 * plot.c: miss-ratio curves as one SVG file that needs nothing else: sizes on a logarithmic axis, a
 * line for each policy with its name at its end. Lines differ in colour, dash and mark, so that
 * none of the three is needed to tell them apart; dark where the reader's screen is.
 */
#include "report.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#define WIDTH     960.0
#define HEIGHT    540.0
#define LEFT      70.0
#define RIGHT     150.0 /* room for the names */
#define TOP       70.0
#define BOTTOM    64.0
#define LABEL_GAP 17.0
#define TICK_GAP  54.0

#define DIFFERENCE_SEEN 0.001 /* of miss ratios: what is less is no reason to look closely */

#define CROSS "m-1.3 -4.5h2.6v3.2h3.2v2.6h-3.2v3.2h-2.6v-3.2h-3.2v-2.6h3.2z"

enum { POLICIES_MAX = 16, SIZES_MAX = 256, LOOKS = 8, TITLE_MAX = 60, LABEL_ROUNDS = 100 };

/* Colours that people with any of the usual kinds of colour blindness tell apart (Okabe, Ito 2008),
 * darkened for white paper and lightened for black. */
static const char style[] =
    "  svg { color-scheme: light dark; font-family: system-ui, sans-serif; font-size: 13px; }\n"
    "  .back { fill: #ffffff; } .ink { fill: #1f2328; } .faint { fill: #59636e; }\n"
    "  .grid { stroke: #d1d9e0; } .axis { stroke: #59636e; } .title { font-size: 17px;\n"
    "    font-weight: 600; } .asked { font-weight: 600; }\n"
    "  .line { fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linejoin: round; }\n"
    "  .line.asked { stroke-width: 3; } .mark { fill: currentColor; }\n"
    "  .lead { stroke: currentColor; stroke-width: 1; fill: none; opacity: .6; }\n"
    "  .p0 { color: #d55e00; } .p1 { color: #2b8cc4; } .p2 { color: #6e7781; }\n"
    "  .p3 { color: #00825f; } .p4 { color: #b0508a; } .p5 { color: #a87500; }\n"
    "  .p6 { color: #3b3fb6; } .p7 { color: #1f2328; }\n"
    "  @media (prefers-color-scheme: dark) {\n"
    "    .back { fill: #0d1117; } .ink { fill: #f0f6fc; } .faint { fill: #9198a1; }\n"
    "    .grid { stroke: #3d444d; } .axis { stroke: #9198a1; }\n"
    "    .p0 { color: #ff8a3d; } .p1 { color: #56b4e9; } .p2 { color: #9198a1; }\n"
    "    .p3 { color: #2ec79b; } .p4 { color: #e08bbd; } .p5 { color: #e6b422; }\n"
    "    .p6 { color: #9a9eff; } .p7 { color: #f0f6fc; }\n"
    "  }\n";

static const char *const dashes[LOOKS] = {"", "7 3", "", "2 3", "9 3 2 3", "12 4", "4 2", "1 2"};

struct curve {
    uint32_t policy; /* its look, whatever else is drawn */
    bool asked_for;
    size_t count;
    struct curve_point {
        uint64_t blocks;
        double ratio;
    } points[SIZES_MAX];
    double label_y;
};

struct drawing {
    FILE *to;
    struct curve curves[POLICIES_MAX];
    size_t count;
    bool stress; /* some are asked for, not all */
    double low, high, step;
    uint64_t smallest, largest;
};

/* What is drawn */

static struct curve *curve_of(struct drawing *drawing, uint32_t policy) {
    for (size_t i = 0; i < drawing->count; i++)
        if (drawing->curves[i].policy == policy)
            return &drawing->curves[i];
    if (drawing->count == POLICIES_MAX)
        return NULL;
    drawing->curves[drawing->count].policy = policy;
    return &drawing->curves[drawing->count++];
}

/* In the order of sizes; the same size again adds nothing. */
static void add_point(struct curve *curve, uint64_t blocks, double ratio) {
    size_t place = curve->count;
    while (place > 0 && curve->points[place - 1].blocks >= blocks)
        place--;
    if (place < curve->count && curve->points[place].blocks == blocks)
        return;
    if (curve->count == SIZES_MAX)
        return;
    memmove(&curve->points[place + 1], &curve->points[place],
            (curve->count - place) * sizeof(curve->points[0]));
    curve->points[place] = (struct curve_point){blocks, ratio};
    curve->count++;
}

static void gather(struct drawing *drawing, const struct report *report) {
    size_t asked = 0;
    for (size_t i = 0; i < report->count; i++) {
        const struct report_row *row = &report->rows[i];
        struct curve *curve = curve_of(drawing, row->config.policy);
        if (curve == NULL)
            continue;
        curve->asked_for = row->asked_for;
        asked += row->asked_for;
        add_point(curve, row->config.blocks, report_miss_ratio(&row->results));
    }
    drawing->stress = asked < report->count;
}

/* Scales */

static double step_for(double range, double steps_max) {
    static const double factors[] = {1, 2, 5};
    for (double decade = 1e-6; decade < 10; decade *= 10)
        for (size_t i = 0; i < 3; i++)
            if (decade * factors[i] * steps_max >= range)
                return decade * factors[i];
    return 1;
}

/* From 0, unless all the curves lie so high that they could not be told apart, and differ. */
static void set_scales(struct drawing *drawing) {
    double low = 1, high = 0;
    const struct curve *first = &drawing->curves[0];
    for (size_t i = 0; i < drawing->count; i++) {
        for (size_t j = 0; j < drawing->curves[i].count; j++) {
            low = fmin(low, drawing->curves[i].points[j].ratio);
            high = fmax(high, drawing->curves[i].points[j].ratio);
        }
    }
    if (low < high * 0.4 || high - low < DIFFERENCE_SEEN)
        low = 0;
    drawing->step = step_for(fmax(high - low, 1e-4), 8);
    drawing->low = floor(low / drawing->step) * drawing->step;
    drawing->high = fmax(ceil(high / drawing->step) * drawing->step, drawing->low + drawing->step);
    drawing->smallest = first->points[0].blocks;
    drawing->largest = first->points[first->count - 1].blocks;
}

static double place_x(const struct drawing *drawing, uint64_t blocks) {
    double width = WIDTH - LEFT - RIGHT;
    if (drawing->smallest == drawing->largest)
        return LEFT + width / 2;
    return LEFT + width * log((double)blocks / (double)drawing->smallest) /
                      log((double)drawing->largest / (double)drawing->smallest);
}

static double place_y(const struct drawing *drawing, double ratio) {
    return HEIGHT - BOTTOM -
           (HEIGHT - TOP - BOTTOM) * (ratio - drawing->low) / (drawing->high - drawing->low);
}

/* Pieces */

static void print_escaped(FILE *to, const char *text, size_t max) {
    const unsigned char *at = (const unsigned char *)text;
    for (size_t shown = 0; *at != '\0'; shown++) {
        size_t len = report_utf8_len(at);
        if (shown == max) {
            fputs("\xe2\x80\xa6", to); /* an ellipsis */
            return;
        }
        if (len == 0 || *at < ' ' || *at == 0x7f)
            fputc('?', to);
        else if (strchr("<>&\"'", *at) != NULL)
            fprintf(to, "&#%u;", (unsigned)*at);
        else
            fwrite(at, 1, len, to);
        at += len == 0 ? 1 : len;
    }
}

static void print_grouped(FILE *to, uint64_t number) {
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%" PRIu64, number);
    for (int i = 0; i < len; i++)
        fprintf(to, "%s%c", i != 0 && (len - i) % 3 == 0 ? "," : "", digits[i]);
}

/* Each kind of mark has about the same area. */
static void draw_mark(FILE *to, size_t look, double x, double y) {
    switch (look % 6) {
    case 0:
        fprintf(to, "<circle class=\"mark\" cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\">", x, y);
        return;
    case 1:
        fprintf(to, "<rect class=\"mark\" x=\"%.1f\" y=\"%.1f\" width=\"6.4\" height=\"6.4\">",
                x - 3.2, y - 3.2);
        return;
    default: {
        static const char *const shapes[] = {"m0 -4.8 4.8 4.8 -4.8 4.8 -4.8 -4.8z",
                                             "m0 -4.6 4.8 8 -9.6 0z", "m0 4.6 4.8 -8 -9.6 0z",
                                             CROSS};
        fprintf(to, "<path class=\"mark\" d=\"M%.1f %.1f%s\">", x, y, shapes[look % 6 - 2]);
    }
    }
}

static void close_mark(FILE *to, size_t look) {
    fputs(look % 6 == 0 ? "</circle>\n" : look % 6 == 1 ? "</rect>\n" : "</path>\n", to);
}

static void draw_y_axis(const struct drawing *drawing) {
    int digits = drawing->step >= 0.0999 ? 1 : (int)ceil(-log10(drawing->step) - 0.001);
    long count = lround((drawing->high - drawing->low) / drawing->step);
    for (long i = 0; i <= count; i++) {
        double ratio = drawing->low + (double)i * drawing->step;
        double y = place_y(drawing, ratio);
        fprintf(drawing->to,
                "<line class=\"grid\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>", LEFT,
                WIDTH - RIGHT, y, y);
        fprintf(drawing->to,
                "<text class=\"faint\" text-anchor=\"end\" x=\"%.0f\" y=\"%.1f\">%.*f</text>\n",
                LEFT - 8, y + 4, digits, ratio);
    }
    fprintf(drawing->to,
            "<text class=\"faint\" text-anchor=\"middle\" x=\"18\" y=\"%.0f\" "
            "transform=\"rotate(-90 18 %.0f)\">miss ratio</text>\n",
            (TOP + HEIGHT - BOTTOM) / 2, (TOP + HEIGHT - BOTTOM) / 2);
}

/* A stroke at each size; a number where there is room, at both ends in any case. */
static void draw_x_axis(const struct drawing *drawing) {
    const struct curve *curve = &drawing->curves[0];
    double bottom = HEIGHT - BOTTOM, last = -TICK_GAP;
    double end = place_x(drawing, drawing->largest);
    fprintf(drawing->to, "<line class=\"axis\" x1=\"%.0f\" x2=\"%.0f\" y1=\"%.1f\" y2=\"%.1f\"/>\n",
            LEFT, WIDTH - RIGHT, bottom, bottom);
    for (size_t i = 0; i < curve->count; i++) {
        double x = place_x(drawing, curve->points[i].blocks);
        fprintf(drawing->to,
                "<line class=\"axis\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" y2=\"%.1f\"/>", x, x,
                bottom, bottom + 5);
        if (i + 1 < curve->count && (x - last < TICK_GAP || end - x < TICK_GAP) && i != 0)
            continue;
        last = x;
        fprintf(drawing->to, "<text class=\"ink\" text-anchor=\"middle\" x=\"%.1f\" y=\"%.1f\">", x,
                bottom + 20);
        print_grouped(drawing->to, curve->points[i].blocks);
        fputs("</text>\n", drawing->to);
    }
    fprintf(drawing->to,
            "<text class=\"faint\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">"
            "cache size in blocks (logarithmic)</text>\n",
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 16);
}

static void draw_curve(const struct drawing *drawing, size_t index) {
    const struct curve *curve = &drawing->curves[index];
    size_t look = curve->policy % LOOKS;
    FILE *to = drawing->to;
    fprintf(to, "<g class=\"p%zu\">\n<polyline class=\"line%s\" stroke-dasharray=\"%s\" points=\"",
            look, drawing->stress && curve->asked_for ? " asked" : "",
            dashes[look][0] != '\0' ? dashes[look] : "none");
    for (size_t i = 0; i < curve->count; i++)
        fprintf(to, "%s%.1f,%.1f", i != 0 ? " " : "", place_x(drawing, curve->points[i].blocks),
                place_y(drawing, curve->points[i].ratio));
    fputs("\"/>\n", to);
    for (size_t i = 0; i < curve->count; i++) {
        draw_mark(to, look, place_x(drawing, curve->points[i].blocks),
                  place_y(drawing, curve->points[i].ratio));
        fprintf(to, "<title>%s, %" PRIu64 " blocks: %.4f</title>",
                simulation_policy_name(curve->policy), curve->points[i].blocks,
                curve->points[i].ratio);
        close_mark(to, look);
    }
    fputs("</g>\n", to);
}

/* Names at the lines' ends, moved apart where they would lie on each other. */
static void place_labels(struct drawing *drawing, struct curve *by_height[]) {
    for (size_t i = 0; i < drawing->count; i++) {
        struct curve *curve = &drawing->curves[i];
        curve->label_y = place_y(drawing, curve->points[curve->count - 1].ratio);
        size_t place = i;
        for (; place > 0 && by_height[place - 1]->label_y > curve->label_y; place--)
            by_height[place] = by_height[place - 1];
        by_height[place] = curve;
    }
    for (size_t round = 0; round < LABEL_ROUNDS; round++) {
        for (size_t i = 1; i < drawing->count; i++) {
            double lack = by_height[i - 1]->label_y + LABEL_GAP - by_height[i]->label_y;
            by_height[i - 1]->label_y -= fmax(lack, 0) / 2;
            by_height[i]->label_y += fmax(lack, 0) / 2;
        }
    }
    double limit = HEIGHT - BOTTOM;
    for (size_t i = drawing->count; i-- > 0; limit = by_height[i]->label_y - LABEL_GAP)
        by_height[i]->label_y = fmin(by_height[i]->label_y, limit);
}

static void draw_labels(struct drawing *drawing) {
    struct curve *by_height[POLICIES_MAX];
    place_labels(drawing, by_height);
    for (size_t i = 0; i < drawing->count; i++) {
        const struct curve *curve = by_height[i];
        size_t look = curve->policy % LOOKS;
        double x = place_x(drawing, drawing->largest);
        double y = place_y(drawing, curve->points[curve->count - 1].ratio);
        fprintf(drawing->to,
                "<g class=\"p%zu\"><path class=\"lead\" d=\"M%.1f %.1fL%.1f %.1f\"/>\n", look,
                x + 7, y, x + 24, curve->label_y);
        draw_mark(drawing->to, look, x + 32, curve->label_y);
        close_mark(drawing->to, look);
        fprintf(drawing->to, "<text class=\"ink%s\" x=\"%.1f\" y=\"%.1f\">%s</text></g>\n",
                drawing->stress && curve->asked_for ? " asked" : "", x + 42, curve->label_y + 4.5,
                simulation_policy_name(curve->policy));
    }
}

void report_plot(FILE *to, const struct report *report) {
    static struct drawing drawing;
    memset(&drawing, 0, sizeof(drawing));
    drawing.to = to;
    gather(&drawing, report);
    set_scales(&drawing);
    fprintf(to,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 %.0f %.0f\" role=\"img\" "
            "aria-label=\"Miss ratio of each policy over the cache's size\">\n<style>\n%s</style>\n"
            "<rect class=\"back\" width=\"%.0f\" height=\"%.0f\"/>\n",
            WIDTH, HEIGHT, style, WIDTH, HEIGHT);
    fprintf(to, "<text class=\"ink title\" x=\"%.0f\" y=\"30\">Miss ratio: ", LEFT);
    const char *slash = strrchr(report->trace, '/');
    print_escaped(to, slash != NULL && slash[1] != '\0' ? slash + 1 : report->trace, TITLE_MAX);
    fprintf(to, "</text>\n<text class=\"faint\" x=\"%.0f\" y=\"50\">", LEFT);
    print_grouped(to, report->rows[0].results.accesses);
    fprintf(to, " accesses%s%s</text>\n",
            report->rows[0].config.read_ahead ? ", with read-ahead" : "",
            drawing.low > 0 ? "; the axis does not begin at 0" : "");
    draw_y_axis(&drawing);
    draw_x_axis(&drawing);
    for (size_t i = drawing.count; i-- > 0;) /* what is asked for comes last, on top */
        draw_curve(&drawing, i);
    draw_labels(&drawing);
    fputs("</svg>\n", to);
}
