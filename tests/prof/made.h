/* SPDX-License-Identifier: MIT */
/*
 * made.h: containers for tests, each made from a script: what a kernel would have dumped after it.
 *
 *     full      two CPUs: switches, wakes, nested calls and interrupts, block I/O, counters;
 *               samples of kernel and program, idle, unsure
 *     wrapped   rings of 64 records that were overwritten: begins are lost, ends have none
 *     dropped   rings of 64 records that were full
 *     trace     full without samples
 *     profile   full without events
 *     strange   names with quotes, angle brackets, control characters, bytes that are no UTF-8
 *     empty     nothing but header and text
 */
#ifndef ASHLAR_TEST_PROF_MADE_H
#define ASHLAR_TEST_PROF_MADE_H

#include <ashlar/prof_file.h>

enum { MADE_BYTES = 1 << 17 }; /* more than each has */

/* bytes: room for MADE_BYTES, aligned to 64. What the container has; 0: there is no such one. */
size_t made_container(const char *name, void *bytes);

/* The names, ending in NULL. */
extern const char *const made_names[];

#endif
