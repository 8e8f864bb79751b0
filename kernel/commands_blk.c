/* SPDX-License-Identifier: MIT */
/* commands_blk.c: blk: the disks, and the few things that are done with them by hand. */
#include "kernel.h"
#include "numbers.h"
#include "shell_disks.h"
#include "thread.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Shared */

static bool is_first_of_group(const struct kernel *kernel, uint32_t number) {
    return number == 0 || kernel->disks[number]->group != kernel->disks[0]->group;
}

/* Nobody is in the middle of a call then: threads_alone leaves threads wherever they are. */
void shell_disks_alone(struct shell *shell, void (*fn)(void *context), void *context) {
    struct kernel *kernel = shell->kernel;
    block_cache_keep(&kernel->cache);
    for (uint32_t i = 0; i < kernel->disk_count; i++) {
        if (is_first_of_group(kernel, i))
            disk_lock(kernel->disks[i]);
    }
    threads_alone(fn, context);
    for (uint32_t i = 0; i < kernel->disk_count; i++) {
        if (is_first_of_group(kernel, i))
            disk_unlock(kernel->disks[i]);
    }
    block_cache_resume(&kernel->cache);
}

int shell_disk_error(struct shell *shell, const char *command, uint64_t number, const char *why) {
    char subject[28]; /* "disk " and twenty digits */
    snprintf(subject, sizeof(subject), "disk %" PRIu64, number);
    return shell_error(shell, command, subject, why);
}

struct disk *shell_disk(struct shell *shell, const char *command, uint64_t number) {
    if (!shell_has_kernel(shell, command))
        return NULL;
    const struct kernel *kernel = shell->kernel;
    if (number < kernel->disk_count) {
        disk_refresh(kernel->disks[number]);
        return kernel->disks[number];
    }
    if (kernel->disk_count == 0)
        shell_error(shell, command, NULL, kernel->disk_reason);
    else
        shell_disk_error(shell, command, number, "there is no such disk; `blk` lists them");
    return NULL;
}

bool shell_disk_may_write(struct shell *shell, const char *command, const struct disk *disk,
                          bool force) {
    if (disk->blk.read_only)
        shell_disk_error(shell, command, disk->number,
                         shell->kernel->disk_count == 1
                             ? "the disk is read-only; start with a second --disk to write to"
                             : "the disk is read-only");
    else if (disk->number == 0 && !force)
        shell_disk_error(shell, command, disk->number,
                         "not written to: it is the first disk, whose data would be lost; start "
                         "with a second --disk, or say --force");
    else
        return true;
    return false;
}

uint64_t shell_disk_to_write(const struct shell *shell) {
    return shell->kernel != NULL && shell->kernel->disk_count > 1;
}

static const char *const policies[] = {
    [ASH_VIRTIO_BLK_POLL] = "poll",
    [ASH_VIRTIO_BLK_INTERRUPT] = "interrupt",
    [ASH_VIRTIO_BLK_DELAYED] = "delayed",
    [ASH_VIRTIO_BLK_HYBRID] = "hybrid",
};

bool shell_disk_policy(const char *word, enum ash_virtio_blk_policy *policy, uint32_t *amount) {
    size_t len = strcspn(word, ":");
    uint64_t number = 0;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(policies); i++) {
        if (strlen(policies[i]) != len || strncmp(word, policies[i], len) != 0)
            continue;
        *policy = (enum ash_virtio_blk_policy)i;
        bool takes_amount = i == ASH_VIRTIO_BLK_DELAYED || i == ASH_VIRTIO_BLK_HYBRID;
        if (word[len] == ':' &&
            (!takes_amount || !number_parse_within(word + len + 1, 1, UINT32_MAX, &number)))
            return false;
        if (word[len] == '\0' && i == ASH_VIRTIO_BLK_HYBRID)
            number = 1000;
        *amount = (uint32_t)number;
        return true;
    }
    return false;
}

const char *shell_disk_policy_text(enum ash_virtio_blk_policy policy, uint32_t amount,
                                   char text[24]) {
    if (amount == 0)
        snprintf(text, 24, "%s", policies[policy]);
    else
        snprintf(text, 24, "%s:%" PRIu32, policies[policy], amount);
    return text;
}

