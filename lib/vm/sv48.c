/* SPDX-License-Identifier: MIT */
/* sv48.c: the core, compiled for this format. */
#include "format_sv48.h"
#include "core.h"

const struct ash_vm_format ash_vm_sv48 = FORMAT_OPERATIONS;
