/* SPDX-License-Identifier: MIT */
/* prof_unsure.c: see prof_unsure.h. */
#include "prof_unsure.h"

#include <ashlar/error.h>
#include <string.h>

#include "images.h"
#include "prof_unwind.h"

enum { PROGRAMS_MAX = 8 }; /* whose files are held at a time */

struct program {
    struct file_node *node; /* NULL: unused */
    void *frames;           /* NULL: it says nothing */
    uint32_t order;
    struct prof_unwind_index index;
    struct ash_prof_cfi cfi;
};

/* A set of task << 32 | stack, which is not 0: open addressing, half full at most. */
struct noted {
    uint64_t *keys; /* NULL: none are kept */
    uint32_t order;
    uint64_t room, used;
};

struct settling {
    struct kernel_memory *memory;
    struct noted noted;
    uint32_t asked;
    struct program programs[PROGRAMS_MAX];
    uint32_t next; /* to be given up for another */
};

/* What was asked */

static uint64_t *place_of(const struct noted *noted, uint64_t key) {
    uint64_t at = (key * UINT64_C(0x9e3779b97f4a7c15)) >> 32;
    for (;; at++) {
        uint64_t *place = &noted->keys[at & (noted->room - 1)];
        if (*place == key || *place == 0)
            return place;
    }
}

/* Without memory for more it stays as it is. */
static void make_room(struct settling *all) {
    struct noted *noted = &all->noted, more = {.order = noted->keys == NULL ? 0 : noted->order + 1};
    more.keys = memory_pages_alloc(all->memory, more.order);
    if (more.keys == NULL)
        return;
    more.room = ((uint64_t)ASH_PAGE_SIZE << more.order) / sizeof(more.keys[0]);
    more.used = noted->used;
    memset(more.keys, 0, more.room * sizeof(more.keys[0]));
    for (uint64_t i = 0; i < noted->room; i++) {
        if (noted->keys[i] != 0)
            *place_of(&more, noted->keys[i]) = noted->keys[i];
    }
    if (noted->keys != NULL)
        memory_pages_free(all->memory, noted->keys, noted->order);
    *noted = more;
}

/* False: it was noted before. */
static bool note(struct settling *all, uint64_t key) {
    struct noted *noted = &all->noted;
    if (noted->used == noted->room / 2)
        make_room(all);
    uint64_t *place = noted->room == 0 ? NULL : place_of(noted, key);
    if (place == NULL || *place == key)
        return place == NULL;
    if (noted->used < noted->room / 2) {
        *place = key;
        noted->used++;
    }
    return true;
}

/* Programs */

static void drop(struct settling *all, struct program *program) {
    prof_unwind_index_free(&program->index, all->memory);
    if (program->frames != NULL)
        memory_pages_free(all->memory, program->frames, program->order);
    memset(program, 0, sizeof(*program));
}

/* Without memory for its index the file is asked from its begin on. */
static struct program *program_of(struct settling *all, const struct program_image *image) {
    for (uint32_t i = 0; i < PROGRAMS_MAX; i++) {
        if (all->programs[i].node == image->node)
            return &all->programs[i];
    }
    struct program *program = &all->programs[all->next++ % PROGRAMS_MAX];
    size_t bytes;
    uint64_t address;
    drop(all, program);
    program->node = image->node;
    if (images_frames(image, &program->frames, &bytes, &address, &program->order) != 0) {
        program->frames = NULL;
        return program;
    }
    const uint32_t numbers[] = {ASH_PROF_CFI_AARCH64};
    program->cfi = (struct ash_prof_cfi){.frames = program->frames,
                                         .bytes = bytes,
                                         .address = address,
                                         .return_register = numbers[0],
                                         .stack_register = numbers[1],
                                         .frame_register = numbers[2]};
    (void)!prof_unwind_index_make(&program->index, &program->cfi, all->memory);
    return program;
}

/* Code without call frame information is assembly: a leaf, as far as one can tell. */
static bool link_is_caller(struct settling *all, uint32_t process, uint64_t pc) {
    struct program_image image;
    struct ash_prof_cfi_answer answer;
    if (!images_find(process, pc, &image))
        return false;
    const struct program *program = program_of(all, &image);
    if (program->frames == NULL)
        return false;
    ash_prof_cfi_find(&program->cfi, pc - image.start + image.link_start, &answer);
    return answer.where == ASH_PROF_CFI_REGISTER || answer.where == ASH_PROF_CFI_UNKNOWN;
}

static void settle(struct settling *all, struct ash_prof *prof,
                   const struct ash_prof_sample *sample) {
    const uint64_t *stack = ash_prof_words(prof) + sample->stack;
    if ((ash_prof_stack_flags(*stack) & ASH_PROF_UNSURE) == 0 ||
        !note(all, (uint64_t)sample->task << 32 | sample->stack))
        return;
    all->asked++;
    if (link_is_caller(all, sample->task, stack[1 + ash_prof_stack_kernel(*stack)]))
        ash_prof_make_sure(prof, sample->stack);
}

uint32_t prof_settle_unsure(struct ash_prof *prof, struct kernel_memory *memory) {
    uint32_t order = memory_order_of(sizeof(struct settling)), first, count;
    uint64_t clock;
    struct settling *all = memory_pages_alloc(memory, order);
    if (all == NULL)
        return 0;
    memset(all, 0, sizeof(*all));
    all->memory = memory;
    const struct ash_prof_sample *samples = ash_prof_samples(prof, &first, &count, &clock);
    for (uint32_t i = 0; i < count; i++)
        settle(all, prof, &samples[i]);
    for (uint32_t i = 0; i < PROGRAMS_MAX; i++)
        drop(all, &all->programs[i]);
    if (all->noted.keys != NULL)
        memory_pages_free(memory, all->noted.keys, all->noted.order);
    uint32_t asked = all->asked;
    memory_pages_free(memory, all, order);
    return asked;
}
