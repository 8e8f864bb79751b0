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
#include "hardened_fast.h"

/* Layout */

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

void ash__hardened_shape(struct ash__store_config *store) {
    store->side_bytes = 1;
    store->to_the_end = true;
}

void ash__hardened_prepare(struct ash_slab_cache *cache, uint64_t seed) {
    const struct ash__slab_store *store = &cache->slabs;
    uint32_t odd = store->stride >> ash_ctz64(store->stride);
    uint32_t width = ash_log2_floor(store->mask + 1);
    cache->hardened = (struct ash__slab_hardened){
        .map = store->source->map,
        .base = store->source->base,
        .len_pages = store->source->len_pages,
        .base_mask = ~(uintptr_t)store->mask,
        .multiplier = (0 - inverse_of(odd)) << (32 - width),
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

/* Allocation and free of a cache without callbacks that no interrupt handler uses, where the loaded
 * magazine does not do. */

void *ash__hardened_alloc_slow(struct ash_slab_cache *cache) {
    void *object = ash__magazine_alloc(cache);
    if (object != NULL)
        ash__hardened_require_free(cache, object);
    return object;
}

void ash__hardened_free_slow(struct ash_slab_cache *cache, void *object) {
    ash__hardened_require_out(cache, object);
    ash__magazine_free(cache, object);
}

/* What the rest of the folder asks */

uint8_t *ash__hardened_state(const struct ash_slab_cache *cache, const void *object) {
    const struct ash__slab_hardened *hardened = &cache->hardened;
    return ash__hardened_state_at(hardened, object, ash__hardened_number(hardened, object));
}

void ash__hardened_require_free(struct ash_slab_cache *cache, void *object) {
    if (ASH_UNLIKELY(!ash__hardened_mark_out(&cache->hardened, object)))
        (void)ash__hardened_refuse_alloc(cache, object);
}

void ash__hardened_require_out(struct ash_slab_cache *cache, void *object) {
    if (ASH_UNLIKELY(!ash__hardened_mark_free(&cache->hardened, object)))
        ash__hardened_refuse_free(cache, object);
}

void ash__profile_reserve(struct ash_slab_cache *cache, void *object) {
    if (cache->hardened.side != 0)
        *ash__hardened_state(cache, object) = ASH__HARDENED_RESERVED;
    else if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_reserve(cache, object);
}

void ash__profile_hand_out(struct ash_slab_cache *cache, void *object, const void *site) {
    if (cache->hardened.side != 0)
        *ash__hardened_state(cache, object) = ASH__HARDENED_OUT;
    else if (cache->kind == ASH__SLAB_DEBUG)
        ash__debug_hand_out(cache, object, site);
}

bool ash__profile_is_out(const struct ash_slab_cache *cache, const void *object) {
    if (cache->hardened.side != 0)
        return *ash__hardened_state(cache, object) == ASH__HARDENED_OUT;
    return cache->kind != ASH__SLAB_DEBUG || ash__debug_is_out(cache, object);
}

const char *ash__hardened_check(struct ash_slab_cache *cache) {
    struct ash_list *node;
    ash_list_for_each (node, &cache->slabs.all) {
        const struct ash__slab *slab = ASH_LIST_ENTRY(node, struct ash__slab, all);
        const uint8_t *states = (const uint8_t *)slab + cache->hardened.side;
        if (states[0] != ASH__HARDENED_FREE)
            return "I20: the state that a slab's base would have is not \"free\"";
        for (uint32_t i = 0; i < cache->slabs.objects; i++) {
            uint8_t state = states[cache->slabs.objects - i];
            bool is_free = (slab->bitmap[i / 64] >> i % 64 & 1) != 0;
            if (state > ASH__HARDENED_RESERVED || (state == ASH__HARDENED_FREE) != is_free)
                return "I20: an object's state differs from where the object is";
        }
    }
    return NULL;
}
