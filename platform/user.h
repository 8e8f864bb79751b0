/* SPDX-License-Identifier: MIT */
/*
 * user.h: what the platform has for page tables that others make, and for the programs in them.
 */
#ifndef ASHLAR_PLATFORM_USER_H
#define ASHLAR_PLATFORM_USER_H

#include <ashlar/base.h>

/*
 * Addresses of the kernel's half that the platform leaves to others: whoever maps there owns the
 * entries of the root (its physical address is what platform_kernel_root says; it has 512) that
 * translate them, none of which is valid at boot, and all tables below. All CPUs use this root.
 */
#define PLATFORM_KERNEL_RANGES_BASE  UINT64_C(0xffff800000000000)
#define PLATFORM_KERNEL_RANGES_BYTES (UINT64_C(1) << 40)
uint64_t platform_kernel_root(void);

#endif
