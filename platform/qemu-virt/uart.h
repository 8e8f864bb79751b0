/* SPDX-License-Identifier: MIT */
/*
 * uart.h: the PL011 (Arm DDI 0183). Output waits for room; input comes by interrupt into a ring.
 * A full ring masks the receive interrupt: the bytes then wait in the UART, and beyond it in QEMU,
 * until the ring is read. Nothing is lost.
 */
#ifndef QEMU_VIRT_UART_H
#define QEMU_VIRT_UART_H

#include <ashlar/base.h>

/* Where QEMU's `virt` has it: for what must be said before the device tree is understood. */
#define UART_EARLY_BASE UINT64_C(0x09000000)

void uart_init(uint64_t base);
void uart_enable_receive(uint32_t intid);

/* Any context; whole, not mixed with another CPU's bytes. */
void uart_write(const char *bytes, size_t len);

/* From now on uart_write takes no lock: the holder may be the one that broke. */
void uart_write_without_lock(void);

/* One byte, or -1 if none has come. */
int uart_read(void);

#endif
