/* SPDX-License-Identifier: MIT */
/*
 * exhaustive.c: the toy formats, in which everything can be tried: all sequences of map, unmap,
 * protect, write, fork of both kinds and exit, over three spaces and a few pages, to a depth; after
 * each step all that the spaces see, and all invariants. A state that was seen before with as many
 * steps to go is not gone into again; two that differ only in which frames they use are one.
 *
 * On the host 5 steps deep: 22,000 states, 71,000 steps a format. ASHLAR_VM_DEPTH=6 there goes
 * through 160,000 states and 625,000 steps in a second and a half, and says so.
 */
#if __STDC_HOSTED__
#include <stdlib.h>
#endif

#include "vm/bed.h"

enum {
    SPACES = 3,
    PAGES = 8, /* two tables of pages */
    FRAMES = 64,
    KEPT_BYTES = 64, /* of a frame: a table of four, or a page's first word */
    DEPTH = __STDC_HOSTED__ ? 5 : 3,
    DEPTH_MAX = 12,
    SEEN = __STDC_HOSTED__ ? 1 << 20 : 1 << 15, /* a power of two */
};

struct page {
    bool mapped, writable;
    uint32_t value;
};

struct model {
    bool alive[SPACES];
    struct page pages[SPACES][PAGES];
};

/* A machine as it was, and goes on from there. */
struct moment {
    struct model model;
    struct ash_vm_space spaces[SPACES];
    uint8_t memory[FRAMES][KEPT_BYTES];
    uint8_t piece[FRAMES];
    uint32_t counts[FRAMES];
    uint64_t used;
};

struct search {
    struct bed *bed;
    struct moment now;
    struct moment *before; /* by depth */
    struct seen {
        uint64_t hash;
        uint32_t left; /* steps to go, when it was gone into */
    } * seen;
    uint64_t states, steps, refused;
    uint32_t names[FRAMES]; /* of frames, in the order in which a walk meets them */
    uint32_t named;
};

/* Saving and going back */

static void save(struct search *search, struct moment *to) {
    const struct bed *bed = search->bed;
    to->model = search->now.model;
    memcpy(to->spaces, search->now.spaces, sizeof(to->spaces));
    for (uint32_t i = 0; i < FRAMES; i++)
        memcpy(to->memory[i], bed->memory + ((uint64_t)i << 12), KEPT_BYTES);
    memcpy(to->piece, bed->piece, FRAMES);
    memcpy(to->counts, bed->vm.counts, sizeof(to->counts));
    to->used = bed->used;
}

static void go_back(struct search *search, const struct moment *from) {
    struct bed *bed = search->bed;
    search->now.model = from->model;
    memcpy(search->now.spaces, from->spaces, sizeof(from->spaces));
    for (uint32_t i = 0; i < FRAMES; i++)
        memcpy(bed->memory + ((uint64_t)i << 12), from->memory[i], KEPT_BYTES);
    memcpy(bed->piece, from->piece, FRAMES);
    memcpy(bed->vm.counts, from->counts, sizeof(from->counts));
    bed->used = from->used;
}

/* What state it is */

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t hash_frame(struct search *search, ash_paddr_t address, uint64_t hash,
                           bool *is_new) {
    uint64_t index = (address >> 12) - search->bed->config.first_frame;
    *is_new = search->names[index] == 0;
    if (*is_new)
        search->names[index] = ++search->named;
    return mix(hash, (uint64_t)search->names[index] << 32 | search->bed->vm.counts[index]);
}

static uint64_t hash_table(struct search *search, ash_paddr_t table, uint32_t level,
                           uint64_t hash) {
    const struct bed *bed = search->bed;
    bool is_new;
    hash = hash_frame(search, table, hash, &is_new);
    const uint64_t *words = bed_at(bed, table);
    for (uint32_t i = 0; is_new && i < 4; i++) {
        struct mmu_entry entry = bed->shape->decode(words[i], level);
        hash = mix(hash, words[i] & ~UINT64_C(0x000ffffffffff000));
        if (!entry.valid)
            continue;
        if (entry.table) {
            hash = hash_table(search, entry.address, level - 1, hash);
        } else {
            hash = hash_frame(search, entry.address, hash, &is_new);
            hash = mix(hash, *(const uint64_t *)bed_at(bed, entry.address));
        }
        is_new = true;
    }
    return hash;
}

static uint64_t hash_state(struct search *search) {
    uint64_t hash = 1;
    memset(search->names, 0, sizeof(search->names));
    search->named = 0;
    for (uint32_t i = 0; i < SPACES; i++) {
        hash = mix(hash, search->now.model.alive[i]);
        if (search->now.model.alive[i])
            hash = hash_table(search, search->now.spaces[i].root, 2, hash);
    }
    return hash | 1;
}