/* Showing */

static void print_features(struct shell *shell, const struct ash_virtio_blk *blk) {
    static const struct {
        uint64_t bit;
        const char *name;
    } names[] = {
        {ASH_VIRTIO_BLK_F_SIZE_MAX, "size-max"},  {ASH_VIRTIO_BLK_F_SEG_MAX, "seg-max"},
        {ASH_VIRTIO_BLK_F_RO, "read-only"},       {ASH_VIRTIO_BLK_F_BLK_SIZE, "blk-size"},
        {ASH_VIRTIO_BLK_F_FLUSH, "flush"},        {ASH_VIRTIO_BLK_F_MQ, "mq"},
        {ASH_VIRTIO_BLK_F_DISCARD, "discard"},    {ASH_VIRTIO_BLK_F_WRITE_ZEROES, "write-zeroes"},
        {ASH_VIRTIO_F_INDIRECT_DESC, "indirect"}, {ASH_VIRTIO_F_EVENT_IDX, "event-idx"},
        {ASH_VIRTIO_F_VERSION_1, "version-1"},    {ASH_VIRTIO_F_RING_PACKED, "packed"},
    };
    shell_print(shell, "features   ");
    uint32_t column = 11;
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        if ((blk->features & names[i].bit) == 0)
            continue;
        uint32_t len = (uint32_t)strlen(names[i].name) + 1;
        if (column + len > 80) {
            shell_print(shell, "\n           ");
            column = 11;
        }
        shell_print(shell, "%s ", names[i].name);
        column += len;
    }
    shell_print(shell, "\n");
}

static void print_counters(struct shell *shell, const struct disk *disk) {
    struct ash_virtio_blk_counters counters;
    ash_virtio_blk_get_counters(&disk->blk, &counters);
    const uint64_t *requests = counters.requests;
    shell_print(shell,
                "requests   %" PRIu64 " reads, %" PRIu64 " writes, %" PRIu64 " flushes, %" PRIu64
                " discards, %" PRIu64 " zeroings;\n           %" PRIu64 " scattered\n",
                requests[ASH_VIRTIO_BLK_READ], requests[ASH_VIRTIO_BLK_WRITE],
                requests[ASH_VIRTIO_BLK_FLUSH], requests[ASH_VIRTIO_BLK_DISCARD],
                requests[ASH_VIRTIO_BLK_WRITE_ZEROES], counters.scattered);
    shell_print(shell,
                "bytes      %" PRIu64 " in all; of files, %" PRIu64 " zero-copy, %" PRIu64
                " copied\n",
                counters.bytes, disk->straight_bytes, disk->bounced_bytes);
    shell_print(shell, "notices    %" PRIu64 " kicks, %" PRIu64 " interrupts\n", counters.kicks,
                counters.interrupts);
    shell_print(shell,
                "failures   %" PRIu64 " errors, %" PRIu64 " time-outs, %" PRIu64 " resets, %" PRIu64
                " aborted, %" PRIu64 " queued again\n",
                counters.errors, disk->timeouts, counters.resets, counters.aborted,
                counters.resubmitted);
}

/* A row for each: what the driver has, and what the device made of it. */
static void print_queues(struct shell *shell, struct disk *disk) {
    struct ash_virtio_blk *blk = &disk->blk;
    struct ash_virtio_blk_counters counters;
    char policy[24];
    shell_print(shell,
                "queues     %" PRIu32 " %s, of %" PRIu32 " entries: %" PRIu32
                " requests in flight in each,\n",
                blk->queue_count,
                (blk->features & ASH_VIRTIO_F_RING_PACKED) != 0 ? "packed" : "split",
                blk->queue_size, blk->in_flight_max);
    shell_print(shell, "           %" PRIu32 " segments a request; policy %s%s\n",
                blk->segments_max,
                shell_disk_policy_text(disk->policy, disk->policy_amount, policy),
                disk->dead ? "; given up: the device does not finish a reset" : "");
    shell_print(shell, "   queue in flight    requests completions  errors aborted       kicks\n");
    for (uint32_t i = 0; i < blk->queue_count; i++) {
        struct ash_virtio_blk_queue *queue = ash_virtio_blk_get_queue(blk, i);
        uint64_t requests = 0;
        ash_virtio_blk_get_queue_counters(queue, &counters);
        for (uint32_t op = 0; op < ASH_VIRTIO_BLK_OPS; op++)
            requests += counters.requests[op];
        shell_print(shell,
                    "%8" PRIu32 " %9" PRIu32 " %11" PRIu64 " %11" PRIu64 " %7" PRIu64 " %7" PRIu64
                    " %11" PRIu64 "\n",
                    i, ash_virtio_blk_in_flight(queue), requests, counters.completions,
                    counters.errors, counters.aborted, counters.kicks);
    }
}

