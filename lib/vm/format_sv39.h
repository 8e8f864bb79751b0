/* SPDX-License-Identifier: MIT */
/* format_sv39.h: RISC-V, 39 bits, 3 levels; a leaf of the root is 1 GiB. */
#ifndef VM_FORMAT_SV39_H
#define VM_FORMAT_SV39_H

#define FORMAT         sv39
#define FORMAT_NAME    "Sv39"
#define FORMAT_LEVELS  3u
#define FORMAT_VA_BITS 38u /* of an address in the lower half */

#include "format_riscv.h"

#endif
