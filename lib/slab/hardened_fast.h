/* SPDX-License-Identifier: MIT */
/*
 * hardened_fast.h: a hardened cache's allocation and free as far as its CPU's loaded magazine goes:
 * compiled into the entries of cache.c, for a call more would cost a tenth of them. hardened.c has
 * the rest, and says what the states are.
 *
 * What decides the time, measured: loads. A pair has some forty, the processor does three at a
 * time. So a constant that can be had out of another one is not a field.
 */
#ifndef ASHLAR_SLAB_HARDENED_FAST_H
#define ASHLAR_SLAB_HARDENED_FAST_H

#include "profiles.h"

/*
 * Where in its slab's states the state of the object that begins at `pointer` is: 1..objects, from
 * the last object down; for any other value of `pointer`, 0 or a number above `objects`.
 *
 * Let the slab be 2^w bytes long and stride = odd * 2^k. Its last object ends where the slab does,
 * so the n-th from the end begins n * stride before a multiple of 2^w. With the inverse of odd
 * modulo 2^w, that address times -inverse is n * 2^k modulo 2^w. The multiplier is shifted left by
 * 32 - w, so that the product's upper w bits are this value, and the rotation brings n down.
 * Multiplying by an inverse is a permutation of the w-bit values, so no other address has the value
 * of one of these n: it comes out above `objects`, by its size or by some of the upper k bits; but
 * the slab's base, n = 0, whose state is never "out".
 *
 * (Granlund and Montgomery, PLDI 1994, section 9: division of what may be a multiple.) The
 * rotation is 1..31, and what `side` leaves modulo 32: layout.c chooses it so.
 */
static inline uint32_t ash__hardened_number(const struct ash__slab_hardened *hardened,
                                            const void *pointer) {
    uint32_t product = (uint32_t)(uintptr_t)pointer * hardened->multiplier;
    uint32_t rotation = (uint32_t)hardened->side;
    return product >> (rotation & 31) | product << (-rotation & 31);
}

static inline uint8_t *ash__hardened_state_at(const struct ash__slab_hardened *hardened,
                                              const void *pointer, uint32_t number) {
    return (uint8_t *)((uintptr_t)pointer & hardened->base_mask) + hardened->side + number;
}

/* The object is on its way out of a magazine. False: it is no free object of the cache. */
static inline bool ash__hardened_mark_out(const struct ash__slab_hardened *hardened,
                                          const void *object) {
    uint8_t *state =
        ash__hardened_state_at(hardened, object, ash__hardened_number(hardened, object));
    if (ASH_UNLIKELY(*state != ASH__HARDENED_FREE))
        return false;
    *state = ASH__HARDENED_OUT;
    return true;
}

/* False: no object of the cache that is out; nothing is changed then. */
static inline bool ash__hardened_mark_free(const struct ash__slab_hardened *hardened,
                                           const void *object) {
    uint64_t page = ((uintptr_t)object - hardened->base) >> ASH_PAGE_SHIFT;
    if (ASH_UNLIKELY(page >= hardened->len_pages) ||
        ASH_UNLIKELY(ash_load_relaxed(&hardened->map[page]) != hardened->id))
        return false;
    uint32_t number = ash__hardened_number(hardened, object);
    if (ASH_UNLIKELY(number > hardened->objects))
        return false;
    uint8_t *state = ash__hardened_state_at(hardened, object, number);
    if (ASH_UNLIKELY(*state != ASH__HARDENED_OUT))
        return false;
    *state = ASH__HARDENED_FREE;
    return true;
}

/* Both called pinned, with this CPU's line of the cache, where `held` is not 0, not `room`; return
 * unpinned. The refusals panic. */

static inline ASH_MUST_CHECK void *ash__hardened_pop(struct ash_slab_cache *cache,
                                                     struct ash__slab_cpu *cpu) {
    uint32_t held = cpu->held - 1;
    void *object = cpu->loaded->objects[held];
    if (ASH_UNLIKELY(!ash__hardened_mark_out(&cache->hardened, object)))
        return ash__hardened_refuse_alloc(cache, object);
    ash_store_relaxed(&cpu->held, held);
    ash_count_relaxed(&cpu->allocations);
    ash_port_unpin();
    return object;
}

static inline void ash__hardened_push(struct ash_slab_cache *cache, struct ash__slab_cpu *cpu,
                                      void *object) {
    uint32_t held = cpu->held; /* before the state, which may be any byte to the compiler */
    if (ASH_UNLIKELY(!ash__hardened_mark_free(&cache->hardened, object))) {
        ash__hardened_refuse_free(cache, object);
        return;
    }
    cpu->loaded->objects[held] = object;
    ash_store_relaxed(&cpu->held, held + 1);
    ash_port_unpin();
}

#endif
