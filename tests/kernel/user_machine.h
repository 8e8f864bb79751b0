/* SPDX-License-Identifier: MIT */
/* user_machine.h: what plays programs where nothing runs them: the instructions of programs.h. */
#ifndef TESTS_KERNEL_USER_MACHINE_H
#define TESTS_KERNEL_USER_MACHINE_H

/* From now on, or no longer; nothing where programs run by themselves. */
void user_machine_set(bool is_on);

#endif
