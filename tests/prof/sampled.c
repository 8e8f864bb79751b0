/* SPDX-License-Identifier: MIT */
/* sampled.c: a view of samples that a case makes up (sampled.h). */
#include "prof/sampled.h"

#include <ashlar/check.h>
#include <string.h>

static uint32_t add_string(struct sampled *scene, const char *string) {
    size_t len = strlen(string) + 1;
    uint32_t at = (uint32_t)scene->view.string_bytes;
    ASH_REQUIRE(at + len <= SAMPLED_STRING_BYTES, "sampled: strings of %zu bytes", at + len);
    memcpy(scene->strings + at, string, len);
    scene->view.string_bytes += len;
    return at;
}

void sampled_begin(struct sampled *scene, uint32_t cpus, uint32_t asked_hz, const char *text) {
    ASH_REQUIRE(cpus <= SAMPLED_CPUS, "sampled: %u CPUs", cpus);
    memset(scene, 0, sizeof(*scene));
    scene->header = (struct ash_prof_file_header){.magic = ASH_PROF_FILE_MAGIC,
                                                  .version = ASH_PROF_FILE_VERSION,
                                                  .header_bytes = sizeof(scene->header),
                                                  .clock_hz = 1000000000};
    scene->view = (struct ash_prof_view){.header = &scene->header,
                                         .text = text,
                                         .text_bytes = strlen(text),
                                         .strings = scene->strings,
                                         .string_bytes = 1,
                                         .tasks = scene->tasks,
                                         .images = scene->images,
                                         .cpu_count = cpus};
    for (uint32_t cpu = 0; cpu < cpus; cpu++) {
        scene->profiles[cpu] = (struct ash_prof_profile){.clock_begin = 1000000000,
                                                         .clock_last = 2000000000,
                                                         .clock_end = 2000000000,
                                                         .asked_hz = asked_hz,
                                                         .trigger = ASH_PROF_TIMER,
                                                         .capacity = SAMPLED_SAMPLES};
        scene->view.cpus[cpu].profile = &scene->profiles[cpu];
        scene->view.cpus[cpu].samples = scene->samples[cpu];
        scene->view.cpus[cpu].words = scene->words[cpu];
    }
}

void sampled_task(struct sampled *scene, uint32_t id, uint32_t process, const char *name) {
    ASH_REQUIRE(scene->view.task_count < SAMPLED_TASKS, "sampled: too many tasks (%d)",
                SAMPLED_TASKS);
    struct ash_prof_task *task = &scene->tasks[scene->view.task_count++];
    size_t len = strlen(name);
    task->id = id;
    task->process = process;
    memcpy(task->name, name, len < sizeof(task->name) ? len : sizeof(task->name) - 1);
}

uint32_t sampled_image(struct sampled *scene, uint32_t process, const char *path, uint64_t start,
                       uint64_t end) {
    uint32_t i = scene->view.image_count++;
    ASH_REQUIRE(i < SAMPLED_IMAGES, "sampled: too many images (%d)", SAMPLED_IMAGES);
    scene->images[i] = (struct ash_prof_image){.process = process,
                                               .name = add_string(scene, path),
                                               .start = start,
                                               .end = end,
                                               .link_start = 0x1000,
                                               .build_id = {0xab, 0xcd, (uint8_t)i},
                                               .build_id_bytes = 3};
    return i;
}

uint64_t sampled_function(struct sampled *scene, uint32_t image, uint32_t bytes, const char *name) {
    uint32_t i = scene->view.symbol_counts[image]++;
    struct ash_prof_symbol *symbols = scene->symbols[image];
    ASH_REQUIRE(i < SAMPLED_SYMBOLS, "sampled: too many functions (%d)", SAMPLED_SYMBOLS);
    symbols[i] = (struct ash_prof_symbol){
        .start = i == 0 ? 0x1000 : symbols[i - 1].start + symbols[i - 1].bytes,
        .bytes = bytes,
        .name = add_string(scene, name)};
    scene->images[image].symbols = image + 1;
    scene->view.symbols[image] = symbols;
    return symbols[i].start - 0x1000 + scene->images[image].start;
}

uint32_t sampled_stack(struct sampled *scene, uint32_t cpu, uint32_t flags, uint32_t kernel,
                       const uint64_t *frames, uint32_t count) {
    struct ash_prof_view_cpu *of = &scene->view.cpus[cpu];
    uint32_t at = of->word_count;
    ASH_REQUIRE(at + 1 + count <= SAMPLED_WORDS, "sampled: %u words of stacks", at + 1 + count);
    scene->words[cpu][at] = count | (uint64_t)kernel << 8 | (uint64_t)flags << 16;
    memcpy(&scene->words[cpu][at + 1], frames, count * sizeof(*frames));
    of->word_count += 1 + count;
    return at;
}

void sampled_sample(struct sampled *scene, uint32_t cpu, uint32_t stack, uint32_t task,
                    uint16_t weight, uint8_t flags) {
    struct ash_prof_view_cpu *of = &scene->view.cpus[cpu];
    ASH_REQUIRE(of->sample_count < SAMPLED_SAMPLES, "sampled: %u samples", of->sample_count);
    scene->samples[cpu][of->sample_count++] = (struct ash_prof_sample){.ticks = 1000000,
                                                                       .stack = stack,
                                                                       .task = task,
                                                                       .weight = weight,
                                                                       .cpu = (uint8_t)cpu,
                                                                       .flags = flags};
    scene->profiles[cpu].taken++;
    scene->profiles[cpu].weight += weight;
}
