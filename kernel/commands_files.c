/* SPDX-License-Identifier: MIT */
/* commands_files.c: ls, cat, cksum. Files of any size: page by page, where the file system keeps
 * pages, else through the shell's chunk. */
#include "cksum.h"
#include "shell_files.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <string.h>

/* Shared with hexdump */

/* "COMMAND: PATH: what the error means". Returns 1. */
static int file_error(struct shell *shell, const char *command, const char *path, int error) {
    shell_error(shell, command, path, ash_strerror(error));
    if (error == -ASH_ENOENT && shell->fs->damage(shell->fs) != NULL)
        shell_error(shell, command, path, "(the archive is damaged, see `blk`: it may be missing)");
    return 1;
}

bool shell_has_files(struct shell *shell, const char *command) {
    if (shell->fs == NULL)
        shell_error(shell, command, "no file system", shell->no_fs);
    return shell->fs != NULL;
}

bool shell_file_open(struct shell *shell, const char *command, const char *path,
                     struct file_node **node, struct file_info *info) {
    int error = shell->fs->look_up(shell->fs, NULL, path, true, node);
    if (error == 0) {
        shell->fs->describe(shell->fs, *node, info);
        if (info->type == FILE_REGULAR)
            return true;
        if (info->type == FILE_UNREADABLE) {
            shell_error(shell, command, path, info->reason);
            return false;
        }
        error = -ASH_EISDIR;
    }
    file_error(shell, command, path, error);
    return false;
}

/* The next piece, from where it lies in memory, or by way of the chunk; *got: how much. */
static int take_piece(struct shell *shell, const struct shell_file_range *range, uint64_t offset,
                      void (*take)(void *context, const uint8_t *bytes, size_t len), void *context,
                      size_t *got) {
    struct file_system *fs = shell->fs;
    struct file_page page;
    uint64_t left = range->end - offset;
    int error = fs->page_get == NULL ? -ASH_ENOTSUP : fs->page_get(fs, range->node, offset, &page);
    if (error == 0) {
        *got = (size_t)ash_min_u64(page.len, left);
        take(context, page.bytes, *got);
        fs->page_put(fs, &page);
        return 0;
    }
    if (error != -ASH_ENOTSUP && error != -ASH_EAGAIN)
        return error;
    size_t want = (size_t)ash_min_u64(shell->chunk_bytes, left);
    error = fs->read(fs, range->node, offset, shell->chunk, want, got);
    if (error == 0 && *got != want)
        error = -ASH_EIO;
    if (error == 0)
        take(context, shell->chunk, *got);
    return error;
}

int shell_file_each(struct shell *shell, const char *command, const char *path,
                    const struct shell_file_range *range,
                    void (*take)(void *context, const uint8_t *bytes, size_t len), void *context) {
    uint64_t offset = range->start, asked = offset;
    while (offset < range->end) {
        size_t got;
        int error = take_piece(shell, range, offset, take, context, &got);
        if (error != 0)
            return file_error(shell, command, path, error);
        offset += got;
        if (offset - asked < shell->chunk_bytes && offset < range->end)
            continue;
        asked = offset;
        if (shell_interrupted(shell))
            return SHELL_STATUS_STOPPED;
    }
    return 0;
}

/* ls */

static void print_name(struct shell *shell, const char *name, const struct file_info *info,
                       bool is_long) {
    static const char letters[] = {[FILE_REGULAR] = '-',
                                   [FILE_DIRECTORY] = 'd',
                                   [FILE_SYMLINK] = 'l',
                                   [FILE_UNREADABLE] = '!'};
    if (is_long)
        shell_print(shell, "%c %12" PRIu64 " ", letters[info->type], info->size_bytes);
    shell_text(shell, name);
    if (info->type == FILE_DIRECTORY && (*name == '\0' || name[strlen(name) - 1] != '/'))
        shell_write(shell, "/", 1);
    if (is_long && info->type == FILE_SYMLINK) {
        shell_write(shell, " -> ", 4);
        shell_text(shell, info->target);
    }
    if (is_long && info->type == FILE_UNREADABLE) {
        shell_write(shell, "  ", 2);
        shell_text(shell, info->reason);
    }
    shell_write(shell, "\n", 1);
}

