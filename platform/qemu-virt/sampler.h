/* SPDX-License-Identifier: MIT */
/* sampler.h: sample.c's interrupts, connected before the other CPUs start. */
#ifndef QEMU_VIRT_SAMPLER_H
#define QEMU_VIRT_SAMPLER_H

#include "board.h"

void sampler_init(const struct board *board);

#endif
