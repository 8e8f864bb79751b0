/* SPDX-License-Identifier: MIT */
/* tarfs_mount.c: reads an archive from its first header to its end into the index. */
#include "tarfs_index.h"
#include "printable.h"
#include "tar_header.h"

#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { WINDOW_BYTES = 32768 };

/* What an extended header says about the entries after it. Strings are the allocator's. */
struct overrides {
    char *path, *target, *sparse_name;
    bool has_size, is_sparse, has_expanded;
    uint64_t size_bytes, expanded_bytes;
};

struct mount {
    struct tarfs *fs;
    void (*report)(void *context, const char *message);
    void *context;
    uint64_t position; /* of the next header */
    uint8_t *window;
    uint64_t window_start;
    size_t window_len;
    char *long_name, *long_target; /* GNU's, for the next entry */
    struct overrides next, global;
};

/* Reports */

/* The start of a name, safe to print. */
static const char *printable(const char *name, char text[64]) {
    size_t len = strlen(name), i = 0;
    while (i < len && i < 57) {
        size_t one = printable_len(name + i, len - i);
        memcpy(text + i, one == 0 ? "?" : name + i, one == 0 ? 1 : one);
        i += one == 0 ? 1 : one;
    }
    memcpy(text + i, i == len ? "" : "...", i == len ? 1 : 4);
    return text;
}

/* Ends the mount: false, so that callers can return it. */
static bool damaged(struct mount *mount, const char *why) {
    struct tarfs *fs = mount->fs;
    snprintf(fs->damage, sizeof(fs->damage),
             "byte %" PRIu64 ": %s; of the archive, the %" PRIu64 " entries before it are mounted",
             mount->position, why, fs->entries);
    mount->report(mount->context, fs->damage);
    return false;
}

static bool out_of_memory(struct mount *mount) {
    return damaged(mount, "no memory for more of the index");
}

/* The entry is left out; the mount goes on. */
static bool refuse(struct mount *mount, const char *name, const char *why) {
    char text[64], message[192];
    if (++mount->fs->refused > TARFS_REFUSED_REPORTED)
        return true;
    snprintf(message, sizeof(message), "byte %" PRIu64 ": entry \"%s\" is left out: %s",
             mount->position, printable(name, text), why);
    mount->report(mount->context, message);
    return true;
}

/* Bytes */

static bool read_error(struct mount *mount, int error) {
    char why[96];
    snprintf(why, sizeof(why), "cannot be read: %s", ash_strerror(error));
    return damaged(mount, why);
}

/* The block at an offset, valid until the next call; NULL: an error is set. */
static const uint8_t *block_at(struct mount *mount, uint64_t offset, int *error) {
    const struct byte_source *source = &mount->fs->source;
    if (offset < mount->window_start || offset - mount->window_start > mount->window_len ||
        mount->window_len - (offset - mount->window_start) < TAR_BLOCK) {
        mount->window_start = offset;
        mount->window_len = (size_t)ash_min_u64(WINDOW_BYTES, source->size_bytes - offset);
        *error = source->read(source->context, offset, mount->window, mount->window_len);
        if (*error != 0) {
            mount->window_len = 0;
            return NULL;
        }
    }
    return mount->window + (offset - mount->window_start);
}

static void drop(struct mount *mount, char **string) {
    const struct allocator *allocator = &mount->fs->allocator;
    if (*string != NULL)
        allocator->free(allocator->context, *string);
    *string = NULL;
}

static void drop_overrides(struct mount *mount, struct overrides *overrides) {
    drop(mount, &overrides->path);
    drop(mount, &overrides->target);
    drop(mount, &overrides->sparse_name);
    *overrides = (struct overrides){0};
}

