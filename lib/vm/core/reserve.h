/* SPDX-License-Identifier: MIT */
/*
 * reserve.h: frames taken before an operation changes anything, so that it cannot fail half-way.
 * They are linked through their own first words, in the order in which they came: tables that are
 * neighbours then have neighbouring frames, and their counts are a run. The count was an upper
 * bound: another space may have dropped its share of a table meanwhile; what is left goes back.
 */

struct reserve {
    struct ash_vm *vm;
    ash_paddr_t first; /* 0: none is left. Frame 0 is never one: see require_frames. */
    ash_paddr_t last;
};

/* What a source gives is aligned, counted, and not frame 0. */
static void require_frames(const struct ash_vm *vm, ash_pfn_t first, uint32_t level) {
    uint64_t frames = count_frames(level);
    ASH_REQUIRE(first != 0 && first % frames == 0 && count_has(vm, first) &&
                    count_has(vm, first + (frames - 1)),
                "vm: the frame source gave %u from frame %#llx on, which is 0, not aligned, or not "
                "counted",
                (uint32_t)frames, (unsigned long long)first);
}

static void reserve_push(struct reserve *reserve, ash_pfn_t frame) {
    require_frames(reserve->vm, frame, 0);
    ash_paddr_t address = frame_address(frame);
    *table_at(reserve->vm, address) = 0;
    if (reserve->first == 0)
        reserve->first = address;
    else
        *table_at(reserve->vm, reserve->last) = address;
    reserve->last = address;
}

static ash_paddr_t reserve_take(struct reserve *reserve) {
    ash_paddr_t frame = reserve->first;
    ASH_REQUIRE(frame != 0, "vm: an operation wants more frames than it had counted");
    reserve->first = *table_at(reserve->vm, frame);
    return frame;
}

static void reserve_drain(struct reserve *reserve) {
    const struct ash_vm_frames *frames = &reserve->vm->config.frames;
    while (reserve->first != 0)
        frames->free(frames->context, frame_of(reserve_take(reserve)), 0);
}

static int reserve_fill(struct reserve *reserve, struct ash_vm *vm, uint64_t count) {
    const struct ash_vm_frames *frames = &vm->config.frames;
    *reserve = (struct reserve){.vm = vm};
    for (; count != 0; count--) {
        ash_pfn_t frame;
        if (frames->alloc(frames->context, 0, &frame) != 0) {
            reserve_drain(reserve);
            return -ASH_ENOMEM;
        }
        reserve_push(reserve, frame);
    }
    return 0;
}

static void zero_page(const struct ash_vm *vm, void *page) {
    if (vm->config.page_zero != NULL)
        vm->config.page_zero(page);
    else
        __builtin_memset(page, 0, ASH_PAGE_SIZE);
}

static void copy_frames(const struct ash_vm *vm, ash_paddr_t to, ash_paddr_t from, uint64_t bytes) {
    for (uint64_t i = 0; i < bytes; i += ASH_PAGE_SIZE) {
        void *page = table_at(vm, to + i);
        if (vm->config.page_copy != NULL)
            vm->config.page_copy(page, table_at(vm, from + i));
        else
            __builtin_memcpy(page, table_at(vm, from + i), ASH_PAGE_SIZE);
    }
}

/* A table with no entries and one reference: its maker's. */
static ash_paddr_t table_new(struct reserve *reserve) {
    ash_paddr_t table = reserve_take(reserve);
    zero_page(reserve->vm, table_at(reserve->vm, table));
    count_set(reserve->vm, frame_of(table), 1);
    return table;
}
