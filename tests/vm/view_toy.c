/* SPDX-License-Identifier: MIT */
#include "lib/vm/format_toy.h"
#include "vm/format_view.h"

FORMAT_VIEW;
