/* SPDX-License-Identifier: MIT */
/*
 * flame_style.c: colours and type of a flame graph, for light and dark.
 *
 * Programs are warm, the kernel is cool, idleness is grey; which shade, a hash of the name says, so
 * a function keeps its colour from graph to graph. Text is dark on all of them, in both modes: with
 * at least 7 to 1, WCAG 2.1's AAA.
 */
#include "flame.h"

static const char *const plain[] = {
    "svg{--page:#fff;--ink:#1b1f27;--quiet:#5b6472;--line:#d5dae2;--field:#f5f6f8}",
    "svg:root{background:var(--page);min-width:320px;font:12px ui-sans-serif,system-ui,sans-serif}",
    ".page{fill:var(--page)}",
    "text{fill:var(--ink);dominant-baseline:auto}",
    ".title{font-size:18px;font-weight:600}",
    ".quiet{fill:var(--quiet)}",
    ".frame{cursor:pointer;outline:none}",
    ".frame rect{rx:2px}",
    ".frame text{fill:#14171d;font:12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace;"
    "pointer-events:none;white-space:pre}",
    ".root text{font-weight:600}",
    ".frame:hover rect{stroke:var(--ink);stroke-width:2px}",
    ".frame:focus-visible rect{stroke:var(--ink);stroke-width:3px}",
    /* What is dim is so in front of the page: its text has the page's ink. */
    ".above rect{opacity:.45}",
    ".searched .frame:not(.hit) rect{opacity:.3}",
    ".frame.above text,.searched .frame:not(.hit) text{fill:var(--ink);opacity:.8}",
    ".searched .hit rect{fill:#e879f9}",
    ".button{cursor:pointer;outline:none}",
    ".button rect,.legend{rx:4px}",
    ".button rect{fill:var(--field);stroke:var(--line)}",
    ".button:hover rect,.button:focus rect{stroke:var(--ink)}",
    ".button text{text-anchor:middle}",
    ".live{display:none}",
    "#tip{pointer-events:none}",
    "#tip rect{fill:var(--ink);rx:4px}",
    "#tip text{fill:var(--page)}",
    "#tip .name{font:600 12px ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}",
    "#find input{box-sizing:border-box;width:100%;height:100%;margin:0;padding:0 10px;"
    "border:1px solid var(--line);border-radius:4px;background:var(--field);color:var(--ink);"
    "font:12px ui-sans-serif,system-ui,sans-serif}",
    "#find input:focus{outline:none;border-color:var(--ink)}",
};

static const char *const dark[] = {
    "svg{--page:#14171d;--ink:#eceff4;--quiet:#98a2b3;--line:#3a4252;--field:#1f242d}",
    ".searched .hit rect{fill:#f0abfc}",
};

/* The kinds of boxes; hues in degrees, the rest in percent: what shade 0 has, and each step. */
static const struct {
    char name;
    uint16_t hue;
    uint8_t hue_step, saturation, light, light_step;
    uint8_t dark_saturation, dark_light;
} kinds[] = {
    {'u', 14, 4, 92, 70, 1, 74, 61},  /* a program's */
    {'k', 176, 5, 58, 68, 1, 46, 58}, /* the kernel's */
    {'t', 220, 4, 26, 80, 0, 20, 66}, /* tasks: roots */
    {'i', 220, 0, 10, 84, 1, 8, 52},  /* idle */
    {'n', 220, 0, 6, 88, 0, 6, 46},   /* narrow ones, and the sum of all */
    {'d', 350, 0, 80, 72, 0, 70, 64}, /* damaged */
};

static void put_shade(struct ash__prof_out *out, size_t kind, uint32_t shade, bool is_dark) {
    uint32_t light = is_dark ? kinds[kind].dark_light : kinds[kind].light;
    uint32_t lighter = kinds[kind].light_step * (shade * 7 % ASH__FLAME_SHADES);
    ash__prof_put_char(out, '.');
    ash__prof_put_char(out, kinds[kind].name);
    ash__prof_put_u64(out, shade);
    ash__prof_put_string(out, " rect{fill:hsl(");
    ash__prof_put_u64(out, kinds[kind].hue + (uint32_t)kinds[kind].hue_step * shade);
    ash__prof_put_char(out, ',');
    ash__prof_put_u64(out, is_dark ? kinds[kind].dark_saturation : kinds[kind].saturation);
    ash__prof_put_string(out, "%,");
    ash__prof_put_u64(out, light + lighter);
    ash__prof_put_string(out, "%)}");
}

static void put_shades(struct ash__prof_out *out, bool is_dark) {
    for (size_t kind = 0; kind < ASH_ARRAY_LEN(kinds); kind++) {
        for (uint32_t shade = 0; shade < ASH__FLAME_SHADES; shade++)
            put_shade(out, kind, shade, is_dark);
        ash__prof_put_char(out, '\n');
    }
}

static void put_rules(struct ash__prof_out *out, const char *const *rules, size_t count) {
    for (size_t i = 0; i < count; i++) {
        ash__prof_put_string(out, rules[i]);
        ash__prof_put_char(out, '\n');
    }
}

void ash__flame_put_style(struct ash__prof_out *out) {
    ash__prof_put_string(out, "<style>\n");
    put_shades(out, false);
    put_rules(out, plain, ASH_ARRAY_LEN(plain));
    ash__prof_put_string(out, "@media (prefers-color-scheme:dark){\n");
    put_shades(out, true);
    put_rules(out, dark, ASH_ARRAY_LEN(dark));
    ash__prof_put_string(out, "}\n</style>\n");
}
