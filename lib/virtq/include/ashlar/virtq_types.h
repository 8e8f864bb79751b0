/* SPDX-License-Identifier: MIT */
/*
 * virtq_types.h: what the calls of <ashlar/virtq.h> take; and, private, the rings as the device
 * sees them and the queue's fields.
 *
 *     split (2.7)   table:  slot s at s << shift: chain 0 .. chain-1, then the way to its table
 *                   avail:  flags, idx, ring[size] of heads, used_event      used: the like
 *     packed (2.8)  ring:   descriptors in the order of submission; what was a request's is
 *                           overwritten by {id, len} when it is done        two event structures
 *
 * A packed ring is written anew for every request: chains are kept in the driver's own storage, in
 * the split format, and copied.
 */
#ifndef ASHLAR_VIRTQ_TYPES_H
#define ASHLAR_VIRTQ_TYPES_H

#include <ashlar/base.h>
#include <ashlar/bits.h>
#include <ashlar/error.h>
#include <ashlar/port.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ASH_VIRTQ_SIZE_MAX      1024u
#define ASH_VIRTQ_STORAGE_ALIGN 64u

enum ash_virtq_fault {
    ASH_VIRTQ_OK,
    ASH_VIRTQ_FAULT_USED_INDEX,  /* used.idx claims more completions than are in flight */
    ASH_VIRTQ_FAULT_ID_RANGE,    /* used id is no descriptor of a slot */
    ASH_VIRTQ_FAULT_ID_NOT_HEAD, /* used id is not the descriptor that the request began with */
    ASH_VIRTQ_FAULT_NOT_PENDING, /* that slot is not in flight: not published, or back already */
    ASH_VIRTQ_FAULT_LENGTH,      /* used len is larger than the slot's writable bytes */
    ASH_VIRTQ_FAULT_STATUS,      /* the device's own protocol: a status byte without meaning */
    ASH_VIRTQ_FAULT_NEEDS_RESET, /* Status has DEVICE_NEEDS_RESET, or lost DRIVER_OK */
    ASH_VIRTQ_FAULT_TIMEOUT,     /* a request was not done by its deadline */
    ASH_VIRTQ_FAULT_STOPPED,     /* no device behind the queue: the owner stopped it */
};

struct ash_virtq_config {
    uint32_t size;  /* ring entries: a power of two, 1..ASH_VIRTQ_SIZE_MAX */
    uint32_t slots; /* requests in flight at most; see ash_virtq_slots_max */
    uint32_t chain; /* descriptors of a slot's chain, 1..size */
    uint32_t table; /* of its indirect table, at most `size` (2.7.5.3.1); 0: none */
};

/* What was negotiated, for ash_virtq_restart: a set of bits. */
#define ASH_VIRTQ_EVENT_IDX 1u /* VIRTIO_F_EVENT_IDX */
#define ASH_VIRTQ_PACKED    2u /* VIRTIO_F_RING_PACKED */

/* Memory that the device reads and writes, and its address for the device. One piece, zeroed or
 * not, aligned to ASH_VIRTQ_STORAGE_ALIGN for both. */
struct ash_virtq_dma {
    void *pointer;
    size_t bytes;
    ash_paddr_t address;
};

/* A part of it. */
struct ash_virtq_area {
    ash_paddr_t address;
    size_t bytes;
};

/* Private from here on. */

/* Little-endian as the device has it, to and from the CPU's order. */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define ASH_VIRTQ_LE16(x) __builtin_bswap16(x)
#define ASH_VIRTQ_LE32(x) __builtin_bswap32(x)
#define ASH_VIRTQ_LE64(x) __builtin_bswap64(x)
#else
#define ASH_VIRTQ_LE16(x) (x)
#define ASH_VIRTQ_LE32(x) (x)
#define ASH_VIRTQ_LE64(x) (x)
#endif

/* Descriptor flags, 2.7.5 and 2.8.1. */
#define ASH_VIRTQ_DESC_NEXT     1u
#define ASH_VIRTQ_DESC_WRITE    2u
#define ASH_VIRTQ_DESC_INDIRECT 4u
#define ASH_VIRTQ_DESC_AVAIL    0x80u /* packed */
#define ASH_VIRTQ_DESC_USED     0x8000u

/* Flags of an event suppression structure, 2.8.10. */
#define ASH_VIRTQ_EVENT_ENABLE  0u
#define ASH_VIRTQ_EVENT_DISABLE 1u
#define ASH_VIRTQ_EVENT_DESC    2u

