/* SPDX-License-Identifier: MIT */
/*
 * board.h: the least that an address space needs: frames out of an array, which knows in what
 * pieces each was given and refuses at will, and TLB operations that are counted.
 */
#ifndef TESTS_VM_BOARD_H
#define TESTS_VM_BOARD_H

#include "harness/test.h"

#include <ashlar/vm.h>

enum { BOARD_FRAMES = 2560, BOARD_FIRST = 0x80000 };

struct board {
    struct ash_vm vm;
    struct ash_vm_config config;
    uint8_t *memory;
    uint8_t pieces[BOARD_FRAMES]; /* 0: free; else 1 + the order of the piece it is part of */
    uint32_t *storage, *scratch;
    uint32_t *held; /* the case's own references, pins included */
    uint64_t used, flushes, publishes;
    uint64_t allowed; /* allocations until one is refused */
};

/* A machine of BOARD_FRAMES frames; in the memory of an earlier one of the case, or NULL. */
struct board *board_new(struct board *board, const struct ash_vm_format *format, uint32_t flags);
/* All frames are back. */
void board_end(struct board *board);

/* A space that is live, so that flushes are seen. */
void board_space(struct board *board, struct ash_vm_space *space);
/* Its end, with all that it leaves behind. */
void board_space_end(struct ash_vm_space *space);

/* 1 << order frames in one piece, or `count` in a row, each its own, aligned if they can be; all
 * zeroes. */
ash_paddr_t board_take(struct board *board, uint32_t order);
ash_paddr_t board_pages(struct board *board, uint64_t count);

/* Checks each space, and all counts. */
void board_check(struct board *board, struct ash_vm_space *a, struct ash_vm_space *b);
void board_audit(struct board *board, const struct ash_vm_space *const *spaces, uint32_t count);

/* A sum over what is in all frames that are given, and over their counts. */
uint64_t board_sum(const struct board *board);

/* A program's access, with its faults: at most one. */
void board_write(struct board *board, struct ash_vm_space *space, ash_vaddr_t va, uint64_t value);
uint64_t board_read(struct board *board, struct ash_vm_space *space, ash_vaddr_t va);
/* A write of it would fault. */
bool board_is_protected(struct ash_vm_space *space, ash_vaddr_t va);

uint64_t *board_at(const struct board *board, ash_paddr_t address);

/* Where a read finds itself, or the negative error. */
int64_t board_translate(const struct ash_vm_space *space, ash_vaddr_t va, uint32_t access);

extern const struct ash_vm_format *const board_formats[];
enum { BOARD_FORMATS = 6 };

/* The body once for each format, on a machine of its own; `board` begins as NULL. */
#define EACH_BOARD(board, flags)                                                                   \
    for (uint32_t each_ = 0;                                                                       \
         each_ < BOARD_FORMATS && (board = board_new(board, board_formats[each_], flags)) != NULL; \
         each_++)

/* Of a block of level 1. */
uint32_t board_order(const struct board *board);
uint64_t board_block_bytes(const struct board *board);

#define EACH_FORMAT(format)                         \
    for (uint32_t i_ = 0; i_ < BOARD_FORMATS; i_++) \
        for (const struct ash_vm_format *format = board_formats[i_]; format != NULL; format = NULL)

#define BOARD_RW (ASH_VM_READ | ASH_VM_WRITE | ASH_VM_USER)
#define BOARD_R  (ASH_VM_READ | ASH_VM_USER)

#endif
