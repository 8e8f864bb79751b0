/* SPDX-License-Identifier: MIT */
/* prof_unsure.c: see prof_unsure.h. */
#include "prof_unsure.h"

#include <ashlar/error.h>
#include <ashlar/prof_cfi.h>
#include <string.h>

#include "images.h"

enum { PROGRAMS_MAX = 8 }; /* whose files are held at a time */

struct program {
    struct file_node *node; /* NULL: unused */
    void *frames;           /* NULL: it says nothing */
    uint32_t order;
    struct ash_prof_cfi cfi;
};

struct settling {
    struct kernel_memory *memory;
    struct program programs[PROGRAMS_MAX];
    uint32_t next; /* to be given up for another */
};

static void drop(struct settling *all, struct program *program) {
    if (program->frames != NULL)
        memory_pages_free(all->memory, program->frames, program->order);
    memset(program, 0, sizeof(*program));
}

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
    if ((ash_prof_stack_flags(*stack) & ASH_PROF_UNSURE) == 0)
        return;
    if (link_is_caller(all, sample->task, stack[1 + ash_prof_stack_kernel(*stack)]))
        ash_prof_make_sure(prof, sample->stack);
}

void prof_settle_unsure(struct ash_prof *prof, struct kernel_memory *memory) {
    uint32_t order = memory_order_of(sizeof(struct settling)), first, count;
    uint64_t clock;
    struct settling *all = memory_pages_alloc(memory, order);
    if (all == NULL)
        return;
    memset(all, 0, sizeof(*all));
    all->memory = memory;
    const struct ash_prof_sample *samples = ash_prof_samples(prof, &first, &count, &clock);
    for (uint32_t i = 0; i < count; i++)
        settle(all, prof, &samples[i]);
    for (uint32_t i = 0; i < PROGRAMS_MAX; i++)
        drop(all, &all->programs[i]);
    memory_pages_free(memory, all, order);
}
