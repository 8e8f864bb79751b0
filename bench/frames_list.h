/* SPDX-License-Identifier: MIT */
/* The textbook's buddy. */
#include "list_buddy.h"

#include <cstdlib>

class Frames {
  public:
    static constexpr const char *name = "list";
    static constexpr bool threads = false;

    explicit Frames(uint32_t frames) : buddy_(frames) {
    }
    static void enter(size_t) {
    }
    bool alloc(uint32_t order, uint64_t *first, bool = true) {
        uint32_t frame;
        bool found = buddy_.alloc(order, &frame);
        *first = frame;
        return found;
    }
    void free(uint64_t first, uint32_t order) {
        buddy_.free(static_cast<uint32_t>(first), order);
    }
    uint64_t free_frames() {
        return buddy_.free_frames();
    }
    size_t bytes() {
        return buddy_.bytes();
    }

  private:
    ListBuddy buddy_;
};
