/* SPDX-License-Identifier: MIT */
/*
 * export_flame.c: a flame graph as one SVG file that needs nothing else.
 *
 * Chains are in order, so a box of level l is a run of groups that have l + 1 levels in common; it
 * is written before those above it, and no tree is ever made. A box lies at a share of the whole
 * width, in 10^-8 of it, rounded down at both ends: so boxes that touch, touch, and none leaves its
 * parent. Siblings next to each other that are each narrower than a tenth of a pixel are one box
 * that says how many they are, with nothing above it.
 *
 * It can be read, printed and searched without its script: each box has its name and figures as a
 * title. The script adds what moves: flame_script.c.
 *
 * Source: B. Gregg, The Flame Graph, CACM 59(6), 2016; SVG 1.1; XML 1.0.
 */
#include "export_internal.h"
#include "flame.h"
#include "heading.h"

#include <ashlar/checked.h>

#define SHARE_DECIMALS 8u /* of the width, as a fraction; 6 as percent */
#define NARROW_PARTS   ((ASH__FLAME_WIDTH - 2 * ASH__FLAME_MARGIN) * 10u)
#define TEXT_WIDTH_MIN 26u /* pixels: narrower boxes have no text */

struct flame {
    struct ash__prof_out out, scratch;
    struct ash_prof_aggregate aggregate;
    struct ash_prof_totals totals;
    uint32_t rows; /* the row of all is 0, at the bottom */
};

/* A box: the groups from first to end, of which each has `level`. */
struct box {
    size_t first, end;
    uint32_t level;
    uint64_t start, weight; /* start: weight of all groups before it */
    uint32_t siblings;      /* 1, or so many narrow ones */
};

/* Going through the boxes, parents first */

struct walk {
    size_t group;
    uint32_t level;  /* the next one of the group */
    uint64_t before; /* weight of the groups before it */
};

static bool is_narrow(const struct flame *flame, uint64_t weight) {
    return weight * NARROW_PARTS < flame->aggregate.weight; /* weights are below 2^50 */
}

/* The groups from `first` on that are in the same box of this level. */
static uint64_t run_weight(const struct ash_prof_aggregate *aggregate, size_t first, uint32_t level,
                           size_t *end) {
    uint64_t weight = 0;
    size_t i = first;
    do
        weight += aggregate->groups[i++].weight;
    while (i < aggregate->count && aggregate->groups[i].common > level);
    *end = i;
    return weight;
}

/* Takes the narrow siblings that follow into the box. */
static void add_siblings(const struct flame *flame, struct box *box) {
    const struct ash_prof_aggregate *aggregate = &flame->aggregate;
    while (box->end < aggregate->count && aggregate->groups[box->end].common == box->level) {
        size_t end = box->end;
        uint64_t weight = run_weight(aggregate, box->end, box->level, &end);
        if (!is_narrow(flame, weight))
            return;
        box->weight += weight;
        box->end = end;
        box->siblings++;
    }
}

static void go_to(struct walk *walk, const struct flame *flame, size_t group) {
    const struct ash_prof_aggregate *aggregate = &flame->aggregate;
    for (; walk->group < group; walk->group++)
        walk->before += aggregate->groups[walk->group].weight;
    walk->level = group < aggregate->count ? aggregate->groups[group].common : 0;
}

static bool next_box(const struct flame *flame, struct walk *walk, struct box *box) {
    const struct ash_prof_aggregate *aggregate = &flame->aggregate;
    if (walk->group == aggregate->count)
        return false;
    const struct ash_prof_group *group = &aggregate->groups[walk->group];
    *box = (struct box){
        .first = walk->group, .level = walk->level, .start = walk->before, .siblings = 1};
    box->weight = run_weight(aggregate, box->first, box->level, &box->end);
    if (is_narrow(flame, box->weight)) {
        add_siblings(flame, box);
        go_to(walk, flame, box->end);
    } else if (++walk->level == ash_prof_group_levels(group)) {
        go_to(walk, flame, walk->group + 1);
    }
    return true;
}

