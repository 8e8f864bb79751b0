/* SPDX-License-Identifier: MIT */
/* lib/cache. A read is over as soon as it is submitted; a cache that two threads use is a shared
 * one. BLOCKS_POLICY is the policy's name. */
#include "blocks.h"

#include <ashlar/cache.h>

#include <sys/mman.h>

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = BLOCKS_POLICY;
    static constexpr bool pins = true, threads = true;

    static void enter(size_t n) {
        hosted_this_cpu.index = static_cast<uint32_t>(n);
    }
    explicit Blocks(uint32_t blocks, bool shared = false) {
        struct ash_cache_config config = {};
        config.blocks = blocks;
        config.block_bytes = ASH_CACHE_BLOCK_MIN;
        config.policy = BLOCKS_POLICY;
        config.shared = shared;
        config.backend.submit = submit;
        config.backend.context = this;
        size_t size = ash_cache_storage_size(&config);
        data_bytes_ = size_t{blocks} * config.block_bytes;
        storage_ = std::aligned_alloc(line, (size + line - 1) / line * line);
        data_ = mmap(nullptr, data_bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        space_.blocks = uint64_t{1} << 39;
        waiter_.wake = woken;
        if (data_ == MAP_FAILED || ash_cache_init(&cache_, &config, storage_, size, data_) != 0 ||
            ash_cache_space_open(&cache_, &space_) != 0)
            std::abort();
    }
    ~Blocks() {
        munmap(data_, data_bytes_);
        std::free(storage_);
    }
    Blocks(const Blocks &) = delete;

    uintptr_t find(uint64_t key) {
        struct ash_cache_view view;
        return reinterpret_cast<uintptr_t>(ash_cache_peek(&cache_, &space_, key, &view));
    }
    uintptr_t pinned(uint64_t key) {
        uint32_t frame;
        if (ash_cache_get(&cache_, &space_, key, 0, nullptr, &frame) != 0)
            return 0;
        ash_cache_put(&cache_, frame);
        return uintptr_t{frame} + 1;
    }
    bool access(uint64_t key) {
        uint32_t frame;
        int error = ash_cache_get(&cache_, &space_, key, 0, &waiter_, &frame);
        if (error != 0)
            frame = waiter_.frame;
        ash_cache_put(&cache_, frame);
        return error == 0;
    }
    uint64_t read(uint64_t key) {
        struct ash_cache_view view;
        const void *data = ash_cache_peek(&cache_, &space_, key, &view);
        if (data == nullptr)
            return 0;
        uint64_t word = *static_cast<const volatile uint64_t *>(data);
        return ash_cache_peek_valid(&view) ? word : 0;
    }
    uint64_t read_pinned(uint64_t key) {
        uint32_t frame;
        if (ash_cache_get(&cache_, &space_, key, ASH_CACHE_CACHED, nullptr, &frame) != 0)
            return 0;
        uint64_t word = *static_cast<const uint64_t *>(ash_cache_data(&cache_, frame));
        ash_cache_put(&cache_, frame);
        return word;
    }

  private:
    static constexpr size_t line = ASH_PORT_CACHE_LINE;

    /* The disk: a block's first word is its number. */
    static int submit(void *context, struct ash_cache_io *io) {
        uint64_t index = io->sector / (ASH_CACHE_BLOCK_MIN / ASH_CACHE_SECTOR_BYTES);
        for (uint32_t i = 0; i < io->segment_count; i++)
            *static_cast<volatile uint64_t *>(io->segments[i].data) = index + i;
        ash_cache_complete(&static_cast<Blocks *>(context)->cache_, io, 0);
        return 0;
    }
    static void woken(struct ash_cache_waiter *waiter) {
        if (waiter->status != 0)
            std::abort();
    }

    struct ash_cache cache_;
    struct ash_cache_space space_ = {};
    struct ash_cache_waiter waiter_ = {};
    void *storage_, *data_;
    size_t data_bytes_;
};

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}
