/* SPDX-License-Identifier: MIT */
/* commands_cache.c: cache, sync, write: the blocks of disks and files that are kept in memory. */
#include "kernel.h"
#include "numbers.h"
#include "shell_disks.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <string.h>

#include "platform.h"

#define NS_PER_S UINT64_C(1000000000)

/* False: a message was printed. */
static bool has_cache(struct shell *shell, const char *command) {
    if (!shell_has_kernel(shell, command))
        return false;
    const struct block_cache *cache = &shell->kernel->cache;
    if (!cache->is_on)
        shell_error(shell, command, "no cache",
                    cache->reason != NULL ? cache->reason : "this machine has none");
    return cache->is_on;
}

/* Showing */

static void get_stats(struct block_cache *cache, struct ash_cache_stats *stats) {
    block_cache_lock(cache);
    ash_cache_get_stats(&cache->cache, stats);
    block_cache_unlock(cache);
}

/* Tenths of a percent. */
static void print_share(struct shell *shell, uint64_t part, uint64_t whole) {
    if (whole == 0)
        return;
    uint64_t tenths = part / whole * 1000 + part % whole * 1000 / whole;
    shell_print(shell, ", %" PRIu64 ".%" PRIu64 "%%", tenths / 10, tenths % 10);
}

static void print_frames(struct shell *shell, const struct ash_cache_stats *stats) {
    shell_print(shell,
                "frames     %" PRIu32 " clean, %" PRIu32 " dirty, %" PRIu32 " being read, %" PRIu32
                " being written, %" PRIu32 " failed,\n           %" PRIu32 " free; %" PRIu32
                " of them pinned\n",
                stats->clean, stats->dirty, stats->filling, stats->writing, stats->failed,
                stats->free, stats->pinned);
    if (stats->lost != 0)
        shell_print(shell, "           %" PRIu32 " lost, to a device that was given up\n",
                    stats->lost);
}

static void print_dirty(struct shell *shell, const struct block_cache *cache) {
    shell_print(shell,
                "dirty      at most %" PRIu32 "; from %" PRIu32 " on they are written besides",
                cache->dirty_max, cache->dirty_max / 2 + 1);
    if (cache->age_ns != 0)
        shell_print(shell, ",\n           and all of them after %" PRIu64 " s",
                    cache->age_ns / NS_PER_S);
    shell_print(shell, "\n");
}

static void print_io(struct shell *shell, const struct ash_cache_stats *stats) {
    shell_print(shell,
                "I/Os       %" PRIu64 " reads of %" PRIu64 " blocks, %" PRIu64 " writes of %" PRIu64
                ", %" PRIu64 " flushes\n",
                stats->reads, stats->blocks_read, stats->writes, stats->blocks_written,
                stats->flushes);
    shell_print(shell,
                "errors     %" PRIu64 " blocks not read, %" PRIu64 " not written, %" PRIu64
                " tried again\n",
                stats->read_errors, stats->write_errors, stats->retries);
    shell_print(shell,
                "ahead      %" PRIu64 " blocks read before they were asked for, %" PRIu64
                " of them wanted",
                stats->prefetched, stats->prefetch_used);
    print_share(shell, stats->prefetch_used, stats->prefetch_used + stats->prefetch_wasted);
    shell_print(shell, ";\n           %" PRIu64 " evicted unused\n", stats->prefetch_wasted);
}

static void print_policies(struct shell *shell, const struct block_cache *cache) {
    shell_print(shell, "policy     %s; there are", cache->policy);
    for (uint32_t i = 0; ash_cache_policy_name(i) != NULL; i++)
        shell_print(shell, " %s", ash_cache_policy_name(i));
    shell_print(shell, "\n");
}

