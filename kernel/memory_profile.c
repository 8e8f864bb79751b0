/* SPDX-License-Identifier: MIT */
/* memory_profile.c: see memory.h. The profiles by their names, and what a debug cache notes. */
#include <string.h>

#include "memory.h"

static const struct {
    const char *word;
    uint32_t flags;
} profiles[] = {{"plain", 0}, {"hardened", ASH_SLAB_HARDENED}, {"debug", ASH_SLAB_DEBUG}};

bool memory_profile_flags(const char *word, uint32_t *flags) {
    for (uint32_t i = 0; i < ASH_ARRAY_LEN(profiles); i++) {
        if (strcmp(word, profiles[i].word) == 0) {
            *flags = profiles[i].flags;
            return true;
        }
    }
    return false;
}

const char *memory_profile_word(uint32_t flags) {
    for (uint32_t i = 1; i < ASH_ARRAY_LEN(profiles); i++) {
        if ((flags & profiles[i].flags) != 0)
            return profiles[i].word;
    }
    return profiles[0].word;
}

/* The first that may not be the allocators' own: they are the last with their prefix among so
 * many, since what they call in between is without. */
enum { OWN_SITES_MAX = 10 };

static uint32_t first_site(const uintptr_t *sites, uint32_t count) {
    uint32_t first = 0;
    for (uint32_t i = 0; i < count && i < OWN_SITES_MAX; i++) {
        uint64_t offset;
        const char *name = platform_function(sites[i], &offset);
        if (name != NULL && strncmp(name, "ash_", 4) == 0)
            first = i + 1;
    }
    return first;
}

static uint32_t stack(void *context, uintptr_t *sites, uint32_t max) {
    uintptr_t all[OWN_SITES_MAX + ASH_SLAB_SITES_MAX];
    uint32_t count = platform_stack(all, ASH_ARRAY_LEN(all)), first = first_site(all, count);
    uint32_t kept = (uint32_t)ash_min_u64(count - first, max);
    (void)context;
    memcpy(sites, &all[first], kept * sizeof(sites[0]));
    return kept;
}

/* No owner: there are no tasks yet. */
const struct ash_slab_trace memory_trace = {.stack = stack};
