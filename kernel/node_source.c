/* SPDX-License-Identifier: MIT */
/* node_source.c: see node_source.h. */
#include "node_source.h"

#include <ashlar/error.h>

static int read_node(void *context, uint64_t offset, void *buffer, size_t len) {
    const struct node_source *source = context;
    size_t got = 0;
    int error = source->fs->read(source->fs, source->node, offset, buffer, len, &got);
    return error == 0 && got != len ? -ASH_EIO : error;
}

struct byte_source node_source_init(struct node_source *source, struct file_system *fs,
                                    struct file_node *node) {
    struct file_info info;
    *source = (struct node_source){fs, node};
    fs->describe(fs, node, &info);
    return (struct byte_source){read_node, source, info.size_bytes};
}
