/* SPDX-License-Identifier: MIT */
/*
 * process_exec.c: programs out of files: the new address space is complete before the process has
 * it, so what fails leaves the old program as it was. See process.h.
 */
#include <ashlar/error.h>
#include <stdio.h>
#include <string.h>

#include "elf.h"
#include "files.h"
#include "node_source.h"
#include "process_internal.h"
#include "prof_regions.h"
#include "thread.h"
#include "user_stack.h"

enum {
    PATH_BYTES_MAX = 4096,
    TICKS_PER_SECOND = 100,
    HWCAP_FP_ASIMD = 3, /* what every CPU of this architecture has that runs programs here */
    BRK_RANDOM_PAGES = 1 << 13,
    BASE_RANDOM_PAGES = 1 << 24,
};

#define BASE_OF_PIE UINT64_C(0x555500000000)

/* A program that is being loaded. */
struct load {
    struct file_node *node;
    struct elf_image image;
    struct program_image place;
    const char *reason; /* of -ASH_ENOEXEC */
    uint64_t base;      /* of is_anywhere, else 0 */
    struct address_space *space;
    struct user_stack stack;
    void *buffer;
    uint32_t buffer_order;
    uint64_t sp;
};

static struct kernel_memory *memory(void) {
    return processes.config.memory;
}

/* The buffer for arguments: as large as there is, for most need little. */

static size_t buffer_bytes(const struct load *load) {
    return (size_t)ASH_PAGE_SIZE << load->buffer_order;
}

static int take_buffer(struct load *load) {
    load->buffer_order = memory_order_of(USER_STACK_BYTES_MAX);
    while ((load->buffer = memory_pages_alloc(memory(), load->buffer_order)) == NULL) {
        if (load->buffer_order-- == 0)
            return -ASH_ENOMEM;
    }
    return 0;
}

/* What did not fit a smaller one than there should be. */
static int error_of(const struct load *load, int error) {
    bool is_small = load->buffer != NULL && buffer_bytes(load) < USER_STACK_BYTES_MAX;
    return error == -ASH_E2BIG && is_small ? -ASH_ENOMEM : error;
}

/* base: an open directory; NULL: the root. */
static int find_program(struct load *load, const struct open_file *base, const char *path) {
    struct file_system *fs = processes.config.files;
    struct file_info info;
    if (fs == NULL)
        return -ASH_ENOENT;
    int error = files_look_up(base, path, true, &load->node);
    if (error != 0)
        return error;
    fs->describe(fs, load->node, &info);
    if (info.type != FILE_REGULAR)
        return -ASH_EACCES;
    struct node_source context;
    const struct byte_source source = node_source_init(&context, fs, load->node);
    int bad = elf_read(&source, &load->image, &load->reason);
    if (bad == 0)
        images_describe(&load->place, load->node, path);
    return bad;
}

/* Memory */

static uint32_t rights_of(const struct elf_segment *segment) {
    return (segment->is_readable ? ASH_VM_READ : 0) | (segment->is_writable ? ASH_VM_WRITE : 0) |
           (segment->is_executable ? ASH_VM_EXECUTE : 0);
}

static int map_part(struct load *load, uint64_t start, uint64_t end, uint32_t rights,
                    struct file_node *node, uint64_t offset) {
    const struct address_space_map map = {.start = start,
                                          .bytes = end - start,
                                          .rights = rights,
                                          .node = node,
                                          .offset = offset,
                                          .is_fixed = true,
                                          .is_not_replacing = true};
    uint64_t unused;
    return start == end ? 0 : address_space_map(load->space, &map, &unused);
}

/* The page in which the file's bytes end and zeroes follow. */
static int fill_last_page(struct load *load, uint64_t address, uint64_t offset, size_t len) {
    struct node_source context;
    const struct byte_source source =
        node_source_init(&context, processes.config.files, load->node);
    void *bytes = ash_kmalloc(&memory()->heap, ASH_PAGE_SIZE);
    int error = bytes == NULL ? -ASH_ENOMEM : source.read(source.context, offset, bytes, len);
    if (error == 0)
        error = user_write(load->space, address, bytes, len);
    ash_kfree(&memory()->heap, bytes);
    return error;
}

