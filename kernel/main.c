/* SPDX-License-Identifier: MIT */
/* main.c: from a running machine to a shell, or to the test cases. */
#include "bench.h"
#include "console.h"
#include "dump.h"
#include "kernel.h"
#include "numbers.h"
#include "prof.h"
#include "selftest.h"
#include "shell.h"
#include "shell_jobs.h"
#include "thread.h"
#include "trace.h"

#include <ashlar/error.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "platform.h"

enum {
    CHUNK_ORDER = 6,            /* 256 KiB: eight requests of the disk at once */
    IDLE_AFTER_NS = 1000000000, /* a person who types is not idleness */
};

#define NS_PER_S UINT64_C(1000000000)

static struct kernel kernel;

/* Memory */

static bool start_memory(const struct memory_profile *profile) {
    static const struct memory_view view = {platform_pointer, platform_address};
    struct platform_range ranges[MEMORY_RANGES_MAX];
    uint32_t count = platform_memory(ranges, MEMORY_RANGES_MAX);
    int error = memory_init(&kernel.memory, ranges, count, &view, profile);
    if (error == 0)
        return true;
    kernel_print("ashlar: %s: of %" PRIu64
                 " KiB of memory the kernel needs %u KiB beyond its notes "
                 "about them; start the machine with more\n",
                 error == -ASH_ENOMEM ? "too little memory" : ash_strerror(error),
                 kernel.memory.total_bytes >> 10, MEMORY_MIN_BYTES >> 10);
    return false;
}

/* Disks */

static uint32_t slot_read(void *context, uint32_t offset, uint32_t width_bytes) {
    return platform_virtio_read((uint32_t)(uintptr_t)context, offset, width_bytes);
}

static void slot_write(void *context, uint32_t offset, uint32_t width_bytes, uint32_t value) {
    platform_virtio_write((uint32_t)(uintptr_t)context, offset, width_bytes, value);
}

/* Takes over the slot's device if it is a disk; else false, with a message if something is
 * there. */
static bool start_disk(struct disk *disk, uint32_t slot) {
    const struct ash_virtio_regs regs = {slot_read, slot_write, (void *)(uintptr_t)slot};
    const char *reason = "";
    int error = disk_init(disk, &regs, &kernel.memory, &reason);
    if (error == 0) {
        disk->slot = slot;
        error = platform_virtio_connect(slot, disk_interrupt, disk);
        reason = "its interrupt cannot be connected";
    }
    if (error == 0)
        return true;
    uint32_t device_id = disk->mmio.transport.device_id;
    bool is_empty = error == -ASH_ENXIO && device_id == 0;
    bool is_other = device_id != 0 && device_id != ASH_VIRTIO_ID_BLOCK;
    if (!is_empty && !is_other) {
        kernel_print("ashlar: virtio slot %" PRIu32 ": %s (%s); it is left alone\n", slot, reason,
                     ash_strerror(error));
        kernel.disk_reason = "there is a virtio device, but no disk that works";
    }
    return false;
}

/*
 * All of them. QEMU fills its windows from the highest address down, and so does the hosted
 * machine: the disk that was named first is number 0. Files will pass through the shell's chunk,
 * which stays: the disks read straight into it.
 */
static void find_disks(const struct shell *shell) {
    kernel.disk_reason = "there is no disk; start with --disk FILE.tar";
    for (uint32_t slot = platform_virtio_slots(); slot-- != 0 && kernel.disk_count < DISKS_MAX;) {
        struct disk *disk = ash_kzalloc(&kernel.memory.heap, sizeof(*disk));
        if (disk == NULL) {
            kernel.disk_reason = "there is no memory for the disk's driver";
            return;
        }
        if (!start_disk(disk, slot)) {
            ash_kfree(&kernel.memory.heap, disk);
            continue;
        }
        disk->number = kernel.disk_count;
        disk_lend(disk, shell->chunk, shell->chunk_bytes);
        kernel.disks[kernel.disk_count++] = disk;
    }
}

