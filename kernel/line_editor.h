/* SPDX-License-Identifier: MIT */
/*
 * line_editor.h: turns bytes into lines. On a terminal it is an editor: arrows, Home, End, Delete,
 * Backspace, Ctrl-A -B -D -E -F -H -K -L -N -P -U -W, history by up and down, Tab for completion.
 * Without one (a pipe) every byte but the line end is part of the line, and nothing is echoed.
 *
 * Rules
 *  - A state machine: it is fed one byte and says what that completed. It never waits or allocates.
 *  - A line is at most LINE_MAX_BYTES bytes; of a longer one the whole rest is dropped, up to its
 *    end, and reported once as LINE_TOO_LONG.
 *  - UTF-8 passes through; a cursor step and a deletion take a whole character. Every character is
 *    taken as one column wide.
 *  - The window shown is one row of at most LINE_COLUMNS; a longer line scrolls sideways.
 */
#ifndef KERNEL_LINE_EDITOR_H
#define KERNEL_LINE_EDITOR_H

#include "console.h"

enum {
    LINE_MAX_BYTES = 4096,
    LINE_HISTORY_BYTES = 8192, /* the oldest lines go first */
    LINE_COLUMNS = 79,
};

enum line_event {
    LINE_MORE,     /* nothing to do yet */
    LINE_READY,    /* editor->line is a whole line, NUL-terminated, valid until the next byte */
    LINE_TOO_LONG, /* a line was dropped */
    LINE_HAS_NUL,  /* a line with a NUL byte was dropped */
    LINE_DROPPED,  /* by Ctrl-C */
    LINE_END,      /* Ctrl-D on an empty line */
};

enum line_keys { KEYS_PLAIN, KEYS_ESCAPE, KEYS_BRACKET, KEYS_SS3 };

struct line_editor {
    /* What Tab calls: may insert text at the cursor and list candidates. May be NULL. */
    void (*complete)(void *context, struct line_editor *editor);
    void *context;
    const struct console *console;
    const char *prompt;

    /* private, but for line and len on LINE_READY */
    size_t len, cursor;
    size_t window; /* the first byte shown */
    bool too_long, has_nul, last_was_return;
    enum line_keys keys;
    uint32_t key_number; /* the n of ESC [ n ~ */
    size_t history_len;  /* bytes of history used: lines, oldest first, each with its NUL */
    size_t history_at;   /* offset of the line shown, history_len when none is */
    size_t draft_len;    /* the line that was being typed when history was entered */
    char draft[LINE_MAX_BYTES + 1];
    char line[LINE_MAX_BYTES + 1];
    char history[LINE_HISTORY_BYTES];
};

void line_editor_init(struct line_editor *editor, const struct console *console,
                      const char *prompt);

/* Shows the prompt of a new line (on a terminal) and empties the line. */
void line_editor_begin(struct line_editor *editor);

enum line_event line_editor_feed(struct line_editor *editor, uint8_t byte);

/* End of input: LINE_READY for a last line without its end, else LINE_END. */
enum line_event line_editor_finish(struct line_editor *editor);

/* Remembers the line just read, unless it is blank or the same as the last. */
void line_editor_remember(struct line_editor *editor);

/* The lines remembered, oldest first: the one after `previous` (NULL for the first), or NULL. */
const char *line_editor_history(const struct line_editor *editor, const char *previous);

/* For completion: inserts at the cursor; false, with nothing done, when the line would be too
 * long. */
bool line_editor_insert(struct line_editor *editor, const char *text, size_t len);

/* Shows prompt and line again, after something else was written. */
void line_editor_redraw(struct line_editor *editor);

#endif