/* Reads an extended header's data as a string; *text is the allocator's. */
static bool read_text(struct mount *mount, uint64_t offset, uint64_t size, char **text) {
    const struct tarfs *fs = mount->fs;
    drop(mount, text);
    if (size > TARFS_EXTENDED_MAX)
        return damaged(mount, "an extended header of more than 1 MiB");
    char *bytes = fs->allocator.alloc(fs->allocator.context, (size_t)size + 1);
    if (bytes == NULL)
        return out_of_memory(mount);
    bytes[size] = '\0';
    *text = bytes;
    int error = size == 0 ? 0 : fs->source.read(fs->source.context, offset, bytes, (size_t)size);
    return error == 0 || read_error(mount, error);
}

/* pax */

static bool take_string(struct mount *mount, const struct pax_record *record, char **string) {
    const struct allocator *allocator = &mount->fs->allocator;
    drop(mount, string);
    if (record->value_len == 0) /* takes back what a global header said */
        return true;
    if (memchr(record->value, '\0', record->value_len) != NULL)
        return damaged(mount, "a NUL byte in a name of a pax header");
    *string = allocator->alloc(allocator->context, record->value_len + 1);
    if (*string == NULL)
        return out_of_memory(mount);
    memcpy(*string, record->value, record->value_len);
    (*string)[record->value_len] = '\0';
    return true;
}

static bool take_number(struct mount *mount, const struct pax_record *record, bool *has,
                        uint64_t *value) {
    *has = record->value_len != 0;
    if (*has && !pax_number_parse(record, value))
        return damaged(mount, "a size in a pax header is not a number");
    return true;
}

static bool take_record(struct mount *mount, const struct pax_record *record,
                        struct overrides *to) {
    if (pax_key_is(record, "path"))
        return take_string(mount, record, &to->path);
    if (pax_key_is(record, "linkpath"))
        return take_string(mount, record, &to->target);
    if (pax_key_is(record, "size"))
        return take_number(mount, record, &to->has_size, &to->size_bytes);
    if (record->key_len < 11 || memcmp(record->key, "GNU.sparse.", 11) != 0)
        return true;
    to->is_sparse = true;
    if (pax_key_is(record, "GNU.sparse.name"))
        return take_string(mount, record, &to->sparse_name);
    if (pax_key_is(record, "GNU.sparse.realsize") || pax_key_is(record, "GNU.sparse.size"))
        return take_number(mount, record, &to->has_expanded, &to->expanded_bytes);
    return true;
}

static bool take_pax(struct mount *mount, uint64_t offset, uint64_t size, struct overrides *to) {
    char *text = NULL;
    bool good = read_text(mount, offset, size, &text);
    const char *cursor = text, *end = text == NULL ? NULL : text + size;
    while (good && cursor < end) {
        struct pax_record record;
        if (!pax_record_parse(&cursor, end, &record))
            good = damaged(mount, "a malformed record in a pax header");
        else
            good = take_record(mount, &record, to);
    }
    drop(mount, &text);
    return good;
}

/* Entries */

/* The next component of a path: skips slashes and "."; false at the end. */
static bool next_component(const char **path, const char **name, size_t *len) {
    do {
        *name = *path + strspn(*path, "/");
        *len = strcspn(*name, "/");
        *path = *name + *len;
    } while (*len == 1 && **name == '.');
    return *len != 0;
}

static bool has_dot_dot(const char *path) {
    const char *name;
    size_t len;
    while (next_component(&path, &name, &len)) {
        if (len == 2 && memcmp(name, "..", 2) == 0)
            return true;
    }
    return false;
}

/* The node of exactly this path, no link followed, or NULL. */
static struct file_node *find_exact(const struct tarfs *fs, const char *path) {
    struct file_node *node = fs->root;
    const char *name;
    size_t len;
    while (node != NULL && next_component(&path, &name, &len))
        node = node->type == FILE_DIRECTORY ? tarfs_find(node, name, len) : NULL;
    return node;
}

/*
 * The node of a path, made if need be with the directories before it. NULL with *why set: the entry
 * is to be refused; NULL without: no memory.
 */
