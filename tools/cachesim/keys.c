/* SPDX-License-Identifier: MIT */
/* keys.c: two tables, of files and of the blocks in no known file, both from number to number. */
#include "keys.h"

#include <stdlib.h>

enum { SLOTS_FIRST = 1024 };

struct numbers {
    struct number_slot {
        uint64_t number;
        uint64_t value; /* its turn, from 1; 0: an empty slot */
    } * slots;
    size_t slot_count, count; /* a power of two; never more than half full */
};

struct keys {
    struct numbers files, blocks;
    uint64_t file; /* the last one that was looked up, and its space */
    uint32_t space;
    bool known;
};

static struct number_slot *find(const struct numbers *numbers, uint64_t number) {
    uint64_t mixed = number * 0x9e3779b97f4a7c15u;
    size_t i = (size_t)(mixed ^ mixed >> 32) & (numbers->slot_count - 1);
    while (numbers->slots[i].value != 0 && numbers->slots[i].number != number)
        i = (i + 1) & (numbers->slot_count - 1);
    return &numbers->slots[i];
}

static bool grow(struct numbers *numbers) {
    struct numbers larger = {.slot_count = numbers->slot_count * 2, .count = numbers->count};
    larger.slots = calloc(larger.slot_count, sizeof(larger.slots[0]));
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < numbers->slot_count; i++)
        if (numbers->slots[i].value != 0)
            *find(&larger, numbers->slots[i].number) = numbers->slots[i];
    free(numbers->slots);
    *numbers = larger;
    return true;
}

/* The number's turn, a new one if it has none; 0: no memory. */
static uint64_t turn_of(struct numbers *numbers, uint64_t number) {
    struct number_slot *slot = find(numbers, number);
    if (slot->value == 0) {
        if ((numbers->count + 1) * 2 > numbers->slot_count) {
            if (!grow(numbers))
                return 0;
            slot = find(numbers, number);
        }
        *slot = (struct number_slot){number, ++numbers->count};
    }
    return slot->value;
}

static bool numbers_init(struct numbers *numbers) {
    numbers->slot_count = SLOTS_FIRST;
    numbers->slots = calloc(SLOTS_FIRST, sizeof(numbers->slots[0]));
    return numbers->slots != NULL;
}

struct keys *keys_open(void) {
    struct keys *keys = calloc(1, sizeof(*keys));
    if (keys != NULL && numbers_init(&keys->files) && numbers_init(&keys->blocks))
        return keys;
    if (keys != NULL)
        keys_close(keys);
    return NULL;
}

void keys_close(struct keys *keys) {
    free(keys->files.slots);
    free(keys->blocks.slots);
    free(keys);
}

/* The space of a file; KEYS_FILES: the shared one; KEYS_SPACES: no memory. */
static uint32_t space_of(struct keys *keys, uint64_t file) {
    if (keys->known && keys->file == file)
        return keys->space;
    uint64_t turn = find(&keys->files, file)->value;
    if (turn == 0 && keys->files.count == KEYS_FILES)
        return KEYS_FILES;
    if (turn == 0)
        turn = turn_of(&keys->files, file);
    if (turn == 0)
        return KEYS_SPACES;
    keys->known = true;
    keys->file = file;
    keys->space = (uint32_t)turn - 1;
    return keys->space;
}

static const char *put_access(struct keys *keys, uint64_t block, struct keyed_record *keyed) {
    static const char no_memory[] = "there is no memory for so many objects";
    const uint64_t scatter = 0x9e3779b97f4a7c15u; /* odd: no two turns meet */
    keyed->space = space_of(keys, block >> KEYS_FILE_BITS);
    keyed->index = block & ((UINT64_C(1) << KEYS_FILE_BITS) - 1);
    if (keyed->space == KEYS_SPACES)
        return no_memory;
    if (keyed->space < KEYS_FILES)
        return NULL;
    uint64_t turn = turn_of(&keys->blocks, block);
    keyed->index = (turn * scatter) & ((UINT64_C(1) << KEYS_INDEX_BITS) - 1);
    return turn != 0 ? NULL : no_memory;
}

/* A file without a space has no block in a cache, or its blocks lie among those of others. */
static const char *put_flush(struct keys *keys, uint64_t block, struct keyed_record *keyed) {
    uint64_t turn = find(&keys->files, block >> KEYS_FILE_BITS)->value;
    keyed->index = 0;
    keyed->space = turn != 0 ? (uint32_t)turn - 1 : KEYS_SPACES;
    if (turn != 0 || keys->blocks.count == 0)
        return NULL;
    return "a flush of one file, after blocks of more than 4,095 of them (a file is block >> 24): "
           "which blocks are its own is not known any more";
}

size_t keys_put(struct keys *keys, const struct trace_record *records, size_t count,
                struct keyed_record *keyed, const char **why) {
    *why = NULL;
    for (size_t i = 0; i < count; i++) {
        keyed[i] = (struct keyed_record){.op = records[i].op};
        if (records[i].op == TRACE_FLUSH)
            *why = put_flush(keys, records[i].block, &keyed[i]);
        else if (records[i].op != TRACE_FLUSH_ALL)
            *why = put_access(keys, records[i].block, &keyed[i]);
        if (*why != NULL)
            return i;
    }
    return count;
}
