/* SPDX-License-Identifier: MIT */
/* process_check.c: the audit of processes and of all memory that they have. See process.h. */
#include <string.h>

#include "address_space_internal.h"
#include "file_pages.h"
#include "process_internal.h"
#include "user_frames.h"

/* All that the table has, each once; their mutexes are held. */
struct spaces {
    struct address_space *of[PROCESSES_MAX];
    const struct ash_vm_space *pages[PROCESSES_MAX];
    uint32_t count;
};

static bool has(const struct spaces *spaces, const struct address_space *space) {
    for (uint32_t i = 0; i < spaces->count; i++) {
        if (spaces->of[i] == space)
            return true;
    }
    return false;
}

/* Nobody else locks two of them. */
static void lock_all(struct spaces *spaces) {
    spaces->count = 0;
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        struct process *process = processes.table[i];
        if (process == NULL || process->space == NULL || has(spaces, process->space))
            continue;
        mutex_lock(&process->space->mutex);
        spaces->pages[spaces->count] = &process->space->pages;
        spaces->of[spaces->count++] = process->space;
    }
}

static void unlock_all(struct spaces *spaces) {
    while (spaces->count != 0)
        mutex_unlock(&spaces->of[--spaces->count]->mutex);
}

static const char *check_one(const struct process *process) {
    bool is_zombie = process->state == PROCESS_ZOMBIE;
    if (is_zombie && (process->thread != NULL || process->space != NULL))
        return "a zombie has a thread or an address space";
    if (is_zombie && !ash_list_is_empty(&process->children))
        return "a zombie has children";
    if (!is_zombie && process->state != PROCESS_ENDING && process->space == NULL)
        return "a process has no address space";
    if (process->parent != NULL && process_find(process->parent->id) != process->parent)
        return "a parent is not in the table";
    return NULL;
}

static const char *check_table(void) {
    const char *broken = NULL;
    uint32_t count = 0;
    for (uint32_t i = 0; broken == NULL && i < PROCESSES_MAX; i++) {
        if (processes.table[i] == NULL)
            continue;
        count++;
        broken = check_one(processes.table[i]);
    }
    return broken != NULL || count == processes.count ? broken : "processes are counted wrong";
}

/* What is on its way into the table, or a page into an address space, has references, too. */
static const char *recount(const struct spaces *spaces) {
    const struct ash_vm *vm = user_frames_vm();
    struct kernel_memory *memory = processes.config.memory;
    size_t bytes = ash_vm_storage_size(&vm->config);
    uint32_t *scratch = NULL;
    if (spaces->count == address_spaces_count())
        scratch = memory_pages_alloc(memory, memory_order_of(bytes));
    if (scratch == NULL)
        return NULL;
    memset(scratch, 0, bytes);
    scratch[address_spaces.trampoline - vm->config.first_frame]++;
    const char *broken = NULL;
    if (file_pages_recount(scratch, vm->config.first_frame))
        broken = ash_vm_recount(vm, spaces->pages, spaces->count, scratch);
    file_pages_go_on();
    memory_pages_free(memory, scratch, memory_order_of(bytes));
    return broken;
}

const char *processes_check(void) {
    struct spaces *spaces = ash_kmalloc(&processes.config.memory->heap, sizeof(*spaces));
    mutex_lock(&processes.lock);
    const char *broken = check_table();
    if (spaces != NULL) {
        lock_all(spaces);
        for (uint32_t i = 0; broken == NULL && i < spaces->count; i++)
            broken = address_space_check_locked(spaces->of[i]);
        if (broken == NULL)
            broken = recount(spaces);
        unlock_all(spaces);
    }
    mutex_unlock(&processes.lock);
    ash_kfree(&processes.config.memory->heap, spaces);
    return broken;
}
