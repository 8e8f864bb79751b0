/* SPDX-License-Identifier: MIT */
/*
 * prof_shares.c: three functions that share the time as 60, 30 and 10 to 100, for perf_shares.py.
 *
 *     bench-prof-shares SECONDS [HZ DUMP]
 *
 * With HZ it is sampled meanwhile, by the platform's sampler and lib/prof, and DUMP gets what was
 * recorded, without symbols: those are in this executable.
 */
#include <ashlar/port.h>
#include <ashlar/prof.h>
#include <ashlar/prof_file.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "platform.h"
#include "sample.h"

#define NS_PER_S UINT64_C(1000000000)

enum { SAMPLES = 1 << 18, WORDS = 1 << 14, UNIT_MIN = 300, TEXT_BYTES = 128 };

/* The work: each turn waits for the one before, so how the loop lies in memory changes nothing. */

static volatile uint64_t result;

static inline __attribute__((always_inline)) void turns(uint32_t count) {
    uint64_t x = result;
    for (uint32_t i = 0; i < count; i++) {
        x = x * UINT64_C(6364136223846793005) + 1442695040888963407;
        __asm__ volatile("" : "+r"(x));
    }
    result = x;
}

__attribute__((noinline)) static void share_60(uint32_t unit) {
    turns(60 * unit);
}
__attribute__((noinline)) static void share_30(uint32_t unit) {
    turns(30 * unit);
}
__attribute__((noinline)) static void share_10(uint32_t unit) {
    turns(10 * unit);
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * NS_PER_S + (uint64_t)now.tv_nsec;
}

/* Each round takes another time, 50 to 150 us: else it might keep step with a sampler, which would
 * look at the same places again and again. */
static void work(double seconds) {
    uint64_t end_ns = now_ns() + (uint64_t)(seconds * 1e9);
    do {
        uint32_t unit = UNIT_MIN + (uint32_t)(result >> 54); /* ten bits, as good as random */
        share_60(unit);
        share_30(unit);
        share_10(unit);
    } while (now_ns() < end_ns);
}

/* The sampler */

static struct ash_prof *profile;

static void take(void *context, const struct platform_sample *sample) {
    const struct ash_prof_registers registers = {
        .pc = sample->pc,
        .fp = sample->fp,
        .link = sample->link,
        .is_link = sample->is_link_live ? ASH_PROF_LINK_LIVE : ASH_PROF_LINK_RECORD,
        .low = sample->stack_low,
        .high = sample->stack_high};
    (void)context;
    ash_prof_take(profile, sample->clock, 1, sample->missed + 1,
                  sample->missed != 0 ? ASH_PROF_LATE : 0, &registers, NULL);
}

static void fail(const char *what, int error) {
    fprintf(stderr, "bench-prof-shares: %s: %s\n", what, ash_strerror(error));
    exit(1);
}

/* What is described of the run, besides samples and stacks. */
struct description {
    char text[TEXT_BYTES], strings[32];
    struct ash_prof_task task;
    struct ash_prof_image image;
    struct ash_prof_profile profile;
};

/* How far from the ELF file's addresses this process's are: what is first is the executable. */
static int take_bias(struct dl_phdr_info *info, size_t size, void *bias) {
    (void)size;
    *(uint64_t *)bias = info->dlpi_addr;
    return 1;
}

static void describe_image(struct ash_prof_image *image) {
    const uint8_t *id;
    uint32_t id_bytes;
    uint64_t bias = 0;
    platform_code(&image->start, &image->end, &id, &id_bytes);
    dl_iterate_phdr(take_bias, &bias);
    image->link_start = image->start - bias;
    image->build_id_bytes = id_bytes < sizeof(image->build_id) ? id_bytes : 32;
    if (id != NULL)
        memcpy(image->build_id, id, image->build_id_bytes);
}

static int add_to_file(void *context, const void *bytes, size_t len) {
    return len == 0 || fwrite(bytes, len, 1, context) == 1 ? 0 : -ASH_EIO;
}

