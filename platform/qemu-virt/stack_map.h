/* SPDX-License-Identifier: MIT */
/* stack_map.h: whose stack an address belongs to, of those of platform_stack_map. Any context. */
#ifndef QEMU_VIRT_STACK_MAP_H
#define QEMU_VIRT_STACK_MAP_H

#include <ashlar/base.h>

/* Is it in one of the stacks? */
bool stack_map_holds(uint64_t address);

/* From where to where that stack goes; false: it is in none. */
bool stack_map_bounds(uint64_t address, uint64_t *low, uint64_t *high);

/* The name of the stack below which it lies, or NULL. */
const char *stack_map_of_guard(uint64_t address);

#endif
