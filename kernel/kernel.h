/* SPDX-License-Identifier: MIT */
/* kernel.h: the kernel's entry, the same on both platforms. */
#ifndef ASHLAR_KERNEL_H
#define ASHLAR_KERNEL_H

/*
 * Called once, on CPU 0, interrupts enabled, the platform ready. Does what platform_arguments() asks
 * for and returns the status for platform_exit.
 */
int kernel_main(void);

#endif