static int map_segment(struct load *load, const struct elf_segment *segment) {
    uint32_t rights = rights_of(segment), meanwhile = ASH_VM_READ | ASH_VM_WRITE;
    uint64_t start = load->base + segment->start, end = load->base + segment->end;
    uint64_t whole = segment->has_zeros ? ash_align_down(segment->file_bytes, ASH_PAGE_SIZE)
                                        : segment->end - segment->start;
    int error = map_part(load, start, start + whole, rights, load->node, segment->offset);
    if (error == 0)
        error = map_part(load, start + whole, end, meanwhile, NULL, 0);
    if (error == 0 && segment->file_bytes > whole)
        error = fill_last_page(load, start + whole, segment->offset + whole,
                               (size_t)(segment->file_bytes - whole));
    if (error == 0 && start + whole != end && rights != meanwhile)
        error = address_space_protect(load->space, start + whole, end - start - whole, rights);
    return error;
}

static int map_image(struct load *load) {
    const struct elf_image *image = &load->image;
    int error = 0;
    if (image->is_anywhere)
        load->base = ash_align_up(
            BASE_OF_PIE + address_space_random(load->space, BASE_RANDOM_PAGES) * ASH_PAGE_SIZE,
            image->alignment);
    for (uint32_t i = 0; i < image->segment_count && error == 0; i++)
        error = map_segment(load, &image->segments[i]);
    address_space_set_brk(load->space,
                          load->base + image->high +
                              address_space_random(load->space, BRK_RANDOM_PAGES) * ASH_PAGE_SIZE);
    load->place.start = load->base + image->low;
    load->place.end = load->base + image->high;
    load->place.link_start = image->low;
    return error;
}

static void describe_program(struct load *load, struct user_stack_facts *facts) {
    const struct elf_image *image = &load->image;
    uint64_t words[USER_STACK_RANDOM_BYTES / 8];
    *facts = (struct user_stack_facts){
        .headers = image->headers == 0 ? 0 : load->base + image->headers,
        .header_bytes = image->header_bytes,
        .header_count = image->header_count,
        .entry = load->base + image->entry,
        .hwcap = HWCAP_FP_ASIMD,
        .signal_stack_bytes = SIGNAL_STACK_BYTES_MIN,
        .clock_ticks_per_second = TICKS_PER_SECOND,
    };
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(words); i++)
        words[i] = processes_random();
    memcpy(facts->random, words, sizeof(words));
}

static int make_stack(struct load *load) {
    uint64_t top = load->space->stack_top;
    const uint8_t *bytes;
    struct user_stack_facts facts;
    size_t len;
    const struct address_space_map map = {.start = top - ADDRESS_SPACE_STACK_BYTES,
                                          .bytes = ADDRESS_SPACE_STACK_BYTES,
                                          .rights = ASH_VM_READ | ASH_VM_WRITE,
                                          .flags = REGION_STACK,
                                          .is_fixed = true};
    uint64_t unused;
    int error = address_space_map(load->space, &map, &unused);
    if (error != 0)
        return error;
    describe_program(load, &facts);
    load->sp = user_stack_finish(&load->stack, &facts, top, &bytes, &len);
    return user_write(load->space, load->sp, bytes, len);
}

/* What is there afterwards is the caller's to give back: end_load. */
static int make_space(struct load *load) {
    mutex_lock(&processes.lock);
    uint64_t seed = processes_next_seed();
    mutex_unlock(&processes.lock);
    load->space = address_space_new(seed);
    int error = load->space == NULL ? -ASH_ENOMEM : map_image(load);
    return error != 0 ? error : make_stack(load);
}

static int begin_load(struct load *load, const struct open_file *base, const char *path) {
    int error = find_program(load, base, path);
    if (error != 0)
        return error;
    error = take_buffer(load);
    return error != 0 ? error
                      : user_stack_begin(&load->stack, load->buffer, buffer_bytes(load), path);
}

static void end_load(struct load *load) {
    if (load->buffer != NULL)
        memory_pages_free(memory(), load->buffer, load->buffer_order);
    if (load->space != NULL)
        address_space_put(load->space);
}

/* The process */

static void set_name(struct process *process, const char *path) {
    const char *last = strrchr(path, '/');
    snprintf(process->name, sizeof(process->name), "%s", last == NULL ? path : last + 1);
}

/* It has the new memory; what there was before is left in *load. */
static void switch_over(struct process *process, struct load *load, const char *path) {
    ash_irq_t state = ash_port_irq_save();
    ash_spin_lock(&process->signal_lock);
    signals_exec(&process->signals);
    ash_spin_unlock(&process->signal_lock);
    ash_port_irq_restore(state);
    mutex_lock(&processes.lock);
    struct address_space *old = process->space;
    process->space = load->space;
    process->image = load->place;
    load->space = old;
    set_name(process, path);
    if (process->id != 0)
        images_note(&process->image, process->id);
    process_vfork_over(process);
    mutex_unlock(&processes.lock);
    if (thread_process() == process)
        thread_rename(process->name);
    process->clear_child_tid = 0;
    memset(process->user.x, 0, sizeof(process->user.x));
    memset(process->user.v, 0, sizeof(process->user.v));
    process->user.tls = process->user.pstate = process->user.fpcr = process->user.fpsr = 0;
    process->user.pc = load->base + load->image.entry;
    process->user.sp = load->sp;
}

