/* SPDX-License-Identifier: MIT */
/*
 * simulate.c: the library over a disk that ends each I/O before it is submitted, so to speak. Its
 * blocks hold nothing, so that those of all simulations lie in one piece of memory, mapped as often
 * as it takes.
 */
#include "simulate.h"

#include <ashlar/cache.h>
#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    BLOCK_BYTES = ASH_CACHE_BLOCK_MIN,
    DATA_PIECE = 1 << 24, /* bytes; a process may have about 65,000 mappings */
};

struct simulation {
    struct ash_cache cache;
    struct simulation_config config;
    struct ash_cache_space *spaces; /* KEYS_SPACES of them, opened when first met */
    bool opened[KEYS_SPACES];
    void *storage;
    char *data;
    size_t data_bytes;
    uint64_t accesses, writes, flushes, flush_writes;
};

struct waiting {
    struct ash_cache_waiter waiter;
    bool woken;
};

struct flushing {
    struct ash_cache_flush_request flush;
    bool done;
};

/* What cannot happen: the disk has no errors, and nothing stays pinned. */
static void refuse_to_go_on(const struct simulation *simulation, const char *what, int error) {
    fprintf(stderr, "ash-cachesim: %s, %" PRIu64 " blocks, access %" PRIu64 ": %s: %s\n",
            simulation->cache.config.policy, simulation->config.blocks, simulation->accesses, what,
            ash_strerror(error));
    abort();
}

static int submit(void *context, struct ash_cache_io *io) {
    struct simulation *simulation = context;
    ash_cache_complete(&simulation->cache, io, 0);
    return 0;
}

static void wake(struct ash_cache_waiter *waiter) {
    ASH_CONTAINER_OF(waiter, struct waiting, waiter)->woken = true;
}

static void done(struct ash_cache_flush_request *flush) {
    ASH_CONTAINER_OF(flush, struct flushing, flush)->done = true;
}

/* Policies and memory */

uint32_t simulation_policies(void) {
    uint32_t count = 0;
    while (ash_cache_policy_name(count) != NULL)
        count++;
    return count;
}

const char *simulation_policy_name(uint32_t policy) {
    return ash_cache_policy_name(policy);
}

/* Exact counts: the policy's own victim, and no write before it has to be. */
/* A disk that answers at once has no latency to be hidden by more, and less is wasted. */
enum { READ_AHEAD_BLOCKS = 8 };

static struct ash_cache_config library_config(const struct simulation_config *config) {
    return (struct ash_cache_config){.blocks = (uint32_t)config->blocks,
                                     .block_bytes = BLOCK_BYTES,
                                     .policy = ash_cache_policy_name(config->policy),
                                     .spaces_max = KEYS_SPACES,
                                     .dirty_max = (uint32_t)config->blocks,
                                     .window_max = config->read_ahead ? READ_AHEAD_BLOCKS : 0,
                                     .strict = true,
                                     .lazy = true,
                                     .backend = {.submit = submit}};
}

uint64_t simulation_bytes(const struct simulation_config *config, uint64_t *blocks_max) {
    struct ash_cache_config library = library_config(config);
    *blocks_max = ASH_CACHE_BLOCKS_MAX;
    if (config->blocks > ASH_CACHE_BLOCKS_MAX)
        return 0;
    size_t storage = ash_cache_storage_size(&library);
    return storage == 0 ? 0 : storage + sizeof(struct simulation);
}

