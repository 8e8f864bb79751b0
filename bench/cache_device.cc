/* SPDX-License-Identifier: MIT */
/*
 * cache_device.cc: a reader, lib/cache, the virtio-blk driver of lib/virtq, and the fake virtio
 * device of the tests, in virtual time: what it says of time does not depend on this machine. Each
 * request waits `access` us for its first byte, all of them at once; then 4 KiB take `transfer` ns,
 * one request after another. The reader takes no time, wants a block as soon as it has the one
 * before, and looks whether it is the right one. A file of 16,384 blocks, a cache of 4,096.
 *
 *   disk/A/T        us a block, read in order through the driver alone
 *                     us       32 requests of a block at the device, always
 *                     joined   4 requests of 8 blocks: what the cache has there with a window of 32
 *                     deep     32 requests of 8 blocks: what a wide window is after
 *   sequential/A/T  us a block in order, through the cache, a window of 32 blocks; `wide` of 256
 *   random/A/T      us a block in random order, with the window; random-32: 32 asked for at a time
 *   strided/A/T     every third block: read-ahead is of no use to it, and must not harm
 *                     bare     these three without read-ahead
 *
 * `cpu` and `bare_cpu` are this machine's ns a block in the reader, the cache and the driver, the
 * device's left out: as long as they are below a block's time in the device, they are hidden by it.
 */
#include <ashlar/cache.h>
#include <ashlar/error.h>
#include <ashlar/virtio_blk.h>
#include <ashlar/virtio_mmio.h>

#include "hosted/virtio_blk_device.h"
#include "hosted/virtio_mmio_window.h"

#include "measure.h"

#include <algorithm>
#include <cstring>
#include <memory>

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}

namespace {

constexpr uint32_t block_bytes = 4096, sectors = block_bytes / 512;
constexpr uint32_t cached = 4096, file_blocks = 16384, depth = 32;
constexpr uint32_t window = 32, window_wide = ASH_CACHE_WINDOW_MAX;
constexpr uint32_t joined = window / 4; /* blocks that reading ahead asks for at a time */

struct Pace {
    uint64_t access_ns, transfer_ns;
};

struct Free {
    void operator()(void *memory) const {
        std::free(memory);
    }
};
using Memory = std::unique_ptr<void, Free>;

Memory memory_of(size_t bytes) {
    Memory memory(
        std::aligned_alloc(block_bytes, (bytes + block_bytes - 1) & -size_t{block_bytes}));
    if (memory == nullptr)
        std::abort();
    return memory;
}

/* The device and its driver. Physical addresses are pointers. */
class Disk {
  public:
    uint64_t now_ns = 0, device_ns = 0; /* the device's time; this machine's that went into it */

    /* data: what will be read into. */
    Disk(Pace pace, void *data, size_t data_bytes) : pace_(pace) {
        struct fake_virtio_blk_config own = {};
        own.backing.size_bytes = uint64_t{file_blocks} * block_bytes;
        own.backing.read = transfer;
        own.backing.context = this;
        own.read_only = true;
        struct fake_virtio_policy policy = {};
        policy.latency_ns = pace.access_ns;
        policy.clock_ns = [](void *context) { return static_cast<Disk *>(context)->now_ns; };
        policy.clock_context = this;
        guest_memory_init(&memory_);
        fake_virtio_blk_init(fake_.get(), &own, &memory_);
        fake_virtio_set_policy(&fake_->device, &policy);
        fake_virtio_mmio_init(&window_, &fake_->device);
        start(data, data_bytes);
    }

