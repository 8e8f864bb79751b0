/* SPDX-License-Identifier: MIT */
/*
 * fixture.h: what the kernel's cases share: tar archives made in memory, memory and disks that fail
 * at the n-th call, a console that types a script and keeps what is written.
 */
#ifndef TESTS_KERNEL_FIXTURE_H
#define TESTS_KERNEL_FIXTURE_H

#include "harness/test.h"
#include "kernel/shell.h"
#include "kernel/tar_header.h"
#include "kernel/tarfs.h"

/* Archives */

struct image {
    uint8_t *bytes; /* capacity bytes, zeroed */
    size_t len, capacity;
};

struct image image_new(size_t capacity);

/* Appends a ustar header for `size` bytes of data and returns it, to be spoilt; then image_seal. */
uint8_t *image_header(struct image *image, char letter, const char *name, uint64_t size);
void image_octal(uint8_t *field, size_t len, uint64_t value);
void image_seal(uint8_t *header); /* writes the checksum */

/* Appends data, padded to a block. */
void image_data(struct image *image, const void *bytes, size_t len);

/* Header and data. */
void image_file(struct image *image, const char *name, const void *bytes, size_t len);
void image_text(struct image *image, const char *name, const char *text);
void image_directory(struct image *image, const char *name);
void image_link(struct image *image, char letter, const char *name, const char *target);

/* A pax header of one record, with the length worked out. */
void image_pax(struct image *image, char letter, const char *key, const char *value);

/* The two blocks of zeros. */
void image_end(struct image *image);

/* Memory */

struct test_memory {
    uint64_t calls, live;
    uint64_t fail_at; /* this call, counted from 1, and all after it fail; 0: none */
};

/* A mounted image */

struct mounted {
    struct image image;
    struct test_memory memory;
    struct byte_source source;
    struct tarfs fs;
    uint64_t reads, fail_read_at;
    uint32_t reports;
    char report[512]; /* all messages, a newline after each */
    int error;        /* what tarfs_mount returned */
};

/* Mounts image->bytes[0 .. len). A read outside of it fails the case. */
struct mounted *mount_image(const struct image *image);
struct mounted *mounted_new(const struct image *image); /* not yet mounted */
void mounted_mount(struct mounted *mounted);

/* The node of a path; fails the case if there is none. */
struct file_node *node_at(struct mounted *mounted, const char *path);
int look_up_error(struct mounted *mounted, const char *path);
struct file_info info_at(struct mounted *mounted, const char *path);

/* A file's whole content as a string of the case's memory; fails the case if it is not to be
 * read. */
const char *text_at(struct mounted *mounted, const char *path);

/* A shell over a script */

enum { SCRIPT_OUTPUT_MAX = 65536 };

struct script {
    struct console console;
    struct shell *shell;
    const char *input;
    size_t input_len, input_at;
    const char *keys; /* what is typed while a command runs; NULL: nothing */
    char *output;     /* NUL-terminated */
    size_t output_len;
};

struct script *script_new(struct mounted *mounted, bool is_terminal);

/* Types the bytes to their end and returns the status that the shell ends with. */
int script_type(struct script *script, const char *input, size_t len);
int script_run(struct script *script, const char *input);

#endif
