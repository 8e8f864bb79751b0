/* SPDX-License-Identifier: MIT */
/*
 * ash_trace.h: what the files of the program ash-trace share.
 */
#ifndef ASH_TRACE_PROGRAM_H
#define ASH_TRACE_PROGRAM_H

#include <ashlar/prof_export.h>

/* To standard error, with the program's name before it and a line's end behind. */
__attribute__((format(printf, 1, 2))) void say(const char *format, ...);

/* Bytes at a multiple of 64. They stay until the program ends. */
struct input {
    const uint8_t *bytes;
    size_t len;
};

/*
 * path: "-" is standard input. False: it has been said why not. What has no end of its own (a pipe,
 * a device) is read as far as `wanted` says, of the bytes that are there: so many of the whole; as
 * many as there are, or fewer: that is enough. Once at least INPUT_LOOK_BYTES are there, or less if
 * that is all.
 */
enum { INPUT_LOOK_BYTES = 4096 };
bool input_read(struct input *input, const char *path,
                uint64_t (*wanted)(const uint8_t *bytes, size_t len));

/* For input_read: a dump, or the log of a console; else no more than was needed to see that. */
uint64_t input_wanted_of_dump(const uint8_t *bytes, size_t len);
/* If there is the text of a dump in it, as in a log of a console: that dump instead. */
bool input_unwrap(struct input *input, const char *path);

/* The functions of an ELF file into the view, for the images of the same build. */
bool symbols_add(struct ash_prof_view *view, const char *path);

/* Writes the view: a file, a folder (of CTF), or "-". Nothing half-written is left behind. */
bool output_write(const struct ash_prof_view *view, enum ash_prof_format format, const char *name,
                  const char *path);

#endif
