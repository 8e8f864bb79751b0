/* SPDX-License-Identifier: MIT */
/* vmsa4k.c: the core, compiled for this format. */
#include "format_vmsa4k.h"
#include "core.h"

const struct ash_vm_format ash_vm_vmsa4k = FORMAT_OPERATIONS;
