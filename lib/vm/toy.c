/* SPDX-License-Identifier: MIT */
/* toy.c: the core, compiled for this format. */
#include "format_toy.h"
#include "core.h"

const struct ash_vm_format ash_vm_toy = FORMAT_OPERATIONS;
