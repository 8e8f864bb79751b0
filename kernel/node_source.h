/* SPDX-License-Identifier: MIT */
/* node_source.h: a regular file as bytes to read from (file_system.h), for what parses files. */
#ifndef KERNEL_NODE_SOURCE_H
#define KERNEL_NODE_SOURCE_H

#include "file_system.h"

struct node_source {
    struct file_system *fs;
    struct file_node *node;
};

/* *source is the caller's, and stays as long as what is returned is used. Its read is the file's:
 * all `len` bytes, or an error; -ASH_EIO: the file ends before. */
struct byte_source node_source_init(struct node_source *source, struct file_system *fs,
                                    struct file_node *node);

#endif
