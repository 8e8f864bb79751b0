/* SPDX-License-Identifier: MIT */
/* faults.h: single accesses that may be refused, for programs that want to see which are. */
#ifndef USER_FAULTS_H
#define USER_FAULTS_H

#include "program.h"

/* From now on a refused access ends in the probe that made it; elsewhere it ends the program. */
void faults_catch(void);

/* One access. The signal that refused it, or 0. */
int fault_of_read(uint64_t address);
int fault_of_write(uint64_t address); /* of a zero */
int fault_of_execution(uint64_t address);
int fault_of_code(void (*leaf)(void)); /* whose first instruction may fault, and uses no stack */

/* What the last signal said. */
extern struct system_signal_info fault_info;

#endif