static void print_disks(struct shell *shell, const struct block_cache *cache) {
    char text[BLOCK_CACHE_REASON];
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        const struct cached_disk *disk = &cache->disks[i];
        shell_print(shell, "disk %-5" PRIu32 " ", i);
        if (!disk->is_covered)
            shell_print(shell, "not cached: its blocks are of %" PRIu32 " bytes\n",
                        disk->disk->blk.block_size_bytes);
        else
            shell_print(shell, "%" PRIu32 " block%s, %" PRIu32 " of them dirty\n",
                        disk->space.frames, disk->space.frames == 1 ? "" : "s",
                        ash_cache_space_dirty(&disk->space));
        if (disk->disk->dead)
            shell_print(shell, "           given up: what is here can be read, nothing else\n");
        else if (block_cache_unwritten(cache, i, text))
            shell_print(shell, "           %s\n", text);
    }
    uint32_t files = 0, pages = 0;
    for (uint32_t i = 0; i < cache->file_count; i++) {
        files += cache->files[i].disk != NULL && cache->files[i].space.frames != 0;
        pages += cache->files[i].disk != NULL ? cache->files[i].space.frames : 0;
    }
    shell_print(shell, "files      %" PRIu32 ", with %" PRIu32 " pages\n", files, pages);
}

static int show(struct shell *shell) {
    struct block_cache *cache = &shell->kernel->cache;
    struct ash_cache_stats stats;
    get_stats(cache, &stats);
    shell_print(shell,
                "blocks     %" PRIu32 " of %d bytes; %" PRIu64 " KiB of memory with all notes\n",
                cache->blocks, BLOCK_CACHE_BYTES, cache->memory_bytes >> 10);
    print_policies(shell, cache);
    shell_print(shell, "hits       %" PRIu64 " of %" PRIu64 " blocks asked for", stats.hits,
                stats.hits + stats.misses);
    print_share(shell, stats.hits, stats.hits + stats.misses);
    shell_print(shell, "; %" PRIu64 " evicted\n", stats.evictions);
    print_frames(shell, &stats);
    print_dirty(shell, cache);
    print_io(shell, &stats);
    print_disks(shell, cache);
    return 0;
}

/* Doing */

static int set_policy(struct shell *shell, const char *name) {
    struct block_cache *cache = &shell->kernel->cache;
    int error = block_cache_set_policy(cache, name);
    if (error == 0)
        return 0;
    shell_error(shell, "cache", name,
                error == -ASH_EINVAL ? "no such policy" : ash_strerror(error));
    print_policies(shell, cache);
    return 1;
}

static int drop(struct shell *shell) {
    struct block_cache *cache = &shell->kernel->cache;
    struct ash_cache_stats before, after;
    block_cache_keep(cache);
    get_stats(cache, &before);
    block_cache_drop(cache);
    get_stats(cache, &after);
    block_cache_resume(cache);
    uint32_t stay = after.blocks - after.free;
    uint32_t gone = after.free - before.free;
    shell_print(shell, "%" PRIu32 " block%s forgotten, %" PRIu32 " stay", gone,
                gone == 1 ? "" : "s", stay);
    if (stay != 0)
        shell_print(shell, ": %" PRIu32 " dirty, %" PRIu32 " pinned",
                    after.dirty + after.failed + after.writing, after.pinned);
    shell_print(shell, "\n");
    return 0;
}

static int set_age(struct shell *shell, uint64_t age_s) {
    block_cache_set_age(&shell->kernel->cache, age_s * NS_PER_S);
    return 0;
}

SHELL_COMMAND(cache, "[policy NAME|drop|age SECONDS]",
              "Shows the cache of disk blocks and file pages, or changes it.\n"
              "  cache policy NAME   what to evict is chosen so from now on; the blocks stay\n"
              "  cache drop          forgets every block that is neither dirty nor pinned\n"
              "  cache age SECONDS   dirty blocks are written after so long; 0: not for that\n"
              "Written blocks stay in memory until `sync`, until that time has passed, or until\n"
              "too many are dirty; at a terminal, until a second without a key.") {
    const char *what = argc > 1 ? argv[1] : "";
    bool is_policy = strcmp(what, "policy") == 0, is_age = strcmp(what, "age") == 0;
    bool is_drop = strcmp(what, "drop") == 0;
    uint64_t age_s = 0;
    if (argc > 1 && !is_policy && !is_drop && !is_age)
        return shell_usage(shell, "cache", "there are policy, drop and age");
    if (is_drop && argc != 2)
        return shell_usage(shell, "cache", "drop takes no argument");
    if (is_policy && argc != 3)
        return shell_usage(shell, "cache", "policy takes a name");
    if (is_age && (argc != 3 || !number_parse_within(argv[2], 0, BLOCK_CACHE_AGE_S_MAX, &age_s)))
        return shell_usage(shell, "cache", "age takes a number of seconds from 0 to 3600");
    if (!has_cache(shell, "cache"))
        return 1;
    if (is_age)
        return set_age(shell, age_s);
    return is_policy ? set_policy(shell, argv[2]) : is_drop ? drop(shell) : show(shell);
}

