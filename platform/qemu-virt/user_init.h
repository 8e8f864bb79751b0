/* SPDX-License-Identifier: MIT */
/* user_init.h: before programs run: once on CPU 0, after gic_init and before the others start; then
 * on each CPU. */
#ifndef QEMU_VIRT_USER_INIT_H
#define QEMU_VIRT_USER_INIT_H

#include <ashlar/base.h>

void user_init(void);
void user_init_cpu(void);

/* Does the calling CPU, masked, have the translation of this root? */
bool user_is_root_here(uint64_t root);

#endif
