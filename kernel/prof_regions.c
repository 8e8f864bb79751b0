/* SPDX-License-Identifier: MIT */
/* prof_regions.c: see prof_regions.h. */
#include "prof_regions.h"

/* Of the linker. */
extern struct ash_profile __start_ash_profiles[], __stop_ash_profiles[];

bool prof_regions_are_on;

bool prof_region_read(uint32_t number, struct prof_region *region) {
    if (number >= (size_t)(__stop_ash_profiles - __start_ash_profiles))
        return false;
    region->name = __start_ash_profiles[number].name;
    ash_profile_read(&__start_ash_profiles[number], &region->times);
    return true;
}

void prof_regions_reset(void) {
    for (struct ash_profile *region = __start_ash_profiles; region < __stop_ash_profiles; region++)
        ash_profile_reset(region);
}