/* sync */

/* Of each disk. Returns 1. */
static int tell_unwritten(struct shell *shell, int error, uint32_t blocks) {
    const struct block_cache *cache = &shell->kernel->cache;
    char text[BLOCK_CACHE_REASON];
    bool told = false;
    for (uint32_t i = 0; i < cache->disk_count; i++) {
        if (!block_cache_unwritten(cache, i, text))
            continue;
        shell_disk_error(shell, "sync", i, text);
        told = true;
    }
    if (!told)
        shell_error(shell, "sync", NULL, ash_strerror(error));
    if (blocks != 0)
        shell_print(shell, "of other disks, %" PRIu32 " block%s safe\n", blocks,
                    blocks == 1 ? " is" : "s are");
    return 1;
}

SHELL_COMMAND(sync, "",
              "Writes all dirty blocks to their disks and has the disks make them safe.\n"
              "Once it has said so, they are there after a crash. An error is told, and the\n"
              "blocks stay dirty: the next sync tries again.") {
    uint32_t blocks;
    if (argc > 1)
        return shell_usage(shell, argv[0], "takes no argument");
    if (!has_cache(shell, "sync"))
        return 1;
    ash_ns_t start_ns = platform_now_ns();
    int error = block_cache_sync(&shell->kernel->cache, &blocks);
    uint64_t us = (platform_now_ns() - start_ns) / 1000;
    if (error != 0)
        return tell_unwritten(shell, error, blocks);
    shell_print(shell,
                "all is safe: %" PRIu32 " block%s written, in %" PRIu64 ".%03" PRIu64 " ms\n",
                blocks, blocks == 1 ? "" : "s", us / 1000, us % 1000);
    return 0;
}

/* write */

static int write_words(struct shell *shell, struct disk *disk, uint64_t offset, int count,
                       char **words) {
    struct block_cache *cache = &shell->kernel->cache;
    int error = 0;
    for (int i = 0; i < count && error == 0; i++) {
        size_t len = strlen(words[i]);
        error = block_cache_write(cache, disk, offset, words[i], len);
        offset += len;
        if (error == 0 && i + 1 < count)
            error = block_cache_write(cache, disk, offset++, " ", 1);
    }
    return error == 0 ? 0
                      : shell_disk_error(shell, "write", disk->number, disk_explain(disk, error));
}

SHELL_COMMAND(write, "[--disk N] [--force] OFFSET TEXT...",
              "Writes the text's bytes to a disk, through the cache: into memory, for now.\n"
              "They are on the disk after `sync`, at an orderly end, after a few seconds (see\n"
              "`cache`), or once too many blocks are dirty; `blk write` does not wait.\n"
              "--disk N: of that number, without it the second one. --force: may write to the\n"
              "first one.") {
    struct shell_disk_options options = {.disk = shell_disk_to_write(shell)};
    uint64_t offset;
    int first = shell_disk_options(shell, argc, argv, 1, &options);
    if (first == 0)
        return SHELL_STATUS_USAGE;
    if (argc - first < 2 || !number_parse(argv[first], &offset))
        return shell_usage(shell, "write", "takes an offset in bytes and a text");
    struct disk *disk = shell_disk(shell, "write", options.disk);
    if (disk == NULL || !shell_disk_may_write(shell, "write", disk, options.force))
        return 1;
    return write_words(shell, disk, offset, argc - first - 1, argv + first + 1);
}