/* The shell works without it. */
static void start_cache(ash_ns_t age_ns) {
    const struct block_cache_config config = {.age_ns = age_ns};
    if (kernel.disk_count == 0)
        kernel.cache.reason = kernel.disk_reason;
    else if (block_cache_init(&kernel.cache, &kernel.memory, kernel.disks, kernel.disk_count,
                              &config) != 0)
        kernel_print("ashlar: no block cache: %s; disks are read and written directly\n",
                     kernel.cache.reason);
}

/* What was written must not depend on a `sync` before an orderly end. */
static int stop_cache(void) {
    char text[BLOCK_CACHE_REASON];
    uint32_t blocks;
    int error = block_cache_sync(&kernel.cache, &blocks);
    for (uint32_t i = 0; error != 0 && i < kernel.disk_count; i++) {
        if (block_cache_unwritten(&kernel.cache, i, text))
            kernel_print("ashlar: disk %" PRIu32 ": lost: %s\n", i, text);
    }
    return error;
}

/* Files */

static void report_mount(void *context, const char *message) {
    const struct disk *disk = context;
    if (kernel.disk_count == 1)
        kernel_print("ashlar: disk: %s\n", message);
    else
        kernel_print("ashlar: disk %" PRIu32 ": %s\n", disk->number, message);
}

/* False: this disk has no archive. */
static bool mount_disk(struct tarfs *files, struct disk *disk) {
    struct byte_source source = block_cache_source(&kernel.cache, disk);
    int error = tarfs_mount(files, &source, &kernel.memory.allocator, &kernel.file_nodes.allocator,
                            report_mount, disk);
    if (error == 0) {
        const struct page_source pages = block_cache_pages(&kernel.cache, disk);
        tarfs_set_pages(files, &pages);
        kernel.files = files;
        kernel.files_on = disk;
    } else if (error != -ASH_EBADMSG) {
        kernel.files_reason = "the disk's archive could not be read";
    }
    return error == 0;
}

/* The archive is on the first disk that holds one. */
static void mount_files(void) {
    struct tarfs *files = ash_kmalloc(&kernel.memory.heap, sizeof(*files));
    int error =
        memory_cache_init(&kernel.file_nodes, &kernel.memory, "file-node", TARFS_NODE_BYTES);
    kernel.files_reason =
        kernel.disk_count == 0 ? kernel.disk_reason : "the disk holds no tar archive";
    if (files == NULL || error != 0) {
        kernel.files_reason = "there is no memory for a file system";
        return;
    }
    for (uint32_t i = 0; i < kernel.disk_count && !mount_disk(files, kernel.disks[i]); i++) {}
}

/* Programs */

static void report_crash(void *context, const char *text) {
    (void)context;
    kernel_print("%s\n", text);
}

/* Without them everything else works. */
static void start_programs(uint64_t seed) {
    struct file_system *fs = kernel.files == NULL ? NULL : &kernel.files->interface;
    const struct files_config files = {fs, &kernel.terminal, kernel.memory.allocator};
    const struct processes_config config = {
        .memory = &kernel.memory, .files = fs, .seed = seed, .report = report_crash};
    terminal_init(&kernel.terminal, &kernel_console);
    files_init(&files);
    int error = processes_init(&config);
    if (error != 0)
        kernel_print("ashlar: no programs: %s; start the machine with more memory\n",
                     ash_strerror(error));
}

/* Shell */

static void after_command(struct shell *shell) {
    (void)block_cache_background(&kernel.cache, platform_now_ns(), false);
    block_cache_settle(&kernel.cache);
    memory_relieve(&kernel.memory);
    thread_reap();
    shell_tell_jobs(shell);
}

static void greet(struct shell *shell) {
    if (!shell->console->is_terminal)
        return;
    shell_print(shell, "Ashlar on %s: %" PRIu32 " CPU%s, %" PRIu64 " MiB\n", platform_name(),
                platform_cpu_count(), platform_cpu_count() == 1 ? "" : "s",
                kernel.memory.total_bytes >> 20);
    if (kernel.files != NULL)
        shell_print(shell, "disk: %" PRIu64 " entries\n", kernel.files->entries);
    else
        shell_print(shell, "no files: %s\n", kernel.files_reason);
    shell_print(shell, "help lists the commands; Ctrl-D or poweroff ends\n");
}