static void print_disk(struct shell *shell, struct disk *disk) {
    const struct ash_virtio_blk *blk = &disk->blk;
    char id[ASH_VIRTIO_BLK_ID_BYTES + 1];
    disk_id(disk, id);
    shell_print(shell,
                "disk %-5" PRIu32 " virtio slot %" PRIu32 ", %" PRIu64 " bytes, blocks of %" PRIu32
                "%s",
                disk->number, disk->slot, disk->size_bytes, blk->block_size_bytes,
                blk->read_only ? ", read-only" : "");
    shell_print(shell, "%s", id[0] != '\0' ? ", id " : "");
    shell_text(shell, id);
    shell_print(shell, "\n");
    print_features(shell, blk);
    print_queues(shell, disk);
    print_counters(shell, disk);
}

static void print_archive(struct shell *shell) {
    const struct kernel *kernel = shell->kernel;
    const struct tarfs *files = kernel->files;
    if (files == NULL) {
        shell_print(shell, "archive    none: %s\n", kernel->files_reason);
        return;
    }
    shell_print(shell,
                "archive    on disk %" PRIu32 ": %" PRIu64 " entries, %" PRIu64 " names, %" PRIu64
                " left out\n",
                kernel->files_on->number, files->entries, files->nodes - 1, files->refused);
    if (files->damage[0] != '\0') {
        shell_print(shell, "damage     ");
        shell_text(shell, files->damage);
        shell_print(shell, "\n");
    }
}

static int show(struct shell *shell) {
    if (shell_disk(shell, "blk", 0) == NULL)
        return 1;
    for (uint32_t i = 0; i < shell->kernel->disk_count; i++) {
        print_disk(shell, shell->kernel->disks[i]);
        shell_print(shell, "\n");
    }
    print_archive(shell);
    return 0;
}

/* Writing by hand */

int shell_disk_options(struct shell *shell, int argc, char **argv, int first,
                       struct shell_disk_options *options) {
    int at = first;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--force") == 0) {
            options->force = true;
        } else if (strcmp(argv[at], "--disk") != 0) {
            shell_usage(shell, argv[0], "unknown option; there are --disk N and --force");
            return 0;
        } else if (++at >= argc ||
                   !number_parse_within(argv[at], 0, DISKS_MAX - 1, &options->disk)) {
            shell_usage(shell, argv[0], "--disk takes the number of a disk, such as 1");
            return 0;
        }
    }
    return at;
}

static int told(struct shell *shell, const struct disk *disk, int error) {
    return error == 0 ? 0 : shell_disk_error(shell, "blk", disk->number, disk_explain(disk, error));
}

/* What goes past the cache is coherent with it. */
static int released(struct shell *shell, struct disk *disk, uint64_t offset, uint64_t len) {
    return block_cache_release(&shell->kernel->cache, disk, offset, len);
}

/* The end of what begins with released. */
static int resumed(struct shell *shell, int error) {
    block_cache_resume(&shell->kernel->cache);
    return error;
}

