/* SPDX-License-Identifier: MIT */
/*
 * images.h: which program's code was where: for who looks at addresses later, when the process may
 * have ended. Kept while somebody (a profile, a trace) wants them.
 *
 * Rules
 *  - Any thread; one mutex, the last one taken. Who looks into files waits for a disk.
 *  - At most IMAGES_MAX are kept: the oldest go first, and are counted. A process that runs another
 *    program has that one alone from then on.
 */
#ifndef KERNEL_IMAGES_H
#define KERNEL_IMAGES_H

#include "elf_names.h"
#include "memory.h"

enum {
    IMAGES_MAX = 512,
    IMAGE_PATH_BYTES = 64, /* a longer one is cut in front */
};

struct program_image {
    uint32_t process;
    char path[IMAGE_PATH_BYTES]; /* as it was asked for */
    uint64_t start, end;         /* whole pages */
    uint64_t link_start;         /* the address in the ELF file that `start` is */
    uint8_t build_id[ELF_BUILD_ID_BYTES];
    uint32_t build_id_bytes;
    struct file_node *node;
    uint32_t program; /* the first of those kept that is of the same file and build; of images_get
                         alone */
};

/* Once for a memory, with the files that programs come from; and when there is no process. */
void images_init(struct kernel_memory *memory, struct file_system *files);
void images_fini(void);

/* What a program's file is to be known by; nothing is kept. Waits for the disk. */
void images_describe(struct program_image *image, struct file_node *node, const char *path);

/* One more, or one less, who wants them. The first begins with those of all processes; after the
 * last, none are left. -ASH_ENOMEM. */
int images_keep(void) ASH_MUST_CHECK;
void images_release(void);

/* The process has this image now. Called whether they are kept or not; a note. */
void images_note(const struct program_image *image, uint32_t process);

/* How many are kept; which were not, for lack of room. */
uint32_t images_count(void);
uint64_t images_lost(void);

/* A copy of the i-th; false: there is none. */
bool images_get(uint32_t i, struct program_image *image);

/* The image in which the process has this address. */
bool images_find(uint32_t process, uint64_t address, struct program_image *image);

/*
 * Calls each(context, start, end, name) for the functions of the image's file, as they are on the
 * disk now, in the order of their addresses in the file. -ASH_ENOENT: it has none;
 * -ASH_EBADMSG: it is another build; -ASH_ENOMEM; the disk's errors.
 */
int images_functions(const struct program_image *image,
                     void (*each)(void *context, uint64_t start, uint64_t end, const char *name),
                     void *context) ASH_MUST_CHECK;

/* What a place in an image is called. */
struct image_place {
    uint64_t address;          /* filled in by who asks, as is_return: a call's, which may be */
    bool is_return;            /* the last instruction of its function */
    uint64_t offset;           /* from where the function begins */
    char name[ELF_NAME_BYTES]; /* "": nobody knows */
};

enum { IMAGE_PLACES_MAX = 16 };

/* Names at most so many of them, as the image's file is on the disk now; printable ones. Needs no
 * memory, waits for the disk. */
void images_name(const struct program_image *image, struct image_place *places, uint32_t count);

/* As images_functions, its call frame information: `frames`, of *bytes, lies at *address of the
 * file's addresses; memory_pages_free it, *order. */
int images_frames(const struct program_image *image, void **frames, size_t *bytes,
                  uint64_t *address, uint32_t *order) ASH_MUST_CHECK;

#endif