/* Figures */

/* part / whole in 10^-decimals, rounded down; part <= whole < 2^60. */
static uint64_t share(uint64_t part, uint64_t whole, uint32_t decimals) {
    uint64_t digits = part / whole, rest = part % whole;
    for (uint32_t i = 0; i < decimals; i++) {
        rest *= 10;
        digits = 10 * digits + rest / whole;
        rest %= whole;
    }
    return digits;
}

static void put_percent(struct ash__prof_out *out, uint64_t part, uint64_t whole) {
    ash__prof_put_fixed(out, (share(part, whole, 5) + 5) / 10, 2); /* to the nearest */
    ash__prof_put_string(out, " %");
}

static void put_place(struct flame *flame, const struct box *box, uint32_t row) {
    struct ash__prof_out *out = &flame->out;
    uint64_t whole = flame->aggregate.weight;
    uint64_t left = share(box->start, whole, SHARE_DECIMALS);
    uint64_t right = share(box->start + box->weight, whole, SHARE_DECIMALS);
    ash__prof_put_string(out, "\" x=\"");
    ash__prof_put_fixed(out, left, SHARE_DECIMALS - 2);
    ash__prof_put_string(out, "%\" y=\"");
    ash__prof_put_u64(out, (flame->rows - 1 - row) * ASH__FLAME_ROW);
    ash__prof_put_string(out, "\" width=\"");
    ash__prof_put_fixed(out, right - left, SHARE_DECIMALS - 2);
    ash__prof_put_string(out, "%\" height=\"");
    ash__prof_put_u64(out, ASH__FLAME_BOX);
    ash__prof_put_string(out, "\">");
}

/* "12.345 ms, 1.23 %, 12 samples": what the script splits from the name at the line's end. */
static void put_figures(struct flame *flame, uint64_t weight) {
    struct ash__prof_out *out = &flame->out;
    if (ash__prof_put_weight(out, &flame->totals, weight))
        ash__prof_put_string(out, ", ");
    put_percent(out, weight, flame->aggregate.weight);
    ash__prof_put_string(out, ", ");
    ash__prof_put_u64(out, weight);
    ash__prof_put_string(out, weight == 1 ? " sample" : " samples");
}

/* Boxes */

/* 32-bit FNV-1a. */
static uint32_t hash_of(const char *text, size_t len) {
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < len; i++)
        hash = (hash ^ (unsigned char)text[i]) * UINT32_C(16777619);
    return hash;
}

static char kind_of(const struct ash_prof_view *view, const struct ash_prof_group *group,
                    const struct box *box) {
    if (box->siblings > 1)
        return 'n';
    if ((group->flags & ASH_PROF_GROUP_IDLE) != 0)
        return 'i';
    if (box->level == 0)
        return 't';
    if ((group->flags & ASH_PROF_GROUP_DAMAGED) != 0)
        return 'd';
    struct ash_prof_frame frame;
    ash_prof_group_frame(view, group, box->level, &frame);
    return frame.is_kernel ? 'k' : 'u';
}

/* Without line ends: the script takes the first one as the name's end. */
static void put_name(struct ash__prof_out *out, const struct ash_prof_label *label) {
    for (size_t i = 0; i < label->name_len;) {
        size_t len = 0;
        while (i + len < label->name_len && (unsigned char)label->name[i + len] >= ' ')
            len++;
        ash__prof_put_xml(out, label->name + i, len);
        i += len;
        if (i < label->name_len) {
            ash__prof_put_char(out, ' ');
            i++;
        }
    }
    ash__prof_put_xml(out, label->tail, label->tail_len);
}