static struct file_node *make_node(struct tarfs *fs, const char *path, const char **why) {
    struct file_node *node = fs->root;
    const char *name;
    size_t len;
    *why = NULL;
    while (node != NULL && next_component(&path, &name, &len)) {
        if (node->type != FILE_DIRECTORY) {
            *why = "what its path has as a directory is none in this archive";
            return NULL;
        }
        struct file_node *found = tarfs_find(node, name, len);
        node = found != NULL ? found : tarfs_add(fs, node, name, len);
    }
    return node;
}

static char *own_format(struct tarfs *fs, const char *format, const char *argument) {
    size_t size = strlen(format) + strlen(argument) + 1;
    char *text = tarfs_alloc(fs, size);
    if (text != NULL)
        snprintf(text, size, format, argument);
    return text;
}

/* What the entry is, apart from its name. */
struct content {
    enum file_type type;
    uint64_t size_bytes, offset;
    const char *target, *reason;
};

static bool hard_link_content(struct mount *mount, const char *target, struct content *content) {
    const struct file_node *node = has_dot_dot(target) ? NULL : find_exact(mount->fs, target);
    if (node != NULL && node->type != FILE_DIRECTORY) {
        *content = (struct content){node->type, node->size_bytes, node->offset, node->target,
                                    node->reason};
        return true;
    }
    content->type = FILE_UNREADABLE;
    content->reason =
        own_format(mount->fs,
                   node == NULL ? "a hard link to %s, which the archive does not have before it"
                                : "a hard link to %s, which is a directory",
                   target);
    return content->reason != NULL;
}

/* False: no memory. */
static bool content_of(struct mount *mount, const struct tar_header *header, bool is_sparse,
                       const char *target, struct content *content) {
    content->type = FILE_UNREADABLE;
    if (is_sparse) {
        content->reason = "a sparse file, which this kernel does not expand";
        return true;
    }
    switch (header->kind) {
    case TAR_FILE:
        content->type = FILE_REGULAR;
        return true;
    case TAR_DIRECTORY:
        *content = (struct content){.type = FILE_DIRECTORY};
        return true;
    case TAR_SYMLINK:
        content->type = FILE_SYMLINK;
        content->target = own_format(mount->fs, "%s", target);
        return content->target != NULL;
    case TAR_HARD_LINK:
        return hard_link_content(mount, target, content);
    case TAR_DEVICE:
        content->reason = "a device or a FIFO";
        return true;
    case TAR_CONTINUED:
        content->reason = "the rest of a file that begins in another volume of the archive";
        return true;
    default: {
        char letter[2] = {header->letter, '\0'};
        content->reason = own_format(mount->fs, "an entry of the unknown type '%s'", letter);
        return content->reason != NULL;
    }
    }
}

static bool add_entry(struct mount *mount, const char *path, const struct content *content) {
    const char *why, *rest = path, *name;
    size_t len;
    if (has_dot_dot(path))
        return refuse(mount, path, "\"..\" in its name");
    if (!next_component(&rest, &name, &len) && content->type != FILE_DIRECTORY)
        return refuse(mount, path, "its name is empty");
    struct file_node *node = make_node(mount->fs, path, &why);
    if (node == NULL)
        return why != NULL ? refuse(mount, path, why) : out_of_memory(mount);
    if (content->type != FILE_DIRECTORY && !ash_rbtree_is_empty(&node->entries))
        return refuse(mount, path, "it would replace a directory that has entries");
    node->type = content->type;
    node->size_bytes = content->size_bytes;
    node->offset = content->offset;
    node->target = content->target;
    node->reason = content->reason;
    mount->fs->entries++;
    return true;
}

static const char *first_of(const char *a, const char *b, const char *c, const char *d) {
    return a != NULL ? a : b != NULL ? b : c != NULL ? c : d;
}

