/* SPDX-License-Identifier: MIT */
/* user_init.h: before programs run: once on CPU 0, after gic_init and before the others start; then
 * on each CPU. */
#ifndef QEMU_VIRT_USER_INIT_H
#define QEMU_VIRT_USER_INIT_H

void user_init(void);
void user_init_cpu(void);

#endif
