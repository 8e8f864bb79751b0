/* SPDX-License-Identifier: MIT */
/*
 * semihosting.h: calls to QEMU itself (Arm semihosting specification 2.0): arguments in, exit
 * status out. Where it is switched off the HLT is an undefined instruction; exception.c turns that
 * one into the answer -1, so asking is always safe once the vectors are set.
 */
#ifndef QEMU_VIRT_SEMIHOSTING_H
#define QEMU_VIRT_SEMIHOSTING_H

#include <ashlar/base.h>

/* The command line; false when there is none to be had. */
bool semihosting_arguments(char *text, size_t size_bytes);

/* Ends QEMU with this status; returns when it cannot. */
void semihosting_exit(int status);

/* A file of the host, written from its begin. A number, or -1: it cannot be made, or is_off. */
int64_t semihosting_open(const char *path);
uint64_t semihosting_write(int64_t file, const void *bytes, size_t len); /* bytes not written */
bool semihosting_close(int64_t file);

/* Nobody answers. */
bool semihosting_is_off(void);

/* Is this address the HLT? */
bool semihosting_is_call(uint64_t address);

#endif
