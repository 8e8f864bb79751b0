/* SPDX-License-Identifier: MIT */
/*
 * fake_disk.c: the program ashlar-fake-disk: a file as a virtio block device that another process,
 * QEMU say, connects to (vhost-user). It can be slow, unordered or hostile, by command line, and
 * says at the end which rules the guest's driver broke.
 */
#include <ashlar/error.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "hosted/vhost_user_back.h"
#include "hosted/virtio_blk_cache.h"
#include "hosted/virtio_blk_device.h"
#include "sim/script.h"

enum {
    EXIT_BROKEN_RULE = 1, /* by the driver or the front end */
    EXIT_USAGE = 2,
    SPEED_LIMIT = 1000000000,
};

static const char usage[] =
    "usage: ashlar-fake-disk --socket PATH [OPTION]... FILE\n"
    "Serves FILE as a virtio block device over vhost-user, to one front end, until that hangs up:\n"
    "  qemu-system-aarch64 -M virt,memory-backend=m0 -m 256M \\\n"
    "    -object memory-backend-memfd,id=m0,size=256M,share=on \\\n"
    "    -chardev socket,id=c0,path=PATH -device vhost-user-blk,chardev=c0 \\\n"
    "    -global virtio-mmio.force-legacy=false ...\n"
    "Then says on standard error what it did, and each rule that the driver broke; the status is\n"
    "1 if there was one, or if the front end broke the protocol.\n"
    "  --socket PATH         where to listen; what is there is not replaced\n"
    "  --writable            writes, discard and write-zeroes; kept in memory until the end\n"
    "  --volatile            the same with a write cache; when the front end is gone the power\n"
    "                        fails: FILE gets what was flushed, and of the rest some sectors\n"
    "  --packed              offers packed rings (QEMU wants packed=on, too)\n"
    "  --order fifo|lifo|random  in which requests are executed (fifo)\n"
    "  --shuffle             any possible ring action next, not the most urgent one\n"
    "  --latency N           steps before a request is executed (0)\n"
    "  --spread N            up to so many more, by chance (0)\n"
    "  --batch N             used entries before they are published (1)\n"
    "  --notify-always       interrupts that nobody asked for\n"
    "  --seed N              of chance (1)\n"
    "  --queues N            request queues, 1 to 4 (1)\n"
    "  --fault SCRIPT        lies, up to 32: device.KIND@FIRST[xCOUNT][=VALUE], such as\n"
    "                        device.death@17 or device.interrupt_lost@0x*\n"
    "  --faults              lists the kinds and ends\n"
    "  --keep                serves the next front end, too, until a signal comes\n"
    "  --help                this text\n";

static struct {
    const char *socket_path, *file_path;
    bool writable, is_volatile, packed, keep;
    uint64_t queues;
    struct fake_virtio_policy policy;
    struct fake_virtio_fault faults[SIM_SCRIPT_ENTRIES_MAX];
} options = {.queues = 1, .policy = {.seed = 1}};

static struct fake_virtio_blk blk;
static struct fake_virtio_blk_file file;
static struct fake_virtio_blk_memory copy;
static struct fake_virtio_blk_cache write_cache;
static uint64_t chance;
static struct guest_memory memory;

static void tell(void *context, const char *sentence) {
    (void)context;
    fprintf(stderr, "ashlar-fake-disk: %s\n", sentence);
}

static int misuse(const char *format, const char *word) {
    fputs("ashlar-fake-disk: ", stderr);
    fprintf(stderr, format, word);
    fputs("; see --help\n", stderr);
    return EXIT_USAGE;
}

/* Options */

static bool parse_number(const char *text, uint64_t max, uint64_t *number) {
    char *end;
    errno = 0;
    *number = strtoull(text, &end, 0);
    return *text >= '0' && *text <= '9' && *end == '\0' && errno == 0 && *number <= max;
}

static bool set_order(const char *value) {
    static const char *const names[] = {
        [FAKE_VIRTIO_FIFO] = "fifo", [FAKE_VIRTIO_LIFO] = "lifo", [FAKE_VIRTIO_RANDOM] = "random"};
    for (size_t i = 0; i < ASH_ARRAY_LEN(names); i++) {
        if (strcmp(value, names[i]) != 0)
            continue;
        options.policy.order = (enum fake_virtio_order)i;
        return true;
    }
    return false;
}

static const struct sim_actor actor = {"device", fake_virtio_fault_name};

/* All of them in one option or in several. */
static int set_faults(const char *text) {
    static struct sim_script script;
    char message[200];
    if (sim_script_parse(&script, &actor, 1, text, message, sizeof(message)) != 0)
        return misuse("%.199s", message);
    for (uint32_t i = 0; i < script.count; i++) {
        const struct sim_script_entry *entry = &script.entries[i];
        if (options.policy.fault_count == SIM_SCRIPT_ENTRIES_MAX)
            return misuse("%s", "too many faults");
        options.faults[options.policy.fault_count++] = (struct fake_virtio_fault){
            (enum fake_virtio_fault_kind)entry->fault, entry->first, entry->count, entry->value};
    }
    options.policy.faults = options.faults;
    return 0;
}

