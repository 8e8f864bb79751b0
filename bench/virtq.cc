/* SPDX-License-Identifier: MIT */
/*
 * virtq.cc: what a request costs in the driver's code, with nothing behind it: the device is
 * inlined into the same thread, moves no data and only turns avail entries into used ones. The time
 * includes it. A turn is `depth` requests: submit each, one kick, the device, one reap.
 *
 *   ring/N             a block request of three descriptors through <ashlar/virtq.h>, N in flight
 *   request/N          the same through <ashlar/virtio_blk.h>: ranges, limits, statistics and all
 *   device/N           the device's share alone: the same ring, no driver
 *   packed-ring/N ...  the same in a packed ring
 *
 * `ns` is the time of one request, every check on.
 */
#include <ashlar/virtio_blk.h>

#include "measure.h"

#include <cstdint>
#include <cstdlib>
#include <cstring>

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

namespace {

constexpr uint32_t depth_max = 32;
constexpr size_t requests = 8192; /* of a sample */

/* Addresses are pointers: bus and CPU agree here. */
template <typename T> T *at(uint64_t address) {
    return reinterpret_cast<T *>(static_cast<uintptr_t>(address));
}
uint64_t address_of(const void *pointer) {
    return reinterpret_cast<uintptr_t>(pointer);
}

struct Descriptor {
    uint64_t address;
    uint32_t len;
    uint16_t flags, next;
};

/* virtio 1.2, 2.8.13 and 2.8.14. */
struct PackedDescriptor {
    uint64_t address;
    uint32_t len;
    uint16_t id, flags;
};
enum : uint16_t { desc_next = 1, desc_write = 2, desc_avail = 0x80, desc_used = 0x8000 };

/* Registers as a transport of its own, the ring with VIRTIO_F_EVENT_IDX (virtio 1.2, 2.7, 2.8). */
template <bool packed> class Device {
  public:
    ash_virtio_transport transport{};

    Device() {
        static const ash_virtio_transport_ops ops = {
            [](ash_virtio_transport *t) { return of(t)->status_; },
            [](ash_virtio_transport *t, uint32_t status) { of(t)->status_ = status; },
            [](ash_virtio_transport *) {
                return ASH_VIRTIO_F_VERSION_1 | ASH_VIRTIO_F_EVENT_IDX |
                       (packed ? ASH_VIRTIO_F_RING_PACKED : 0);
            },
            [](ash_virtio_transport *, uint64_t) {},
            [](ash_virtio_transport *, uint32_t) { return uint32_t{256}; },
            [](ash_virtio_transport *t, uint32_t, uint32_t size, ash_paddr_t desc,
               ash_paddr_t avail, ash_paddr_t used) {
                of(t)->start(size, desc, avail, used);
                return 0;
            },
            [](ash_virtio_transport *, uint32_t) {},
            [](ash_virtio_transport *) { return uint32_t{0}; },
            [](ash_virtio_transport *) { return uint32_t{0}; },
            [](ash_virtio_transport *, uint32_t offset, uint32_t) {
                return offset == 0 ? uint32_t{1} << 20 : 0;
            },
        };
        transport.ops = &ops;
        transport.device_id = ASH_VIRTIO_ID_BLOCK;
        transport.reason = "";
    }

    /* Ends all that is available: follows the chain, writes the status, fills the used entry. */
    void run() {
        if constexpr (packed)
            run_packed();
        else
            run_split();
    }

    /* For the device's share: the ring as a driver left it, filled again. */
    void offer(uint16_t count) {
        avail_[1] = static_cast<uint16_t>(avail_[1] + count);
    }

  private:
    void run_split() {
        const Descriptor *const table = at<const Descriptor>(desc_);
        uint16_t *const avail = avail_, *const used = used_;
        uint32_t *const entries = reinterpret_cast<uint32_t *>(used + 2);
        const uint32_t mask = size_ - 1;
        uint16_t next = next_, end = __atomic_load_n(&avail[1], __ATOMIC_ACQUIRE);
        for (; next != end; next++) {
            uint32_t head = avail[2 + (next & mask)], written = 1;
            const Descriptor *descriptor = &table[head];
            while ((descriptor->flags & desc_next) != 0) {
                written += (descriptor->flags & desc_write) != 0 ? descriptor->len : 0;
                descriptor = &table[descriptor->next];
            }
            *at<volatile uint8_t>(descriptor->address) = 0;
            entries[2 * (next & mask)] = head;
            entries[2 * (next & mask) + 1] = written;
        }
        next_ = next;
        __atomic_store_n(&used[1], next, __ATOMIC_RELEASE);
        __atomic_store_n(&used[2 + 4 * (mask + 1)], next, __ATOMIC_RELAXED); /* avail_event */
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        wants_interrupt_ = __atomic_load_n(&avail[3 + mask], __ATOMIC_RELAXED) == next - 1;
    }

    /* The used descriptor takes the place of its request's first one. */
    void run_packed() {
        PackedDescriptor *const ring = at<PackedDescriptor>(desc_);
        const uint16_t size = static_cast<uint16_t>(size_);
        uint16_t next = next_, lap = lap_; /* the flags of what is used in this lap */
        auto step = [&] {
            if (++next == size) {
                next = 0;
                lap ^= desc_avail | desc_used;
            }
        };
        for (;;) {
            PackedDescriptor *const first = &ring[next], *descriptor = first;
            uint16_t flags = __atomic_load_n(&first->flags, __ATOMIC_ACQUIRE);
            if ((flags & (desc_avail | desc_used)) != (lap ^ desc_used))
                break;
            uint16_t used = lap | desc_write;
            uint32_t written = 1;
            for (; (flags & desc_next) != 0; flags = descriptor->flags) {
                written += (flags & desc_write) != 0 ? descriptor->len : 0;
                step();
                descriptor = &ring[next];
            }
            step();
            *at<volatile uint8_t>(descriptor->address) = 0;
            first->id = descriptor->id;
            first->len = written;
            __atomic_store_n(&first->flags, used, __ATOMIC_RELEASE);
        }
        next_ = next;
        lap_ = lap;
        /* Wants to hear of the next one: desc_event_off with its lap, then the flags, 2.8.10. */
        uint16_t lap_bit = lap != 0 ? 0x8000 : 0;
        __atomic_store_n(&used_[0], static_cast<uint16_t>(next | lap_bit), __ATOMIC_RELAXED);
        __atomic_store_n(&used_[1], uint16_t{2}, __ATOMIC_RELEASE);
        __atomic_thread_fence(__ATOMIC_SEQ_CST);
        wants_interrupt_ = __atomic_load_n(&avail_[1], __ATOMIC_RELAXED) != 1;
    }

    static Device *of(ash_virtio_transport *transport) {
        return reinterpret_cast<Device *>(transport); /* its first field */
    }
    void start(uint32_t size, uint64_t desc, uint64_t avail, uint64_t used) {
        size_ = size;
        desc_ = desc;
        avail_ = at<uint16_t>(avail);
        used_ = at<uint16_t>(used);
        next_ = 0;
        lap_ = desc_avail | desc_used;
    }

    uint32_t status_ = 0, size_ = 0;
    uint64_t desc_ = 0;
    uint16_t *avail_ = nullptr, *used_ = nullptr;
    uint16_t next_ = 0, lap_ = 0;
    bool wants_interrupt_ = false;
};

/* Memory that is given back. */
struct Memory {
    explicit Memory(size_t bytes)
        : pointer(std::aligned_alloc(64, (bytes + 63) / 64 * 64)), bytes(bytes) {
    }
    ~Memory() {
        std::free(pointer);
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    void *pointer;
    size_t bytes;
};

ash_virtio_blk_config config_of(ash_virtio_transport &transport) {
    ash_virtio_blk_config config{};
    config.transport = &transport;
    return config;
}

/* A device and its driver. */
template <bool packed> struct Disk {
    Device<packed> device;
    ash_virtio_blk_config config = config_of(device.transport);
    Memory storage{ash_virtio_blk_storage_size(&config)}, dma{ash_virtio_blk_dma_size(&config)};
    ash_virtio_blk blk;
    ash_virtio_blk_queue *queue = nullptr;

    Disk() {
        ash_virtio_blk_memory memory{
            storage.pointer, storage.bytes, {dma.pointer, dma.bytes, address_of(dma.pointer)}};
        if (ash_virtio_blk_init(&blk, &config, &memory) != 0)
            std::abort();
        queue = ash_virtio_blk_get_queue(&blk, 0);
    }

    void submit(uint32_t depth) {
        uint32_t token;
        for (uint32_t i = 0; i < depth; i++) {
            ash_dma_segment segment{0x100000 + i * 4096, 4096};
            ash_virtio_blk_request request{};
            request.op = ASH_VIRTIO_BLK_READ;
            request.sector = i * 8;
            request.segments = &segment;
            request.segment_count = 1;
            if (ash_virtio_blk_submit(queue, &request, &token) != 0)
                std::abort();
        }
        ash_virtio_blk_kick(queue);
    }
    void reap(uint32_t depth) {
        ash_virtio_blk_done done[depth_max];
        if (ash_virtio_blk_reap(queue, done, depth_max) != static_cast<int>(depth) ||
            done[0].status != 0)
            std::abort();
    }
};

/* The ring alone: what a driver of any device pays. */
template <bool packed> struct Ring {
    static constexpr ash_virtq_config config{256, depth_max, 3, 0};
    Device<packed> device;
    Memory storage{ash_virtq_storage_size(&config)}, dma{ash_virtq_dma_size(&config)};
    struct Line {
        uint64_t type, sector;
        volatile uint8_t status;
        uint8_t pad[47];
    } lines[depth_max] = {};
    ash_virtq queue;

    Ring() {
        ash_virtq_dma memory{dma.pointer, dma.bytes, address_of(dma.pointer)};
        if (ash_virtq_init(&queue, &config, storage.pointer, storage.bytes, &memory) != 0)
            std::abort();
        ash_virtq_restart(&queue, ASH_VIRTQ_EVENT_IDX | (packed ? ASH_VIRTQ_PACKED : 0));
        for (uint32_t slot = 0; slot < depth_max; slot++) {
            ash_virtq_describe(&queue, slot, 0, address_of(&lines[slot]), 16, false);
            ash_virtq_describe(&queue, slot, 2, address_of(&lines[slot]) + 16, 1, true);
        }
        device.transport.ops->queue_setup(
            &device.transport, 0, config.size, ash_virtq_desc_area(&queue).address,
            ash_virtq_driver_area(&queue).address, ash_virtq_device_area(&queue).address);
    }
    void submit(uint32_t depth) {
        for (uint32_t i = 0; i < depth; i++) {
            auto slot = static_cast<uint32_t>(ash_virtq_free_slot(&queue));
            lines[slot].type = 0;
            lines[slot].sector = i * 8;
            lines[slot].status = 0xff;
            ash_virtq_describe(&queue, slot, 1, 0x100000 + i * 4096, 4096, true);
            benchmark::DoNotOptimize(ash_virtq_submit(&queue, slot, 0, 4097, nullptr));
        }
        benchmark::DoNotOptimize(ash_virtq_publish(&queue));
    }
    void reap(uint32_t depth) {
        uint32_t len, done = 0;
        for (int slot; (slot = ash_virtq_next(&queue, &len)) >= 0; done++) {
            if (lines[slot].status != 0 || len != 4097)
                std::abort();
            ash_virtq_retire(&queue, static_cast<uint32_t>(slot));
        }
        if (done != depth)
            std::abort();
    }
};

template <typename Subject> void turn(benchmark::State &state) {
    auto depth = static_cast<uint32_t>(state.range(0));
    Subject subject;
    bench::measure(state, requests, [&](size_t n) {
        for (size_t i = 0; i < n; i += depth) {
            subject.submit(depth);
            subject.device.run();
            subject.reap(depth);
        }
    });
}

void device(benchmark::State &state) {
    auto depth = static_cast<uint32_t>(state.range(0));
    Disk<false> disk;
    for (uint32_t i = 0; i < 256 / depth; i++) { /* every avail entry names a slot */
        disk.submit(depth);
        disk.device.run();
        disk.reap(depth);
    }
    bench::measure(state, requests, [&](size_t n) {
        for (size_t i = 0; i < n; i += depth) {
            disk.device.offer(static_cast<uint16_t>(depth));
            disk.device.run();
        }
    });
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "virtq"}, {"peer", "virtq"}}, [] {
        for (auto depth : {1, 32}) {
            benchmark::RegisterBenchmark("ring", turn<Ring<false>>)->Iterations(1)->Arg(depth);
            benchmark::RegisterBenchmark("request", turn<Disk<false>>)->Iterations(1)->Arg(depth);
            benchmark::RegisterBenchmark("packed-ring", turn<Ring<true>>)
                ->Iterations(1)
                ->Arg(depth);
            benchmark::RegisterBenchmark("packed-request", turn<Disk<true>>)
                ->Iterations(1)
                ->Arg(depth);
            benchmark::RegisterBenchmark("device", device)->Iterations(1)->Arg(depth);
        }
    });
}