/* Whether it has to be gone into with so many steps to go. A full neighbourhood forgets. */
static bool is_news(struct search *search, uint32_t left) {
    enum { NEIGHBOURS = 16 };
    uint64_t hash = hash_state(search);
    struct seen *at = NULL;
    for (uint64_t i = 0; i < NEIGHBOURS; i++) {
        at = &search->seen[(hash + i) & (SEEN - 1)];
        if (at->hash == 0 || at->hash == hash)
            break;
    }
    search->states += at->hash != hash;
    if (at->hash == hash && at->left >= left)
        return false;
    *at = (struct seen){hash, left};
    return true;
}

/* Steps */

static uint32_t new_value(const struct model *model) {
    for (uint32_t value = 1;; value++) {
        bool used = false;
        for (uint32_t i = 0; i < SPACES * PAGES; i++)
            used |= model->alive[i / PAGES] && model->pages[i / PAGES][i % PAGES].value == value;
        if (!used)
            return value;
    }
}

static void set_pages(struct model *model, uint32_t who, uint32_t from, uint32_t to, bool mapped,
                      uint32_t value) {
    for (uint32_t i = from; i < to; i++)
        model->pages[who][i] = (struct page){mapped, mapped, value};
}

static bool step_map(struct search *search, uint32_t who, uint32_t page, uint32_t count) {
    struct model *model = &search->now.model;
    ash_pfn_t first;
    if (model->pages[who][page].mapped)
        return false;
    if (count == 1) {
        CHECK_EQ(ash_vm_map_zero(&search->now.spaces[who], (ash_vaddr_t)page << 12, 4096, BED_RW),
                 0);
    } else {
        for (uint32_t i = page; i < page + count; i++) {
            if (model->pages[who][i].mapped)
                return false;
        }
        CHECK(bed_take(search->bed, count, count, &first));
        CHECK_EQ(ash_vm_map(&search->now.spaces[who], (ash_vaddr_t)page << 12, first << 12,
                            (uint64_t)count << 12, BED_RW, 0),
                 0);
    }
    set_pages(model, who, page, page + count, true, 0);
    return true;
}

static bool step_unmap(struct search *search, uint32_t who, uint32_t page, uint32_t count) {
    CHECK_EQ(ash_vm_unmap(&search->now.spaces[who], (ash_vaddr_t)page << 12, (uint64_t)count << 12),
             0);
    set_pages(&search->now.model, who, page, page + count, false, 0);
    return true;
}

static bool step_protect(struct search *search, uint32_t who, uint32_t page, bool writable) {
    struct page *of = &search->now.model.pages[who][page];
    if (!of->mapped || of->writable == writable)
        return false;
    CHECK_EQ(ash_vm_protect(&search->now.spaces[who], (ash_vaddr_t)page << 12, 4096,
                            writable ? BED_RW : BED_R),
             0);
    of->writable = writable;
    return true;
}

static bool step_write(struct search *search, uint32_t who, uint32_t page) {
    struct page *of = &search->now.model.pages[who][page];
    struct ash_vm_space *space = &search->now.spaces[who];
    enum ash_vm_verdict verdict = ASH_VM_SPURIOUS;
    uint64_t *word = bed_access(search->bed, space, (ash_vaddr_t)page << 12,
                                ASH_VM_WRITE | ASH_VM_USER, &verdict);
    CHECK((word != NULL) == (of->mapped && of->writable));
    if (word == NULL) {
        CHECK_EQ(verdict, ASH_VM_SEGV);
        return false;
    }
    *word = of->value = new_value(&search->now.model);
    return true;
}

static bool step_fork(struct search *search, uint32_t who, uint32_t flags) {
    struct model *model = &search->now.model;
    uint32_t child = 0;
    while (child < SPACES && model->alive[child])
        child++;
    if (child == SPACES)
        return false;
    CHECK_EQ(ash_vm_fork(&search->now.spaces[child], &search->now.spaces[who], flags), 0);
    bed_live(search->bed, &search->now.spaces[child]);
    model->alive[child] = true;
    memcpy(model->pages[child], model->pages[who], sizeof(model->pages[who]));
    return true;
}

static bool step_exit(struct search *search, uint32_t who) {
    bed_space_end(search->bed, &search->now.spaces[who]);
    search->now.model.alive[who] = false;
    return true;
}

enum { STEPS = 20 };

