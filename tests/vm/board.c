/* SPDX-License-Identifier: MIT */
#include "vm/board.h"

const struct ash_vm_format *const board_formats[] = {
    &ash_vm_vmsa4k, &ash_vm_sv39, &ash_vm_sv48, &ash_vm_x86_64, &ash_vm_toy, &ash_vm_toy_flat};

static bool piece_is_free(const struct board *board, uint64_t first, uint64_t count) {
    for (uint64_t i = 0; i < count; i++)
        if (board->pieces[first + i] != 0)
            return false;
    return true;
}

static int board_alloc(void *context, uint32_t order, ash_pfn_t *first) {
    struct board *board = context;
    uint64_t count = UINT64_C(1) << order;
    if (board->allowed == 0)
        return -ASH_ENOMEM;
    board->allowed--;
    for (uint64_t i = 0; i + count <= BOARD_FRAMES; i += count) {
        if (!piece_is_free(board, i, count))
            continue;
        memset(&board->pieces[i], (int)order + 1, count);
        memset(board->memory + i * ASH_PAGE_SIZE, 0xa5, count * ASH_PAGE_SIZE);
        board->used += count;
        *first = BOARD_FIRST + i;
        return 0;
    }
    return -ASH_ENOMEM;
}

static void board_free(void *context, ash_pfn_t first, uint32_t order) {
    struct board *board = context;
    uint64_t count = UINT64_C(1) << order, at = first - BOARD_FIRST;
    CHECK(at < BOARD_FRAMES && at % count == 0);
    for (uint64_t i = 0; i < count; i++)
        CHECK_EQ(board->pieces[at + i], order + 1);
    memset(&board->pieces[at], 0, count);
    board->used -= count;
}

static void board_split(void *context, ash_pfn_t first, uint32_t order, uint32_t into) {
    struct board *board = context;
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        CHECK_EQ(board->pieces[first - BOARD_FIRST + i], order + 1);
        board->pieces[first - BOARD_FIRST + i] = (uint8_t)(into + 1);
    }
}

static void board_join(void *context, ash_pfn_t first, uint32_t order, uint32_t from) {
    struct board *board = context;
    for (uint64_t i = 0; i < UINT64_C(1) << order; i++) {
        CHECK_EQ(board->pieces[first - BOARD_FIRST + i], from + 1);
        board->pieces[first - BOARD_FIRST + i] = (uint8_t)(order + 1);
    }
}

static void board_publish(void *context) {
    ((struct board *)context)->publishes++;
}

static void board_flush_range(void *context, uint32_t asid, ash_vaddr_t va, uint64_t count,
                              uint32_t shift, bool leaf_only) {
    (void)asid, (void)va, (void)count, (void)shift, (void)leaf_only;
    ((struct board *)context)->flushes++;
}

static void board_flush_asid(void *context, uint32_t asid) {
    (void)asid;
    ((struct board *)context)->flushes++;
}

static void board_flush_all(void *context) {
    ((struct board *)context)->flushes++;
}

struct board *board_new(struct board *board, const struct ash_vm_format *format, uint32_t flags) {
    if (board == NULL) {
        board = test_alloc(sizeof(*board), 64);
        board->memory = test_alloc(BOARD_FRAMES * ASH_PAGE_SIZE, ASH_PAGE_SIZE);
        board->storage = test_alloc(BOARD_FRAMES * sizeof(uint32_t), 8);
        board->scratch = test_alloc(BOARD_FRAMES * sizeof(uint32_t), 8);
        board->held = test_alloc(BOARD_FRAMES * sizeof(uint32_t), 8);
    }
    memset(board->held, 0, BOARD_FRAMES * sizeof(uint32_t));
    memset(board->pieces, 0, sizeof(board->pieces));
    board->used = board->flushes = board->publishes = 0;
    board->allowed = UINT64_MAX;
    board->config = (struct ash_vm_config){
        .format = format,
        .flags = flags,
        .direct_map = (uintptr_t)board->memory - ((uintptr_t)BOARD_FIRST << ASH_PAGE_SHIFT),
        .first_frame = BOARD_FIRST,
        .frame_count = BOARD_FRAMES,
        .frames = {board_alloc, board_free, board_split, board_join, board},
        .tlb = {board_publish, board_flush_range, board_flush_asid, board_flush_all, board},
        .flush_pages_max = 512,
    };
    size_t bytes = ash_vm_storage_size(&board->config);
    CHECK_EQ(bytes, BOARD_FRAMES * sizeof(uint32_t));
    CHECK_EQ(ash_vm_init(&board->vm, &board->config, board->storage, bytes), 0);
    return board;
}

