/* SPDX-License-Identifier: MIT */
/*
 * block_cache.h: the machine's cache of disk blocks and file pages: one <ashlar/cache.h> over all
 * disks, its frames out of the page allocator, its I/Os many at a time in the disks' own queues.
 *
 *     space 0..7      the raw disks, in the order given: blocks of 4 KiB by their number
 *     space 8..       a file each, while pages of it are wanted: its data, by its place on a disk
 *
 * Rules
 *  - Any thread, on any CPU; and any number of them may wait at a time. A call waits until what it
 *    wants is there; what it started besides (reading ahead, writing back) goes on, and
 *    block_cache_settle waits for that too. Nothing here is called by interrupts: completions are
 *    taken by one of those who wait, for all of them, and by block_cache_background.
 *  - A byte has one home: a file's data its file, everything else the raw disk. A raw write to a
 *    disk with files forgets their pages, and is on the disk before anything else is read. Who
 *    writes past the cache does it between block_cache_release and block_cache_resume.
 *  - Who has got a block or a page gives it back before he gets another, or calls anything else
 *    here: what forgets blocks waits until nobody has one, and keeps others from beginning.
 *  - Written blocks stay in memory until block_cache_sync, until they have been there for age_ns,
 *    or until there are too many: a quarter of the cache may be dirty, and from half of that on
 *    they are written besides.
 *  - A disk's own blocks are of at most BLOCK_CACHE_BYTES. Where they are larger than a sector, the
 *    bytes of its files are looked at in the blocks of the raw disk, which are their home then.
 *  - Without a cache (no memory; a disk of larger blocks) reads go to the disk, with a copy, and
 *    writes go to it at once.
 *  - What cannot be written stays dirty, and can be read. Once that is all that may be dirty,
 *    writes to the other disks go to them at once.
 *  - Of a disk that was given up what is cached can be read, nothing else. It may write to some
 *    frames for ever: they are not used again.
 */
#ifndef KERNEL_BLOCK_CACHE_H
#define KERNEL_BLOCK_CACHE_H

#include <ashlar/cache.h>

#include "disk.h"

enum {
    BLOCK_CACHE_BYTES = 4096,     /* of a block */
    BLOCK_CACHE_SHARE = 16,       /* of the free memory, a part in so many is for blocks, */
    BLOCK_CACHE_BLOCKS_MIN = 16,  /* and no cache is smaller than this, */
    BLOCK_CACHE_SHARE_MAX = 8,    /* or takes more than a part in so many */
    BLOCK_CACHE_FILES_MAX = 4096, /* that have pages at a time; a quarter of the blocks */
    BLOCK_CACHE_DEPTH = DISK_IN_FLIGHT_MAX,
    BLOCK_CACHE_WINDOW = 32,  /* blocks that are read ahead */
    BLOCK_CACHE_RETRIES = 2,  /* of a failed write */
    BLOCK_CACHE_REASON = 160, /* bytes of a sentence */
    BLOCK_CACHE_AGE_S_MAX = 3600,
};

#define BLOCK_CACHE_AGE_NS UINT64_C(5000000000)

struct block_cache;

/* A disk as a space. */
struct cached_disk {
    struct ash_cache_space space;
    struct block_cache *owner;
    struct disk *disk;
    struct disk_group *group; /* that the disk was in before */
    uint64_t size_bytes;
    bool is_covered; /* its blocks are cached */
    bool has_files;  /* some have been opened since the last raw write */
    bool wants_kick;
    bool wants_flush; /* a write has completed since the last flush */
    bool is_silent;   /* it timed out since the wait began: it is asked for nothing more in it */
    int error;        /* of the last write or flush that failed, since the last that did not */
};

/* A file's data as a space; disk is NULL: a free one. */
struct cached_file {
    struct ash_cache_space space;
    const struct cached_disk *disk;
    uint64_t start, size_bytes; /* its bytes on the disk */
    uint32_t next;              /* in its chain; the number of a file and 1, 0: the last */
};

/* A request of the cache on its way. */
struct block_request {
    struct disk_async async;
    struct block_cache *owner;
    struct cached_disk *disk; /* NULL: it is free */
    struct ash_cache_io *io;
    struct block_request *next; /* free ones */
};

/* Who is inside; block_cache_turns.c. */
struct block_cache_turns {
    uint32_t users;              /* calls that have begun and not ended */
    uint32_t held;               /* blocks and pages that callers have */
    const struct thread *keeper; /* who keeps all others out, or is about to; NULL: nobody */
    uint32_t kept;               /* how often it does */
    struct wait_queue gate;      /* who has to wait for one of these three */
    struct block_wait *leader;   /* who takes completions for all who wait; NULL: nobody waits */
    struct ash_list followers;   /* the others */
    bool leader_sleeps;
    ash_ns_t watch_ns; /* when it looks after the devices */
    uint32_t taken;    /* interrupts, when completions were taken last */
    uint32_t has_news; /* for block_cache_background */
};

struct block_cache {
    struct ash_cache cache;
    bool is_on;         /* else reason says why not */
    const char *reason; /* a sentence */
    uint32_t blocks, dirty_max;
    const char *policy;
    uint64_t memory_bytes; /* that it takes, all told */
    ash_ns_t age_ns;       /* dirty blocks are written after so long; 0: they are not, for that */

