/* SPDX-License-Identifier: MIT */
/*
 * format.h: what a format's header must say before the core is compiled for it. One says what the
 * bits of an entry mean, and nothing else: no function of it looks at memory, and each compiles to
 * a few instructions on constants.
 *
 *   FORMAT_NAME              for people
 *   FORMAT_LEVELS            of tables; the root's is LEVELS - 1, that of pages 0
 *   FORMAT_BITS              of an address choose an entry of a table
 *   FORMAT_PAGE_SHIFT        of a page, and of a table
 *   FORMAT_VA_BITS           of an address in the lower half
 *   FORMAT_LEAF_TOP          the highest level with leaves
 *   FORMAT_PROTECTS_BELOW    1: an entry can take write permission from all below it
 *
 * Entries: 0 is empty. format_is_valid, _is_table, _address; format_break makes it invalid to a
 * CPU's walk, and it still has all that format_make needs to bring it back.
 *
 * Tables: format_table, with format_table_protect, _unprotect, _is_protected: the mark of sharing
 * (where nothing is protected by it, a bit that the CPU ignores); and format_table_note_pins,
 * _has_pins.
 *
 * Leaves: format_leaf makes one that is not writable; format_change gives it other rights and keeps
 * what else it knows. format_rights says what is allowed, format_is_writable what the CPU allows;
 * format_write_enable, _write_protect. format_pin, _is_pinned, _note_accessed, _is_accessed,
 * _note_clean, _is_dirty: bits of software, where they are not the CPU's. Writable is dirty and
 * accessed, so that no CPU has a reason to set them.
 *
 * An address is a field of a leaf, in order and without gaps: two leaves of pages that follow each
 * other, alike in all else, differ by the same number wherever they are (table.h, leaf_step).
 */
#ifndef VM_FORMAT_H
#define VM_FORMAT_H

#if !defined(FORMAT_NAME) || !defined(FORMAT_LEVELS) || !defined(FORMAT_BITS) ||            \
    !defined(FORMAT_PAGE_SHIFT) || !defined(FORMAT_VA_BITS) || !defined(FORMAT_LEAF_TOP) || \
    !defined(FORMAT_PROTECTS_BELOW)
#error "a format's header comes first, and has all of these"
#endif

#endif
