/* SPDX-License-Identifier: MIT */
/* SQLite's page cache, as its pager uses it: a page is pinned while one has it, which takes it off
 * the LRU list; unpinning puts it back in front. Pages are small here: their bytes are not what is
 * measured, and a million of them shall fit. */
#include "blocks.h"

#include <sqlite3.h>

class Blocks : public BlocksDefaults {
  public:
    static constexpr const char *name = "pcache1";

    explicit Blocks(uint32_t blocks) {
        if (methods().xInit == nullptr &&
            (sqlite3_config(SQLITE_CONFIG_GETPCACHE2, &methods()) != SQLITE_OK ||
             sqlite3_initialize() != SQLITE_OK))
            std::abort();
        /* It fetches by these functions, with their addresses at hand. */
        fetch_ = methods().xFetch;
        unpin_ = methods().xUnpin;
        cache_ = methods().xCreate(page_bytes, extra_bytes, 1);
        methods().xCachesize(cache_, static_cast<int>(blocks) + 1); /* it recycles one earlier */
    }
    ~Blocks() {
        methods().xDestroy(cache_);
    }
    Blocks(const Blocks &) = delete;

    uintptr_t find(uint64_t key) {
        sqlite3_pcache_page *page = fetch_(cache_, static_cast<unsigned>(key), 0);
        if (page == nullptr)
            return 0;
        unpin_(cache_, page, 0);
        return reinterpret_cast<uintptr_t>(page);
    }
    /* A new page's first extra word is zero: so does SQLite know it. */
    bool access(uint64_t key) {
        sqlite3_pcache_page *page = fetch_(cache_, static_cast<unsigned>(key), 2);
        if (page == nullptr)
            std::abort();
        uintptr_t *known = static_cast<uintptr_t *>(page->pExtra);
        bool hit = *known != 0;
        *known = 1;
        unpin_(cache_, page, 0);
        return hit;
    }

  private:
    static constexpr int page_bytes = 64, extra_bytes = 8;
    static sqlite3_pcache_methods2 &methods() {
        static sqlite3_pcache_methods2 table;
        return table;
    }
    sqlite3_pcache *cache_;
    sqlite3_pcache_page *(*fetch_)(sqlite3_pcache *, unsigned, int);
    void (*unpin_)(sqlite3_pcache *, sqlite3_pcache_page *, int);
};