void board_end(struct board *board) {
    ash_vm_fini(&board->vm);
    CHECK_EQ(board->used, 0);
}

void board_space(struct board *board, struct ash_vm_space *space) {
    CHECK_EQ(ash_vm_space_init(space, &board->vm, 0, 0), 0);
    space->is_live = true;
}

void board_space_end(struct ash_vm_space *space) {
    ash_vm_space_fini(space);
    while (ash_vm_reap(space, 1)) {}
}

ash_paddr_t board_take(struct board *board, uint32_t order) {
    ash_pfn_t first = 0;
    CHECK_EQ(board_alloc(board, order, &first), 0);
    ash_paddr_t address = first << ASH_PAGE_SHIFT;
    memset(board_at(board, address), 0, ASH_PAGE_SIZE << order);
    return address;
}

ash_paddr_t board_pages(struct board *board, uint64_t count) {
    uint64_t step = ash_is_pow2(count) ? count : 1;
    for (uint64_t i = 0; i + count <= BOARD_FRAMES; i += step) {
        if (!piece_is_free(board, i, count))
            continue;
        memset(&board->pieces[i], 1, count);
        memset(board->memory + i * ASH_PAGE_SIZE, 0, count * ASH_PAGE_SIZE);
        board->used += count;
        return (BOARD_FIRST + i) << ASH_PAGE_SHIFT;
    }
    test_fail(__FILE__, __LINE__, "%llu frames in a row are not left", (unsigned long long)count);
}

uint64_t *board_at(const struct board *board, ash_paddr_t address) {
    return (uint64_t *)(board->config.direct_map + (uintptr_t)address);
}

static void check_none(const char *broken) {
    if (broken != NULL)
        test_fail(__FILE__, __LINE__, "%s", broken);
}

void board_audit(struct board *board, const struct ash_vm_space *const *spaces, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        check_none(ash_vm_check(spaces[i]));
    memcpy(board->scratch, board->held, BOARD_FRAMES * sizeof(uint32_t));
    check_none(ash_vm_recount(&board->vm, spaces, count, board->scratch));
    CHECK_MEM_EQ(board->scratch, board->held, BOARD_FRAMES * sizeof(uint32_t));
}

void board_check(struct board *board, struct ash_vm_space *a, struct ash_vm_space *b) {
    const struct ash_vm_space *spaces[2] = {a, b};
    board_audit(board, spaces, b == NULL ? 1 : 2);
}

uint64_t board_sum(const struct board *board) {
    uint64_t sum = board->used;
    for (uint64_t i = 0; i < BOARD_FRAMES; i++) {
        const uint64_t *words = (const uint64_t *)(board->memory + i * ASH_PAGE_SIZE);
        sum = sum * 31 + board->storage[i];
        for (uint32_t j = 0; board->pieces[i] != 0 && j < ASH_PAGE_SIZE / sizeof(*words); j++)
            sum = (sum ^ words[j]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    return sum;
}

bool board_is_protected(struct ash_vm_space *space, ash_vaddr_t va) {
    struct ash_vm_mapping mapping;
    CHECK(ash_vm_query(space, va, &mapping) && mapping.va <= va);
    return mapping.is_write_protected;
}

void board_write(struct board *board, struct ash_vm_space *space, ash_vaddr_t va, uint64_t value) {
    const uint32_t access = ASH_VM_WRITE | ASH_VM_USER;
    ash_paddr_t address;
    if (board_is_protected(space, va)) {
        enum ash_vm_verdict verdict = ash_vm_fault(space, va, access);
        CHECK(verdict == ASH_VM_REUSE || verdict == ASH_VM_COPY || verdict == ASH_VM_UNSHARE);
        CHECK(!board_is_protected(space, va));
    }
    CHECK_EQ(ash_vm_translate(space, va, access, &address), 0);
    *board_at(board, address) = value;
}

uint64_t board_read(struct board *board, struct ash_vm_space *space, ash_vaddr_t va) {
    ash_paddr_t address;
    CHECK_EQ(ash_vm_translate(space, va, ASH_VM_READ | ASH_VM_USER, &address), 0);
    return *board_at(board, address);
}

int64_t board_translate(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access) {
    ash_paddr_t address;
    int error = ash_vm_translate(space, va, access, &address);
    return error != 0 ? error : (int64_t)address;
}

uint32_t board_order(const struct board *board) {
    const struct ash_vm_format *format = board->config.format;
    return format == &ash_vm_toy || format == &ash_vm_toy_flat ? 2 : 9;
}

uint64_t board_block_bytes(const struct board *board) {
    return ASH_PAGE_SIZE << board_order(board);
}