static bool set_number(const char *name, const char *value) {
    static const struct {
        const char *name;
        uint32_t *place;
    } numbers[] = {{"--latency", &options.policy.latency_steps},
                   {"--spread", &options.policy.latency_spread},
                   {"--batch", &options.policy.used_batch}};
    uint64_t number;
    if (strcmp(name, "--seed") == 0)
        return parse_number(value, UINT64_MAX, &options.policy.seed);
    if (strcmp(name, "--queues") == 0)
        return parse_number(value, FAKE_VIRTIO_QUEUES_MAX, &options.queues) && options.queues != 0;
    for (size_t i = 0; i < ASH_ARRAY_LEN(numbers); i++) {
        if (strcmp(name, numbers[i].name) != 0)
            continue;
        if (!parse_number(value, SPEED_LIMIT, &number))
            return false;
        *numbers[i].place = (uint32_t)number;
        return true;
    }
    return false;
}

/* True: it is one. */
static bool set_switch(const char *name) {
    if (strcmp(name, "--writable") == 0)
        options.writable = true;
    else if (strcmp(name, "--volatile") == 0)
        options.writable = options.is_volatile = true;
    else if (strcmp(name, "--packed") == 0)
        options.packed = true;
    else if (strcmp(name, "--keep") == 0)
        options.keep = true;
    else if (strcmp(name, "--shuffle") == 0)
        options.policy.shuffle_actions = true;
    else if (strcmp(name, "--notify-always") == 0)
        options.policy.notify = FAKE_VIRTIO_NOTIFY_ALWAYS;
    else
        return false;
    return true;
}

static bool set_value(const char *name, const char *value) {
    if (strcmp(name, "--socket") == 0)
        options.socket_path = value;
    else if (strcmp(name, "--order") == 0)
        return set_order(value);
    else
        return set_number(name, value);
    return true;
}

static int parse(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        if (argv[i][0] != '-') {
            if (options.file_path != NULL)
                return misuse("one FILE, not also %.60s", argv[i]);
            options.file_path = argv[i];
        } else if (!set_switch(argv[i])) {
            if (i + 1 == argc)
                return misuse("%.60s is unknown, or needs a value", argv[i]);
            i++;
            if (strcmp(argv[i - 1], "--fault") == 0) {
                int status = set_faults(argv[i]);
                if (status != 0)
                    return status;
            } else if (!set_value(argv[i - 1], argv[i])) {
                return misuse("there is no such option, or it takes no such value: %.60s", argv[i]);
            }
        }
    }
    if (options.socket_path == NULL || options.file_path == NULL)
        return misuse("%s", "--socket PATH and FILE are needed");
    return 0;
}

/* The disk */

static int read_copy(struct fake_virtio_blk_backing *backing) {
    copy.size_bytes = backing->size_bytes;
    copy.bytes = malloc(copy.size_bytes + 1);
    if (copy.bytes == NULL)
        return -ASH_ENOMEM;
    int error = backing->read(backing->context, 0, copy.bytes, copy.size_bytes);
    *backing = fake_virtio_blk_memory(&copy);
    return error;
}

/* Steele, Lea, Flood: SplitMix64, OOPSLA 2014. */
static uint64_t choose(void *context, uint64_t limit) {
    uint64_t *state = context, z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return (z ^ (z >> 31)) % limit;
}

/* Puts the write cache before the copy. */
static int start_write_cache(struct fake_virtio_blk_backing *backing) {
    struct fake_virtio_blk_cache_config config = {.cached = copy.bytes,
                                                  .durable = malloc(copy.size_bytes + 1),
                                                  .dirty = calloc(copy.size_bytes / 512 + 1, 1),
                                                  .size_bytes = copy.size_bytes,
                                                  .destage_percent = 10,
                                                  .choose = choose,
                                                  .choose_context = &chance};
    if (config.durable == NULL || config.dirty == NULL)
        return -ASH_ENOMEM;
    chance = options.policy.seed;
    memcpy(config.durable, config.cached, config.size_bytes);
    fake_virtio_blk_cache_init(&write_cache, &config, backing);
    return 0;
}

/* False: the file cannot be written. */
static bool lose_power(void) {
    uint64_t size = copy.size_bytes;
    fprintf(stderr, "ashlar-fake-disk: the power fails with %llu dirty sectors\n",
            (unsigned long long)fake_virtio_blk_cache_dirty(&write_cache));
    fake_virtio_blk_cache_lose_power(&write_cache, FAKE_VIRTIO_BLK_LOSE_SOME);
    FILE *out = fopen(options.file_path, "r+b");
    bool good = out != NULL && fwrite(copy.bytes, 1, size, out) == size;
    if (out != NULL)
        good &= fclose(out) == 0;
    if (!good)
        fprintf(stderr, "ashlar-fake-disk: %s: %s\n", options.file_path, strerror(errno));
    return good;
}

