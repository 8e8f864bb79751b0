/* SPDX-License-Identifier: MIT */
/* images.c: see images.h. */
#include "images.h"

#include <ashlar/check.h>
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "node_source.h"
#include "printable.h"
#include "process_internal.h"

static struct {
    struct kernel_memory *memory;
    struct file_system *files;
    struct mutex lock; /* of what follows */
    uint32_t wanted;   /* by so many */
    struct program_image *kept;
    uint32_t count, next; /* the one that is overwritten when all are used */
    uint64_t lost;
} images;

/* Files */

void images_describe(struct program_image *image, struct file_node *node, const char *path) {
    struct node_source context;
    const struct byte_source source = node_source_init(&context, images.files, node);
    size_t len = strlen(path), skip = len < IMAGE_PATH_BYTES ? 0 : len - IMAGE_PATH_BYTES + 1;
    memset(image, 0, sizeof(*image));
    image->node = node;
    memcpy(image->path, path + skip, len - skip);
    int bytes = elf_build_id(&source, image->build_id);
    image->build_id_bytes = bytes > 0 ? (uint32_t)bytes : 0;
}

/* Keeping; the lock is held */

static uint32_t order(void) {
    return memory_order_of(IMAGES_MAX * sizeof(struct program_image));
}

/* Nothing is kept yet. The lock is held, or there are no processes. False: no memory. */
static bool make_room(void) {
    images.kept = memory_pages_alloc(images.memory, order());
    images.count = images.next = 0;
    images.lost = 0;
    return images.kept != NULL;
}

static void drop_room(void) {
    if (images.kept != NULL)
        memory_pages_free(images.memory, images.kept, order());
    images.kept = NULL;
    images.count = 0;
}

static struct program_image *find(uint32_t process) {
    for (uint32_t i = 0; i < images.count; i++) {
        if (images.kept[i].process == process)
            return &images.kept[i];
    }
    return NULL;
}

static struct program_image *find_room(void) {
    if (images.count < IMAGES_MAX)
        return &images.kept[images.count++];
    struct program_image *oldest = &images.kept[images.next++ % IMAGES_MAX];
    images.lost++;
    return oldest;
}

static void keep(const struct program_image *image, uint32_t process) {
    struct program_image *place = find(process);
    if (place == NULL)
        place = find_room();
    *place = *image;
    place->process = process;
}

static void keep_all(void) {
    mutex_lock(&processes.lock);
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        const struct process *process = processes.table[i];
        if (process != NULL && process->image.node != NULL)
            images_note(&process->image, process->id);
    }
    mutex_unlock(&processes.lock);
}

int images_keep(void) {
    mutex_lock(&images.lock);
    bool is_first = images.wanted == 0 && images.memory != NULL;
    int error = is_first && !make_room() ? -ASH_ENOMEM : 0;
    images.wanted += error == 0;
    mutex_unlock(&images.lock);
    if (error == 0 && is_first)
        keep_all();
    return error;
}

void images_release(void) {
    mutex_lock(&images.lock);
    if (--images.wanted == 0)
        drop_room();
    mutex_unlock(&images.lock);
}

/* Who wanted them before has them from now on, as far as there is memory. */
void images_init(struct kernel_memory *memory, struct file_system *files) {
    images.memory = memory;
    images.files = files;
    mutex_init(&images.lock);
    if (images.wanted != 0)
        (void)make_room();
}

void images_fini(void) {
    drop_room();
    images.memory = NULL;
}

void images_note(const struct program_image *image, uint32_t process) {
    mutex_lock(&images.lock);
    if (images.kept != NULL)
        keep(image, process);
    mutex_unlock(&images.lock);
}

/* Looking */

uint32_t images_count(void) {
    return images.count;
}

uint64_t images_lost(void) {
    return images.lost;
}

static bool is_same_program(const struct program_image *a, const struct program_image *b) {
    return a->node == b->node && a->build_id_bytes == b->build_id_bytes &&
           memcmp(a->build_id, b->build_id, a->build_id_bytes) == 0;
}

bool images_get(uint32_t i, struct program_image *image) {
    mutex_lock(&images.lock);
    bool found = i < images.count;
    if (found) {
        uint32_t first = 0;
        while (!is_same_program(&images.kept[first], &images.kept[i]))
            first++;
        *image = images.kept[i];
        image->program = first;
    }
    mutex_unlock(&images.lock);
    return found;
}

bool images_find(uint32_t process, uint64_t address, struct program_image *image) {
    mutex_lock(&images.lock);
    const struct program_image *it = find(process);
    bool found = it != NULL && address >= it->start && address < it->end;
    if (found)
        *image = *it;
    mutex_unlock(&images.lock);
    return found;
}

