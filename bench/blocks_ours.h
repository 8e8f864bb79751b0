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
        waiter_.wake = wake;
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
        __atomic_store_n(&woken_, false, __ATOMIC_RELAXED);
        int error = ash_cache_get(&cache_, &space_, key, 0, &waiter_, &frame);
        if (error != 0) {
            while (!__atomic_load_n(&woken_, __ATOMIC_ACQUIRE)) /* by another thread, maybe */
                ash_port_relax();
            frame = waiter_.frame;
        }
        ash_cache_put(&cache_, frame);
        return error == 0;
    }
    uint64_t read(uint64_t key) {
        struct ash_cache_view view;
        const void *data = ash_cache_peek(&cache_, &space_, key, &view);
        if (data == nullptr)
            return 0;
        uint64_t word = *word_of(data, key);
        return ash_cache_peek_valid(&view) ? word : 0;
    }
    uint64_t read_pinned(uint64_t key) {
        uint32_t frame;
        if (ash_cache_get(&cache_, &space_, key, ASH_CACHE_CACHED, nullptr, &frame) != 0)
            return 0;
        uint64_t word = *word_of(ash_cache_data(&cache_, frame), key);
        ash_cache_put(&cache_, frame);
        return word;
    }

  private:
    static constexpr size_t line = ASH_PORT_CACHE_LINE;
    static constexpr size_t read_max = 1
                                       << 26; /* nobody reads in larger ones: no page is touched */

    /* Where the word is that is read. Not always in front: then all that are would fall upon a few
     * sets of the CPU's caches. */
    static volatile uint64_t *word_of(const void *data, uint64_t key) {
        char *block = static_cast<char *>(const_cast<void *>(data));
        return reinterpret_cast<volatile uint64_t *>(block + key * 64 % ASH_CACHE_BLOCK_MIN);
    }
    /* The disk: that word is the block's number. */
    static int submit(void *context, struct ash_cache_io *io) {
        auto *blocks = static_cast<Blocks *>(context);
        uint64_t index = io->sector / (ASH_CACHE_BLOCK_MIN / ASH_CACHE_SECTOR_BYTES);
        for (uint32_t i = 0; blocks->data_bytes_ <= read_max && i < io->segment_count; i++)
            *word_of(io->segments[i].data, index + i) = index + i;
        ash_cache_complete(&blocks->cache_, io, 0);
        return 0;
    }
    static void wake(struct ash_cache_waiter *waiter) {
        Blocks *blocks = ASH_CONTAINER_OF(waiter, Blocks, waiter_);
        if (waiter->status != 0)
            std::abort();
        __atomic_store_n(&blocks->woken_, true, __ATOMIC_RELEASE);
    }

    struct ash_cache cache_;
    struct ash_cache_space space_ = {};
    struct ash_cache_waiter waiter_ = {};
    bool woken_ = false;
    void *storage_, *data_;
    size_t data_bytes_;
};

/* Nobody listens: no event is ever enabled. */
extern "C" void ash_event_emit(const struct ash_event *, uint64_t, uint64_t) {
}
