/* SPDX-License-Identifier: MIT */
/*
 * printable.h: what a terminal may be shown of bytes that nobody vouches for: names on a disk,
 * lines made of them. The rest could move its cursor, change its title or answer in the person's
 * name.
 */
#ifndef KERNEL_PRINTABLE_H
#define KERNEL_PRINTABLE_H

#include <ashlar/base.h>

/*
 * The bytes, 1..4, of the printable character that the `len` bytes of text begin with; 0 if they
 * begin with none: a control character, the C1 ones (U+0080..U+009F) included, or what is not
 * UTF-8.
 */
size_t printable_len(const char *text, size_t len);

#endif