    /* False: as many are in flight as may be. */
    bool submit(uint64_t block, const struct ash_dma_segment *segments, uint32_t count,
                void *cookie) {
        struct ash_virtio_blk_request request = {};
        request.op = ASH_VIRTIO_BLK_READ;
        request.sector = block * sectors;
        request.segments = segments;
        request.segment_count = count;
        request.cookie = cookie;
        uint32_t token;
        int error = ash_virtio_blk_submit(queue_, &request, &token);
        if (error != 0 && error != -ASH_EAGAIN)
            std::abort();
        return error == 0;
    }
    void kick() {
        ash_virtio_blk_kick(queue_);
    }
    /* Time goes on until something has come back: done(cookie) for each. */
    template <typename Done> void wait(Done done) {
        struct ash_virtio_blk_done ended[depth];
        int64_t begin_ns = bench::clock_ns(CLOCK_MONOTONIC);
        run();
        device_ns += static_cast<uint64_t>(bench::clock_ns(CLOCK_MONOTONIC) - begin_ns);
        int count = ash_virtio_blk_reap(queue_, ended, depth);
        for (int i = 0; i < count; i++) {
            if (ended[i].status != 0)
                std::abort();
            done(ended[i].cookie);
        }
    }

  private:
    void start(void *data, size_t data_bytes) {
        struct ash_virtio_regs regs = {fake_virtio_mmio_read, fake_virtio_mmio_write, &window_};
        struct ash_virtio_blk_config config = {};
        config.transport = &mmio_.transport;
        config.in_flight_max = depth;
        if (ash_virtio_mmio_probe(&mmio_, &regs) != 0)
            std::abort();
        struct ash_virtio_blk_memory own = {};
        own.storage_bytes = ash_virtio_blk_storage_size(&config);
        own.dma.bytes = ash_virtio_blk_dma_size(&config);
        storage_ = memory_of(own.storage_bytes);
        rings_ = memory_of(own.dma.bytes);
        own.storage = storage_.get();
        own.dma.pointer = rings_.get();
        own.dma.address = reinterpret_cast<uintptr_t>(rings_.get());
        if (guest_memory_add(&memory_, own.dma.address, rings_.get(), own.dma.bytes) != 0 ||
            guest_memory_add(&memory_, reinterpret_cast<uintptr_t>(data), data, data_bytes) != 0 ||
            ash_virtio_blk_init(&blk_, &config, &own) != 0)
            std::abort();
        queue_ = ash_virtio_blk_get_queue(&blk_, 0);
    }
    /* The device calls it for at most a block. A block's first word is its number. */
    static int transfer(void *context, uint64_t offset, void *bytes, uint64_t len) {
        auto *disk = static_cast<Disk *>(context);
        uint64_t block = offset / block_bytes;
        std::memcpy(bytes, &block, sizeof(block));
        disk->now_ns += disk->pace_.transfer_ns * len / block_bytes;
        return 0;
    }
    /* Until a request has ended, and the driver can see it. */
    void run() {
        uint64_t before = fake_->device.stats.published;
        while (fake_->device.stats.published == before) {
            if (fake_virtio_step(&fake_->device))
                continue;
            uint64_t due_ns = fake_virtio_due_ns(&fake_->device);
            if (due_ns == UINT64_MAX)
                std::abort(); /* everybody waits */
            now_ns = std::max(now_ns, due_ns);
        }
    }

