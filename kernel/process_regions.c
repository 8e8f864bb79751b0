/* SPDX-License-Identifier: MIT */
/* process_regions.c: the memory of a process, for people to look at. See process.h. */
#include <stdio.h>

#include "address_space_internal.h"
#include "files.h"
#include "process_internal.h"

static void name_it(const struct region *region, char name[32]) {
    struct file_info info = {.name = ""};
    if (region->kind == REGION_FILE)
        files_system()->describe(files_system(), region->node, &info);
    snprintf(name, 32, "%s", info.name);
}

/* The mutex of the space is held, as in all below. */
static void count_pages(const struct address_space *space, struct process_region *region) {
    struct ash_vm_mapping run;
    for (uint64_t va = region->start;
         va < region->end && ash_vm_query(&space->pages, va, &run) && run.va < region->end;
         va = run.va + run.bytes) {
        uint64_t bytes = ash_min_u64(run.va + run.bytes, region->end) - ash_max_u64(run.va, va);
        region->resident_bytes += bytes;
        region->shared_bytes += run.is_shared ? bytes : 0;
        region->huge_bytes += run.leaf_shift > ASH_PAGE_SHIFT ? bytes : 0;
    }
}

static bool look(struct address_space *space, uint64_t address, struct process_region *out) {
    const struct region *region = region_find(&space->regions, address);
    if (region == NULL)
        return false;
    *out = (struct process_region){.start = region->start,
                                   .end = region->end,
                                   .rights = region->rights,
                                   .flags = region->flags,
                                   .offset = region->offset};
    name_it(region, out->name);
    count_pages(space, out);
    return true;
}

bool process_region_from(uint32_t id, uint64_t address, struct process_region *region) {
    bool found = false;
    mutex_lock(&processes.lock);
    const struct process *process = process_find(id);
    if (process != NULL && process->space != NULL) {
        mutex_lock(&process->space->mutex);
        found = look(process->space, address, region);
        mutex_unlock(&process->space->mutex);
    }
    mutex_unlock(&processes.lock);
    return found;
}

/* Of a child by vfork the space is its parent's. */
static void add_live(struct ash_vm_stats *sum) {
    for (uint32_t i = 0; i < PROCESSES_MAX; i++) {
        const struct process *process = processes.table[i];
        if (process == NULL || process->space == NULL || process->vfork_parent != NULL)
            continue;
        mutex_lock(&process->space->mutex);
        ash_vm_stats_add(sum, &process->space->pages.stats);
        mutex_unlock(&process->space->mutex);
    }
}

void processes_vm_stats(struct ash_vm_stats *sum) {
    mutex_lock(&processes.lock);
    mutex_lock(&address_spaces.mutex);
    *sum = address_spaces.ended;
    mutex_unlock(&address_spaces.mutex);
    add_live(sum);
    mutex_unlock(&processes.lock);
}
