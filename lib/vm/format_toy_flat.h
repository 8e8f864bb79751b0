/* SPDX-License-Identifier: MIT */
/* format_toy_flat.h: the toy format as RISC-V would have it: a table's entry takes no rights from
 * what is below, and its mark of sharing says that no leaf below is writable. */
#ifndef VM_FORMAT_TOY_FLAT_H
#define VM_FORMAT_TOY_FLAT_H

#include <ashlar/vm_types.h>

#define FORMAT                toy_flat
#define FORMAT_NAME           "toy, flat"
#define FORMAT_LEVELS         3u
#define FORMAT_BITS           2u
#define FORMAT_PAGE_SHIFT     12u
#define FORMAT_VA_BITS        18u /* of an address in the lower half */
#define FORMAT_LEAF_TOP       2u
#define FORMAT_PROTECTS_BELOW 0

#include "format_toy_bits.h"

#endif