static bool take_entry(struct mount *mount, const struct tar_header *header, uint64_t offset,
                       uint64_t size) {
    const struct overrides *next = &mount->next, *global = &mount->global;
    const char *path = next->sparse_name;
    if (path == NULL)
        path = first_of(next->path, mount->long_name, global->path, header->name);
    const char *target = first_of(next->target, mount->long_target, global->target, header->target);
    bool is_sparse = header->kind == TAR_SPARSE || next->is_sparse;
    struct content content = {.size_bytes = size, .offset = offset};
    if (header->kind == TAR_SPARSE)
        content.size_bytes = header->expanded_bytes;
    if (next->has_expanded)
        content.size_bytes = next->expanded_bytes;
    bool good = content_of(mount, header, is_sparse, target, &content) || out_of_memory(mount);
    /* V7 had no letter for directories. Of a long name the header has only the beginning. */
    size_t len = strlen(path);
    if (content.type == FILE_REGULAR && len != 0 && path[len - 1] == '/')
        content = (struct content){.type = FILE_DIRECTORY};
    good = good && add_entry(mount, path, &content);
    drop(mount, &mount->long_name);
    drop(mount, &mount->long_target);
    drop_overrides(mount, &mount->next);
    return good;
}

/* Headers */

/* Moves *offset behind the blocks of a GNU sparse file's longer map. */
static bool skip_sparse_map(struct mount *mount, uint64_t *offset) {
    enum { CONTINUES = 504 };
    bool more = true;
    while (more) {
        int error = 0;
        if (!ash_range_fits(*offset, TAR_BLOCK, mount->fs->source.size_bytes))
            return damaged(mount, "the archive ends in a sparse file's map");
        const uint8_t *block = block_at(mount, *offset, &error);
        if (block == NULL)
            return read_error(mount, error);
        more = block[CONTINUES] != 0;
        *offset += TAR_BLOCK;
    }
    return true;
}

static bool has_data(enum tar_kind kind) {
    return kind == TAR_FILE || kind == TAR_SPARSE || kind == TAR_CONTINUED || kind == TAR_UNKNOWN;
}

/* One header with what belongs to it; position is moved to the next. */
static bool take_header(struct mount *mount, const struct tar_header *header) {
    uint64_t limit = mount->fs->source.size_bytes;
    uint64_t offset = mount->position + TAR_BLOCK, size = header->size_bytes, next;
    if (header->kind == TAR_SPARSE && header->map_continues && !skip_sparse_map(mount, &offset))
        return false;
    if (has_data(header->kind) && mount->next.has_size)
        size = mount->next.size_bytes;
    else if (has_data(header->kind) && mount->global.has_size)
        size = mount->global.size_bytes;
    if (!ash_range_fits(offset, size, limit)) {
        char why[128], name[64];
        snprintf(why, sizeof(why), "\"%s\" claims %" PRIu64 " bytes, %" PRIu64 " are left",
                 printable(header->name, name), size, limit - offset);
        return damaged(mount, why);
    }
    bool good = true;
    switch (header->kind) {
    case TAR_LONG_NAME:
        good = read_text(mount, offset, size, &mount->long_name);
        break;
    case TAR_LONG_LINK:
        good = read_text(mount, offset, size, &mount->long_target);
        break;
    case TAR_PAX_NEXT:
        good = take_pax(mount, offset, size, &mount->next);
        break;
    case TAR_PAX_GLOBAL:
        good = take_pax(mount, offset, size, &mount->global);
        break;
    case TAR_LABEL:
        break;
    default:
        good = take_entry(mount, header, offset, size);
        break;
    }
    if (!ash_align_up_checked(offset + size, TAR_BLOCK, &next) || next > limit)
        next = limit; /* the last block's padding is missing; no byte of data is */
    mount->position = next;
    return good;
}

static bool end_of_archive(struct mount *mount) {
    int error = 0;
    uint64_t limit = mount->fs->source.size_bytes;
    if (mount->long_name != NULL || mount->long_target != NULL || mount->next.path != NULL ||
        mount->next.target != NULL)
        return damaged(mount, "the archive ends between a long name and its entry");
    if (!ash_range_fits(mount->position, TAR_BLOCK, limit))
        return damaged(mount, mount->position == limit
                                  ? "the disk ends without end-of-archive blocks"
                                  : "the disk ends inside of a header");
    if (!ash_range_fits(mount->position, 2 * TAR_BLOCK, limit))
        return false;
    const uint8_t *second = block_at(mount, mount->position + TAR_BLOCK, &error);
    if (second == NULL)
        return read_error(mount, error);
    if (!tar_block_is_zero(second))
        return damaged(mount, "one block of zeros, where two end an archive, before more data");
    return false;
}