    Pace pace_;
    struct guest_memory memory_;
    std::unique_ptr<struct fake_virtio_blk> fake_ = std::make_unique<struct fake_virtio_blk>();
    struct fake_virtio_mmio window_;
    struct ash_virtio_mmio mmio_;
    struct ash_virtio_blk blk_;
    struct ash_virtio_blk_queue *queue_ = nullptr;
    Memory storage_, rings_;
};

void require_block(const void *data, uint64_t index) {
    uint64_t found;
    std::memcpy(&found, data, sizeof(found));
    if (found != index)
        std::abort();
}

class File {
  public:
    File(Pace pace, uint32_t ahead) : disk(pace, data_.get(), data_bytes) {
        struct ash_cache_config config = {};
        config.blocks = cached;
        config.block_bytes = block_bytes;
        config.depth = depth;
        config.window_max = ahead;
        config.backend.submit = [](void *file, struct ash_cache_io *io) {
            return static_cast<File *>(file)->submit(io);
        };
        config.backend.kick = [](void *file) { static_cast<File *>(file)->disk.kick(); };
        config.backend.context = this;
        size_t size = ash_cache_storage_size(&config);
        storage_ = memory_of(size);
        space_.blocks = file_blocks;
        for (auto &reader : readers_) {
            reader.file = this;
            reader.wake = [](struct ash_cache_waiter *waiter) {
                auto *self = static_cast<Reader *>(waiter);
                if (self->status != 0)
                    std::abort();
                self->file->use(*self, self->frame);
            };
        }
        if (ash_cache_init(&cache_, &config, storage_.get(), size, data_.get()) != 0 ||
            ash_cache_space_open(&cache_, &space_) != 0)
            std::abort();
    }
    /* All of these, `at_a_time` of them asked for and not yet there, at most. */
    void read(const std::vector<uint64_t> &order, size_t at_a_time) {
        size_t next = 0;
        while (used_ < order.size()) {
            for (size_t i = 0; i < at_a_time; i++) {
                while (next < order.size() && !readers_[i].waits)
                    ask(readers_[i], order[next++]);
            }
            if (used_ < order.size())
                disk.wait([this](void *io) {
                    ash_cache_complete(&cache_, static_cast<struct ash_cache_io *>(io), 0);
                });
        }
    }

  private:
    static constexpr size_t data_bytes = size_t{cached} * block_bytes;
    Memory data_ = memory_of(data_bytes);

  public:
    Disk disk;

  private:
    struct Reader : ash_cache_waiter {
        File *file;
        uint64_t wanted;
        bool waits;
    };

    void ask(Reader &reader, uint64_t block) {
        uint32_t frame;
        reader.wanted = block;
        reader.waits = true;
        int error = ash_cache_get(&cache_, &space_, block, 0, &reader, &frame);
        if (error == 0)
            use(reader, frame);
        else if (error != ASH_CACHE_PENDING)
            std::abort();
    }
    void use(Reader &reader, uint32_t frame) {
        require_block(ash_cache_data(&cache_, frame), reader.wanted);
        ash_cache_put(&cache_, frame);
        reader.waits = false;
        used_++;
    }
    int submit(struct ash_cache_io *io) {
        struct ash_dma_segment segments[ASH_CACHE_SEGMENTS_DEFAULT];
        for (uint32_t i = 0; i < io->segment_count; i++)
            segments[i] = {reinterpret_cast<uintptr_t>(io->segments[i].data),
                           io->segments[i].len_bytes};
        return disk.submit(io->sector / sectors, segments, io->segment_count, io) ? 0 : -ASH_EAGAIN;
    }