/* execve */

/* Each string of an array in the program's memory; NULL: none (as Linux has it). */
static int push_user_strings(struct process *self, struct user_stack *stack, uint64_t array) {
    for (uint64_t at = array; array != 0; at += sizeof(uint64_t)) {
        uint64_t string;
        size_t len_max;
        int error = user_read(self->space, &string, at, sizeof(string));
        if (error != 0 || string == 0)
            return error;
        char *room = user_stack_room(stack, &len_max);
        if (room == NULL)
            return -ASH_E2BIG;
        int64_t len = user_string(self->space, room, string, len_max + 1);
        if (len < 0)
            return len == -ASH_ENAMETOOLONG ? -ASH_E2BIG : (int)len;
        user_stack_add(stack, (size_t)len);
    }
    return 0;
}

static int execve_path(struct process *self, const char *path, uint64_t arguments,
                       uint64_t environment) {
    struct load load = {.node = NULL};
    int error = begin_load(&load, self->files->directory, path);
    if (error == 0)
        error = push_user_strings(self, &load.stack, arguments);
    if (error == 0) {
        user_stack_end_arguments(&load.stack);
        error = push_user_strings(self, &load.stack, environment);
    }
    if (error == 0)
        error = make_space(&load);
    if (error == 0) {
        switch_over(self, &load, path);
        file_table_exec(self->files);
    }
    error = error_of(&load, error);
    end_load(&load);
    return error;
}

int process_execve(struct process *self, uint64_t path, uint64_t arguments, uint64_t environment) {
    char *copy = ash_kmalloc(&memory()->heap, PATH_BYTES_MAX);
    if (copy == NULL)
        return -ASH_ENOMEM;
    int64_t len = user_string(self->space, copy, path, PATH_BYTES_MAX);
    int error = len < 0 ? (int)len : 0;
    if (error == 0) {
        PROF_REGION("exec") {
            error = execve_path(self, copy, arguments, environment);
        }
    }
    ash_kfree(&memory()->heap, copy);
    return error;
}

/* spawn */

static int push_strings(struct user_stack *stack, const char *const *strings) {
    int error = 0;
    for (; strings != NULL && *strings != NULL && error == 0; strings++)
        error = user_stack_push(stack, *strings);
    return error;
}

static int load_for(struct process_start *start, struct load *load) {
    const struct file_table *files = start->files;
    int error = begin_load(load, files == NULL ? NULL : files->directory, start->path);
    if (error == 0)
        error = push_strings(&load->stack, start->arguments);
    if (error == 0) {
        user_stack_end_arguments(&load->stack);
        error = push_strings(&load->stack, start->environment);
    }
    if (error == 0)
        error = make_space(load);
    start->reason = load->reason;
    return error;
}

/* The table is locked. */
static int enter_joined(struct process *process, const struct process_start *start) {
    int error = process_enter(process, NULL);
    if (error != 0)
        return error;
    process->is_joined = true;
    process->ended = start->ended;
    process->ended_context = start->context;
    process->group = start->group == 0 ? process->id : start->group;
    process->session = process->group;
    images_note(&process->image, process->id);
    error = process_start_thread(process);
    if (error != 0)
        process_leave(process);
    return error;
}

static int start_it(struct process *process, const struct process_start *start, uint32_t *id) {
    if (start->files != NULL)
        file_table_fork(process->files, start->files);
    mutex_lock(&processes.lock);
    int error = enter_joined(process, start);
    *id = process->id;
    mutex_unlock(&processes.lock);
    if (error != 0)
        file_table_close_all(process->files);
    return error;
}

int process_spawn(struct process_start *start, uint32_t *id) {
    struct load load = {.node = NULL};
    start->reason = NULL;
    if (!processes_can_run())
        return -ASH_ENOTSUP;
    struct process *process = process_new();
    int error = process == NULL ? -ASH_ENOMEM : load_for(start, &load);
    if (error == 0) {
        switch_over(process, &load, start->path);
        error = start_it(process, start, id);
        if (error != 0)
            load.space = process->space;
    }
    if (error != 0 && process != NULL)
        process_free(process);
    error = error_of(&load, error);
    end_load(&load);
    return error;
}
