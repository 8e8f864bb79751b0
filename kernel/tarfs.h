/* SPDX-License-Identifier: MIT */
/*
 * tarfs.h: a tar archive as a read-only file system. Mounting reads every header once and keeps an
 * index in memory (144 bytes for each entry, and names longer than 31); data stays where it is.
 *
 * Reads ustar, GNU (long names, long links) and pax (path, linkpath, size, also global) archives.
 *
 * What happens with archives that are not as they should be
 *  - Entries are taken in order and the last of a name wins, as when tar extracts. Hard links are
 *    resolved at once, against what stands before them, so they cannot form a circle.
 *  - Leading slashes and "." are dropped. An entry whose name is empty or has "..", whose parent is
 *    not a directory, or that would replace a directory with entries, is refused: reported, not in
 *    the index, the rest goes on. Directories that only paths imply exist.
 *  - Devices, sparse files, parts of other volumes, unknown types and dangling hard links are in
 *    the index as FILE_UNREADABLE, with the reason.
 *  - What makes the place of the next header unknown (a wrong checksum, a size that is no number or
 *    leaves the disk, a malformed extended header), a disk error or no memory end the mount there:
 *    reported, damage() says so, the complete entries before it are kept.
 *  - No end-of-archive blocks: reported, damage() says so, all entries are kept.
 *  - A first block that is not a header: no mount, and the report says what it looks like. Only
 *    zeros, 10,240 at most, are an empty archive.
 */
#ifndef KERNEL_TARFS_H
#define KERNEL_TARFS_H

#include "allocator.h"
#include "file_system.h"
#include "mutex.h"

enum {
    TARFS_EXTENDED_MAX = 1 << 20,   /* bytes of one long name or pax header */
    TARFS_EMPTY_MAX = 10240,        /* zeros that are an empty archive: tar's default record */
    TARFS_REFUSED_REPORTED = 8,     /* of the refused entries, the first so many are named */
    TARFS_PATH_MAX = FILE_PATH_MAX, /* a path to look up, symbolic links spelled out */
    TARFS_LINKS_MAX = 40,
    TARFS_NODE_BYTES = 144, /* of an entry of the index, with a name of up to 31 bytes */
};

struct tarfs {
    struct file_system interface; /* first: what the callbacks get */

    /* private, but for reading the counts */
    struct byte_source source;
    struct page_source pages; /* get is NULL: files are read through the source */
    struct allocator allocator, node_allocator;
    struct file_node *root;
    struct file_node *last_node; /* all nodes, the last made first */
    struct tarfs_owned *owned;   /* every other allocation that lives until the unmount */
    uint64_t entries;            /* accepted */
    uint64_t refused;
    uint64_t nodes; /* names in the index, implied directories included */
    char damage[192];
    struct mutex look_up;      /* one at a time; all else is read only, once it is mounted */
    char path[TARFS_PATH_MAX]; /* of the look-up in progress */
};

/*
 * nodes: asked for objects of TARFS_NODE_BYTES alone, one an entry; may be the same as allocator.
 * Each message is one line without its end. 0: mounted, perhaps with damage. -ASH_EBADMSG: not a
 * tar archive; -ASH_ENOMEM: not even an empty index fits; else the disk's error at its first block.
 * Cost: one read of 32 KiB for each header that is not within reach of the last one.
 */
int tarfs_mount(struct tarfs *fs, const struct byte_source *source,
                const struct allocator *allocator, const struct allocator *nodes,
                void (*report)(void *context, const char *message), void *context) ASH_MUST_CHECK;

/* Files are read by pages of this from now on; it has the bytes that the source has. */
void tarfs_set_pages(struct tarfs *fs, const struct page_source *pages);

/* Gives all memory back. Not needed after a mount that failed. */
void tarfs_unmount(struct tarfs *fs);

#endif