static void put_box(struct flame *flame, const struct box *box) {
    struct ash__prof_out *out = &flame->out;
    const struct ash_prof_view *view = flame->aggregate.view;
    const struct ash_prof_group *group = &flame->aggregate.groups[box->first];
    char tail[] = " narrow ones]";
    struct ash_prof_label label = {.name = "[", .name_len = 1};
    if (box->siblings == 1)
        ash_prof_group_label(view, group, box->level, &label);
    ash__prof_put_string(out, "<svg class=\"frame ");
    if (box->level == 0)
        ash__prof_put_string(out, "root ");
    ash__prof_put_char(out, kind_of(view, group, box));
    ash__prof_put_u64(out, hash_of(label.name, label.name_len) % ASH__FLAME_SHADES);
    put_place(flame, box, box->level + 1);
    ash__prof_put_string(out, "<title>");
    put_name(out, &label);
    if (box->siblings > 1) {
        ash__prof_put_u64(out, box->siblings);
        ash__prof_put_string(out, tail);
    }
    ash__prof_put_char(out, '\n');
    put_figures(flame, box->weight);
    ash__prof_put_string(out, "</title><rect width=\"100%\" height=\"100%\"/>");
    if (box->siblings == 1 &&
        box->weight * NARROW_PARTS >= flame->aggregate.weight * (TEXT_WIDTH_MIN * 10u)) {
        ash__prof_put_string(out, "<text x=\"4\" y=\"13\">");
        put_name(out, &label);
        ash__prof_put_string(out, "</text>");
    }
    ash__prof_put_string(out, "</svg>\n");
}

static void put_all(struct flame *flame) {
    struct ash__prof_out *out = &flame->out;
    const struct box all = {.weight = flame->aggregate.weight};
    ash__prof_put_string(out, "<svg class=\"frame root n0");
    put_place(flame, &all, 0);
    ash__prof_put_string(out, "<title>all\n");
    put_figures(flame, all.weight);
    ash__prof_put_string(out, "</title><rect width=\"100%\" height=\"100%\"/>"
                              "<text x=\"4\" y=\"13\">all</text></svg>\n");
}

static void put_boxes(struct flame *flame) {
    struct walk walk = {0};
    struct box box;
    put_all(flame);
    while (flame->out.error == 0 && next_box(flame, &walk, &box)) {
        put_box(flame, &box);
        ash__prof_out_step(&flame->out, 1);
    }
}

/* The page */