/* Before the archive is mounted: an index may take all memory that is left. NULL: there is none. */
static struct shell *make_shell(void) {
    struct shell *shell = ash_kzalloc(&kernel.memory.heap, sizeof(*shell));
    void *chunk = memory_pages_alloc(&kernel.memory, CHUNK_ORDER);
    if (shell == NULL || chunk == NULL) {
        kernel_print("ashlar: no memory for the shell; start the machine with more\n");
        return NULL;
    }
    shell->chunk = chunk;
    shell->chunk_bytes = ASH_PAGE_SIZE << CHUNK_ORDER;
    return shell;
}

/* While the shell waits for a byte. What a script prints must not depend on how fast its lines
 * arrive: nothing is idle then. */
static ash_ns_t work_beside(void *context, ash_ns_t since_ns) {
    static ash_ns_t idle_since_ns = UINT64_MAX; /* of the last wait that became idleness */
    ash_ns_t now_ns = platform_now_ns(), idle_ns = since_ns + IDLE_AFTER_NS;
    (void)context;
    if (!kernel_console.is_terminal || idle_since_ns == since_ns)
        return block_cache_background(&kernel.cache, now_ns, false);
    bool is_idle = now_ns >= idle_ns;
    if (is_idle) {
        idle_since_ns = since_ns;
        memory_idle(&kernel.memory);
    }
    ash_ns_t next_ns = block_cache_background(&kernel.cache, now_ns, is_idle);
    return is_idle ? next_ns : ash_min_u64(next_ns, idle_ns);
}

/* A thread, "main". */
static void run_shell(void *context) {
    const struct kernel_work work = {work_beside, block_cache_has_news, &kernel.cache};
    struct shell *shell = context;
    if (kernel.script == NULL)
        kernel_console_init(&work);
    else
        kernel_console_close_input();
    shell->console = &kernel_console;
    shell->fs = kernel.files == NULL ? NULL : &kernel.files->interface;
    shell->no_fs = kernel.files_reason;
    shell->kernel = &kernel;
    shell->after_command = after_command;
    shell_init(shell);
    greet(shell);
    kernel.status =
        kernel.script == NULL ? shell_run(shell) : shell_run_script(shell, kernel.script);
    prof_free();
    if (stop_cache() != 0 && kernel.status == 0)
        kernel.status = 1;
}

static bool prepare_threads(const struct threads_config *config) {
    int error = threads_init(&kernel.memory, config);
    if (error != 0)
        kernel_print("ashlar: no threads: %s; start the machine with more memory\n",
                     ash_strerror(error));
    return error == 0;
}

static int run_threads(struct shell *shell) {
    int error = threads_run(run_shell, shell);
    if (error == 0)
        return kernel.status;
    kernel_print("ashlar: the CPUs do not start: %s\n", ash_strerror(error));
    return 1;
}

/* Tests, without a shell: the arena is the machine's memory itself. */

static int run_tests(const char *words) {
    void *arena = memory_pages_alloc(&kernel.memory, ash_log2_ceil(SELFTEST_ARENA_BYTES >> 12));
    if (arena == NULL) {
        kernel_print("test: the cases need %d MiB in one piece; start the machine with more\n",
                     SELFTEST_ARENA_BYTES >> 20);
        return 1;
    }
    return selftest_run(words, arena) < 0;
}

static void print_line(void *context, const char *text) {
    (void)context;
    kernel_print("%s\n", text);
}

static int run_golden(void) {
    const struct bench_report report = {print_line, NULL};
    int error = bench_golden(&kernel.memory, &report);
    if (error != 0)
        kernel_print("bench: the fixed sequence needs 8 MiB in one piece; start the machine with "
                     "more\n");
    return error != 0;
}

/* Arguments */

