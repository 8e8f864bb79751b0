/* SPDX-License-Identifier: MIT */
/*
 * json.h: a strict reader of JSON (RFC 8259) for a file that may be anything: valid UTF-8, no key
 * twice in an object, bounds on size, depth and keys. Numbers stay the text that they are.
 */
#ifndef SCHEDSIM_JSON_H
#define SCHEDSIM_JSON_H

#include <stdbool.h>
#include <stddef.h>

enum json_type {
    JSON_NULL,
    JSON_FALSE,
    JSON_TRUE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_LIST,
    JSON_OBJECT
};

enum {
    JSON_DEPTH_MAX = 32,
    JSON_KEYS_MAX = 64, /* of one object: each is compared with all before it */
    JSON_ERROR_MAX = 300,
};

struct json {
    enum json_type type;
    unsigned line, column; /* from 1; columns are characters */
    const char *text;      /* of a number as it stands, of a string what it says */
    size_t len;            /* of the text, or how many things are in a list or an object */
    const char *key;       /* in an object */
    struct json *first, *next;
};

struct json_document;

/* NULL: `error` says where and why. The text is used up: it holds the strings, and has to live as
 * long; text[len] is written to. */
struct json_document *json_read(char *text, size_t len, char error[JSON_ERROR_MAX]);
const struct json *json_root(const struct json_document *document);
void json_close(struct json_document *document);

const struct json *json_member(const struct json *object, const char *key); /* or NULL */
const char *json_type_name(enum json_type type);                            /* "a list" */

#endif