    /* private */
    struct kernel_memory *memory;
    struct cached_disk disks[DISKS_MAX];
    uint32_t disk_count;
    struct cached_file *files;
    uint32_t *chains;
    uint32_t file_count, file_hand; /* of files, and of chains; a power of two */
    struct {
        void *pages;
        uint32_t order;
    } data, storage;
    ash_paddr_t data_address;
    struct disk_group group; /* of these disks; its mutex protects all of this */
    struct block_cache_turns turns;
    struct ash_cache_flush_request write_out;
    bool is_writing_out;     /* it is on its way */
    bool has_failed;         /* the last one or the last sync did */
    ash_ns_t dirty_since_ns; /* since the last one began; UINT64_MAX: nothing was dirtied */
    ash_ns_t pause_ns;       /* from then to the next: age_ns, more where it failed */
    struct block_request requests[BLOCK_CACHE_DEPTH + DISKS_MAX];
    struct block_request *free_requests;
    struct ash_cache_io *flush; /* on its way, in so many parts */
    uint32_t flush_parts;
    int flush_status;
};

struct block_cache_config {
    uint32_t blocks;   /* 0: by the free memory */
    bool is_not_ahead; /* does not read ahead */
    ash_ns_t age_ns;   /* 0: dirty blocks may be of any age */
};

/*
 * Over disks[0 .. count). -ASH_ENOMEM: cache->reason says what there was; every other call works
 * without a cache then.
 */
int block_cache_init(struct block_cache *cache, struct kernel_memory *memory,
                     struct disk *const *disks, uint32_t count,
                     const struct block_cache_config *config) ASH_MUST_CHECK;

/* Gives the memory back. -ASH_EBUSY: dirty blocks are left, or a device has some for ever. */
int block_cache_fini(struct block_cache *cache) ASH_MUST_CHECK;

/* Another policy, now; the blocks stay. -ASH_EINVAL: there is none of this name. */
int block_cache_set_policy(struct block_cache *cache, const char *name) ASH_MUST_CHECK;

/* Bytes of a raw disk. Errors as of disk_read and disk_write; disk_explain has a sentence. */
int block_cache_read(struct block_cache *cache, struct disk *disk, uint64_t offset, void *buffer,
                     size_t len) ASH_MUST_CHECK;
int block_cache_write(struct block_cache *cache, struct disk *disk, uint64_t offset,
                      const void *buffer, size_t len) ASH_MUST_CHECK;

/* Pins block `index` of a raw disk: 0, and block_cache_put ends it. The disk is covered.
 * -ASH_EAGAIN: all frames are pinned. */
int block_cache_get(struct block_cache *cache, struct disk *disk, uint64_t index,
                    uint32_t *frame) ASH_MUST_CHECK;
void block_cache_put(struct block_cache *cache, uint32_t frame);

/* NULL: this disk's blocks are not cached. */
struct cached_disk *block_cache_disk(struct block_cache *cache, const struct disk *disk);

/* The disk as the bytes below a file system, and the pages of files on it. */
struct byte_source block_cache_source(struct block_cache *cache, struct disk *disk);
struct page_source block_cache_pages(struct block_cache *cache, struct disk *disk);

/* Before [offset, offset + len) of a disk is written past the cache: what is dirty there is
 * written, and nothing of it is remembered. Other threads are kept out until block_cache_resume,
 * which follows on an error, too. */
int block_cache_release(struct block_cache *cache, struct disk *disk, uint64_t offset,
                        uint64_t len) ASH_MUST_CHECK;
void block_cache_resume(struct block_cache *cache);

/* Keeps the other threads out, as release does; until resume. */
void block_cache_keep(struct block_cache *cache);

/* For a look at what is inside; between the two nothing else here is called. */
void block_cache_lock(struct block_cache *cache);
void block_cache_unlock(struct block_cache *cache);

/* Writes all dirty blocks, and has the devices flush: 0, and they are safe. *blocks: how many
 * became so; on an error block_cache_unwritten says of each disk which did not. */
int block_cache_sync(struct block_cache *cache, uint32_t *blocks) ASH_MUST_CHECK;

/* "12 blocks (48 KiB) not written: the device reported an error"; false: it has nothing that
 * its device could not be given. With or without block_cache_lock. */
bool block_cache_unwritten(const struct block_cache *cache, uint32_t disk,
                           char text[BLOCK_CACHE_REASON]) ASH_MUST_CHECK;

/* Another age, from now on. */
void block_cache_set_age(struct block_cache *cache, ash_ns_t age_ns);

/*
 * For who has nothing better to do: takes what has completed, begins to write what is dirty for too
 * long, or, idle, all that is dirty, and waits for nothing; where others are inside it leaves all
 * but the writing to them. When to call it again at the latest. After a failure it is tried again
 * later and later, and by sync. By one thread.
 */
ash_ns_t block_cache_background(struct block_cache *cache, ash_ns_t now_ns, bool is_idle);

/* Is there something that block_cache_background would do? Only looks: a condition of wait.h. */
bool block_cache_has_news(void *cache);

/* Forgets every block that is clean and not pinned. */
void block_cache_drop(struct block_cache *cache);

/* Until nothing is on its way, or another thread is inside: there would be no end to it. */
void block_cache_settle(struct block_cache *cache);

/* The first broken invariant, or NULL. */
const char *block_cache_check(struct block_cache *cache);

#endif
