/* SPDX-License-Identifier: MIT */
/* json.c: a strict reader of JSON. One pass; the tree's nodes come from blocks of their own. */
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "json.h"

enum { NODES_PER_BLOCK = 4096 };

struct block {
    struct block *next;
    size_t used;
    struct json nodes[NODES_PER_BLOCK];
};

struct json_document {
    struct block *blocks;
    struct json *root;
};

struct reader {
    struct json_document *document;
    char *at, *end;
    const char *counted; /* the column of this place is known: each byte is counted once */
    unsigned line, column;
    int depth;
    char *error;
};

const char *json_type_name(enum json_type type) {
    static const char *const names[] = {"null",     "false",  "true",     "a number",
                                        "a string", "a list", "an object"};
    return names[type];
}

/* Of where the reader is. Strings are rewritten behind it: they count as they go. */
static unsigned column_here(struct reader *reader) {
    for (; reader->counted < reader->at; reader->counted++)
        reader->column += ((unsigned char)*reader->counted & 0xc0u) != 0x80u;
    return reader->column;
}

__attribute__((format(printf, 3, 4))) static bool wrong(struct reader *reader, unsigned column,
                                                        const char *format, ...) {
    va_list arguments;
    int len = snprintf(reader->error, JSON_ERROR_MAX, "line %u, column %u: ", reader->line, column);
    va_start(arguments, format);
    vsnprintf(reader->error + len, JSON_ERROR_MAX - (size_t)len, format, arguments);
    va_end(arguments);
    return false;
}

/* "expected ..., but found 'x'" */
static bool unexpected(struct reader *reader, const char *expected) {
    unsigned char c = reader->at < reader->end ? (unsigned char)*reader->at : 0;
    if (reader->at == reader->end)
        return wrong(reader, column_here(reader), "expected %s, but the file ends here", expected);
    if (c > ' ' && c < 0x7f)
        return wrong(reader, column_here(reader), "expected %s, but found '%c'", expected, c);
    return wrong(reader, column_here(reader), "expected %s, but found the byte 0x%02x", expected,
                 c);
}

static void skip_space(struct reader *reader) {
    for (; reader->at < reader->end; reader->at++) {
        if (*reader->at == '\n') {
            reader->line++;
            reader->counted = reader->at + 1;
            reader->column = 1;
        } else if (*reader->at != ' ' && *reader->at != '\t' && *reader->at != '\r') {
            return;
        }
    }
}

static struct json *new_node(struct reader *reader, enum json_type type) {
    struct block *block = reader->document->blocks;
    if (block == NULL || block->used == NODES_PER_BLOCK) {
        block = malloc(sizeof(*block));
        if (block == NULL) {
            wrong(reader, column_here(reader), "there is no memory for a file of this size");
            return NULL;
        }
        block->next = reader->document->blocks;
        block->used = 0;
        reader->document->blocks = block;
    }
    struct json *node = &block->nodes[block->used++];
    *node = (struct json){.type = type, .line = reader->line, .column = column_here(reader)};
    return node;
}

/* Strings */

/* The length of the UTF-8 sequence at `at`; 0: there is none (Unicode 15, table 3-7). */
static size_t utf8_len(const char *text, const char *end) {
    const unsigned char *at = (const unsigned char *)text;
    size_t room = (size_t)(end - text), len;
    unsigned low = 0x80, high = 0xbf;
    if (at[0] < 0x80)
        return 1;
    if (at[0] < 0xc2 || at[0] > 0xf4)
        return 0;
    len = at[0] < 0xe0 ? 2 : at[0] < 0xf0 ? 3 : 4;
    low = at[0] == 0xe0 ? 0xa0 : at[0] == 0xf0 ? 0x90 : low;
    high = at[0] == 0xed ? 0x9f : at[0] == 0xf4 ? 0x8f : high;
    if (room < len || at[1] < low || at[1] > high)
        return 0;
    for (size_t i = 2; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    return len;
}

static size_t put_utf8(char *out, uint32_t code) {
    unsigned char *at = (unsigned char *)out;
    if (code < 0x80) {
        at[0] = (unsigned char)code;
        return 1;
    }
    size_t len = code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
    for (size_t i = len - 1; i > 0; i--, code >>= 6)
        at[i] = (unsigned char)(0x80 | (code & 0x3f));
    at[0] = (unsigned char)((0xf00u >> len) | code);
    return len;
}

static bool hex4(struct reader *reader, uint32_t *code) {
    *code = 0;
    for (int i = 0; i < 4; i++, reader->at++) {
        char c = reader->at < reader->end ? *reader->at : '\0';
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t)(c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t)(c - 'A') + 10
                                                : 16;
        if (digit == 16)
            return unexpected(reader, "four hexadecimal digits after \\u");
        *code = *code << 4 | digit;
    }
    return true;
}