static void put_head(struct flame *flame, uint32_t height) {
    struct ash__prof_out *out = &flame->out;
    ash__prof_put_string(out, "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n"
                              "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"");
    ash__prof_put_u64(out, ASH__FLAME_WIDTH);
    ash__prof_put_string(out, "\" height=\"");
    ash__prof_put_u64(out, height);
    ash__prof_put_string(out, "\">\n<title>");
    ash__prof_put_xml(out, flame->scratch.bytes, flame->scratch.used);
    ash__prof_put_string(out, "</title>\n");
    ash__flame_put_style(out);
    ash__prof_put_string(out, "<rect class=\"page\" width=\"100%\" height=\"100%\"/>\n");
}

static void put_heading(struct flame *flame) {
    static const char *const begins[] = {
        "<text class=\"heading title\" x=\"16\" y=\"33\">",
        "<text class=\"heading\" x=\"16\" y=\"57\">",
        "<text class=\"heading quiet\" x=\"16\" y=\"75\">",
    };
    struct ash__prof_out *out = &flame->out;
    for (uint32_t line = 0; line < ASH__PROF_HEADINGS; line++) {
        ash__prof_heading(&flame->scratch, line, &flame->aggregate, &flame->totals);
        ash__prof_put_string(out, begins[line]);
        ash__prof_put_xml(out, flame->scratch.bytes, flame->scratch.used);
        ash__prof_put_string(out, "</text>\n");
    }
}

static void put_legend(struct ash__prof_out *out) {
    static const struct {
        const char *kind, *name;
        uint32_t x;
    } entries[] = {{"u5", "program", 16}, {"k3", "kernel", 92}, {"i4", "idle", 160}};
    for (size_t i = 0; i < ASH_ARRAY_LEN(entries); i++) {
        ash__prof_put_string(out, "<g class=\"");
        ash__prof_put_string(out, entries[i].kind);
        ash__prof_put_string(out, "\"><rect class=\"legend\" x=\"");
        ash__prof_put_u64(out, entries[i].x);
        ash__prof_put_string(out, "\" y=\"85\" width=\"10\" height=\"10\"/>"
                                  "<text class=\"quiet\" x=\"");
        ash__prof_put_u64(out, entries[i].x + 15);
        ash__prof_put_string(out, "\" y=\"94\">");
        ash__prof_put_string(out, entries[i].name);
        ash__prof_put_string(out, "</text></g>\n");
    }
}

/* What only the script shows. */
static void put_controls(struct ash__prof_out *out) {
    ash__prof_put_string(
        out, "<text id=\"found\" class=\"live\" text-anchor=\"end\" x=\"1184\" y=\"75\"/>\n"
             "<g id=\"reset\" class=\"button live\" role=\"button\" tabindex=\"0\">"
             "<rect width=\"92\" height=\"28\"/><text x=\"46\" y=\"18\">Reset zoom</text></g>\n"
             "<foreignObject id=\"find\" class=\"live\" x=\"924\" y=\"16\" width=\"260\" "
             "height=\"28\"><input xmlns=\"http://www.w3.org/1999/xhtml\" type=\"search\" "
             "placeholder=\"Search (Ctrl-F): name or expression\" aria-label=\"Search\" "
             "spellcheck=\"false\"/></foreignObject>\n");
}

static void put_page(struct flame *flame) {
    struct ash__prof_out *out = &flame->out;
    uint32_t rows_height = flame->rows * ASH__FLAME_ROW;
    ash__prof_heading(&flame->scratch, ASH__PROF_HEADING_TITLE, &flame->aggregate, &flame->totals);
    put_head(flame, ASH__FLAME_TOP + rows_height + ASH__FLAME_MARGIN);
    put_heading(flame);
    put_legend(out);
    put_controls(out);
    ash__prof_put_string(out, "<svg id=\"frames\" x=\"16\" y=\"");
    ash__prof_put_u64(out, ASH__FLAME_TOP);
    ash__prof_put_string(out, "\" width=\"");
    ash__prof_put_u64(out, ASH__FLAME_WIDTH - 2 * ASH__FLAME_MARGIN);
    ash__prof_put_string(out, "\" height=\"");
    ash__prof_put_u64(out, rows_height);
    ash__prof_put_string(out, "\">\n");
    put_boxes(flame);
    ash__prof_put_string(out, "</svg>\n<g id=\"tip\" class=\"live\"><rect/>"
                              "<text class=\"name\" x=\"9\" y=\"18\"/><text x=\"9\" y=\"35\"/>"
                              "</g>\n");
    ash__flame_put_script(out);
    ash__prof_put_string(out, "</svg>\n");
}

/* How many there are, and how high. */
static uint64_t count_boxes(struct flame *flame) {
    struct walk walk = {0};
    struct box box;
    uint64_t count = 0;
    flame->rows = 1;
    while (next_box(flame, &walk, &box)) {
        count++;
        flame->rows = box.level + 2 > flame->rows ? box.level + 2 : flame->rows;
    }
    return count;
}

size_t ash__prof_flame_work(const struct ash_prof_view *view) {
    size_t groups = ash_prof_aggregate_work(view), bytes = 0;
    bool fits = ash_add_size(groups, sizeof(struct flame), &bytes);
    return groups != 0 && fits ? bytes : 0;
}

int ash__prof_flame(const struct ash_prof_view *view, const struct ash_prof_sink *sink, void *work,
                    size_t work_bytes) {
    struct flame *flame = work;
    int error =
        ash_prof_aggregate_begin(&flame->aggregate, view, flame + 1, work_bytes - sizeof(*flame));
    if (error != 0)
        return error;
    ash_prof_aggregate_chains(&flame->aggregate);
    ash_prof_view_totals(view, &flame->totals);
    ash__prof_out_begin(&flame->out, sink, count_boxes(flame));
    put_page(flame);
    return ash__prof_out_end(&flame->out);
}
