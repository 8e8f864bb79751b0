/* SPDX-License-Identifier: MIT */
/*
 * debug_report.c: what the debug profile says of a broken contract, to a person who has to find it:
 * what happened to which object of which cache, who allocated the object, who freed it, and who was
 * at it now.
 */
#include "profiles.h"

/* What follows the first line of a report: three backtraces of four addresses at most. */
struct text {
    char bytes[384];
    uint32_t used; /* always a terminator behind it */
};

static void put(struct text *text, const char *word) {
    for (; *word != '\0' && text->used < sizeof(text->bytes) - 1; word++)
        text->bytes[text->used++] = *word;
    text->bytes[text->used] = '\0';
}

static void put_number(struct text *text, uint64_t number, uint32_t base) {
    char digits[21];
    uint32_t at = sizeof(digits) - 1;
    digits[at] = '\0';
    do {
        digits[--at] = "0123456789abcdef"[number % base];
        number /= base;
    } while (number != 0);
    put(text, base == 16 ? " 0x" : " ");
    put(text, &digits[at]);
}

static void put_backtrace(struct text *text, const struct ash_slab_cache *cache, const char *did,
                          const struct ash__backtrace *backtrace) {
    put(text, "\n  ");
    put(text, did);
    if (cache->trace != NULL && cache->trace->owner != NULL) {
        put(text, " by owner");
        put_number(text, backtrace->owner, 10);
    }
    put(text, " at");
    for (uint32_t i = 0; i < ASH_SLAB_SITES_MAX && backtrace->sites[i] != 0; i++)
        put_number(text, backtrace->sites[i], 16);
}

static bool is_set(const struct ash__backtrace *backtrace) {
    return backtrace->sites[0] != 0;
}

/* record or now may be NULL. */
static struct text describe(const struct ash_slab_cache *cache, const struct ash__record *record,
                            const struct ash__backtrace *now) {
    struct text text = {.used = 0};
    if (record != NULL && record->allocations == 0)
        put(&text, "\n  never allocated");
    else if (record != NULL)
        put_backtrace(&text, cache, "allocated", &record->alloc);
    if (record != NULL && is_set(&record->free))
        put_backtrace(&text, cache, record->state == ASH__RECORD_OUT ? "last freed" : "freed",
                      &record->free);
    if (now != NULL)
        put_backtrace(&text, cache, "now", now);
    return text;
}

/* The object that the pointer points into, in whatever debug cache; NULL: in none. */
static const struct ash__record *record_around(const struct ash_slab_cache *cache,
                                               const void *pointer) {
    const struct ash__slab_store *store = &cache->slabs;
    uint32_t offset = (uint32_t)((uintptr_t)pointer & store->mask) - store->first;
    uint32_t index = ash__slab_index(store, offset);
    if (cache->kind != ASH__SLAB_DEBUG || ash__source_entry(store->source, pointer) != store->id ||
        index >= store->objects || offset - index * store->stride >= cache->size_bytes)
        return NULL;
    return ash__debug_place(cache, ash__slab_of(store, pointer), index).record;
}

void ash__debug_refuse_pointer(struct ash_slab_cache *cache, const void *pointer,
                               const struct ash__backtrace *now) {
    struct ash_page_source *source = cache->slabs.source;
    const struct ash_slab_cache *owner =
        ash__source_cache(source, ash__source_entry(source, pointer));
    const struct ash__record *record = owner == NULL ? NULL : record_around(owner, pointer);
    struct text text = describe(owner == NULL ? cache : owner, record, now);
    ash__slab_refuse_with(cache, pointer, text.bytes);
}

void ash__debug_refuse_double(struct ash_slab_cache *cache, const void *object,
                              const struct ash__record *record, const struct ash__backtrace *now) {
    struct text text = describe(cache, record, now);
    const char *why = record->allocations == 0                ? "it was never handed out"
                      : record->state == ASH__RECORD_RESERVED ? "it is set aside in a reserve"
                                                              : "the object is free already";
    ash_panic(__FILE__, __LINE__, "slab: double free of %p to %s: %s%s", object, cache->name, why,
              text.bytes);
}

void ash__debug_report_overflow(struct ash_slab_cache *cache, const void *object,
                                const struct ash__record *record, int32_t at,
                                const struct ash__backtrace *now) {
    struct text text = describe(cache, record, now);
    const uint8_t *byte = (const uint8_t *)object + at;
    if (at < 0)
        ash_panic(__FILE__, __LINE__,
                  "slab: overflow of %p in %s, %u bytes: %u bytes before it 0x%02x was written%s",
                  object, cache->name, cache->size_bytes, (uint32_t)-at, *byte, text.bytes);
    ash_panic(__FILE__, __LINE__,
              "slab: overflow of %p in %s, %u bytes: at offset %u, behind it, 0x%02x was written%s",
              object, cache->name, cache->size_bytes, (uint32_t)at, *byte, text.bytes);
}

void ash__debug_report_use(struct ash_slab_cache *cache, const void *object,
                           const struct ash__record *record, uint32_t at, uint8_t expected,
                           const struct ash__backtrace *now) {
    struct text text = describe(cache, record, now);
    ash_panic(__FILE__, __LINE__,
              "slab: use after free of %p in %s, %u bytes: at offset %u 0x%02x was written over "
              "0x%02x%s",
              object, cache->name, cache->size_bytes, at, ((const uint8_t *)object)[at], expected,
              text.bytes);
}
