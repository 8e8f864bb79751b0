/* SPDX-License-Identifier: MIT */
/* lib/buddy, over frames at an odd place that do not exist: it never touches its pages. */
#include <ashlar/buddy.h>

#include <cstdlib>
#include <vector>

class Frames {
  public:
    static constexpr const char *name = FRAMES_NAME; /* one library for each port */
    static constexpr bool threads = ASH_PORT_CPUS_MAX > 1;

    explicit Frames(uint64_t frames) {
        struct ash_buddy_region region = {0x40000, frames};
        struct ash_buddy_config config = {};
        config.regions = &region;
        config.region_count = 1;
        storage_.resize(ash_buddy_storage_size(&config) / 8 + 1);
        if (ash_buddy_init(&buddy_, &config, storage_.data(), bytes()) != 0)
            std::abort();
    }
    static void enter(size_t n);
    bool alloc(uint32_t order, uint64_t *first, bool movable = true) {
        enum ash_buddy_hint hint = movable ? ASH_BUDDY_MOVABLE : ASH_BUDDY_UNMOVABLE;
        return ash_buddy_alloc(&buddy_, order, hint, first) == 0;
    }
    void free(uint64_t first, uint32_t order) {
        ash_buddy_free(&buddy_, first, order);
    }
    uint64_t free_frames() {
        struct ash_buddy_stats stats;
        ash_buddy_get_stats(&buddy_, &stats);
        return stats.free_pages;
    }
    size_t bytes() const {
        return storage_.size() * 8;
    }

  private:
    struct ash_buddy buddy_;
    std::vector<uint64_t> storage_;
};