static bool open_disk(void) {
    struct fake_virtio_blk_config config = {.queue_count = (uint32_t)options.queues,
                                            .queue_size_max = FAKE_VIRTIO_QUEUE_SIZE_MAX,
                                            .seg_max = 126,
                                            .id = "ashlar-fake-disk"};
    if (options.packed)
        config.features_with |= FAKE_VIRTIO_F_RING_PACKED;
    if (options.writable)
        config.features_with |= FAKE_VIRTIO_BLK_F_DISCARD | FAKE_VIRTIO_BLK_F_WRITE_ZEROES;
    int error = fake_virtio_blk_file_open(&file, options.file_path, false, &config.backing);
    if (error == 0 && options.writable)
        error = read_copy(&config.backing);
    if (error == 0 && options.is_volatile)
        error = start_write_cache(&config.backing);
    if (error != 0) {
        fprintf(stderr, "ashlar-fake-disk: %s: %s\n", options.file_path, strerror(-error));
        return false;
    }
    guest_memory_init(&memory);
    fake_virtio_blk_init(&blk, &config, &memory);
    fake_virtio_set_policy(&blk.device, &options.policy);
    return true;
}

/* The socket */

/* The name appears once somebody listens: who waits for it can connect. */
static bool publish(const char *path, const char *hidden) {
    bool good = link(hidden, path) == 0;
    int error = errno;
    unlink(hidden);
    errno = error;
    return good;
}

static int listen_at(const char *path) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t room = sizeof(address.sun_path);
    int len = snprintf(address.sun_path, room, "%s.%d", path, (int)getpid()), fd = -1;
    errno = ENAMETOOLONG;
    if (len > 0 && (size_t)len < room)
        fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && bind(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, 1) == 0 && publish(path, address.sun_path))
        return fd;
    fprintf(stderr, "ashlar-fake-disk: %s: %s\n", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return -1;
}

static int signals_fd(void) {
    sigset_t ends;
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    sigaddset(&ends, SIGHUP);
    sigprocmask(SIG_BLOCK, &ends, NULL);
    return signalfd(-1, &ends, SFD_CLOEXEC);
}

static void on_sigbus(int number) {
    static const char text[] =
        "ashlar-fake-disk: the front end took its memory away while it was in use\n";
    ssize_t written = write(STDERR_FILENO, text, sizeof(text) - 1);
    (void)number;
    (void)written;
    _exit(EXIT_BROKEN_RULE);
}

/* False: it is time to end. */
static bool serve_one(struct vhost_back *back, int listener, int stop_fd, bool *good) {
    struct pollfd pollers[2] = {{.fd = listener, .events = POLLIN},
                                {.fd = stop_fd, .events = POLLIN}};
    while (poll(pollers, 2, -1) < 0) {}
    if (pollers[1].revents != 0)
        return false;
    int session = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (session < 0)
        return true;
    int error = vhost_back_serve(back, session, stop_fd);
    close(session);
    if (error != 0 && error != -ASH_EAGAIN) {
        fprintf(stderr, "ashlar-fake-disk: the front end broke the protocol: %s\n",
                ash_strerror(error));
        *good = false;
    }
    return options.keep && error != -ASH_EAGAIN;
}

static bool report(const struct vhost_back *back) {
    const struct fake_virtio_stats *stats = &blk.device.stats;
    const char *text;
    fprintf(stderr,
            "ashlar-fake-disk: %llu starts, %llu reads, %llu writes, %llu flushes, "
            "%llu notifications, %llu interrupts, %llu rules broken\n",
            (unsigned long long)back->starts, (unsigned long long)blk.reads,
            (unsigned long long)blk.writes, (unsigned long long)blk.flushes,
            (unsigned long long)stats->notifications, (unsigned long long)stats->interrupts,
            (unsigned long long)fake_virtio_violations(&blk.device));
    for (uint32_t i = 0; (text = fake_virtio_violation_text(&blk.device, i)) != NULL; i++)
        fprintf(stderr, "ashlar-fake-disk: the driver broke a rule: %s\n", text);
    return fake_virtio_violations(&blk.device) == 0;
}

static bool only_asks(int argc, char **argv) {
    if (argc != 2)
        return false;
    if (strcmp(argv[1], "--help") == 0)
        fputs(usage, stdout);
    else if (strcmp(argv[1], "--faults") != 0)
        return false;
    for (uint32_t i = 0; argv[1][2] == 'f' && i < FAKE_VIRTIO_FAULT_KINDS; i++)
        printf("device.%s\n", fake_virtio_fault_name(i));
    return true;
}

int main(int argc, char **argv) {
    struct vhost_back back;
    bool good = true;
    if (only_asks(argc, argv))
        return 0;
    int status = parse(argc, argv);
    if (status != 0)
        return status;
    if (!open_disk())
        return EXIT_USAGE;
    int stop_fd = signals_fd(), listener = listen_at(options.socket_path);
    if (listener < 0 || stop_fd < 0)
        return EXIT_USAGE;
    signal(SIGBUS, on_sigbus);
    vhost_back_init(
        &back, &(struct vhost_back_config){.device = &blk.device, .memory = &memory, .say = tell});
    while (serve_one(&back, listener, stop_fd, &good)) {}
    unlink(options.socket_path);
    if (options.is_volatile)
        good &= lose_power();
    return report(&back) && good ? 0 : EXIT_BROKEN_RULE;
}
