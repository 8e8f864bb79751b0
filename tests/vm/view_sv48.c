/* SPDX-License-Identifier: MIT */
#include "lib/vm/format_sv48.h"
#include "vm/format_view.h"

FORMAT_VIEW;