/* The header at the position; false at the end, good or bad. */
static bool take_next(struct mount *mount) {
    int error = 0;
    struct tar_header header;
    if (!ash_range_fits(mount->position, TAR_BLOCK, mount->fs->source.size_bytes))
        return end_of_archive(mount);
    const uint8_t *block = block_at(mount, mount->position, &error);
    if (block == NULL)
        return read_error(mount, error);
    if (tar_block_is_zero(block))
        return end_of_archive(mount);
    const char *why = tar_header_parse(block, &header);
    if (why != NULL)
        return damaged(mount, why);
    return take_header(mount, &header);
}

/* Mounting */

static bool is_empty_archive(struct mount *mount) {
    uint64_t size = mount->fs->source.size_bytes;
    int error;
    if (size > TARFS_EMPTY_MAX || size % TAR_BLOCK != 0)
        return false;
    for (uint64_t offset = 0; offset < size; offset += TAR_BLOCK) {
        const uint8_t *block = block_at(mount, offset, &error);
        if (block == NULL || !tar_block_is_zero(block))
            return false;
    }
    return true;
}

/* 0, or why the first block is not a header. */
static int check_first_block(struct mount *mount) {
    char message[128];
    int error = 0;
    if (mount->fs->source.size_bytes < TAR_BLOCK) {
        snprintf(message, sizeof(message), "no tar archive: the disk has %" PRIu64 " bytes only",
                 mount->fs->source.size_bytes);
        mount->report(mount->context, message);
        return -ASH_EBADMSG;
    }
    const uint8_t *block = block_at(mount, 0, &error);
    if (block == NULL) {
        snprintf(message, sizeof(message), "the disk's first block cannot be read: %s",
                 ash_strerror(error));
        mount->report(mount->context, message);
        return error;
    }
    if (tar_checksum_holds(block) || is_empty_archive(mount))
        return 0;
    block = block_at(mount, 0, &error);
    snprintf(message, sizeof(message), "no tar archive: the disk begins with %s",
             block == NULL ? "what cannot be read" : tar_guess_content(block));
    mount->report(mount->context, message);
    return -ASH_EBADMSG;
}

static void report_refused(struct mount *mount) {
    char message[96];
    if (mount->fs->refused <= TARFS_REFUSED_REPORTED)
        return;
    snprintf(message, sizeof(message), "%" PRIu64 " more entries are left out",
             mount->fs->refused - TARFS_REFUSED_REPORTED);
    mount->report(mount->context, message);
}

int tarfs_mount(struct tarfs *fs, const struct byte_source *source,
                const struct allocator *allocator, const struct allocator *nodes,
                void (*report)(void *context, const char *message), void *context) {
    struct mount mount = {.fs = fs, .report = report, .context = context};
    tarfs_init(fs, source, allocator, nodes);
    mount.window = allocator->alloc(allocator->context, WINDOW_BYTES);
    fs->root = tarfs_add(fs, NULL, "", 0);
    int error = 0;
    if (mount.window == NULL || fs->root == NULL) {
        report(context, "no memory for the archive's index");
        error = -ASH_ENOMEM;
    }
    if (error == 0)
        error = check_first_block(&mount);
    if (error == 0) {
        while (take_next(&mount)) {}
        report_refused(&mount);
    }
    drop(&mount, &mount.long_name);
    drop(&mount, &mount.long_target);
    drop_overrides(&mount, &mount.next);
    drop_overrides(&mount, &mount.global);
    allocator->free(allocator->context, mount.window);
    if (error != 0)
        tarfs_unmount(fs);
    return error;
}