static bool step(struct search *search, uint32_t who, uint32_t what) {
    static const uint32_t pages[] = {0, 1, 5};
    if (what < 15) {
        uint32_t page = pages[what % 3];
        switch (what / 3) {
        case 0:
            return step_map(search, who, page, 1);
        case 1:
            return step_unmap(search, who, page, 1);
        case 2:
            return step_protect(search, who, page, false);
        case 3:
            return step_protect(search, who, page, true);
        default:
            return step_write(search, who, page);
        }
    }
    switch (what) {
    case 15:
        return step_map(search, who, 0, 4);
    case 16:
        return step_unmap(search, who, 0, PAGES);
    case 17:
        return step_fork(search, who, 0);
    case 18:
        return step_fork(search, who, ASH_VM_EAGER);
    default:
        return step_exit(search, who);
    }
}

static void check_all(struct search *search) {
    const struct model *model = &search->now.model;
    const struct ash_vm_space *spaces[SPACES];
    uint32_t count = 0;
    for (uint32_t i = 0; i < SPACES * PAGES; i++) {
        uint32_t who = i / PAGES;
        const struct ash_vm_space *space = &search->now.spaces[who];
        const struct page *page = &model->pages[who][i % PAGES];
        ash_vaddr_t va = (ash_vaddr_t)(i % PAGES) << 12;
        ash_paddr_t address = 0;
        if (!model->alive[who])
            continue;
        if (i % PAGES == 0)
            spaces[count++] = space;
        int result = ash_vm_translate(space, va, ASH_VM_READ, &address);
        struct mmu_translation seen = bed_walk(search->bed, space, va);
        CHECK_EQ(result, page->mapped ? 0 : -ASH_EFAULT);
        CHECK_EQ(seen.valid, page->mapped);
        if (!page->mapped)
            continue;
        CHECK_EQ(seen.address, address);
        CHECK(page->writable || !mmu_allows(seen.rights, ASH_VM_WRITE));
        CHECK_EQ(*(const uint64_t *)bed_at(search->bed, address), page->value);
    }
    bed_check(search->bed, spaces, count, NULL);
}

/* Depth-first, by a stack of its own. */
static void explore(struct search *search, uint32_t depth) {
    uint32_t next[DEPTH_MAX + 1] = {0}, at = 0;
    save(search, &search->before[0]);
    while (true) {
        if (at == depth || next[at] == STEPS * SPACES) {
            if (at == 0)
                return;
            at--;
            go_back(search, &search->before[at]);
            continue;
        }
        uint32_t who = next[at] / STEPS, what = next[at] % STEPS;
        next[at]++;
        search->bed->next = 0; /* which frames it takes depends on the state alone */
        if (!search->now.model.alive[who] || !step(search, who, what))
            continue;
        search->steps++;
        check_all(search);
        if (!is_news(search, depth - at - 1)) {
            go_back(search, &search->before[at]);
            continue;
        }
        at++;
        next[at] = 0;
        save(search, &search->before[at]);
    }
}

static void search_all(const struct mmu_shape *shape, uint32_t flags, uint32_t depth) {
    struct search *search = test_alloc(sizeof(*search), 64);
    search->before = test_alloc(sizeof(struct moment) * (DEPTH_MAX + 1), 64);
    search->seen = test_alloc(sizeof(struct seen) * SEEN, 64);
    search->bed = bed_new(shape, FRAMES);
    search->bed->config.flags = flags;
    bed_start(search->bed);
    CHECK(bed_space(search->bed, &search->now.spaces[0]));
    search->now.model.alive[0] = true;
    explore(search, depth);
    CHECK(search->states > 100);
#if __STDC_HOSTED__
    if (getenv("ASHLAR_VM_DEPTH") != NULL)
        test_skip("%s, depth %u: %llu states, %llu steps", ash_vm_format_name(shape->format), depth,
                  (unsigned long long)search->states, (unsigned long long)search->steps);
#endif
}

static uint32_t depth_wanted(void) {
#if __STDC_HOSTED__
    const char *wanted = getenv("ASHLAR_VM_DEPTH");
    if (wanted != NULL && atoi(wanted) > 0 && atoi(wanted) <= DEPTH_MAX)
        return (uint32_t)atoi(wanted);
#endif
    return DEPTH;
}

TEST_CASE(vm_exhaustive, every_sequence_of_steps_keeps_three_spaces_apart) {
    search_all(&mmu_shapes[4], 0, depth_wanted());
}

TEST_CASE(vm_exhaustive, every_sequence_does_so_where_shared_blocks_are_split) {
    search_all(&mmu_shapes[4], ASH_VM_SPLIT_HUGE, depth_wanted());
}

TEST_CASE(vm_exhaustive, every_sequence_does_so_without_protection_above_leaves) {
    search_all(&mmu_shapes[5], 0, depth_wanted());
}