/* The memory that all blocks have in common; -1: none. */
static int shared_piece(void) {
    static int fd = -1;
    if (fd >= 0)
        return fd;
    fd = memfd_create("blocks", MFD_CLOEXEC);
    if (fd >= 0 && ftruncate(fd, DATA_PIECE) != 0) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool map_data(struct simulation *simulation) {
    size_t bytes = (size_t)simulation->config.blocks * BLOCK_BYTES;
    int fd = shared_piece();
    bytes = (bytes + DATA_PIECE - 1) / DATA_PIECE * DATA_PIECE;
    void *data = mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (fd < 0 || data == MAP_FAILED)
        return false;
    simulation->data = data;
    simulation->data_bytes = bytes;
    for (size_t at = 0; at < bytes; at += DATA_PIECE)
        if (mmap(simulation->data + at, DATA_PIECE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED,
                 fd, 0) == MAP_FAILED)
            return false;
    return true;
}

static bool start(struct simulation *simulation) {
    struct ash_cache_config config = library_config(&simulation->config);
    size_t bytes = ash_cache_storage_size(&config);
    config.backend.context = simulation;
    simulation->spaces = calloc(KEYS_SPACES, sizeof(simulation->spaces[0]));
    if (simulation->spaces == NULL || !map_data(simulation) ||
        posix_memalign(&simulation->storage, ASH_PORT_CACHE_LINE, bytes) != 0)
        return false;
    return ash_cache_init(&simulation->cache, &config, simulation->storage, bytes,
                          simulation->data) == 0;
}

struct simulation *simulation_open(const struct simulation_config *config) {
    void *memory;
    if (posix_memalign(&memory, _Alignof(struct simulation), sizeof(struct simulation)) != 0)
        return NULL;
    struct simulation *simulation = memset(memory, 0, sizeof(struct simulation));
    simulation->config = *config;
    if (start(simulation))
        return simulation;
    simulation_close(simulation);
    return NULL;
}

void simulation_close(struct simulation *simulation) {
    if (simulation->data != NULL)
        munmap(simulation->data, simulation->data_bytes);
    free(simulation->storage);
    free(simulation->spaces);
    free(simulation);
}

/* Records */

static struct ash_cache_space *space_at(struct simulation *simulation, uint32_t number) {
    struct ash_cache_space *space = &simulation->spaces[number];
    if (simulation->opened[number])
        return space;
    *space = (struct ash_cache_space){.id = number,
                                      .blocks = UINT64_C(1) << KEYS_INDEX_BITS,
                                      .write_through = simulation->config.write_through};
    int error = ash_cache_space_open(&simulation->cache, space);
    if (error != 0)
        refuse_to_go_on(simulation, "a space cannot be opened", error);
    simulation->opened[number] = true;
    return space;
}

static void access_block(struct simulation *simulation, const struct keyed_record *record) {
    struct ash_cache *cache = &simulation->cache;
    struct waiting waiting = {.waiter = {.wake = wake}};
    bool write = record->op == TRACE_WRITE;
    uint32_t frame;
    int error =
        ash_cache_get(cache, space_at(simulation, record->space), record->index,
                      write ? ASH_CACHE_WRITE | ASH_CACHE_OVERWRITE : 0, &waiting.waiter, &frame);
    if (error == ASH_CACHE_PENDING) {
        error = waiting.woken ? waiting.waiter.status : -ASH_EAGAIN;
        frame = waiting.waiter.frame;
    }
    if (error != 0)
        refuse_to_go_on(simulation, "a block cannot be had", error);
    if (write)
        ash_cache_put_dirty(cache, frame, NULL);
    else
        ash_cache_put(cache, frame);
    simulation->accesses++;
    simulation->writes += write;
}

static uint64_t blocks_written(struct simulation *simulation) {
    struct ash_cache_stats stats;
    ash_cache_get_stats(&simulation->cache, &stats);
    return stats.blocks_written;
}

static void flush(struct simulation *simulation, const struct keyed_record *record) {
    struct flushing flushing = {.flush = {.done = done}};
    bool all = record->op == TRACE_FLUSH_ALL;
    simulation->flushes++;
    if (!all && (record->space == KEYS_SPACES || !simulation->opened[record->space]))
        return;
    uint64_t before = blocks_written(simulation);
    ash_cache_flush(&simulation->cache, all ? NULL : &simulation->spaces[record->space],
                    &flushing.flush);
    if (!flushing.done || flushing.flush.status != 0)
        refuse_to_go_on(simulation, "a flush does not end",
                        flushing.done ? flushing.flush.status : -ASH_EAGAIN);
    simulation->flush_writes += blocks_written(simulation) - before;
}

void simulation_run(struct simulation *simulation, const struct keyed_record *records,
                    size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (records[i].op == TRACE_FLUSH || records[i].op == TRACE_FLUSH_ALL)
            flush(simulation, &records[i]);
        else
            access_block(simulation, &records[i]);
    }
}

void simulation_results(struct simulation *simulation, struct simulation_results *results) {
    struct ash_cache_stats stats;
    ash_cache_get_stats(&simulation->cache, &stats);
    bool through = simulation->config.write_through;
    uint64_t on_flush = simulation->flush_writes;
    *results =
        (struct simulation_results){.accesses = simulation->accesses,
                                    .hits = stats.hits,
                                    .misses = stats.misses,
                                    .writes = simulation->writes,
                                    .flushes = simulation->flushes,
                                    .disk_reads = stats.blocks_read,
                                    .disk_writes = stats.blocks_written,
                                    .evict_writes = through ? 0 : stats.blocks_written - on_flush,
                                    .flush_writes = on_flush,
                                    .dirty_left = stats.dirty,
                                    .prefetched = stats.prefetched,
                                    .prefetch_hits = stats.prefetch_used};
    if (stats.hits + stats.misses != simulation->accesses)
        refuse_to_go_on(simulation, "hits and misses are not the accesses", -ASH_EINVAL);
}

/* Nobody listens. */
void ash_event_emit(const struct ash_event *event, uint64_t a, uint64_t b) {
    (void)event, (void)a, (void)b;
}