static int write_text(struct shell *shell, struct disk *disk, int count, char **words) {
    uint64_t offset;
    if (count != 2 || !number_parse(words[0], &offset))
        return shell_usage(shell, "blk", "write takes an offset in bytes and a text");
    int error = released(shell, disk, offset, strlen(words[1]));
    if (error == 0)
        error = disk_write(disk, offset, words[1], strlen(words[1]));
    error = resumed(shell, error);
    return told(shell, disk, error != 0 ? error : disk_flush(disk));
}

static int discard(struct shell *shell, struct disk *disk, int count, char **words) {
    uint64_t offset, len;
    if (count != 2 || !number_parse(words[0], &offset) || !number_parse(words[1], &len))
        return shell_usage(shell, "blk", "discard takes an offset and a length in bytes");
    int error = released(shell, disk, offset, len);
    if (error == 0)
        error = disk_discard(disk, offset, len);
    return told(shell, disk, resumed(shell, error));
}

static int write_zeroes(struct shell *shell, struct disk *disk, int count, char **words) {
    uint64_t offset, len;
    char why[64];
    if (count != 2 || !number_parse(words[0], &offset) || !number_parse(words[1], &len))
        return shell_usage(shell, "blk", "write-zeroes takes an offset and a length in bytes");
    int error = released(shell, disk, offset, len);
    if (error == 0)
        error = disk_write_zeroes(disk, offset, len);
    error = resumed(shell, error);
    if (error != -ASH_EINVAL)
        return told(shell, disk, error != 0 ? error : disk_flush(disk));
    snprintf(why, sizeof(why), "it has blocks of %" PRIu32 " bytes: give whole ones",
             disk->blk.block_size_bytes);
    return shell_disk_error(shell, "blk", disk->number, why);
}

static int by_hand(struct shell *shell, int argc, char **argv,
                   int (*run)(struct shell *shell, struct disk *disk, int count, char **words)) {
    struct shell_disk_options options = {.disk = shell_disk_to_write(shell)};
    int first = shell_disk_options(shell, argc, argv, 2, &options);
    if (first == 0)
        return SHELL_STATUS_USAGE;
    struct disk *disk = shell_disk(shell, "blk", options.disk);
    if (disk == NULL || !shell_disk_may_write(shell, "blk", disk, options.force))
        return 1;
    return run(shell, disk, argc - first, argv + first);
}

SHELL_COMMAND(blk, "[bench|write|write-zeroes|discard] [OPTION...] ...",
              "Shows the disks, their queues and counters, and the archive; or uses a disk.\n"
              "  blk bench [OPTION...]                     measures it\n"
              "  blk write [OPTION...] OFFSET TEXT         writes the text's bytes\n"
              "  blk write-zeroes [OPTION...] OFFSET LEN   of whole blocks\n"
              "  blk discard [OPTION...] OFFSET LEN        whole blocks need not be kept\n"
              "--disk N  of that number; without it bench reads the first one, and what\n"
              "          writes takes the second one. --force: may write to the first one\n"
              "Of bench:\n"
              "--depth N     requests in flight; without it 1, 2, 4 ... 32\n"
              "--queues N    each driven by a CPU of its own, with that depth (1)\n"
              "--size S      of a request (4K); --segments N: scattered over so many pieces\n"
              "--write, --seq (or --rand), --count N requests (or --seconds N)\n"
              "--policy P    poll, interrupt, delayed[:N] (an interrupt for the Nth completion,\n"
              "              without N for 3/4 of those in flight), hybrid[:N] (looks N times)\n"
              "--copy        then the same with a copy of each block, and what that costs\n"
              "--result      one line for programs. MB/s: of 1,000,000 bytes") {
    if (argc == 1)
        return show(shell);
    if (strcmp(argv[1], "bench") == 0)
        return shell_blk_bench(shell, argc - 2, argv + 2);
    if (strcmp(argv[1], "write") == 0)
        return by_hand(shell, argc, argv, write_text);
    if (strcmp(argv[1], "write-zeroes") == 0)
        return by_hand(shell, argc, argv, write_zeroes);
    if (strcmp(argv[1], "discard") == 0)
        return by_hand(shell, argc, argv, discard);
    shell_usage(shell, "blk", "there are bench, write, write-zeroes and discard");
    return SHELL_STATUS_USAGE;
}