struct ash_virtq_desc {
    uint64_t address;
    uint32_t len;
    union {
        struct {
            uint16_t flags, next; /* virtq_desc, 2.7.5 */
        } split;
        struct {
            uint16_t id, flags; /* pvirtq_desc, 2.8.13 */
        } packed;
    } u;
};

/* A bit that no id has: for a slot whose entry is to be looked at twice. */
#define ASH__VIRTQ_ODD (UINT32_C(1) << 31)

struct ash_virtq_used_entry {
    uint32_t id;
    uint32_t len;
};

#define ASH_VIRTQ_OWNER_WORDS 4u

/* All that is remembered of a slot's request: a line. */
struct ash_virtq_slot {
    /* The used entry of a device that did all: its id (split: the descriptor that the request
     * begins with; packed: the slot), and every writable byte, the most that it may say. */
    uint32_t id, writable_bytes;
    uint32_t token;   /* 16 bits that count the slot's uses, and the slot */
    uint16_t entries; /* packed: of the ring, that it takes */
    uint16_t pad;
    void *cookie;
    uint64_t pad_to_line;
    uint64_t owner[ASH_VIRTQ_OWNER_WORDS]; /* for the queue's owner; not looked at here */
};

static inline uint32_t ash__virtq_slot_of(uint32_t token) {
    return token & 0xffffu;
}

/* What a queue's owner may know when it is compiled: loads and branches fall away. */
struct ash_virtq_shape {
    uint32_t chain, shift;
    bool packed;
};

/* Public for inline functions; fields private. */
struct ash_virtq {
    /* Constant between restarts. */
    struct ash_virtq_desc *ring;        /* split: the descriptor table */
    struct ash_virtq_desc *chains;      /* slot s: from s << shift on; split: that table */
    struct ash_virtq_desc *tables;      /* slot s: from s * table on */
    uint16_t *driver_area;              /* split: flags, idx, ring, used_event; packed: event */
    uint16_t *device_area;              /* split: flags, idx, entries, avail_event; packed: event */
    uint16_t *avail_ring, *avail_event; /* split: of the avail and of the used ring */
    struct ash_virtq_used_entry *used_ring; /* split */
    struct ash_virtq_slot *slots;
    uint32_t size, mask; /* size - 1 */
    uint32_t slot_count, table;
    struct ash_virtq_shape shape; /* descriptors of a slot: 1 << shift */
    bool event_idx;
    struct ash_virtq_dma dma;
    struct ash_virtq_desc *own_chains;

    uint32_t fault;

    /* The producer's. */
    uint16_t queued;    /* requests submitted, modulo 2^16; split: avail.idx once published */
    uint16_t published; /* of these */
    uint16_t position; /* packed: the next ring entry, and what marks it as available in this lap */
    uint16_t avail_flags;
    uint16_t held_position, held_flags; /* packed: the first one not published, kept from view */
    uint16_t entries_queued, entries_published;
    /* 64 slots from free_base on: those found free of late, and what is left of them. The rest of
     * them are submitted; the bitmap learns it when others are looked for before a publish. */
    uint32_t free_base;
    bool is_settled; /* nothing is in the bitmap */
    uint64_t free_found, free_slots;
    uint64_t submitted[ASH_VIRTQ_SIZE_MAX / 64]; /* and not published */
    uint64_t started[ASH_VIRTQ_SIZE_MAX / 64];

    /* The reaper's. */
    uint16_t used_next __attribute__((aligned(ASH_VIRTQ_STORAGE_ALIGN))); /* requests retired */
    uint16_t used_seen;     /* split: used.idx as last read */
    uint16_t used_position; /* packed: the next entry to be used, and the flags it will have */
    uint16_t used_flags;
    uint16_t entries_used;
    uint32_t aborted_count;
    uint64_t finished[ASH_VIRTQ_SIZE_MAX / 64];
    uint64_t aborted[ASH_VIRTQ_SIZE_MAX / 64]; /* were in flight when the queue was restarted */
};

/* The areas of a split ring in 16-bit words, 2.7.6 and 2.7.8; of an event structure, 2.8.10. */
enum {
    ASH__VIRTQ_FLAGS = 0,
    ASH__VIRTQ_INDEX = 1,
    ASH__VIRTQ_RING = 2,
    ASH__VIRTQ_EVENT_OFFSET = 0,
    ASH__VIRTQ_EVENT_FLAGS = 1,
};

/* Latches the fault; -ASH_EIO. */
int ash__virtq_broken(struct ash_virtq *queue, enum ash_virtq_fault fault);

/* What to make of a used entry that is not the one expected: its slot, or -ASH_EIO. */
int ash__virtq_judge(struct ash_virtq *queue, uint32_t id, uint32_t len);

#ifdef __cplusplus
}
#endif

#endif
