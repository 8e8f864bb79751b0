/* SPDX-License-Identifier: MIT */
/* flame.h: the parts of a flame graph's file that say nothing of what was sampled. */
#ifndef ASHLAR_PROF_FLAME_H
#define ASHLAR_PROF_FLAME_H

#include "export_text.h"

enum {
    ASH__FLAME_WIDTH = 1200, /* pixels, until the script has seen the window */
    ASH__FLAME_MARGIN = 16,
    ASH__FLAME_TOP = 104, /* of the uppermost row: below the heading */
    ASH__FLAME_ROW = 19,  /* from row to row */
    ASH__FLAME_BOX = 18,  /* of these */
    ASH__FLAME_SHADES = 10,
};

/* The whole <style> and <script> elements. */
void ash__flame_put_style(struct ash__prof_out *out);
void ash__flame_put_script(struct ash__prof_out *out);

#endif
