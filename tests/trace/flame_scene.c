/* SPDX-License-Identifier: MIT */
/*
 * flame_scene.c: ashlar-flame-scene SVG FOLDED: reads folded stacks ("task;outer;inner weight"
 * lines; "_[k]" at a name's end: the kernel's), makes the profile that they are of, and writes its
 * flame graph and, again, its folded stacks. Lines go to two CPUs in turn.
 */
#include "prof/sampled.h"

#include <ashlar/base.h>
#include <ashlar/prof_export.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_BYTES = 4096, FRAMES = ASH_PROF_FRAMES_MAX, IMAGE_BYTES = 0x10000 };

static struct sampled scene;

/* Names of a kind, in the order in which they were met. */
struct names {
    char text[SAMPLED_SYMBOLS][64];
    uint64_t at[SAMPLED_SYMBOLS];
    uint32_t count;
};

static struct names tasks, functions[SAMPLED_IMAGES]; /* by image: 0 the kernel's */

static uint32_t find(struct names *names, const char *text) {
    uint32_t i = 0;
    while (i < names->count && strcmp(names->text[i], text) != 0)
        i++;
    if (i == names->count) {
        if (i == SAMPLED_SYMBOLS || strlen(text) >= sizeof(names->text[0])) {
            fprintf(stderr, "ashlar-flame-scene: too many names, or one too long: %s\n", text);
            exit(1);
        }
        strcpy(names->text[names->count++], text);
    }
    return i;
}

/* A task is a program of its own; its number is one more than its place. */
static uint32_t task_of(const char *name) {
    uint32_t count = tasks.count, task = find(&tasks, name) + 1;
    if (tasks.count != count) {
        sampled_task(&scene, task, task, name);
        sampled_image(&scene, task, name, 0x400000, 0x400000 + IMAGE_BYTES);
    }
    return task;
}

static uint64_t function_of(uint32_t image, const char *name) {
    struct names *names = &functions[image];
    uint32_t count = names->count, i = find(names, name);
    if (names->count != count)
        names->at[i] = sampled_function(&scene, image, 64, name);
    return names->at[i];
}

static void add_line(uint32_t cpu, char *line) {
    uint64_t frames[FRAMES];
    char *parts[FRAMES + 1] = {line}, *space = strrchr(line, ' ');
    uint32_t count = 0, kernel = 0;
    unsigned long weight = space != NULL ? strtoul(space + 1, NULL, 10) : 0;
    if (weight == 0 || *line == ';')
        return;
    *space = 0;
    for (char *part = strtok(line, ";"); part != NULL && count <= FRAMES; part = strtok(NULL, ";"))
        parts[count++] = part;
    bool is_idle = strcmp(parts[0], "[idle]") == 0;
    uint32_t task = is_idle ? 0 : task_of(parts[0]);
    for (uint32_t i = 1; i < count; i++) {
        char *end = strstr(parts[i], "_[k]");
        bool is_kernel = end != NULL;
        if (is_kernel)
            *end = 0;
        bool is_called_from = i + 1 < count && (is_kernel || strstr(parts[i + 1], "_[k]") == NULL);
        frames[count - 1 - i] =
            function_of(is_kernel ? 0 : task, parts[i]) + (is_called_from ? 8 : 4);
        kernel += is_kernel;
    }
    uint32_t stack = sampled_stack(&scene, cpu, 0, kernel, frames, count - 1);
    for (; weight > 0; weight -= weight < 60000 ? weight : 60000)
        sampled_sample(&scene, cpu, stack, task, (uint16_t)(weight < 60000 ? weight : 60000),
                       is_idle ? ASH_PROF_IDLE : 0);
}

static int write_file(void *context, const void *bytes, size_t len) {
    return fwrite(bytes, 1, len, context) == len ? 0 : -ASH_EIO;
}

static bool export_to(const char *path, enum ash_prof_format format) {
    FILE *file = fopen(path, "wb");
    const struct ash_prof_sink sink = {.write = write_file, .context = file};
    size_t bytes = ash_align_up(ash_prof_export_work(&scene.view, format), 64);
    void *work = aligned_alloc(64, bytes);
    if (file == NULL || work == NULL ||
        ash_prof_export(&scene.view, format, &sink, work, bytes) != 0 || fclose(file) != 0) {
        fprintf(stderr, "ashlar-flame-scene: %s cannot be written\n", path);
        return false;
    }
    free(work);
    return true;
}

int main(int argc, char **argv) {
    static char line[LINE_BYTES];
    if (argc != 3) {
        fprintf(stderr, "usage: ashlar-flame-scene SVG FOLDED <FOLDED_STACKS\n");
        return 2;
    }
    sampled_begin(&scene, 2, 1000, "machine=A scene\nworkload=made up\n");
    sampled_image(&scene, 0, "kernel", 0x40080000, 0x40080000 + IMAGE_BYTES);
    for (uint32_t cpu = 0; fgets(line, sizeof(line), stdin) != NULL; cpu ^= 1)
        add_line(cpu, line);
    return export_to(argv[1], ASH_PROF_FLAME) && export_to(argv[2], ASH_PROF_FOLDED) ? 0 : 1;
}
