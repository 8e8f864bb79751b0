/* SPDX-License-Identifier: MIT */
/*
 * core.h: page tables, whatever their format. A format's file includes that format's header (what
 * it must say: format.h) and then this; all below is static and compiled once for each, so a walk
 * has no indirect call and no bit that is looked up.
 *
 *   table.h    a table and its entries         walk.h      from the root to an address
 *   gather.h   what is to be flushed           map.h       empty entries become valid
 *   reserve.h  frames before they are needed   unmap.h     and empty again
 *   runs.h     counts of pages in a row        protect.h   other rights
 *   drop.h     references given back; reaping  split.h     a block becomes pages
 *   own.h      tables that are shared become   collapse.h  pages become a block
 *              the space's own                 query.h     what is mapped
 *   share.h    what a copy of a table shares   fork.h      a second space with the same
 *   fault.h    what an access lacks            pin.h       pages for devices
 *   copy.h     between kernel and program      age.h       accessed? written to?
 *   exit.h     begin and end                   check.h, recount.h  is all of it so?
 */
#ifndef VM_CORE_H
#define VM_CORE_H

#include "format.h"
#include "count.h"
#include "vm_internal.h"

#include <ashlar/bits.h>
#include <ashlar/check.h>
#include <ashlar/vm_asid.h>

#include "core/table.h"
#include "core/gather.h"
#include "core/reserve.h"
#include "core/runs.h"
#include "core/drop.h"
#include "core/share.h"
#include "core/own.h"
#include "core/walk.h"
#include "core/map.h"
#include "core/unmap.h"
#include "core/protect.h"
#include "core/split.h"
#include "core/collapse.h"
#include "core/query.h"
#include "core/fault.h"
#include "core/pin.h"
#include "core/fork.h"
#include "core/copy.h"
#include "core/age.h"
#include "core/exit.h"
#include "core/check.h"
#include "core/recount.h"

/* clang-format off */
#define FORMAT_OPERATIONS { \
    .name = FORMAT_NAME, .levels = FORMAT_LEVELS, .bits = FORMAT_BITS, \
    .root_entry_bytes = UINT64_C(1) << (FORMAT_PAGE_SHIFT + FORMAT_BITS * ROOT_LEVEL), \
    .end = UINT64_C(1) << FORMAT_VA_BITS, \
    .space_init = format_space_init, .space_fini = format_space_fini, .reap = format_reap, \
    .hold = format_hold, .release = format_release, .count = format_count, \
    .map = format_map, .map_zero = format_map_zero, .unmap = format_unmap, \
    .protect = format_protect, .split = format_split, .collapse = format_collapse, \
    .fork = format_fork, .fault = format_fault, .fault_begin = format_fault_begin, \
    .fault_copy = format_fault_copy, .fault_end = format_fault_end, \
    .pin = format_pin_page, .unpin = format_unpin, .copy_in = format_copy_in, \
    .copy_out = format_copy_out, .copy_string = format_copy_string, \
    .age = format_age, .clean = format_clean, \
    .translate = format_translate, .query = format_query, .walk = format_walk, \
    .usage = format_usage, .check = format_check, .recount = format_recount}
/* clang-format on */

#endif