/* What their files say */

struct program_file {
    struct node_source node;
    struct byte_source source;
    struct elf_names names;
};

/* The file, if it is still the one that was run. */
static int open_file(const struct program_image *image, struct program_file *file) {
    uint8_t id[ELF_BUILD_ID_BYTES];
    file->source = node_source_init(&file->node, images.files, image->node);
    int bytes = elf_build_id(&file->source, id);
    if (bytes < 0)
        return bytes;
    if ((uint32_t)bytes != image->build_id_bytes || memcmp(id, image->build_id, (size_t)bytes) != 0)
        return -ASH_EBADMSG;
    int error = elf_names_find(&file->source, &file->names);
    return error == -ASH_EINVAL ? -ASH_ENOENT : error;
}

static int tell_functions(
    const struct program_file *file, struct elf_function *functions, uint32_t max,
    void (*each)(void *context, uint64_t start, uint64_t end, const char *name), void *context) {
    char name[ELF_NAME_BYTES];
    uint32_t count = 0;
    int error = elf_functions(&file->source, &file->names, functions, max, &count);
    if (error == 0 && count == 0)
        error = -ASH_ENOENT;
    for (uint32_t i = 0; i < count && error == 0; i++) {
        error = elf_function_name(&file->source, &file->names, &functions[i], name);
        if (error == 0)
            each(context, functions[i].start, functions[i].end, name);
    }
    return error;
}

int images_functions(const struct program_image *image,
                     void (*each)(void *context, uint64_t start, uint64_t end, const char *name),
                     void *context) {
    struct program_file file;
    int error = open_file(image, &file);
    if (error != 0)
        return error;
    uint32_t max = elf_functions_max(&file.names);
    if (max == 0)
        return -ASH_ENOENT;
    uint32_t pages = memory_order_of(max * sizeof(struct elf_function));
    struct elf_function *functions = memory_pages_alloc(images.memory, pages);
    if (functions == NULL)
        return -ASH_ENOMEM;
    error = tell_functions(&file, functions, max, each, context);
    memory_pages_free(images.memory, functions, pages);
    return error;
}

#define NOWHERE UINT64_MAX

static void make_printable(char *name) {
    size_t len = strlen(name), one;
    for (size_t at = 0; at < len; at += one) {
        one = printable_len(name + at, len - at);
        if (one == 0) {
            name[at] = '?';
            one = 1;
        }
    }
}

static void name_place(const struct program_file *file, const struct elf_place *at,
                       struct image_place *place) {
    if (at->address == NOWHERE || at->function.end == 0 ||
        elf_function_name(&file->source, &file->names, &at->function, place->name) != 0)
        return;
    make_printable(place->name);
    place->offset = at->address + place->is_return - at->function.start;
}

void images_name(const struct program_image *image, struct image_place *places, uint32_t count) {
    struct program_file file;
    struct elf_place at[IMAGE_PLACES_MAX];
    ASH_REQUIRE(count <= IMAGE_PLACES_MAX, "images: more places than may be asked for at a time");
    for (uint32_t i = 0; i < count; i++) {
        uint64_t asked = places[i].address - places[i].is_return;
        bool is_inside = asked >= image->start && asked < image->end;
        places[i].name[0] = '\0';
        places[i].offset = 0;
        at[i] = (struct elf_place){.address = is_inside ? asked - image->start + image->link_start
                                                        : NOWHERE};
    }
    if (image->node == NULL || open_file(image, &file) != 0 ||
        elf_functions_at(&file.source, &file.names, at, count) != 0)
        return;
    for (uint32_t i = 0; i < count; i++)
        name_place(&file, &at[i], &places[i]);
}

int images_frames(const struct program_image *image, void **frames, size_t *bytes,
                  uint64_t *address, uint32_t *pages) {
    struct program_file file;
    int error = open_file(image, &file);
    if (error != 0)
        return error;
    const struct elf_section *section = &file.names.frames;
    if (section->bytes == 0 || section->bytes > ELF_FRAMES_BYTES_MAX)
        return -ASH_ENOENT;
    *bytes = (size_t)section->bytes;
    *address = section->address;
    *pages = memory_order_of(*bytes);
    *frames = memory_pages_alloc(images.memory, *pages);
    if (*frames == NULL)
        return -ASH_ENOMEM;
    error = file.source.read(file.source.context, section->offset, *frames, *bytes);
    if (error != 0)
        memory_pages_free(images.memory, *frames, *pages);
    return error;
}
