/* SPDX-License-Identifier: MIT */
/*
 * hardened.c: the hardened profile: a byte of state for each object, looked at and written by every
 * allocation and free, and magazines whose objects lie in random order.
 *
 * A free asks, in this order: does the page map say that the page is a slab of this cache; is it
 * where an object begins; is that object out? Nothing is read through the pointer before the first
 * two are answered, and only the slab's header then.
 *
 * Stores of state bytes are plain. An object belongs to one CPU at a time: whoever allocated it
 * hands it to whoever frees it, and magazines go from CPU to CPU under the depot's lock; so in a
 * correct program no two touch a byte at once. DESIGN.md says what is seen of those that do.
 */
#include "profiles.h"

/* Layout */

/*
 * The number in its slab of the object that begins at `pointer`; for any other value of it, a
 * number that is not below `objects`.
 *
 * Let the slab be 2^w bytes long and stride = odd * 2^k. With the inverse of odd modulo 2^w, an
 * offset n * stride behind object 0 times the inverse is n * 2^k modulo 2^w; the slab's base is a
 * multiple of 2^w and drops out. The multiplier is shifted left by 32 - w, so that the product's
 * upper w bits are this value, and the rotation brings n down. Multiplying by an inverse is a
 * permutation of the w-bit values that maps the multiples of stride below 2^w to 0, 1, 2 ... in
 * order; so every other value goes elsewhere: beyond those, or, where the offset is no multiple of
 * 2^k, to a number with some of its upper k bits set. And a multiple that is not below
 * objects * stride (the header's wrap around to there) goes to `objects` or above.
 *
 * (Granlund and Montgomery, PLDI 1994, section 9: division of what may be a multiple.)
 */
static inline uint32_t index_of(const struct ash__slab_hardened *hardened, const void *pointer) {
    uint32_t product = (uint32_t)(uintptr_t)pointer * hardened->multiplier - hardened->addend;
    uint32_t rotation = hardened->rotation; /* 1..31 */
    return product >> (rotation & 31) | product << (-rotation & 31);
}

static inline uint8_t *state_at(const struct ash__slab_hardened *hardened, const void *pointer,
                                uint32_t index) {
    return (uint8_t *)(((uintptr_t)pointer & hardened->base_mask) + hardened->side) + index;
}

/* Newton's iteration: x is its own inverse modulo 8, and each step doubles the bits. */
static uint32_t inverse_of(uint32_t odd) {
    uint32_t inverse = odd;
    for (uint32_t bits = 3; bits < 32; bits *= 2)
        inverse *= 2 - odd * inverse;
    return inverse;
}

/* FNV-1a (Fowler, Noll, Vo). */
static uint64_t hash_of(const char *name) {
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *name != '\0'; name++)
        hash = (hash ^ (uint8_t)*name) * UINT64_C(0x100000001b3);
    return hash;
}

void ash__hardened_prepare(struct ash_slab_cache *cache, uint64_t seed) {
    const struct ash__slab_store *store = &cache->slabs;
    uint32_t twos = ash_ctz64(store->stride), width = ash_log2_floor(store->mask + 1);
    uint32_t multiplier = inverse_of(store->stride >> twos) << (32 - width);
    cache->hardened = (struct ash__slab_hardened){
        .map = store->source->map,
        .base = store->source->base,
        .len_pages = store->source->len_pages,
        .base_mask = ~(uintptr_t)store->mask,
        .multiplier = multiplier,
        .addend = store->first * multiplier,
        .rotation = 32 - width + twos,
        .objects = store->objects,
        .side = store->side,
    };
    cache->shuffle_state = seed != 0 ? seed : hash_of(cache->name);
}

/* Order */

/* splitmix64 (Steele, Lea and Flood 2014): CPUs that come at once draw different numbers. */
static uint64_t draw_seed(struct ash_slab_cache *cache) {
    const uint64_t gamma = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t z = ash_fetch_add(&cache->shuffle_state, gamma) + gamma;
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return z ^ z >> 31;
}

/* Fisher and Yates's shuffle over xorshift64* (Vigna 2016); its product's upper half times `i`,
 * shifted, is below i. */
void ash__hardened_shuffle(struct ash_slab_cache *cache, void **objects, uint32_t count) {
    uint64_t x = draw_seed(cache) | 1;
    for (uint32_t i = count; i > 1; i--) {
        x ^= x >> 12;
        x ^= x << 25;
        x ^= x >> 27;
        uint64_t upper = x * UINT64_C(0x2545f4914f6cdd1d) >> 32;
        uint32_t other = (uint32_t)(upper * i >> 32);
        void *object = objects[i - 1];
        objects[i - 1] = objects[other];
        objects[other] = object;
    }
}

/* State */

/* The object is on its way out of a magazine. False: it is no free object of the cache. */
static inline bool mark_out(const struct ash__slab_hardened *hardened, const void *object) {
    uint8_t *state = state_at(hardened, object, index_of(hardened, object));
    if (ASH_UNLIKELY(ash_load_relaxed(state) != ASH__HARDENED_FREE))
        return false;
    ash_store_relaxed(state, (uint8_t)ASH__HARDENED_OUT);
    return true;
}

