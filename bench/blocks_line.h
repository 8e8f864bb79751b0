/* SPDX-License-Identifier: MIT */
/* No cache: one line of memory a block, read at the place that the key says. What a hit cannot be
 * faster than, and no peer. */
#include "blocks.h"

#include <vector>

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = "line";
    static constexpr bool evicts = false, policy = false, threads = true;

    explicit Blocks(uint32_t blocks) {
        while ((uint64_t{1} << bits_) < blocks)
            bits_++;
        lines_.assign(size_t{1} << bits_, {1});
    }
    uintptr_t find(uint64_t key) {
        return lines_[(key * 0x9e3779b97f4a7c15u) >> (64 - bits_)].word;
    }
    uint64_t read(uint64_t key) {
        return find(key) * key;
    }

  private:
    struct alignas(64) Line {
        uint64_t word;
    };
    std::vector<Line> lines_;
    uint32_t bits_ = 1;
};
