/* SPDX-License-Identifier: MIT */
/*
 * panic.h: the end of the machine, told readably: what happened, registers where there are some,
 * who called whom, and the status EXIT_PANIC to whoever started QEMU.
 */
#ifndef QEMU_VIRT_PANIC_H
#define QEMU_VIRT_PANIC_H

#include <ashlar/base.h>

#include "exception.h"

enum { EXIT_BAD_MACHINE = 1, EXIT_PANIC = 70 };

/* May the panic hook take over here? Not in an interrupt handler: a jump out of it would leave the
 * interrupt active for ever. */
bool panic_hook_applies(void);

/* Reports and ends. frame is NULL for a panic that is not an exception. */
void panic_report(const char *title, const struct exception_frame *frame) __attribute__((noreturn));

/* This machine cannot be run on: one line, no backtrace. */
void panic_bad_machine(const char *format, ...) __attribute__((noreturn)) ASH_PRINTF(1, 2);

#endif
