/* SPDX-License-Identifier: MIT */
/* toy_flat.c: the core, compiled for this format. */
#include "format_toy_flat.h"
#include "core.h"

const struct ash_vm_format ash_vm_toy_flat = FORMAT_OPERATIONS;
