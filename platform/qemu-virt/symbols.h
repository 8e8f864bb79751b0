/* SPDX-License-Identifier: MIT */
/*
 * symbols.h: the image's own function names. tools/symbol-table makes the table from a first link
 * without one; it lies after everything else that is read-only, so that nothing moves in the
 * second.
 */
#ifndef QEMU_VIRT_SYMBOLS_H
#define QEMU_VIRT_SYMBOLS_H

#include <ashlar/base.h>

/* The function that an address lies in and how far; NULL outside the kernel's text. O(log n). */
const char *symbols_lookup(uint64_t address, uint64_t *offset);

/* Of the function that this address of the text is in: is the return address in x30, and x29 its
 * caller's still, or again? One instruction's bit. */
bool symbols_is_link_live(uint64_t address);

#endif
