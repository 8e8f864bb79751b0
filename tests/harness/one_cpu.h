/* SPDX-License-Identifier: MIT */
/*
 * one_cpu.h: the machine of a test program that has none: what the harness asks of platform.h, for
 * one CPU and a C library. ash_panic is the program's own; where nothing else is to happen, that of
 * plain_panic.c: it tells the harness, or prints the message and ends the program.
 */
#ifndef HARNESS_ONE_CPU_H
#define HARNESS_ONE_CPU_H

/* Runs the cases that `select` names (tap.h). The plan is complete, so a failed case is told by its
 * line; the status for the process is 0 but where no case was run. */
int one_cpu_run(const char *select);

#endif