/* False: no object of the cache that is out; nothing is changed then. */
static inline bool mark_free(const struct ash__slab_hardened *hardened, const void *object) {
    uint64_t page = ((uintptr_t)object - hardened->base) >> ASH_PAGE_SHIFT;
    if (ASH_UNLIKELY(page >= hardened->len_pages) ||
        ASH_UNLIKELY(ash_load_relaxed(&hardened->map[page]) != hardened->id))
        return false;
    uint32_t index = index_of(hardened, object);
    if (ASH_UNLIKELY(index >= hardened->objects))
        return false;
    uint8_t *state = state_at(hardened, object, index);
    if (ASH_UNLIKELY(ash_load_relaxed(state) != ASH__HARDENED_OUT))
        return false;
    ash_store_relaxed(state, (uint8_t)ASH__HARDENED_FREE);
    return true;
}

/* Allocation and free of a cache without callbacks that no interrupt handler uses */

static __attribute__((noinline)) void *alloc_slow(struct ash_slab_cache *cache) {
    ash_port_unpin();
    void *object = ash__magazine_alloc(cache);
    if (object != NULL && ASH_UNLIKELY(!mark_out(&cache->hardened, object)))
        (void)ash__hardened_refuse_alloc(cache, object);
    return object;
}

ASH_HOT_ENTRY void *ash__hardened_alloc(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu) {
    uint32_t held = cpu->held;
    if (ASH_UNLIKELY(held == 0))
        return alloc_slow(cache);
    void *object = cpu->loaded->objects[held - 1];
    if (ASH_UNLIKELY(!mark_out(&cache->hardened, object)))
        return ash__hardened_refuse_alloc(cache, object);
    ash_store_relaxed(&cpu->held, held - 1);
    ash_store_relaxed(&cpu->allocations, cpu->allocations + 1);
    ash_port_unpin();
    return object;
}

static __attribute__((noinline)) void free_slow(struct ash_slab_cache *cache, void *object) {
    ash_port_unpin();
    ash__magazine_free(cache, object);
}

ASH_HOT_ENTRY void ash__hardened_free(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                                      void *object) {
    if (ASH_UNLIKELY(!mark_free(&cache->hardened, object))) {
        ash__hardened_refuse_free(cache, object);
        return;
    }
    uint32_t held = cpu->held;
    if (ASH_UNLIKELY(held == cpu->room)) {
        free_slow(cache, object);
        return;
    }
    cpu->loaded->objects[held] = object;
    ash_store_relaxed(&cpu->held, held + 1);
    ash_port_unpin();
}

/* What the rest of the folder asks */

uint32_t ash__hardened_index(const struct ash_slab_cache *cache, const void *pointer) {
    return index_of(&cache->hardened, pointer);
}

void ash__hardened_mark_out(struct ash_slab_cache *cache, void *object) {
    if (ASH_UNLIKELY(!mark_out(&cache->hardened, object)))
        (void)ash__hardened_refuse_alloc(cache, object);
}

void ash__hardened_mark_free(struct ash_slab_cache *cache, void *object) {
    if (ASH_UNLIKELY(!mark_free(&cache->hardened, object)))
        ash__hardened_refuse_free(cache, object);
}

static void set_state(const struct ash_slab_cache *cache, const void *object, uint8_t state) {
    const struct ash__slab_hardened *hardened = &cache->hardened;
    ash_store_relaxed(state_at(hardened, object, index_of(hardened, object)), state);
}

void ash__profile_set_aside(struct ash_slab_cache *cache, void *object) {
    if (cache->hardened.side != 0)
        set_state(cache, object, ASH__HARDENED_RESERVED);
    else if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_set_aside(cache, object);
}

void ash__profile_hand_out(struct ash_slab_cache *cache, void *object, const void *site) {
    if (cache->hardened.side != 0)
        set_state(cache, object, ASH__HARDENED_OUT);
    else if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_hand_out(cache, object, site);
}

bool ash__profile_is_out(const struct ash_slab_cache *cache, const void *object) {
    const struct ash__slab_hardened *hardened = &cache->hardened;
    if (hardened->side != 0)
        return ash_load_relaxed(state_at(hardened, object, index_of(hardened, object))) ==
               ASH__HARDENED_OUT;
    return cache->kind != ASH__SLAB_DEBUG || ash__debug_is_out(cache, object);
}

const char *ash__hardened_check(struct ash_slab_cache *cache) {
    struct ash_list *node;
    ash_list_for_each (node, &cache->slabs.all) {
        const struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, all);
        const uint8_t *states = (const uint8_t *)slab + cache->hardened.side;
        for (uint32_t i = 0; i < cache->slabs.objects; i++) {
            bool is_free = (slab->bitmap[i / 64] >> i % 64 & 1) != 0;
            if (states[i] > ASH__HARDENED_RESERVED || (states[i] == ASH__HARDENED_FREE) != is_free)
                return "I20: an object's state differs from where the object is";
        }
    }
    return NULL;
}
