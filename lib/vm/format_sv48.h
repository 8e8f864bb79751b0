/* SPDX-License-Identifier: MIT */
/* format_sv48.h: RISC-V, 48 bits, 4 levels. */
#ifndef VM_FORMAT_SV48_H
#define VM_FORMAT_SV48_H

#define FORMAT         sv48
#define FORMAT_NAME    "Sv48"
#define FORMAT_LEVELS  4u
#define FORMAT_VA_BITS 47u /* of an address in the lower half */

#include "format_riscv.h"

#endif