struct arguments {
    struct memory_profile profile;
    uint64_t age_s;
    struct threads_config threads;
    uint64_t aslr;    /* the seed of programs' addresses; 0: the same ones each time */
    uint64_t trace;   /* events of a ring, from the start on; 0: none */
    const char *rest; /* what the kernel is to do */
};

/* The next word off the front of *text. */
static bool take_word(const char **text, const char *name, char value[16]) {
    size_t name_len = strlen(name), len;
    if (strncmp(*text, name, name_len) != 0)
        return false;
    *text += name_len;
    len = strcspn(*text, " ");
    value[0] = '\0'; /* no value is so long */
    if (len < 16) {
        memcpy(value, *text, len);
        value[len] = '\0';
    }
    *text += len + ((*text)[len] == ' ');
    return true;
}

/* "heap=WORD", "cache-age=SECONDS", "sched=WORD" and "aslr=SEED", in this order; false: of another
 * value. */
static bool read_arguments(const char *text, struct arguments *arguments) {
    char value[16];
    bool good = true;
    *arguments =
        (struct arguments){.age_s = BLOCK_CACHE_AGE_NS / NS_PER_S, .aslr = platform_seed()};
    if (take_word(&text, "heap=", value)) {
        arguments->profile.seed = platform_seed();
        good = memory_profile_flags(value, &arguments->profile.flags);
    }
    if (good && take_word(&text, "cache-age=", value))
        good = number_parse_within(value, 0, BLOCK_CACHE_AGE_S_MAX, &arguments->age_s);
    if (good && take_word(&text, "sched=", value))
        good = threads_preset_of(value, &arguments->threads.preset);
    if (good && take_word(&text, "aslr=", value))
        good = number_parse_within(value, 0, UINT64_MAX, &arguments->aslr);
    if (good && take_word(&text, "trace=", value))
        good = number_parse_within(value, ASH_TRACE_EVENTS_MIN, ASH_TRACE_EVENTS_MAX,
                                   &arguments->trace);
    arguments->rest = text;
    return good;
}

static int refuse_arguments(void) {
    kernel_print(
        "ashlar: unknown arguments \"%.80s\"; known: [heap=plain|hardened|debug] "
        "[cache-age=SECONDS] [sched=balanced|latency|throughput] [aslr=SEED] [trace=EVENTS] "
        "[test [SUITE...] [seed=N] | bench golden | script COMMANDS]\n",
        platform_arguments());
    return 2;
}

/* A flight recorder: should the machine break, its last events are in ashlar-panic.ash. */
static void start_trace(uint64_t events) {
    const struct trace_config config = {.events = 1u << ash_log2_ceil(events)};
    int error = trace_start(&kernel.memory, &config, NULL);
    if (error == 0)
        dump_prepare(&kernel.memory);
    else
        kernel_print("ashlar: nothing is traced: %s\n", ash_strerror(error));
}

int kernel_main(void) {
    struct arguments arguments;
    if (trace_init() != 0)
        kernel_print("ashlar: more events than a trace can tell apart; the last ones stay off\n");
    if (!read_arguments(platform_arguments(), &arguments))
        return refuse_arguments();
    const char *rest = arguments.rest;
    bool testing = strncmp(rest, "test", 4) == 0 && (rest[4] == '\0' || rest[4] == ' ');
    bool golden = strcmp(rest, "bench golden") == 0;
    if (strncmp(rest, "script ", 7) == 0)
        kernel.script = rest + 7;
    if (*rest != '\0' && !testing && !golden && kernel.script == NULL)
        return refuse_arguments();
    if (!start_memory(&arguments.profile))
        return 1;
    if (golden)
        return run_golden();
    if (arguments.trace != 0)
        start_trace(arguments.trace);
    if (testing)
        return run_tests(rest + 4 + (rest[4] == ' '));
    struct shell *shell = make_shell();
    if (shell == NULL || !prepare_threads(&arguments.threads))
        return 1;
    find_disks(shell);
    start_cache(arguments.age_s * NS_PER_S);
    mount_files();
    start_programs(arguments.aslr);
    return run_threads(shell);
}
