/* SPDX-License-Identifier: MIT */
/*
 * ctf_scene.c: ashlar-ctf-scene DIR [backwards]: a trace of two CPUs as Common Trace Format, for
 * readers by others. CPU 0 keeps the newest 4096 of 5000 records, CPU 1 the first 64 of 100. With
 * "backwards" the time of one record is before the one before it: the export must refuse.
 */
#include <ashlar/event.h>
#include <ashlar/prof_export.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const char *folder;
static FILE *file;

static int open_file(void *context, const char *name) {
    char path[4096];
    (void)context;
    if (file != NULL)
        fclose(file);
    snprintf(path, sizeof(path), "%s/%s", folder, name);
    file = fopen(path, "wb");
    return file == NULL ? -ASH_EIO : 0;
}

static int write_file(void *context, const void *bytes, size_t len) {
    (void)context;
    return fwrite(bytes, 1, len, file) == len ? 0 : -ASH_EIO;
}

static char *container;
static size_t container_used;

static int write_container(void *context, const void *bytes, size_t len) {
    (void)context;
    memcpy(container + container_used, bytes, len);
    container_used += len;
    return 0;
}

static const char strings[] = "\0slab.refill\0cache:x,objects\0call\0number,result:e";
static const struct ash_prof_event events[] = {
    {1, ASH_EVENT_INSTANT, 1, 13}, {2, ASH_EVENT_BEGIN, 29, 0}, {3, ASH_EVENT_END, 29, 34}};
static struct ash_trace_record kept[2][4096];
static struct ash_prof_trace traces[2] = {{5000, 0, 4096, ASH_TRACE_OVERWRITE},
                                          {100, 36, 64, ASH_TRACE_STOP}};

static void add_all(uint32_t cpu, bool is_backwards) {
    struct ash_prof_trace *trace = &traces[cpu];
    uint64_t last = trace->mode == ASH_TRACE_STOP ? trace->capacity : trace->emitted;
    for (uint64_t i = 1; i <= last; i++) {
        uint64_t id = i % 3 + 1, clock = 62500000ull * 70 + i * 100;
        if (is_backwards && i == last)
            clock = 1000;
        kept[cpu][i & (trace->capacity - 1)] = (struct ash_trace_record){
            UINT64_C(7) << ASH_TRACE_TASK_SHIFT | i % 4 << ASH_TRACE_DEPTH_SHIFT |
                id << ASH_TRACE_ID_SHIFT | i,
            clock, id == 2 ? 0 : i, id == 2 ? 0 : 0 - i};
    }
}

static void make_container(struct ash_prof_view *view) {
    static const char text[] = "machine=a \"test\"\n";
    char message[96];
    const struct ash_prof_file_header header = {.clock_hz = 62500000, .clock_origin = 62500001};
    const struct ash_prof_part parts[] = {
        {ASH_PROF_SECTION_TEXT, 0, 1, text, sizeof(text) - 1},
        {ASH_PROF_SECTION_STRINGS, 0, 1, strings, sizeof(strings)},
        {ASH_PROF_SECTION_EVENTS, 0, sizeof(events[0]), events, sizeof(events)},
        {ASH_PROF_SECTION_TRACE, 0, sizeof(traces[0]), &traces[0], sizeof(traces[0])},
        {ASH_PROF_SECTION_RECORDS, 0, 32, kept[0], 4096 * 32},
        {ASH_PROF_SECTION_TRACE, 1, sizeof(traces[0]), &traces[1], sizeof(traces[0])},
        {ASH_PROF_SECTION_RECORDS, 1, 32, kept[1], 64 * 32},
    };
    container = aligned_alloc(64, ash_align_up(ash_prof_file_bytes(parts, 7), 64));
    if (container == NULL || ash_prof_file_write(&header, parts, 7, write_container, NULL) != 0 ||
        ash_prof_view_open(view, container, container_used, message, sizeof(message)) != 0) {
        fprintf(stderr, "ashlar-ctf-scene: the container cannot be made\n");
        exit(1);
    }
}

int main(int argc, char **argv) {
    static struct ash_prof_view view;
    const struct ash_prof_sink sink = {.write = write_file, .open = open_file};
    if (argc < 2) {
        fprintf(stderr, "usage: ashlar-ctf-scene DIR [backwards]\n");
        return 2;
    }
    folder = argv[1];
    if (mkdir(folder, 0777) != 0 && errno != EEXIST) {
        perror(folder);
        return 1;
    }
    add_all(0, false);
    add_all(1, argc > 2);
    make_container(&view);
    size_t bytes = ash_prof_export_work(&view, ASH_PROF_CTF);
    void *work = aligned_alloc(64, bytes);
    int error =
        work == NULL ? -ASH_ENOMEM : ash_prof_export(&view, ASH_PROF_CTF, &sink, work, bytes);
    if (file != NULL && fclose(file) != 0)
        error = -ASH_EIO;
    if (error != 0)
        fprintf(stderr, "ashlar-ctf-scene: %s\n", ash_strerror(error));
    free(work);
    free(container);
    return error == 0 ? 0 : 1;
}
