/* SPDX-License-Identifier: MIT */
/* print.h: the platform's own messages, straight to the UART; a text at most 511 characters. */
#ifndef QEMU_VIRT_PRINT_H
#define QEMU_VIRT_PRINT_H

#include <ashlar/base.h>

void print(const char *format, ...) ASH_PRINTF(1, 2);

/* After this nothing takes a lock to write: see uart_write_without_lock. For the report of a
 * panic. */
void print_without_lock(void);

#endif
