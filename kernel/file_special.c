/* SPDX-License-Identifier: MIT */
/* file_special.c: see file_special.h. */
#include "file_special.h"

#include <ashlar/error.h>
#include <string.h>

#include "trace.h"

static int64_t read_nothing(struct open_file *file, uint64_t offset, void *buffer, size_t len) {
    (void)file, (void)offset, (void)buffer, (void)len;
    return 0;
}

static int64_t read_zeroes(struct open_file *file, uint64_t offset, void *buffer, size_t len) {
    (void)file, (void)offset;
    memset(buffer, 0, len);
    return (int64_t)len;
}

static int64_t write_nowhere(struct open_file *file, uint64_t offset, const void *buffer,
                             size_t len) {
    (void)file, (void)offset, (void)buffer;
    return (int64_t)len;
}

static int64_t write_marker(struct open_file *file, uint64_t offset, const void *buffer,
                            size_t len) {
    (void)file, (void)offset;
    trace_mark_text(buffer, len);
    return (int64_t)len;
}

static void describe(struct open_file *file, struct file_status *status) {
    (void)file;
    status->mode = MODE_CHARACTER | 0666;
}

static const struct open_file_type null_type = {
    .read = read_nothing, .write = write_nowhere, .describe = describe};
static const struct open_file_type zero_type = {
    .read = read_zeroes, .write = write_nowhere, .describe = describe};
static const struct open_file_type marker_type = {
    .read = read_nothing, .write = write_marker, .describe = describe};

int file_special_open(const char *path, uint32_t flags, const struct allocator *allocator,
                      struct open_file **file) {
    const struct open_file_type *type = NULL;
    if (strcmp(path, "/dev/null") == 0)
        type = &null_type;
    if (strcmp(path, "/dev/zero") == 0)
        type = &zero_type;
    if (strcmp(path, "/dev/trace_marker") == 0 ||
        strcmp(path, "/sys/kernel/tracing/trace_marker") == 0)
        type = &marker_type;
    if (type == NULL)
        return -ASH_ENOENT;
    *file = open_file_new(allocator, type, flags, NULL);
    return *file == NULL ? -ASH_ENOMEM : 0;
}
