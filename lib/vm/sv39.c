/* SPDX-License-Identifier: MIT */
/* sv39.c: the core, compiled for this format. */
#include "format_sv39.h"
#include "core.h"

const struct ash_vm_format ash_vm_sv39 = FORMAT_OPERATIONS;
