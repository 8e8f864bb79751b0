/* SPDX-License-Identifier: MIT */
/*
 * purge.h: gives the memory of free pages back to Linux, a while after they were freed: a program
 * that takes the same again at once should not pay for page faults.
 *
 * Notes are kept by chunks of 512 frames (2 MiB): how many of its pages were freed and not handed
 * out again, and whether it was handed out at all since Linux last gave it. When the free pages
 * that may hold memory are more than 32 MiB, and more than an eighth of what is in use, a hand
 * goes round the chunks: it takes the free blocks of each from its buddy, tells Linux to drop what
 * is in them, and puts them back, until half of the limit is left. So the work is paid by frees,
 * in proportion to the pages freed; there is no thread and no clock.
 */
#ifndef PRELOAD_PURGE_H
#define PRELOAD_PURGE_H

#include <ashlar/base.h>

/* False: no memory for the notes. */
bool purge_start(uint64_t len_pages);

/* The block is handed out; true: it lies in chunks that nothing has been in. */
bool purge_note_alloc(ash_pfn_t first, uint32_t order);

/* The block is about to go back to its buddy. True: it is more than is kept for a while, and has
 * been dropped, and taken off the books, as a whole. */
bool purge_whole(ash_pfn_t first, uint32_t order);

/* The block is free again in its buddy. Purges when it is time; true: it did. */
bool purge_note_free(ash_pfn_t first, uint32_t order);

/* Gives back what there is; true: there was something. */
bool purge_all(void);

#endif
