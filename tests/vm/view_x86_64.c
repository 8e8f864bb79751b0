/* SPDX-License-Identifier: MIT */
#include "lib/vm/format_x86_64.h"
#include "vm/format_view.h"

FORMAT_VIEW;
