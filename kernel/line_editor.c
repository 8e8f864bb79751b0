/* SPDX-License-Identifier: MIT */
/* line_editor.c: see line_editor.h. Key sequences: ECMA-48 5.4 (CSI), and xterm's SS3 forms. */
#include "line_editor.h"
#include "printable.h"

#include <stdio.h>
#include <string.h>

enum { ESCAPE = 0x1b, DELETE = 0x7f };
#define CONTROL(letter) ((letter)&0x1f)

/* Showing */

static void show(const struct line_editor *editor, const char *bytes, size_t len) {
    if (editor->console->is_terminal && len != 0)
        editor->console->write(editor->console->context, bytes, len);
}

static bool is_continuation(char c) {
    return ((uint8_t)c & 0xc0) == 0x80;
}

static size_t columns(const char *bytes, size_t len) {
    size_t count = 0;
    for (size_t i = 0; i < len; i++)
        count += !is_continuation(bytes[i]);
    return count;
}

static size_t character_before(const struct line_editor *editor, size_t at) {
    do
        at--;
    while (at > 0 && is_continuation(editor->line[at]));
    return at;
}

static size_t character_after(const struct line_editor *editor, size_t at) {
    do
        at++;
    while (at < editor->len && is_continuation(editor->line[at]));
    return at;
}

/* A part of the line in as many columns as it has characters: '?' for one that is not printable. */
static void show_characters(const struct line_editor *editor, size_t start, size_t end) {
    while (start < end) {
        size_t at = start, next = start;
        while (at < end) {
            next = character_after(editor, at);
            if (printable_len(editor->line + at, next - at) != next - at)
                break;
            at = next;
        }
        show(editor, editor->line + start, at - start);
        if (at < end && !is_continuation(editor->line[at]))
            show(editor, "?", 1);
        start = next;
    }
}

void line_editor_redraw(struct line_editor *editor) {
    if (!editor->console->is_terminal)
        return;
    size_t room = LINE_COLUMNS - strlen(editor->prompt);
    if (editor->cursor < editor->window)
        editor->window = editor->cursor;
    while (columns(editor->line + editor->window, editor->cursor - editor->window) > room)
        editor->window = character_after(editor, editor->window);
    size_t end = editor->window;
    for (size_t used = 0; end < editor->len && used < room; used++)
        end = character_after(editor, end);
    show(editor, "\r", 1);
    show(editor, editor->prompt, strlen(editor->prompt));
    show_characters(editor, editor->window, end);
    show(editor, "\x1b[K", 3);
    size_t back = columns(editor->line + editor->cursor, end - editor->cursor);
    if (back != 0) {
        char move[16];
        int len = snprintf(move, sizeof(move), "\x1b[%uD", (unsigned)back);
        show(editor, move, (size_t)len);
    }
}

/* Editing */

bool line_editor_insert(struct line_editor *editor, const char *text, size_t len) {
    if (len > LINE_MAX_BYTES - editor->len)
        return false;
    memmove(editor->line + editor->cursor + len, editor->line + editor->cursor,
            editor->len - editor->cursor);
    memcpy(editor->line + editor->cursor, text, len);
    editor->cursor += len;
    editor->len += len;
    return true;
}

static void erase(struct line_editor *editor, size_t from, size_t to) {
    memmove(editor->line + from, editor->line + to, editor->len - to);
    editor->len -= to - from;
    editor->cursor = from;
}

static void type(struct line_editor *editor, uint8_t byte) {
    char c = (char)byte;
    if (editor->too_long)
        return;
    editor->has_nul |= byte == 0;
    if (!line_editor_insert(editor, &c, 1)) {
        editor->too_long = true;
        return;
    }
    /* The common case, typing at the end of a short line, is one byte on the wire. */
    bool at_end = editor->cursor == editor->len && editor->window == 0;
    if (at_end && byte < 0x80 &&
        strlen(editor->prompt) + columns(editor->line, editor->len) <= LINE_COLUMNS)
        show(editor, &c, 1);
    else
        line_editor_redraw(editor);
}

static size_t word_start(const struct line_editor *editor) {
    size_t at = editor->cursor;
    while (at > 0 && editor->line[at - 1] == ' ')
        at--;
    while (at > 0 && editor->line[at - 1] != ' ')
        at--;
    return at;
}

/* History */

