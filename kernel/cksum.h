/* SPDX-License-Identifier: MIT */
/*
 * cksum.h: the checksum of POSIX `cksum` (XCU, cksum): CRC-32 with polynomial 0x04C11DB7, most
 * significant bit first, start 0, over the bytes and then their count, complemented.
 *
 *     struct cksum sum;
 *     cksum_init(&sum);
 *     cksum_update(&sum, bytes, len);     any number of times
 *     cksum_finish(&sum)                  what `cksum` prints first; sum.len_bytes is the second
 */
#ifndef KERNEL_CKSUM_H
#define KERNEL_CKSUM_H

#include <ashlar/base.h>

struct cksum {
    uint32_t crc;
    uint64_t len_bytes;
};

void cksum_init(struct cksum *sum);
void cksum_update(struct cksum *sum, const void *bytes, size_t len);
uint32_t cksum_finish(const struct cksum *sum);

#endif