/* Behind "\u". */
static bool unicode_escape(struct reader *reader, char **out) {
    unsigned began = reader->column;
    uint32_t code, low;
    if (!hex4(reader, &code))
        return false;
    if (code >= 0xd800 && code < 0xdc00) {
        if (reader->end - reader->at < 2 || memcmp(reader->at, "\\u", 2) != 0)
            return wrong(reader, began, "the second half of this surrogate pair is missing");
        reader->at += 2;
        if (!hex4(reader, &low))
            return false;
        if (low < 0xdc00 || low > 0xdfff)
            return wrong(reader, began, "the second half of this surrogate pair is missing");
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
    } else if (code >= 0xdc00 && code <= 0xdfff) {
        return wrong(reader, began, "the first half of this surrogate pair is missing");
    } else if (code == 0) {
        return wrong(reader, began, "a string cannot hold \\u0000 here");
    }
    *out += put_utf8(*out, code);
    return true;
}

static bool escape(struct reader *reader, char **out) {
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    const char *found;
    char c = ++reader->at < reader->end ? *reader->at : '\0';
    if (c == 'u') {
        reader->at++;
        return unicode_escape(reader, out);
    }
    found = c != '\0' ? strchr(from, c) : NULL;
    if (found == NULL)
        return unexpected(reader, "one of \"\\/bfnrtu after a backslash");
    *(*out)++ = to[found - from];
    reader->at++;
    return true;
}

/* In place: what is said is never longer than how it is written. */
static bool read_text(struct reader *reader, const char **text, size_t *len) {
    char *out = ++reader->at;
    *text = out;
    while (reader->at < reader->end && *reader->at != '"') {
        column_here(reader);
        if ((unsigned char)*reader->at < 0x20)
            return unexpected(reader, "the end of this string, '\"'");
        if (*reader->at == '\\') {
            if (!escape(reader, &out))
                return false;
            continue;
        }
        size_t count = utf8_len(reader->at, reader->end);
        if (count == 0)
            return unexpected(reader, "UTF-8");
        memmove(out, reader->at, count);
        out += count;
        reader->at += count;
    }
    if (reader->at == reader->end)
        return unexpected(reader, "the end of this string, '\"'");
    reader->at++;
    *out = '\0'; /* no further than where the quote was */
    *len = (size_t)(out - *text);
    return true;
}

/* Values */

static bool read_value(struct reader *reader, struct json **value);

static bool skip_digits(struct reader *reader) {
    const char *began = reader->at;
    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return reader->at != began || unexpected(reader, "a digit");
}

static bool at_char(const struct reader *reader, char c) {
    return reader->at < reader->end && *reader->at == c;
}

static bool read_number(struct reader *reader, struct json *node) {
    node->text = reader->at;
    reader->at += at_char(reader, '-');
    if (at_char(reader, '0'))
        reader->at++;
    else if (!skip_digits(reader))
        return false;
    if (at_char(reader, '.')) {
        reader->at++;
        if (!skip_digits(reader))
            return false;
    }
    if (at_char(reader, 'e') || at_char(reader, 'E')) {
        reader->at++;
        reader->at += at_char(reader, '+') || at_char(reader, '-');
        if (!skip_digits(reader))
            return false;
    }
    node->len = (size_t)(reader->at - node->text);
    return true;
}

static bool read_word(struct reader *reader, const char *word) {
    size_t len = strlen(word);
    if ((size_t)(reader->end - reader->at) < len || memcmp(reader->at, word, len) != 0)
        return unexpected(reader, "a value (true, false and null are the only words)");
    reader->at += len;
    return true;
}

/* The comma before the next one, or the end; *more says which. */
static bool separator(struct reader *reader, char close, bool *more) {
    skip_space(reader);
    *more = at_char(reader, ',');
    if (!*more && !at_char(reader, close))
        return unexpected(reader, close == ']' ? "',' or ']'" : "',' or '}'");
    reader->at++;
    skip_space(reader);
    return true;
}