    Memory storage_;
    struct ash_cache cache_;
    struct ash_cache_space space_ = {};
    Reader readers_[depth] = {};
    size_t used_ = 0;
};

struct Result {
    double us, cpu;
};

/* work(): what it takes of this machine, but for what of it is the device's, and in its time. */
template <typename Work> Result result_of(const Disk &disk, size_t blocks, Work work) {
    int64_t begin_ns = bench::clock_ns(CLOCK_MONOTONIC);
    work();
    auto took_ns = static_cast<double>(bench::clock_ns(CLOCK_MONOTONIC) - begin_ns);
    auto count = static_cast<double>(blocks);
    return {static_cast<double>(disk.now_ns) / 1000 / count,
            (took_ns - static_cast<double>(disk.device_ns)) / count};
}

Result cached_reads(Pace pace, uint32_t ahead, const std::vector<uint64_t> &order,
                    size_t at_a_time) {
    auto file = std::make_unique<File>(pace, ahead);
    return result_of(file->disk, order.size(), [&] { file->read(order, at_a_time); });
}

/* `requests` of `blocks` each are always at the device. */
Result straight_reads(Pace pace, uint32_t requests, uint32_t blocks) {
    struct Request {
        uint64_t first;
        bool waits;
    } own[depth] = {};
    size_t request_bytes = size_t{blocks} * block_bytes;
    Memory data = memory_of(requests * request_bytes);
    auto disk = std::make_unique<Disk>(pace, data.get(), requests * request_bytes);
    auto place = [&](size_t i) { return static_cast<char *>(data.get()) + i * request_bytes; };
    return result_of(*disk, file_blocks, [&] {
        for (uint64_t next = 0, ended = 0; ended < file_blocks;) {
            for (size_t i = 0; i < requests && next < file_blocks; i++) {
                if (own[i].waits)
                    continue;
                own[i] = {next, true};
                struct ash_dma_segment segment = {reinterpret_cast<uintptr_t>(place(i)),
                                                  static_cast<uint32_t>(request_bytes)};
                if (!disk->submit(next, &segment, 1, &own[i]))
                    std::abort();
                next += blocks;
            }
            disk->kick();
            disk->wait([&](void *cookie) {
                auto *request = static_cast<Request *>(cookie);
                for (uint32_t i = 0; i < blocks; i++)
                    require_block(place(static_cast<size_t>(request - own)) + i * block_bytes,
                                  request->first + i);
                request->waits = false;
                ended += blocks;
            });
        }
    });
}

Pace pace_of(const benchmark::State &state) {
    return {static_cast<uint64_t>(state.range(0)) * 1000, static_cast<uint64_t>(state.range(1))};
}

void disk(benchmark::State &state) {
    for (auto _ : state) {
        Result single = straight_reads(pace_of(state), depth, 1);
        state.counters["us"] = single.us;
        state.counters["cpu"] = single.cpu;
        state.counters["joined"] = straight_reads(pace_of(state), window / joined, joined).us;
        state.counters["deep"] = straight_reads(pace_of(state), depth, joined).us;
    }
}

/* In turns, so that all meet the same machine. */
void reads(benchmark::State &state, const std::vector<uint64_t> &order, size_t at_a_time) {
    constexpr int rounds = 5;
    bench::Samples cpu(rounds), bare_cpu(rounds);
    for (auto _ : state) {
        for (int round = 0; round < rounds; round++) {
            Result ahead = cached_reads(pace_of(state), window, order, at_a_time);
            Result bare = cached_reads(pace_of(state), 0, order, at_a_time);
            state.counters["us"] = ahead.us;
            state.counters["bare"] = bare.us;
            if (at_a_time == 1 && order[1] == order[0] + 1)
                state.counters["wide"] = cached_reads(pace_of(state), window_wide, order, 1).us;
            cpu.add(ahead.cpu, false);
            bare_cpu.add(bare.cpu, false);
        }
    }
    cpu.report(state, "cpu");
    bare_cpu.report(state, "bare_cpu");
}

void add_all() {
    bench::Random random;
    std::vector<uint64_t> sequential(file_blocks), strided, mixed;
    for (uint64_t i = 0; i < file_blocks; i++)
        sequential[i] = i;
    for (uint64_t i = 0; i < file_blocks; i += 3)
        strided.push_back(i);
    mixed = sequential;
    bench::shuffle(mixed, random);
    for (auto [access_us, transfer_ns] : {std::pair{80, 4000}, {80, 1000}, {10, 500}}) {
        std::vector<int64_t> pace = {access_us, transfer_ns};
        auto add = [&](const char *name, auto &&...work) {
            benchmark::RegisterBenchmark(name, work...)->Iterations(1)->Args(pace);
        };
        add("disk", disk);
        add("sequential", reads, sequential, size_t{1});
        add("random", reads, mixed, size_t{1});
        add("random-32", reads, mixed, size_t{depth});
        add("strided", reads, strided, size_t{1});
    }
}

} // namespace

int main(int argc, char **argv) {
    return bench::run_all(argc, argv, {{"subject", "disk"}, {"peer", "cache"}}, add_all);
}
