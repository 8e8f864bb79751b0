/* SPDX-License-Identifier: MIT */
#include "lib/vm/format_vmsa4k.h"
#include "vm/format_view.h"

FORMAT_VIEW;