static bool opened(struct reader *reader, char close, bool *more) {
    if (++reader->depth > JSON_DEPTH_MAX)
        return wrong(reader, column_here(reader), "nested more than %d deep", JSON_DEPTH_MAX);
    reader->at++;
    skip_space(reader);
    *more = !at_char(reader, close);
    reader->at += !*more;
    return true;
}

static bool read_list(struct reader *reader, struct json *list) {
    struct json **place = &list->first;
    bool more = false;
    if (!opened(reader, ']', &more))
        return false;
    while (more) {
        if (!read_value(reader, place) || !separator(reader, ']', &more))
            return false;
        place = &(*place)->next;
        list->len++;
    }
    reader->depth--;
    return true;
}

static bool read_key(struct reader *reader, const struct json *object, const char **key) {
    unsigned began = column_here(reader);
    size_t len;
    if (!at_char(reader, '"'))
        return unexpected(reader, "a key, '\"'");
    if (object->len == JSON_KEYS_MAX)
        return wrong(reader, began, "more than %d keys in one object", JSON_KEYS_MAX);
    if (!read_text(reader, key, &len))
        return false;
    if (json_member(object, *key) != NULL)
        return wrong(reader, began, "the key \"%.60s\" is here a second time", *key);
    skip_space(reader);
    if (!at_char(reader, ':'))
        return unexpected(reader, "':'");
    reader->at++;
    skip_space(reader);
    return true;
}

static bool read_object(struct reader *reader, struct json *object) {
    struct json **place = &object->first;
    const char *key;
    bool more = false;
    if (!opened(reader, '}', &more))
        return false;
    while (more) {
        if (!read_key(reader, object, &key) || !read_value(reader, place))
            return false;
        (*place)->key = key;
        place = &(*place)->next;
        object->len++;
        if (!separator(reader, '}', &more))
            return false;
    }
    reader->depth--;
    return true;
}

/* Recursive, at most JSON_DEPTH_MAX deep. */
static bool read_value(struct reader *reader, struct json **value) {
    char c = reader->at < reader->end ? *reader->at : '\0';
    enum json_type type = c == '{'   ? JSON_OBJECT
                          : c == '[' ? JSON_LIST
                          : c == '"' ? JSON_STRING
                          : c == 't' ? JSON_TRUE
                          : c == 'f' ? JSON_FALSE
                          : c == 'n' ? JSON_NULL
                                     : JSON_NUMBER;
    struct json *node;
    if (type == JSON_NUMBER && c != '-' && (c < '0' || c > '9'))
        return unexpected(reader, "a value");
    node = new_node(reader, type);
    if (node == NULL)
        return false;
    *value = node;
    switch (type) {
    case JSON_OBJECT:
        return read_object(reader, node);
    case JSON_LIST:
        return read_list(reader, node);
    case JSON_STRING:
        return read_text(reader, &node->text, &node->len);
    case JSON_NUMBER:
        return read_number(reader, node);
    default:
        return read_word(reader, json_type_name(type));
    }
}

struct json_document *json_read(char *text, size_t len, char error[JSON_ERROR_MAX]) {
    struct json_document *document = calloc(1, sizeof(*document));
    struct reader reader = {.document = document,
                            .at = text,
                            .end = text + len,
                            .counted = text,
                            .line = 1,
                            .column = 1,
                            .error = error};
    if (document == NULL) {
        snprintf(error, JSON_ERROR_MAX, "there is no memory for it");
        return NULL;
    }
    text[len] = '\0';
    skip_space(&reader);
    if (read_value(&reader, &document->root)) {
        skip_space(&reader);
        if (reader.at == reader.end)
            return document;
        unexpected(&reader, "the end of the file");
    }
    json_close(document);
    return NULL;
}

const struct json *json_root(const struct json_document *document) {
    return document->root;
}

void json_close(struct json_document *document) {
    while (document->blocks != NULL) {
        struct block *block = document->blocks;
        document->blocks = block->next;
        free(block);
    }
    free(document);
}

const struct json *json_member(const struct json *object, const char *key) {
    for (const struct json *member = object->first; member != NULL; member = member->next)
        if (member->key != NULL && strcmp(member->key, key) == 0)
            return member;
    return NULL;
}
