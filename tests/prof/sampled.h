/* SPDX-License-Identifier: MIT */
/*
 * sampled.h: a view of samples that a case makes up: tasks, images, functions, stacks. It lies in
 * one struct, which the case takes from test_alloc.
 */
#ifndef TESTS_PROF_SAMPLED_H
#define TESTS_PROF_SAMPLED_H

#include <ashlar/prof_view.h>

enum {
    SAMPLED_CPUS = 4,
    SAMPLED_SAMPLES = 4096, /* of a CPU */
    SAMPLED_WORDS = 8192,
    SAMPLED_TASKS = 16,
    SAMPLED_IMAGES = 8,
    SAMPLED_SYMBOLS = 64, /* of an image */
    SAMPLED_STRING_BYTES = 16384,
};

struct sampled {
    struct ash_prof_view view;
    struct ash_prof_file_header header;
    struct ash_prof_profile profiles[SAMPLED_CPUS];
    struct ash_prof_sample samples[SAMPLED_CPUS][SAMPLED_SAMPLES];
    uint64_t words[SAMPLED_CPUS][SAMPLED_WORDS];
    struct ash_prof_task tasks[SAMPLED_TASKS];
    struct ash_prof_image images[SAMPLED_IMAGES];
    struct ash_prof_symbol symbols[SAMPLED_IMAGES][SAMPLED_SYMBOLS];
    char strings[SAMPLED_STRING_BYTES];
};

/* cpus were sampled, by a timer of asked_hz, from second 1 to second 2 of a clock of 1 GHz. text:
 * the TEXT section; it must live as long as the scene. */
void sampled_begin(struct sampled *scene, uint32_t cpus, uint32_t asked_hz, const char *text);
void sampled_task(struct sampled *scene, uint32_t id, uint32_t process, const char *name);
/* Its number. In the ELF file it begins at 0x1000. */
uint32_t sampled_image(struct sampled *scene, uint32_t process, const char *path, uint64_t start,
                       uint64_t end);
/* The next function of the image, `bytes` long, right behind the one before. Its address. */
uint64_t sampled_function(struct sampled *scene, uint32_t image, uint32_t bytes, const char *name);
/* frames: innermost first, of these `kernel` ones of the kernel. Its place among the words. */
uint32_t sampled_stack(struct sampled *scene, uint32_t cpu, uint32_t flags, uint32_t kernel,
                       const uint64_t *frames, uint32_t count);
void sampled_sample(struct sampled *scene, uint32_t cpu, uint32_t stack, uint32_t task,
                    uint16_t weight, uint8_t flags);

#endif