const char *line_editor_history(const struct line_editor *editor, const char *previous) {
    const char *next = previous == NULL ? editor->history : previous + strlen(previous) + 1;
    return next < editor->history + editor->history_len ? next : NULL;
}

static size_t history_before(const struct line_editor *editor, size_t at) {
    do
        at--;
    while (at > 0 && editor->history[at - 1] != '\0');
    return at;
}

void line_editor_remember(struct line_editor *editor) {
    size_t size = editor->len + 1;
    if (strspn(editor->line, " \t") == editor->len)
        return;
    if (editor->history_len != 0) {
        const char *last = editor->history + history_before(editor, editor->history_len);
        if (strcmp(last, editor->line) == 0)
            return;
    }
    while (size > LINE_HISTORY_BYTES - editor->history_len) {
        size_t oldest = strlen(editor->history) + 1;
        memmove(editor->history, editor->history + oldest, editor->history_len - oldest);
        editor->history_len -= oldest;
    }
    memcpy(editor->history + editor->history_len, editor->line, size);
    editor->history_len += size;
}

static void show_line(struct line_editor *editor, const char *text, size_t len) {
    memcpy(editor->line, text, len);
    editor->len = editor->cursor = len;
    editor->window = 0;
}

static void history_up(struct line_editor *editor) {
    if (editor->history_at == 0)
        return;
    if (editor->history_at == editor->history_len) {
        memcpy(editor->draft, editor->line, editor->len);
        editor->draft_len = editor->len;
    }
    editor->history_at = history_before(editor, editor->history_at);
    const char *line = editor->history + editor->history_at;
    show_line(editor, line, strlen(line));
}

static void history_down(struct line_editor *editor) {
    if (editor->history_at == editor->history_len)
        return;
    editor->history_at += strlen(editor->history + editor->history_at) + 1;
    if (editor->history_at == editor->history_len) {
        show_line(editor, editor->draft, editor->draft_len);
    } else {
        const char *line = editor->history + editor->history_at;
        show_line(editor, line, strlen(line));
    }
}

/* Keys */

enum key {
    KEY_LEFT,
    KEY_RIGHT,
    KEY_UP,
    KEY_DOWN,
    KEY_HOME,
    KEY_END,
    KEY_DELETE,
    KEY_NONE,
};

static void press(struct line_editor *editor, enum key key) {
    switch (key) {
    case KEY_LEFT:
        if (editor->cursor > 0)
            editor->cursor = character_before(editor, editor->cursor);
        break;
    case KEY_RIGHT:
        if (editor->cursor < editor->len)
            editor->cursor = character_after(editor, editor->cursor);
        break;
    case KEY_UP:
        history_up(editor);
        break;
    case KEY_DOWN:
        history_down(editor);
        break;
    case KEY_HOME:
        editor->cursor = 0;
        break;
    case KEY_END:
        editor->cursor = editor->len;
        break;
    case KEY_DELETE:
        if (editor->cursor < editor->len)
            erase(editor, editor->cursor, character_after(editor, editor->cursor));
        break;
    case KEY_NONE:
        return;
    }
    line_editor_redraw(editor);
}

static enum key key_of_letter(uint8_t letter) {
    switch (letter) {
    case 'A':
        return KEY_UP;
    case 'B':
        return KEY_DOWN;
    case 'C':
        return KEY_RIGHT;
    case 'D':
        return KEY_LEFT;
    case 'H':
        return KEY_HOME;
    case 'F':
        return KEY_END;
    default:
        return KEY_NONE;
    }
}

static enum key key_of_number(uint32_t number) {
    switch (number) {
    case 1:
    case 7:
        return KEY_HOME;
    case 4:
    case 8:
        return KEY_END;
    case 3:
        return KEY_DELETE;
    default:
        return KEY_NONE;
    }
}

/* A byte after ESC. Anything unknown is swallowed to its final byte, not typed into the line. */
static void feed_sequence(struct line_editor *editor, uint8_t byte) {
    switch (editor->keys) {
    case KEYS_ESCAPE:
        editor->key_number = 0;
        editor->keys = byte == '[' ? KEYS_BRACKET : byte == 'O' ? KEYS_SS3 : KEYS_PLAIN;
        return;
    case KEYS_BRACKET:
        if (byte >= '0' && byte <= '9') {
            editor->key_number = (editor->key_number * 10 + byte - '0') % 1000;
            return;
        }
        if (byte >= 0x20 && byte < 0x40) { /* parameters: "1;5" of Ctrl-Right */
            editor->key_number = 0;
            return;
        }
        editor->keys = KEYS_PLAIN;
        press(editor, byte == '~' ? key_of_number(editor->key_number) : key_of_letter(byte));
        return;
    case KEYS_SS3:
        editor->keys = KEYS_PLAIN;
        press(editor, key_of_letter(byte));
        return;
    case KEYS_PLAIN:
        return;
    }
}

