/* SPDX-License-Identifier: MIT */
/*
 * format_toy.h: no CPU's: 3 levels of 4 entries, 64 pages in all, with leaves at each level, so
 * that all sequences of a few operations can be tried. An entry has a bit for each thing.
 */
#ifndef VM_FORMAT_TOY_H
#define VM_FORMAT_TOY_H

#include <ashlar/vm_types.h>

#define FORMAT                toy
#define FORMAT_NAME           "toy"
#define FORMAT_LEVELS         3u
#define FORMAT_BITS           2u /* of an address that choose an entry of a table */
#define FORMAT_PAGE_SHIFT     12u
#define FORMAT_VA_BITS        18u /* of an address in the lower half */
#define FORMAT_LEAF_TOP       2u  /* the highest level with leaves: the root */
#define FORMAT_PROTECTS_BELOW 1

#include "format_toy_bits.h"

#endif
