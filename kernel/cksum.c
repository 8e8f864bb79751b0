/* SPDX-License-Identifier: MIT */
/* cksum.c: see cksum.h. Eight bytes a step by eight tables (Kounavis and Berry 2005). */
#include "cksum.h"

enum { SLICES = 8 };

/* tables[k][b]: the remainder of byte b followed by k zero bytes. 8 KiB, made at the first use. */
static uint32_t tables[SLICES][256];

static uint32_t remainder_of_byte(uint32_t byte) {
    uint32_t crc = byte << 24;
    for (uint32_t bit = 0; bit < 8; bit++)
        crc = (crc << 1) ^ ((crc >> 31) != 0 ? UINT32_C(0x04c11db7) : 0);
    return crc;
}

static void fill_tables(void) {
    for (uint32_t byte = 0; byte < 256; byte++)
        tables[0][byte] = remainder_of_byte(byte);
    for (uint32_t slice = 1; slice < SLICES; slice++) {
        for (uint32_t byte = 0; byte < 256; byte++) {
            uint32_t crc = tables[slice - 1][byte];
            tables[slice][byte] = (crc << 8) ^ tables[0][crc >> 24];
        }
    }
}

static uint32_t update_byte(uint32_t crc, uint8_t byte) {
    return (crc << 8) ^ tables[0][(crc >> 24) ^ byte];
}

void cksum_init(struct cksum *sum) {
    if (tables[0][1] == 0)
        fill_tables();
    *sum = (struct cksum){.crc = 0, .len_bytes = 0};
}

void cksum_update(struct cksum *sum, const void *bytes, size_t len) {
    const uint8_t *p = bytes;
    uint32_t crc = sum->crc;
    sum->len_bytes += len;
    for (; len >= SLICES; len -= SLICES, p += SLICES) {
        crc ^= (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
        crc = tables[7][crc >> 24] ^ tables[6][crc >> 16 & 0xff] ^ tables[5][crc >> 8 & 0xff] ^
              tables[4][crc & 0xff] ^ tables[3][p[4]] ^ tables[2][p[5]] ^ tables[1][p[6]] ^
              tables[0][p[7]];
    }
    for (; len != 0; len--)
        crc = update_byte(crc, *p++);
    sum->crc = crc;
}

uint32_t cksum_finish(const struct cksum *sum) {
    uint32_t crc = sum->crc;
    /* The count, least significant byte first, without leading zeros. */
    for (uint64_t rest = sum->len_bytes; rest != 0; rest >>= 8)
        crc = update_byte(crc, (uint8_t)rest);
    return ~crc;
}