static int list_directory(struct shell *shell, struct file_node *directory, bool is_long) {
    struct file_node *node = NULL;
    struct file_info info;
    while ((node = shell->fs->next(shell->fs, directory, node)) != NULL) {
        shell->fs->describe(shell->fs, node, &info);
        print_name(shell, info.name, &info, is_long);
        if (shell_interrupted(shell))
            return SHELL_STATUS_STOPPED;
    }
    return 0;
}

static int list(struct shell *shell, const char *path, bool is_long, bool with_header) {
    struct file_node *node;
    struct file_info info;
    int error = shell->fs->look_up(shell->fs, NULL, path, true, &node);
    if (error == -ASH_ENOENT || error == -ASH_ELOOP) /* a link that leads nowhere is listed */
        error = shell->fs->look_up(shell->fs, NULL, path, false, &node);
    if (error != 0)
        return file_error(shell, "ls", path, error);
    shell->fs->describe(shell->fs, node, &info);
    if (info.type != FILE_DIRECTORY) {
        print_name(shell, path, &info, is_long);
        return 0;
    }
    if (with_header) {
        shell_text(shell, path);
        shell_write(shell, ":\n", 2);
    }
    return list_directory(shell, node, is_long);
}

SHELL_COMMAND(
    ls, "[-l] [PATH...]",
    "Lists directories, one name a line, sorted by bytes; a directory ends with a slash.\n"
    "-l: with type and size (- file, d directory, l link, ! cannot be opened, and why).") {
    bool is_long = false;
    int first = 1, status = 0;
    const char *option;
    while ((option = shell_option(argc, argv, &first)) != NULL) {
        if (strcmp(option, "-l") != 0)
            return shell_usage(shell, "ls", "unknown option");
        is_long = true;
    }
    if (!shell_has_files(shell, "ls"))
        return 1;
    if (first == argc)
        return list(shell, "/", is_long, false);
    for (int i = first; i < argc && status != SHELL_STATUS_STOPPED; i++) {
        int one = list(shell, argv[i], is_long, argc - first > 1);
        status = one != 0 ? one : status;
    }
    return status;
}

/*
 * The command argv[0] for each of its files; the status of the last that failed. It has no options,
 * but a first "--" is no file (POSIX.1-2017, XCU 1.4, OPTIONS).
 */
static int each_file(struct shell *shell, int argc, char **argv,
                     int (*take)(struct shell *shell, const char *path)) {
    int first = argc > 1 && strcmp(argv[1], "--") == 0 ? 2 : 1, status = 0;
    if (first == argc)
        return shell_usage(shell, argv[0], "no file given");
    if (!shell_has_files(shell, argv[0]))
        return 1;
    for (int i = first; i < argc && status != SHELL_STATUS_STOPPED; i++) {
        int one = take(shell, argv[i]);
        status = one != 0 ? one : status;
    }
    return status;
}

/* cat */

static void cat_take(void *context, const uint8_t *bytes, size_t len) {
    shell_write(context, bytes, len);
}

static int cat_file(struct shell *shell, const char *path) {
    struct shell_file_range range = {0};
    struct file_info info;
    if (!shell_file_open(shell, "cat", path, &range.node, &info))
        return 1;
    range.end = info.size_bytes;
    return shell_file_each(shell, "cat", path, &range, cat_take, shell);
}

SHELL_COMMAND(cat, "FILE...", "Writes the bytes of the files, one after the other.") {
    return each_file(shell, argc, argv, cat_file);
}

/* cksum */

static void cksum_take(void *context, const uint8_t *bytes, size_t len) {
    cksum_update(context, bytes, len);
}

static int cksum_file(struct shell *shell, const char *path) {
    struct shell_file_range range = {0};
    struct file_info info;
    struct cksum sum;
    if (!shell_file_open(shell, "cksum", path, &range.node, &info))
        return 1;
    range.end = info.size_bytes;
    cksum_init(&sum);
    int status = shell_file_each(shell, "cksum", path, &range, cksum_take, &sum);
    if (status != 0)
        return status;
    shell_print(shell, "%" PRIu32 " %" PRIu64 " ", cksum_finish(&sum), sum.len_bytes);
    shell_text(shell, path);
    shell_write(shell, "\n", 1);
    return 0;
}

SHELL_COMMAND(cksum, "FILE...",
              "Prints the POSIX CRC, the size in bytes and the name of each file.\n"
              "It is the line that the host's `cksum FILE` prints.") {
    return each_file(shell, argc, argv, cksum_file);
}
