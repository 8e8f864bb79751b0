/* SPDX-License-Identifier: MIT */
/* guest_memory.c: bounds-checked access to the guest's memory. */
#include "hosted/guest_memory.h"

#include <ashlar/atomic.h>
#include <ashlar/checked.h>
#include <ashlar/error.h>
#include <string.h>

void guest_memory_init(struct guest_memory *memory) {
    *memory = (struct guest_memory){.count = 0};
}

int guest_memory_add(struct guest_memory *memory, ash_paddr_t base, void *bytes,
                     uint64_t size_bytes) {
    uint64_t end;
    if (size_bytes == 0 || bytes == NULL || !ash_add_u64(base, size_bytes, &end))
        return -ASH_EINVAL;
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct guest_range *other = &memory->ranges[i];
        if (base < other->base + other->size_bytes && other->base < end)
            return -ASH_EINVAL;
    }
    if (memory->count == GUEST_MEMORY_RANGES_MAX)
        return -ASH_ENOSPC;
    memory->ranges[memory->count++] = (struct guest_range){base, size_bytes, bytes};
    return 0;
}

/* Where `address` is, and how many of `len` bytes lie there in one piece; NULL if outside. */
static uint8_t *piece_at(const struct guest_memory *memory, ash_paddr_t address, uint64_t len,
                         uint64_t *piece_len) {
    *piece_len = 0;
    for (uint32_t i = 0; i < memory->count; i++) {
        const struct guest_range *range = &memory->ranges[i];
        if (address >= range->base && address - range->base < range->size_bytes) {
            uint64_t offset = address - range->base;
            *piece_len = ash_min_u64(len, range->size_bytes - offset);
            return range->bytes + offset;
        }
    }
    return NULL;
}

bool guest_memory_contains(const struct guest_memory *memory, ash_paddr_t address, uint64_t len) {
    uint64_t piece;
    for (; len != 0; address += piece, len -= piece) {
        if (piece_at(memory, address, len, &piece) == NULL)
            return false;
    }
    return true;
}

static bool refuse(struct guest_memory *memory, ash_paddr_t address, uint64_t len) {
    memory->refused++;
    memory->refused_address = address;
    memory->refused_len = len;
    return false;
}

bool guest_memory_read(struct guest_memory *memory, ash_paddr_t address, void *bytes,
                       uint64_t len) {
    if (!guest_memory_contains(memory, address, len)) {
        memset(bytes, 0, (size_t)len);
        return refuse(memory, address, len);
    }
    uint8_t *to = bytes;
    for (uint64_t piece; len != 0; to += piece, address += piece, len -= piece) {
        const uint8_t *from = piece_at(memory, address, len, &piece);
        memcpy(to, from, (size_t)piece);
    }
    return true;
}

bool guest_memory_write(struct guest_memory *memory, ash_paddr_t address, const void *bytes,
                        uint64_t len) {
    if (!guest_memory_contains(memory, address, len))
        return refuse(memory, address, len);
    const uint8_t *from = bytes;
    for (uint64_t piece; len != 0; from += piece, address += piece, len -= piece) {
        uint8_t *to = piece_at(memory, address, len, &piece);
        memcpy(to, from, (size_t)piece);
    }
    return true;
}

static uint16_t *u16_at(struct guest_memory *memory, ash_paddr_t address) {
    uint64_t piece;
    uint8_t *at = piece_at(memory, address, 2, &piece);
    if (at == NULL || piece != 2 || !ash_is_aligned((uintptr_t)at, 2)) {
        refuse(memory, address, 2);
        return NULL;
    }
    return (uint16_t *)(void *)at;
}

static uint16_t le16(uint16_t value) {
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    return __builtin_bswap16(value);
#else
    return value;
#endif
}

bool guest_memory_load_u16(struct guest_memory *memory, ash_paddr_t address, uint16_t *value) {
    const uint16_t *at = u16_at(memory, address);
    *value = at == NULL ? 0 : le16(ash_load_acquire(at));
    return at != NULL;
}

bool guest_memory_store_u16(struct guest_memory *memory, ash_paddr_t address, uint16_t value) {
    uint16_t *at = u16_at(memory, address);
    if (at != NULL)
        ash_store_release(at, le16(value));
    return at != NULL;
}
