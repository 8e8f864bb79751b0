/* SPDX-License-Identifier: MIT */
/* Concurrency Kit's hash table, which many may read while one writes: the look-up alone. It keeps
 * no order; what is there longest makes room. */
#include "blocks.h"

#include <vector>

extern "C" {
#include <ck_ht.h>
}

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = "ck_ht";
    static constexpr bool policy = false, threads = true;

    explicit Blocks(uint32_t blocks) : ring_(blocks) {
        if (!ck_ht_init(&table_, CK_HT_MODE_DIRECT | CK_HT_WORKLOAD_DELETE, nullptr, &memory(),
                        blocks, 6602834))
            std::abort();
    }
    ~Blocks() {
        ck_ht_destroy(&table_);
    }
    Blocks(const Blocks &) = delete;

    uintptr_t find(uint64_t key) {
        ck_ht_hash_t hash;
        ck_ht_entry_t entry;
        ck_ht_hash_direct(&hash, &table_, key);
        ck_ht_entry_key_set_direct(&entry, key);
        return ck_ht_get_spmc(&table_, hash, &entry) ? ck_ht_entry_value_direct(&entry) : 0;
    }
    uint64_t read(uint64_t key) {
        return find(key);
    }
    bool access(uint64_t key) {
        if (find(key) != 0)
            return true;
        ck_ht_hash_t hash;
        ck_ht_entry_t entry;
        uint64_t &oldest = ring_[at_];
        if (oldest != 0) {
            ck_ht_hash_direct(&hash, &table_, oldest);
            ck_ht_entry_key_set_direct(&entry, oldest);
            if (!ck_ht_remove_spmc(&table_, hash, &entry))
                std::abort();
        }
        oldest = key;
        at_ = at_ + 1 == ring_.size() ? 0 : at_ + 1;
        ck_ht_hash_direct(&hash, &table_, key);
        ck_ht_entry_set_direct(&entry, hash, key, key);
        if (!ck_ht_put_spmc(&table_, hash, &entry))
            std::abort();
        return false;
    }

  private:
    /* A table that was outgrown may still be read: it is left alone. */
    static ck_malloc &memory() {
        static ck_malloc functions = {
            std::malloc, [](void *old, size_t, size_t bytes, bool) { return realloc(old, bytes); },
            [](void *old, size_t, bool read_by_others) {
                if (!read_by_others)
                    std::free(old);
            }};
        return functions;
    }
    ck_ht_t table_;
    std::vector<uint64_t> ring_;
    size_t at_ = 0;
};
