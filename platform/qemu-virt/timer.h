/* SPDX-License-Identifier: MIT */
/* timer.h: the virtual counter as time, and this CPU's virtual timer as a one-shot alarm. */
#ifndef QEMU_VIRT_TIMER_H
#define QEMU_VIRT_TIMER_H

#include <ashlar/base.h>

#include "board.h"

void timer_init(const struct board *board);

#endif
