/* SPDX-License-Identifier: MIT */
/*
 * virtio_policy_text.h: a lie of the fake device as a word of a command line or a script:
 *
 *     device.KIND@FIRST[xCOUNT][=VALUE]     device.death@17, device.interrupt_lost@0x8,
 *                                           device.idx_jump@5=20, device.status_error@2x*
 *
 * KIND is a name of virtio_policy.h; FIRST counts its occasions from 0; COUNT is 1
 * where it is missing, and * for all that come.
 */
#ifndef ASHLAR_HOSTED_VIRTIO_POLICY_TEXT_H
#define ASHLAR_HOSTED_VIRTIO_POLICY_TEXT_H

#include "hosted/virtio_policy.h"

#ifdef __cplusplus
extern "C" {
#endif

/* 0; -ASH_ENOENT: no such kind; -ASH_EINVAL: no fault at all, or a number out of its range. */
int fake_virtio_fault_parse(const char *text, struct fake_virtio_fault *fault) ASH_MUST_CHECK;

#ifdef __cplusplus
}
#endif

#endif
