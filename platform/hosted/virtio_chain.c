/* SPDX-License-Identifier: MIT */
/*
 * virtio_chain.c: a chain of descriptors, in whichever format: read, judged by the rules that both
 * share, copied to and from.
 */
#include "virtio_ring.h"

/* Walking a chain */

struct fake_virtio_descriptor fake_virtio_read_descriptor(struct fake_virtio *device,
                                                          const struct fake_virtio_queue *queue,
                                                          ash_paddr_t address) {
    uint8_t raw[FAKE_VIRTIO_DESC_BYTES];
    struct fake_virtio_descriptor d = {0};
    guest_memory_read(device->memory, address, raw, sizeof(raw));
    for (uint32_t i = 0; i < 8; i++)
        d.addr |= (uint64_t)raw[i] << (8 * i);
    for (uint32_t i = 0; i < 4; i++)
        d.len |= (uint32_t)raw[8 + i] << (8 * i);
    uint16_t third = (uint16_t)(raw[12] | raw[13] << 8),
             fourth = (uint16_t)(raw[14] | raw[15] << 8);
    bool split = queue->format == &fake_virtio_split_format;
    d.flags = split ? third : fourth;
    d.link = split ? fourth : third;
    return d;
}

struct fake_virtio_walk fake_virtio_walk_begin(struct fake_virtio *device,
                                               struct fake_virtio_queue *queue,
                                               struct fake_virtio_chain *chain, uint16_t head,
                                               bool fetches) {
    *chain = (struct fake_virtio_chain){
        .segments = device->segments, .queue = queue->index, .head = head};
    return (struct fake_virtio_walk){.device = device,
                                     .queue = queue,
                                     .chain = chain,
                                     .fetches = fetches,
                                     .digest = UINT64_C(0xcbf29ce484222325)};
}

/* FNV-1a over 64-bit words: the same chain gives the same digest, a changed one another. */
void fake_virtio_walk_digest(struct fake_virtio_walk *walk,
                             const struct fake_virtio_descriptor *d) {
    uint64_t words[] = {d->addr, d->len, (uint64_t)d->flags << 16 | d->link};
    for (size_t i = 0; i < ASH_ARRAY_LEN(words); i++)
        walk->digest = (walk->digest ^ words[i]) * UINT64_C(0x100000001b3);
}

bool fake_virtio_walk_check_table(struct fake_virtio_walk *walk,
                                  const struct fake_virtio_descriptor *d) {
    if (!fake_virtio_has(walk->device, FAKE_VIRTIO_F_INDIRECT_DESC))
        return FAKE_VIRTIO_WALK_FAILS(walk, INDIRECT_NOT_ACCEPTED, "flags 0x%x", d->flags);
    if ((d->flags & FAKE_VIRTIO_DESC_F_NEXT) != 0)
        return FAKE_VIRTIO_WALK_FAILS(walk, INDIRECT_NEXT, "flags 0x%x", d->flags);
    if (d->len == 0 || d->len % FAKE_VIRTIO_DESC_BYTES != 0)
        return FAKE_VIRTIO_WALK_FAILS(walk, INDIRECT_TABLE, "%u bytes", d->len);
    if (!guest_memory_contains(walk->device->memory, d->addr, d->len))
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_MEMORY, "table of %u bytes at 0x%llx", d->len,
                                      (unsigned long long)d->addr);
    return true;
}

bool fake_virtio_walk_element(struct fake_virtio_walk *walk,
                              const struct fake_virtio_descriptor *d) {
    struct fake_virtio_chain *chain = walk->chain;
    bool writable = (d->flags & FAKE_VIRTIO_DESC_F_WRITE) != 0;
    if (chain->count == walk->queue->size)
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_LENGTH, "more than %u elements",
                                      walk->queue->size);
    if (!writable && chain->count != 0 && chain->segments[chain->count - 1].writable)
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_ORDER, "element %u", chain->count);
    if (chain->readable_bytes + chain->writable_bytes + d->len > UINT64_C(1) << 32)
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_BYTES, "element %u", chain->count);
    if (!guest_memory_contains(walk->device->memory, d->addr, d->len))
        return FAKE_VIRTIO_WALK_FAILS(walk, CHAIN_MEMORY, "%u bytes at 0x%llx", d->len,
                                      (unsigned long long)d->addr);
    walk->device->segments[chain->count++] =
        (struct fake_virtio_segment){.address = d->addr, .len = d->len, .writable = writable};
    if (writable)
        chain->writable_bytes += d->len;
    else
        chain->readable_bytes += d->len;
    return true;
}

/* Copying to and from a chain's two parts */

enum direction { FROM_GUEST, TO_GUEST };

static bool chain_copy(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                       enum direction direction, uint64_t offset, uint8_t *into,
                       const uint8_t *from, uint64_t len) {
    for (uint32_t i = 0; i < chain->count && len != 0; i++) {
        const struct fake_virtio_segment *segment = &chain->segments[i];
        if (segment->writable != (direction == TO_GUEST))
            continue;
        if (offset >= segment->len) {
            offset -= segment->len;
            continue;
        }
        uint64_t piece = ash_min_u64(len, segment->len - offset);
        ash_paddr_t address = segment->address + offset;
        if (direction == TO_GUEST) {
            if (!guest_memory_write(device->memory, address, from, piece))
                return false;
            from += piece;
        } else {
            if (!guest_memory_read(device->memory, address, into, piece))
                return false;
            into += piece;
        }
        offset = 0;
        len -= piece;
    }
    return true;
}

bool fake_virtio_chain_read(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                            uint64_t offset, void *bytes, uint64_t len) {
    return offset <= chain->readable_bytes && len <= chain->readable_bytes - offset &&
           chain_copy(device, chain, FROM_GUEST, offset, bytes, NULL, len);
}

bool fake_virtio_chain_write(struct fake_virtio *device, const struct fake_virtio_chain *chain,
                             uint64_t offset, const void *bytes, uint64_t len) {
    return offset <= chain->writable_bytes && len <= chain->writable_bytes - offset &&
           chain_copy(device, chain, TO_GUEST, offset, NULL, bytes, len);
}
