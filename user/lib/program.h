/* SPDX-License-Identifier: MIT */
/*
 * program.h: what the programs here have in common, over picolibc's printf, strings and malloc.
 * stdout is written at each end of a line, so a fork copies nothing that is still to be written.
 */
#ifndef USER_PROGRAM_H
#define USER_PROGRAM_H

#include "system.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const char *program_name; /* its first argument */
extern char **program_environment;

/* An entry of the auxiliary vector, which user_stack.h lists. */
uint64_t program_aux(uint64_t kind, uint64_t otherwise);

/* "name: message" on standard error, and the process ends with status 1. */
void die(const char *format, ...) __attribute__((noreturn)) ASH_PRINTF(1, 2);

/* The value, unless it is an error: "name: what: phrase", and the process ends with status 1. */
int64_t must(int64_t value, const char *what);

/* A number of an argument, or `otherwise` where there is none. */
uint64_t argument_number(int argc, char **argv, int index, uint64_t otherwise);

/* All of it, in as many calls as it takes; dies where it cannot be. */
void write_all(int file, const void *bytes, size_t len);

/* Some bytes, as many as come at once; 0 at the end. Dies where they cannot be read. */
size_t read_some(int file, void *buffer, size_t len);

/* As many bytes as there are, up to len. */
size_t read_all(int file, void *buffer, size_t len);

/* Opens what an argument names for reading; "-" is standard input. */
int open_argument(const char *name);

/* Waits for a child to end; its status as wait4 has it. */
int wait_for(int64_t process);

/* The same, and dies unless it ended by itself with status 0. */
void wait_for_success(int64_t process);

void sleep_ms(uint64_t ms);
uint64_t time_ms(void); /* of a clock that only goes forward */

/* Private memory of whole pages, zeros; dies where there is none. */
void *map_pages(size_t bytes);

/* A generator of random numbers (xorshift64*, Vigna 2016); the seed is not 0. */
uint64_t random_next(uint64_t *state);

#endif
