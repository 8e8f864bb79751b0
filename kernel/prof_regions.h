/* SPDX-License-Identifier: MIT */
/*
 * prof_regions.h: the regions of code that are measured (<ashlar/profile.h>), and those of the
 * kernel, which are only while somebody has asked for them.
 */
#ifndef KERNEL_PROF_REGIONS_H
#define KERNEL_PROF_REGIONS_H

#include <ashlar/profile.h>

/* Read and set relaxed. What has been entered is measured to its end. */
extern bool prof_regions_are_on;

/* PROF_REGION("exec") { ... }: off, as it begins, a load and a branch. */
#define PROF_REGION(name) ASH_PROFILE_IF(ash_load_relaxed(&prof_regions_are_on), name)

/* Times are steps of ash_port_cycles. */
struct prof_region {
    const char *name;
    struct ash_profile_times times;
};

/* All regions, in the order of the image; false: there is no such number. */
bool prof_region_read(uint32_t number, struct prof_region *region);

/* All of them, as if they had never been entered. */
void prof_regions_reset(void);

#endif
