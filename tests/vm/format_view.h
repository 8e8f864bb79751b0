/* SPDX-License-Identifier: MIT */
/*
 * format_view.h: the functions of a format's header in a struct, so that one test goes over all.
 * A file per format includes that format's header, then this, and ends in FORMAT_VIEW.
 */
#ifndef TESTS_VM_FORMAT_VIEW_H
#define TESTS_VM_FORMAT_VIEW_H

#include <ashlar/vm_types.h>

struct format_view {
    const char *name;
    uint32_t levels, bits, page_shift, leaf_top;
    bool protects_below;
    uint64_t (*table)(ash_paddr_t table);
    bool (*is_valid)(uint64_t entry);
    bool (*is_table)(uint64_t entry, uint32_t level);
    bool (*table_is_protected)(uint64_t entry);
    uint64_t (*table_protect)(uint64_t entry);
    uint64_t (*table_unprotect)(uint64_t entry);
    bool (*table_has_pins)(uint64_t entry);
    uint64_t (*table_note_pins)(uint64_t entry, bool pins);
    uint64_t (*break_)(uint64_t entry);
    uint64_t (*make)(uint64_t entry);
    ash_paddr_t (*address)(uint64_t entry);
    uint64_t (*leaf)(ash_paddr_t address, uint32_t level, uint32_t rights);
    uint64_t (*change)(uint64_t entry, uint32_t level, uint32_t rights);
    uint32_t (*rights)(uint64_t entry);
    bool (*is_writable)(uint64_t entry);
    uint64_t (*write_enable)(uint64_t entry);
    uint64_t (*write_protect)(uint64_t entry);
    bool (*is_pinned)(uint64_t entry);
    uint64_t (*pin)(uint64_t entry, bool pinned);
    bool (*is_accessed)(uint64_t entry);
    uint64_t (*note_accessed)(uint64_t entry, bool accessed);
    bool (*is_dirty)(uint64_t entry);
    uint64_t (*note_clean)(uint64_t entry);
};

#define FORMAT_VIEWS 6u
extern const struct format_view view_vmsa4k, view_sv39, view_sv48, view_x86_64, view_toy,
    view_toy_flat;

#define FORMAT_VIEW_OF_(format) view_##format
#define FORMAT_VIEW_OF(format)  FORMAT_VIEW_OF_(format)
#define FORMAT_VIEW                                      \
    const struct format_view FORMAT_VIEW_OF(FORMAT) = {  \
        .name = FORMAT_NAME,                             \
        .levels = FORMAT_LEVELS,                         \
        .bits = FORMAT_BITS,                             \
        .page_shift = FORMAT_PAGE_SHIFT,                 \
        .leaf_top = FORMAT_LEAF_TOP,                     \
        .protects_below = FORMAT_PROTECTS_BELOW,         \
        .table = format_table,                           \
        .is_valid = format_is_valid,                     \
        .is_table = format_is_table,                     \
        .table_is_protected = format_table_is_protected, \
        .table_protect = format_table_protect,           \
        .table_unprotect = format_table_unprotect,       \
        .table_has_pins = format_table_has_pins,         \
        .table_note_pins = format_table_note_pins,       \
        .break_ = format_break,                          \
        .make = format_make,                             \
        .address = format_address,                       \
        .leaf = format_leaf,                             \
        .change = format_change,                         \
        .rights = format_rights,                         \
        .is_writable = format_is_writable,               \
        .write_enable = format_write_enable,             \
        .write_protect = format_write_protect,           \
        .is_pinned = format_is_pinned,                   \
        .pin = format_pin,                               \
        .is_accessed = format_is_accessed,               \
        .note_accessed = format_note_accessed,           \
        .is_dirty = format_is_dirty,                     \
        .note_clean = format_note_clean,                 \
    }

#endif
