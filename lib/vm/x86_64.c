/* SPDX-License-Identifier: MIT */
/* x86_64.c: the core, compiled for this format. */
#include "format_x86_64.h"
#include "core.h"

const struct ash_vm_format ash_vm_x86_64 = FORMAT_OPERATIONS;