static void dump(const char *path, struct description *of) {
    uint32_t count;
    const struct ash_prof_sample *samples =
        ash_prof_samples(profile, &of->profile.first, &count, &of->profile.clock_last);
    struct ash_prof_counts counts;
    ash_prof_count(profile, &counts);
    of->profile.taken = counts.taken;
    of->profile.overwritten = counts.overwritten;
    of->profile.weight = counts.weight;
    of->profile.leaves = counts.leaves;
    const struct ash_prof_part parts[] = {
        {ASH_PROF_SECTION_TEXT, 0, 1, of->text, strlen(of->text)},
        {ASH_PROF_SECTION_STRINGS, 0, 1, of->strings, sizeof(of->strings)},
        {ASH_PROF_SECTION_TASKS, 0, sizeof(of->task), &of->task, sizeof(of->task)},
        {ASH_PROF_SECTION_IMAGES, 0, sizeof(of->image), &of->image, sizeof(of->image)},
        {ASH_PROF_SECTION_PROFILE, 0, sizeof(of->profile), &of->profile, sizeof(of->profile)},
        {ASH_PROF_SECTION_SAMPLES, 0, sizeof(*samples), samples, count * sizeof(*samples)},
        {ASH_PROF_SECTION_STACKS, 0, sizeof(uint64_t), ash_prof_words(profile),
         counts.words_used * sizeof(uint64_t)}};
    const struct ash_prof_file_header clocks = {.clock_hz = platform_clock_hz(),
                                                .clock_origin = of->profile.clock_begin,
                                                .clock_now = ash_port_cycles()};
    FILE *file = fopen(path, "wb");
    int error = file == NULL
                    ? -ASH_EIO
                    : ash_prof_file_write(&clocks, parts, ASH_ARRAY_LEN(parts), add_to_file, file);
    if (file == NULL || fclose(file) != 0 || error != 0)
        fail(path, error != 0 ? error : -ASH_EIO);
}

static void sampled(double seconds, uint32_t hz, const char *path) {
    static const struct ash_prof_config config = {.samples = SAMPLES, .words = WORDS};
    static struct description of;
    size_t bytes = ash_prof_storage_size(&config);
    void *storage = aligned_alloc(64, (bytes + 63) / 64 * 64);
    of.profile = (struct ash_prof_profile){.clock_begin = ash_port_cycles(),
                                           .asked_hz = hz,
                                           .trigger = ASH_PROF_TIMER,
                                           .capacity = SAMPLES};
    profile = storage == NULL ? NULL : ash_prof_init(storage, &config, of.profile.clock_begin);
    if (profile == NULL)
        fail("the samples", -ASH_ENOMEM);
    int error = platform_sample_start(PLATFORM_TRIGGER_TIMER, NS_PER_S / hz, take, NULL);
    if (error != 0)
        fail("the sampler", error);
    work(seconds);
    platform_sample_stop();
    of.profile.clock_end = ash_port_cycles();
    describe_image(&of.image);
    of.task = (struct ash_prof_task){.id = 1, .name = "main"};
    of.image.name = 1;
    memcpy(of.strings + 1, "bench-prof-shares", 18);
    snprintf(of.text, sizeof(of.text), "machine=hosted\ntrigger=timer\nasked_hz=%u\n",
             (unsigned)hz);
    dump(path, &of);
}

int main(int argc, char **argv) {
    double seconds = argc < 2 ? 0 : strtod(argv[1], NULL);
    unsigned long hz = argc < 4 ? 0 : strtoul(argv[2], NULL, 10);
    if ((argc != 2 && argc != 4) || !(seconds > 0 && seconds <= 60) ||
        (argc == 4 && (hz < ASH_PROF_HZ_MIN || hz > ASH_PROF_HZ_MAX))) {
        fputs("usage: bench-prof-shares SECONDS [HZ DUMP]\n", stderr);
        return 2;
    }
    if (argc == 2)
        work(seconds);
    else
        sampled(seconds, (uint32_t)hz, argv[3]);
    return 0;
}
