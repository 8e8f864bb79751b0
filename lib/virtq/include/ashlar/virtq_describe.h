/* SPDX-License-Identifier: MIT */
/* virtq_describe.h: private to <ashlar/virtq.h>, which includes it: what descriptors say. */
#ifndef ASHLAR_VIRTQ_DESCRIBE_H
#define ASHLAR_VIRTQ_DESCRIBE_H

#include <ashlar/virtq_types.h>

#ifdef __cplusplus
extern "C" {
#endif

static inline void ash__virtq_set(struct ash_virtq_desc *desc, ash_paddr_t address, uint32_t len,
                                  uint32_t flags) {
    desc->address = ASH_VIRTQ_LE64(address);
    desc->len = ASH_VIRTQ_LE32(len);
    desc->u.split.flags = ASH_VIRTQ_LE16((uint16_t)flags);
}

static inline void ash_virtq_describe(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                      ash_paddr_t address, uint32_t len, bool device_writes) {
    struct ash_virtq_shape shape = queue->shape;
    ash__virtq_set(&queue->chains[(slot << shape.shift) + index], address, len,
                   (index + 1 < shape.chain ? ASH_VIRTQ_DESC_NEXT : 0u) |
                       (device_writes ? ASH_VIRTQ_DESC_WRITE : 0u));
}

static inline void ash__virtq_fill(struct ash_virtq_desc *desc, ash_paddr_t address, uint32_t len,
                                   uint32_t flags, uint32_t index, uint32_t count, bool packed) {
    desc->address = ASH_VIRTQ_LE64(address);
    desc->len = ASH_VIRTQ_LE32(len);
    if (packed) {
        desc->u.packed.id = 0; /* reserved, 2.8.7; and the order is that of the table */
        desc->u.packed.flags = ASH_VIRTQ_LE16((uint16_t)flags);
        return;
    }
    flags |= index + 1 < count ? ASH_VIRTQ_DESC_NEXT : 0u;
    desc->u.split.flags = ASH_VIRTQ_LE16((uint16_t)flags);
    desc->u.split.next = ASH_VIRTQ_LE16((uint16_t)(index + 1));
}

static inline void ash_virtq_describe_table(struct ash_virtq *queue, uint32_t slot, uint32_t index,
                                            uint32_t count, ash_paddr_t address, uint32_t len,
                                            bool device_writes) {
    struct ash_virtq_desc *desc = &queue->tables[slot * queue->table + index];
    ash__virtq_fill(desc, address, len, device_writes ? ASH_VIRTQ_DESC_WRITE : 0u, index, count,
                    queue->shape.packed);
}

#ifdef __cplusplus
}
#endif

#endif
