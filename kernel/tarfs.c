/* SPDX-License-Identifier: MIT */
/* tarfs.c: the file system's calls, over the index and the disk. */
#include "tarfs_index.h"

#include <ashlar/error.h>
#include <string.h>

static struct tarfs *tarfs_of(struct file_system *interface) {
    return ASH_CONTAINER_OF(interface, struct tarfs, interface);
}

/* Puts a link's target before the rest of the path, in the buffer: target/rest. */
static int splice(struct tarfs *fs, const char *target, const char *rest) {
    size_t target_len = strlen(target), rest_len = strlen(rest);
    if (target_len + rest_len + 1 >= sizeof(fs->path))
        return -ASH_ENAMETOOLONG;
    memmove(fs->path + target_len, rest, rest_len + 1);
    memcpy(fs->path, target, target_len);
    return 0;
}

/* One component from a directory; symbolic links are the caller's. */
static struct file_node *step(struct file_node *directory, const char *name, size_t len) {
    if (len == 1 && name[0] == '.')
        return directory;
    if (len == 2 && memcmp(name, "..", 2) == 0)
        return directory->directory;
    return tarfs_find(directory, name, len);
}

static int find(struct tarfs *fs, struct file_node *from, const char *path, bool follow,
                struct file_node **result) {
    struct file_node *node = from == NULL || *path == '/' ? fs->root : from;
    uint32_t links = 0;
    if (strlen(path) >= sizeof(fs->path))
        return -ASH_ENAMETOOLONG;
    memmove(fs->path, path, strlen(path) + 1);
    const char *rest = fs->path;
    for (;;) {
        const char *name = rest + strspn(rest, "/");
        size_t len = strcspn(name, "/");
        if (node->type != FILE_DIRECTORY && *rest != '\0')
            return -ASH_ENOTDIR;
        if (len == 0)
            break;
        rest = name + len;
        struct file_node *found = step(node, name, len);
        if (found == NULL)
            return -ASH_ENOENT;
        if (found->type != FILE_SYMLINK || (*rest == '\0' && !follow)) {
            node = found;
            continue;
        }
        if (++links > TARFS_LINKS_MAX)
            return -ASH_ELOOP;
        int error = splice(fs, found->target, rest);
        if (error != 0)
            return error;
        rest = fs->path;
        if (*rest == '\0')
            return -ASH_ENOENT; /* an empty target */
        if (*rest == '/')
            node = fs->root;
    }
    *result = node;
    return 0;
}

static int look_up(struct file_system *interface, struct file_node *from, const char *path,
                   bool follow, struct file_node **result) {
    struct tarfs *fs = tarfs_of(interface);
    mutex_lock(&fs->look_up);
    int error = find(fs, from, path, follow, result);
    mutex_unlock(&fs->look_up);
    return error;
}

static struct file_node *parent(struct file_system *interface, const struct file_node *node) {
    (void)interface;
    return node->directory;
}

static void describe(struct file_system *interface, const struct file_node *node,
                     struct file_info *info) {
    (void)interface;
    *info = (struct file_info){.type = node->type,
                               .number = node->number,
                               .size_bytes = node->size_bytes,
                               .name = node->name,
                               .target = node->target,
                               .reason = node->reason};
}

static struct file_node *next(struct file_system *interface, struct file_node *directory,
                              struct file_node *previous) {
    (void)interface;
    return previous == NULL ? tarfs_first(directory) : tarfs_after(previous);
}

static int refuse(const struct file_node *node) {
    if (node->type == FILE_DIRECTORY)
        return -ASH_EISDIR;
    return node->type == FILE_REGULAR ? 0 : -ASH_ENOTSUP;
}

static int page_get(struct file_system *interface, struct file_node *node, uint64_t offset,
                    struct file_page *page) {
    struct tarfs *fs = tarfs_of(interface);
    int error = refuse(node);
    if (error != 0 || fs->pages.get == NULL)
        return error != 0 ? error : -ASH_ENOTSUP;
    return fs->pages.get(fs->pages.context, node->offset, node->size_bytes, offset, page);
}

static void page_put(struct file_system *interface, const struct file_page *page) {
    struct tarfs *fs = tarfs_of(interface);
    fs->pages.put(fs->pages.context, page);
}

/* Page by page; *got: how much of it. -ASH_ENOTSUP, -ASH_EAGAIN: the rest is to be read. */
static int read_pages(struct tarfs *fs, struct file_node *node, uint64_t offset, uint8_t *to,
                      size_t len, size_t *got) {
    while (*got < len) {
        struct file_page page;
        int error = page_get(&fs->interface, node, offset + *got, &page);
        if (error != 0)
            return error;
        size_t part = (size_t)ash_min_u64(page.len, len - *got);
        memcpy(to + *got, page.bytes, part);
        page_put(&fs->interface, &page);
        *got += part;
    }
    return 0;
}

static int read(struct file_system *interface, struct file_node *node, uint64_t offset,
                void *buffer, size_t len, size_t *got) {
    struct tarfs *fs = tarfs_of(interface);
    *got = 0;
    int error = refuse(node);
    if (error != 0 || offset >= node->size_bytes || len == 0)
        return error;
    len = (size_t)ash_min_u64(len, node->size_bytes - offset);
    error = read_pages(fs, node, offset, buffer, len, got);
    if (error == -ASH_ENOTSUP || error == -ASH_EAGAIN)
        error = fs->source.read(fs->source.context, node->offset + offset + *got,
                                (uint8_t *)buffer + *got, len - *got);
    *got = error == 0 ? len : 0;
    return error;
}

static const char *damage(struct file_system *interface) {
    struct tarfs *fs = tarfs_of(interface);
    return fs->damage[0] == '\0' ? NULL : fs->damage;
}

static const char *check(struct file_system *interface) {
    return tarfs_index_check(tarfs_of(interface));
}

void tarfs_init(struct tarfs *fs, const struct byte_source *source,
                const struct allocator *allocator, const struct allocator *nodes) {
    memset(fs, 0, sizeof(*fs));
    fs->interface = (struct file_system){.look_up = look_up,
                                         .parent = parent,
                                         .describe = describe,
                                         .next = next,
                                         .read = read,
                                         .page_get = page_get,
                                         .page_put = page_put,
                                         .damage = damage,
                                         .check = check};
    mutex_init(&fs->look_up);
    fs->source = *source;
    fs->allocator = *allocator;
    fs->node_allocator = *nodes;
}

void tarfs_set_pages(struct tarfs *fs, const struct page_source *pages) {
    fs->pages = *pages;
}