static enum line_event end_line(struct line_editor *editor) {
    show(editor, "\r\n", 2);
    editor->line[editor->len] = '\0';
    if (editor->too_long)
        return LINE_TOO_LONG;
    return editor->has_nul ? LINE_HAS_NUL : LINE_READY;
}

static enum line_event feed_control(struct line_editor *editor, uint8_t byte) {
    switch (byte) {
    case '\r':
    case '\n':
        return end_line(editor);
    case ESCAPE:
        editor->keys = KEYS_ESCAPE;
        return LINE_MORE;
    case '\t':
        if (editor->complete != NULL && !editor->too_long)
            editor->complete(editor->context, editor);
        return LINE_MORE;
    case CONTROL('C'):
        show(editor, "^C\r\n", 4);
        return LINE_DROPPED;
    case CONTROL('D'):
        if (editor->len == 0) {
            show(editor, "\r\n", 2);
            return LINE_END;
        }
        press(editor, KEY_DELETE);
        return LINE_MORE;
    case CONTROL('A'):
        press(editor, KEY_HOME);
        return LINE_MORE;
    case CONTROL('B'):
        press(editor, KEY_LEFT);
        return LINE_MORE;
    case CONTROL('E'):
        press(editor, KEY_END);
        return LINE_MORE;
    case CONTROL('F'):
        press(editor, KEY_RIGHT);
        return LINE_MORE;
    case CONTROL('N'):
        press(editor, KEY_DOWN);
        return LINE_MORE;
    case CONTROL('P'):
        press(editor, KEY_UP);
        return LINE_MORE;
    case CONTROL('H'):
    case DELETE:
        if (editor->cursor > 0)
            erase(editor, character_before(editor, editor->cursor), editor->cursor);
        break;
    case CONTROL('K'):
        editor->len = editor->cursor;
        break;
    case CONTROL('U'):
        erase(editor, 0, editor->cursor);
        break;
    case CONTROL('W'):
        erase(editor, word_start(editor), editor->cursor);
        break;
    case CONTROL('L'):
        show(editor, "\x1b[H\x1b[2J", 7);
        break;
    default:
        return LINE_MORE;
    }
    line_editor_redraw(editor);
    return LINE_MORE;
}

/* A pipe: "\n" and "\r\n" end a line, every other byte is text. */
static enum line_event feed_plain(struct line_editor *editor, uint8_t byte) {
    if (byte != '\n') {
        type(editor, byte);
        return LINE_MORE;
    }
    if (editor->len != 0 && editor->line[editor->len - 1] == '\r')
        editor->cursor = --editor->len;
    return end_line(editor);
}

/* The interface */

void line_editor_init(struct line_editor *editor, const struct console *console,
                      const char *prompt) {
    memset(editor, 0, sizeof(*editor));
    editor->console = console;
    editor->prompt = prompt;
}

void line_editor_begin(struct line_editor *editor) {
    editor->len = editor->cursor = editor->window = 0;
    editor->too_long = editor->has_nul = false;
    editor->keys = KEYS_PLAIN;
    editor->history_at = editor->history_len;
    show(editor, editor->prompt, strlen(editor->prompt));
}

enum line_event line_editor_feed(struct line_editor *editor, uint8_t byte) {
    if (!editor->console->is_terminal)
        return feed_plain(editor, byte);
    /* A terminal or a person's paste may send both: one line end. */
    bool second_half = byte == '\n' && editor->last_was_return;
    editor->last_was_return = byte == '\r';
    if (second_half)
        return LINE_MORE;
    if (editor->keys != KEYS_PLAIN && byte >= 0x20) {
        feed_sequence(editor, byte);
        return LINE_MORE;
    }
    editor->keys = KEYS_PLAIN;
    if (byte < 0x20 || byte == DELETE)
        return feed_control(editor, byte);
    type(editor, byte);
    return LINE_MORE;
}

enum line_event line_editor_finish(struct line_editor *editor) {
    return editor->len == 0 && !editor->too_long ? LINE_END : end_line(editor);
}
